//! The pulled log as files.

use std::fs;
use std::path::{Path, PathBuf};

/// Copies a directory.
pub fn copy_dir(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The first file below a directory.
pub fn first_file(dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if let Some(found) = first_file(&path)? {
                return Ok(Some(found));
            }
        } else {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
