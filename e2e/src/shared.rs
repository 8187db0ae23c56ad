//! One cluster for all tests of a test binary.

use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::binaries;
use crate::cluster::{Cluster, Options};
use crate::error::Result;
use crate::files;

static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// Our own images and where cargo puts their binaries, beside the running one. A binary that is not built yet is named
/// all the same: a pod that needs it says so.
pub fn own_images() -> Vec<(String, PathBuf)> {
    let dir = files::sibling("placet-cluster").ok().and_then(|file| file.parent().map(Path::to_path_buf));
    let dir = dir.unwrap_or_default();
    binaries::OWN.into_iter().map(|name| (format!("placet.dev/{name}"), dir.join(name))).collect()
}

/// The cluster that all tests of this binary share, started by the first that asks (or the one of `E2E_KUBECONFIG`).
/// It ends with the process. Our own binaries that are built run for the images `placet.dev/placet-operator`,
/// `placet.dev/placet` and `placet.dev/placet-cluster`.
///
/// # Errors
/// When it cannot start. The next test tries again.
pub async fn shared_cluster() -> Result<&'static Cluster> {
    SHARED
        .get_or_try_init(|| Cluster::from_environment(Options { images: own_images(), ..Options::default() }))
        .await
}
