//! Scenarios that break the installation: one after the other, on a cluster of their own.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

#[path = "operator/common.rs"]
mod common;
#[path = "faults/content.rs"]
mod content;
#[path = "faults/evidence.rs"]
mod evidence;
#[path = "faults/gone.rs"]
mod gone;
#[path = "faults/helm.rs"]
mod helm;
#[path = "faults/time.rs"]
mod time;

use placet_e2e::placet::shared_installation;
use placet_e2e::{Cluster, record_skip};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The shared cluster with a sound installation, for one scenario at a time. None where the cluster has no node of ours
/// to run the operator on; the skip has been noted.
async fn alone() -> Option<(&'static Cluster, MutexGuard<'static, ()>)> {
    let guard = ONE_AT_A_TIME.lock().await;
    let cluster = shared_installation().await.unwrap();
    if cluster.is_foreign() {
        record_skip("break an installation", "the cluster of E2E_KUBECONFIG is not ours");
        return None;
    }
    // Whatever the scenario before left.
    cluster.install_placet(&json!({})).await.unwrap();
    cluster.placet_ready().await.unwrap();
    Some((cluster, guard))
}
