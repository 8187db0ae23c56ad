//! Scenarios that break the installation: one after the other, on a cluster of their own.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

#[path = "faults/certificates.rs"]
mod certificates;
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
#[path = "faults/port.rs"]
mod port;
#[path = "faults/storm.rs"]
mod storm;
#[path = "faults/time.rs"]
mod time;
#[path = "faults/unseen.rs"]
mod unseen;
#[path = "faults/volume.rs"]
mod volume;
#[path = "operator/webhooks.rs"]
mod webhooks;

use placet_e2e::placet::shared_installation;
use placet_e2e::{Cluster, record_skip};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

/// Holds whether the installation is as it was made: every scenario that ends well leaves it so.
static SOUND: Mutex<bool> = Mutex::const_new(true);

/// One scenario's turn.
struct Turn(MutexGuard<'static, bool>);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0 = !std::thread::panicking();
    }
}

/// The shared cluster with a sound installation, for one scenario at a time. None where the cluster has no node of ours
/// to run the operator on; the skip has been noted.
async fn alone() -> Option<(&'static Cluster, Turn)> {
    let turn = Turn(SOUND.lock().await);
    let cluster = shared_installation().await.unwrap();
    if cluster.is_foreign() {
        record_skip("break an installation", "the cluster of E2E_KUBECONFIG is not ours");
        return None;
    }
    if !*turn.0 {
        // Whatever the scenario before left when it failed.
        cluster.install_placet(&json!({})).await.unwrap();
    }
    cluster.placet_ready().await.unwrap();
    Some((cluster, turn))
}
