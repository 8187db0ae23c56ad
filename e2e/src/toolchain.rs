//! The binaries of the control plane, built once by `e2e/controlplane/build.sh`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::error::{Error, Result};

/// Where the built tools are: `bin/` with etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, kwok
/// and helm, `stages/` with KWOK's stage files.
#[derive(Clone, Debug)]
pub struct Toolchain {
    dir: PathBuf,
}

impl Toolchain {
    /// Builds what is missing (minutes the first time, progress on stderr) and says where it is.
    pub async fn ensure() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane").join("build.sh");
        let doing = format!("building the control plane with {}", script.display());
        let output = tokio::process::Command::new(&script)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(Error::io(&doing))?;
        let dir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if !output.status.success() || !dir.join("complete").exists() {
            return Err(Error::unmet(
                "the control plane's binaries",
                format!("{} ended with {}", script.display(), output.status),
                "read its messages above, then run it by hand",
            ));
        }
        Ok(Self { dir })
    }

    /// Tools that are known to be built.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The directory of all.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A binary's path.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    /// KWOK's stage files.
    pub(crate) fn stages(&self) -> Vec<PathBuf> {
        ["node-fast", "node-heartbeat-with-lease", "pod-fast"]
            .iter()
            .map(|name| self.dir.join("stages").join(format!("{name}.yaml")))
            .collect()
    }
}
