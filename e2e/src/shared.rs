//! One cluster for all tests of a test binary.

use std::path::PathBuf;

use tokio::sync::OnceCell;

use crate::cluster::{Cluster, Options};
use crate::error::Result;
use crate::files;

static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// The images of the operator and where cargo has put its binaries, beside the running one.
pub fn own_images() -> Vec<(String, PathBuf)> {
    ["placet-operator", "placet", "placet-cluster"]
        .into_iter()
        .filter_map(|name| Some((format!("placet.dev/{name}"), files::sibling(name).ok()?)))
        .collect()
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
