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

/// Removes a directory with all that is in it. Processes that were just killed may still hold a name for a moment, so
/// it is tried for up to 2 s.
pub(crate) async fn remove_dir(path: &Path) -> Result<()> {
    let mut tries = 0;
    loop {
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
