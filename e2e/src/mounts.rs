//! Volumes that fill up or cannot be written: mounts that only a cluster's processes see, and that go with them.
//!
//! `unshare` and `nsenter` of util-linux make them. Root needs nothing else; another user is root in a user namespace,
//! where the system allows one.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::files;
use crate::outcome::record_skip;

/// What the system has mounted.
const MOUNTED: &str = "/proc/self/mountinfo";

/// The mounts that a cluster's processes see.
#[derive(Debug)]
pub(crate) enum View {
    /// Those that this process sees, too, and why it has none of its own.
    Shared(String),
    /// Its own, which end with its processes. What is mounted there is not seen by this process.
    Own {
        /// The supervisor.
        process: u32,
        /// Whether they belong to a user namespace of its own, in which this user is root.
        user: bool,
    },
}

impl View {
    /// The command that becomes `program` with mounts of its own, in a user namespace of its own if it takes one. Where the
    /// system allows neither, the program as it is.
    pub(crate) async fn own(program: &Path) -> Result<(Command, Self)> {
        let mut told = String::new();
        for (user, how) in [(false, &["--mount"][..]), (true, &["--user", "--map-root-user", "--mount"])] {
            match run(Command::new("unshare").args(how).arg("true")).await? {
                Ok(()) => {
                    let mut command = Command::new("unshare");
                    command.args(how).arg(program);
                    return Ok((command, Self::Own { process: 0, user }));
                }
                Err(said) => told = said,
            }
        }
        let why = format!("neither root nor allowed a user namespace: {told}");
        Ok((Command::new(program), Self::Shared(why)))
    }

    /// The same, of this process: `unshare` becomes what it starts.
    pub(crate) fn of(self, supervisor: Option<u32>) -> Self {
        match (self, supervisor) {
            (Self::Own { user, .. }, Some(process)) => Self::Own { process, user },
            (Self::Own { .. }, None) => Self::Shared("the supervisor has ended".into()),
            (shared, _) => shared,
        }
    }
}

/// A mount that ends with [`Mount::end`], or with the cluster whose processes see it.
#[derive(Debug)]
#[must_use = "it stays until `end` is called or its cluster ends"]
pub struct Mount {
    process: u32,
    user: bool,
    dir: PathBuf,
}

impl Mount {
    /// A small volume of its own over a directory, of this many bytes. None where the cluster's processes see no mounts of
    /// their own; the skip has been noted.
    ///
    /// # Errors
    /// When it cannot be mounted for another reason.
    pub async fn small(cluster: &Cluster, dir: &Path, bytes: u64) -> Result<Option<Self>> {
        let options = format!("size={bytes},mode=0755");
        Self::over(cluster, dir, &["-t", "tmpfs", "-o", &options, "tmpfs"]).await
    }

    /// Makes a directory one that nobody can write to, root included. None as for [`Mount::small`].
    ///
    /// # Errors
    /// As for [`Mount::small`].
    pub async fn read_only(cluster: &Cluster, dir: &Path) -> Result<Option<Self>> {
        let text = dir.to_string_lossy();
        let Some(mount) = Self::over(cluster, dir, &["--bind", &text]).await? else { return Ok(None) };
        mount.run("mount", &["-o", "remount,ro,bind", &text]).await?;
        Ok(Some(mount))
    }

    async fn over(cluster: &Cluster, dir: &Path, how: &[&str]) -> Result<Option<Self>> {
        match cluster.view() {
            View::Own { process, user } => {
                let this = Self { process: *process, user: *user, dir: dir.to_path_buf() };
                this.run("mount", &[how, &[&dir.to_string_lossy()]].concat()).await?;
                Ok(Some(this))
            }
            View::Shared(why) => {
                record_skip(&format!("mount over {}", dir.display()), why);
                Ok(None)
            }
        }
    }

    /// The directory as the cluster's processes see it, for this process.
    pub fn inside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.process));
        root.join(self.dir.strip_prefix("/").unwrap_or(&self.dir))
    }

    /// Takes it away at once; what it covered is visible again. Files that are open in it end with their process.
    ///
    /// # Errors
    /// When it cannot be unmounted.
    pub async fn end(self) -> Result<()> {
        self.run("umount", &["-l", &self.dir.to_string_lossy()]).await
    }

    /// Runs a program of util-linux where the cluster's mounts are.
    async fn run(&self, program: &str, args: &[&str]) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.process.to_string(), "--mount"]);
        if self.user {
            // This user is root there already, and may become nobody else.
            command.args(["--user", "--preserve-credentials"]);
        }
        run(command.arg(program).args(args)).await?.map_err(|said| {
            let wanted = format!("{program} {}", args.join(" "));
            Error::unmet(wanted, said, "run it outside of a sandbox")
        })
    }
}

/// Runs a command; the inner error is what it said.
async fn run(command: &mut Command) -> Result<Result<(), String>> {
    let shown = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::io(format!("running {shown}")))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(if output.status.success() { Ok(()) } else { Err(said) })
}

/// Unmounts a directory at once; files that are open in it end with their process.
async fn detach(dir: &Path) -> Result<()> {
    run(Command::new("umount").arg("-l").arg(dir))
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
