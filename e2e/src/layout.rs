//! Where a cluster's files lie.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The paths below a cluster's directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Paths below `root`, which must be short enough for the sockets in it: the system allows 108 bytes.
    pub(crate) fn new(root: PathBuf) -> Result<Self> {
        let layout = Self { root };
        let length = layout.control_socket().as_os_str().len();
        if length > 100 {
            return Err(Error::unmet(
                "a directory whose sockets have paths of at most 100 bytes",
                format!("{} ({length} bytes)", layout.control_socket().display()),
                "give a shorter --dir",
            ));
        }
        Ok(layout)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    pub(crate) fn kubeconfig(&self, who: &str) -> PathBuf {
        self.root.join("kubeconfigs").join(format!("{who}.yaml"))
    }

    pub(crate) fn settings(&self, file: &str) -> PathBuf {
        self.root.join("settings").join(file)
    }

    pub(crate) fn log(&self, what: &str) -> PathBuf {
        self.root.join("logs").join(format!("{what}.log"))
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.root.join("logs").join("audit.jsonl")
    }

    /// A directory of binaries that this cluster starts; there is one for each directory that they come from.
    pub(crate) fn binaries(&self, number: usize) -> PathBuf {
        self.root.join("bin").join(number.to_string())
    }

    pub(crate) fn etcd_data(&self) -> PathBuf {
        self.root.join("etcd")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    pub(crate) fn pod_log_root(&self) -> PathBuf {
        self.root.join("logs").join("pods")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("config.json")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    pub(crate) fn egress_socket(&self) -> PathBuf {
        self.root.join("egress.sock")
    }

    /// Makes the directories that others write into.
    pub(crate) fn make(&self) -> Result<()> {
        for dir in ["pki", "kubeconfigs", "settings", "logs/pods", "home", "pods", "volumes"] {
            crate::files::make_dir(&self.root.join(dir))?;
        }
        Ok(())
    }
}
