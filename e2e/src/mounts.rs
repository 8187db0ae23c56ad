//! Volumes that fill up or cannot be written: mounts below a cluster's directory, which go with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::error::{Error, Result};
use crate::files;
use crate::outcome::record_skip;

/// What the system has mounted.
const MOUNTED: &str = "/proc/self/mountinfo";

/// A mount that ends with [`Mount::end`], or with the cluster in whose directory it lies.
#[derive(Debug)]
#[must_use = "it stays until `end` is called or its cluster ends"]
pub struct Mount {
    dir: PathBuf,
}

impl Mount {
    /// A small volume of its own over a directory, of this many bytes. None where the system lets this user mount
    /// nothing; the skip has been noted.
    ///
    /// # Errors
    /// When it cannot be mounted for another reason.
    pub async fn small(dir: &Path, bytes: u64) -> Result<Option<Self>> {
        let options = format!("size={bytes},mode=0755");
        Self::over(dir, &["-t", "tmpfs", "-o", &options, "tmpfs"]).await
    }

    /// Makes a directory one that nobody can write to, root included. None as for [`Mount::small`].
    ///
    /// # Errors
    /// As for [`Mount::small`].
    pub async fn read_only(dir: &Path) -> Result<Option<Self>> {
        let text = dir.to_string_lossy();
        let Some(mount) = Self::over(dir, &["--bind", &text]).await? else { return Ok(None) };
        run("mount", &["-o", "remount,ro,bind", &text]).await?.map_err(|said| unmountable(dir, said))?;
        Ok(Some(mount))
    }

    async fn over(dir: &Path, how: &[&str]) -> Result<Option<Self>> {
        let text = dir.to_string_lossy();
        match run("mount", &[how, &[&text]].concat()).await? {
            Ok(()) => Ok(Some(Self { dir: dir.to_path_buf() })),
            Err(said) if !rustix::process::geteuid().is_root() => {
                record_skip(&format!("mount {text}"), &format!("only root may: {said}"));
                Ok(None)
            }
            Err(said) => Err(unmountable(dir, said)),
        }
    }

    /// Takes it away; what it covered is visible again.
    ///
    /// # Errors
    /// When it cannot be unmounted.
    pub async fn end(self) -> Result<()> {
        detach(&self.dir).await
    }
}

fn unmountable(dir: &Path, said: String) -> Error {
    Error::unmet(format!("a mount over {}", dir.display()), said, "run it as root, outside of a sandbox")
}

/// Runs a program of util-linux; the inner error is what it said.
async fn run(program: &str, args: &[&str]) -> Result<Result<(), String>> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::io(format!("running {program}")))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(if output.status.success() { Ok(()) } else { Err(said) })
}

/// Unmounts a directory at once; files that are open in it end with their process.
async fn detach(dir: &Path) -> Result<()> {
    run("umount", &["-l", &dir.to_string_lossy()])
        .await?
        .map_err(|said| Error::unmet(format!("{} unmounted", dir.display()), said, "unmount it by hand"))
}

/// Unmounts everything below a directory, the innermost first, so that it can be removed.
pub(crate) async fn detach_below(dir: &Path) -> Result<()> {
    // The system lists mounts by their real paths.
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    for mount in below(&files::read(Path::new(MOUNTED))?, &dir) {
        detach(&mount).await?;
    }
    Ok(())
}

/// The mount points at or below `dir`, the innermost first. In `mountinfo` the fifth field is the mount point, with
/// spaces, tabs, newlines and backslashes as octal escapes.
fn below(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| {
        let text = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
            .iter()
            .fold(point.to_owned(), |text, (code, plain)| text.replace(code, plain));
        PathBuf::from(text)
    });
    let mut found: Vec<PathBuf> = points.filter(|point| point.starts_with(dir)).collect();
    // What was mounted last is listed last, also over the same directory.
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_directory_are_found_innermost_first() {
        let text = "22 1 0:20 / / rw - ext4 /dev/vda rw\n\
                    40 22 0:50 / /tmp/placet-e2e-a/volumes/v/log rw,relatime shared:9 - tmpfs tmpfs rw\n\
                    41 40 0:51 / /tmp/placet-e2e-a/volumes/v/log/in\\040side rw - tmpfs tmpfs rw\n\
                    42 22 0:52 / /tmp/placet-e2e-ab rw - tmpfs tmpfs rw\n";
        assert_eq!(
            below(text, Path::new("/tmp/placet-e2e-a")),
            [
                PathBuf::from("/tmp/placet-e2e-a/volumes/v/log/in side"),
                PathBuf::from("/tmp/placet-e2e-a/volumes/v/log"),
            ]
        );
        assert!(below(text, Path::new("/nowhere")).is_empty());
    }
}
