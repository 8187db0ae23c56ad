//! Blocking file access of the harness, in one place. It is for start and stop and for small files; nothing here is on
//! a path that a test measures.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place of the harness where files are read and written"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::mounts;

/// Reads a whole text file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))
}

/// Writes a file through a temporary name beside it, so that a reader sees the old or the new content.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let new = path.with_extension("new");
    fs::write(&new, content).map_err(Error::io(doing()))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).map_err(Error::io(doing()))?;
    fs::rename(&new, path).map_err(Error::io(doing()))
}

/// Makes a directory and those above it.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(format!("making the directory {}", path.display())))
}

/// Makes a file appear in a directory too: by a second name of the same file, which costs nothing, or where the file
/// systems differ by a copy. Builds replace a binary or remove it first; they do not write into the old file.
pub(crate) fn link(file: &Path, dir: &Path) -> Result<()> {
    let to = dir.join(file.file_name().unwrap_or_default());
    if to.exists() {
        fs::remove_file(&to).map_err(Error::io(format!("removing {}", to.display())))?;
    }
    if fs::hard_link(file, &to).is_ok() {
        return Ok(());
    }
    fs::copy(file, &to).map(drop).map_err(Error::io(format!(
        "copying {} to {}",
        file.display(),
        to.display()
    )))
}

/// Removes a directory with all that is in it, and unmounts what a scenario has mounted there. Processes that were just
/// killed may still hold a name for a moment, so it is tried for up to 2 s.
pub(crate) async fn remove_dir(path: &Path) -> Result<()> {
    let mut tries = 0;
    loop {
        if let Err(error) = mounts::detach_below(path).await {
            tracing::warn!(%error, "a mount stays");
        }
        match tokio::fs::remove_dir_all(path).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(_) if tries < 20 => {
                tries += 1;
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            Err(error) => return Err(Error::io(format!("removing {}", path.display()))(error)),
        }
    }
}

/// The last lines of a log, as much as helps a reader.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// An environment variable of the harness's own process, if it is set and not empty.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The `target` directory that the running binary was built into, if it was built by cargo.
pub(crate) fn target_dir() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    exe.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists()).map(Path::to_path_buf)
}

/// Finds a binary that cargo built beside the running one (tests lie one directory deeper, in `deps`).
pub(crate) fn sibling(name: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe().map_err(Error::io("asking for the running binary's path"))?;
    exe.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Error::unmet(
            format!("the binary {name} beside {}", exe.display()),
            "none",
            "build it with `cargo build -p placet-e2e --bins`",
        )
    })
}
