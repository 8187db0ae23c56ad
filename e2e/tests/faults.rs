//! Scenarios that break an installation: each has one to itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

#[path = "faults/certificates.rs"]
mod certificates;
#[path = "operator/common.rs"]
mod common;
#[path = "faults/content.rs"]
mod content;
#[path = "faults/evidence.rs"]
mod evidence;
#[path = "faults/frozen.rs"]
mod frozen;
#[path = "faults/gone.rs"]
mod gone;
#[path = "faults/helm.rs"]
mod helm;
#[path = "faults/keys.rs"]
mod keys;
#[path = "faults/port.rs"]
mod port;
#[path = "faults/storm.rs"]
mod storm;
#[path = "faults/three_am.rs"]
mod three_am;
#[path = "faults/time.rs"]
mod time;
#[path = "faults/unseen.rs"]
mod unseen;
#[path = "faults/volume.rs"]
mod volume;
#[path = "operator/webhooks.rs"]
mod webhooks;

use placet_e2e::{Cluster, Options, Result, own_images, record_skip};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// Two clusters: much of a scenario is waiting (for a minute to pass, for a controller to try again), and meanwhile
/// another one can break the other installation.
static PLACES: [Place; 2] = [Place::new(), Place::new()];

/// A cluster with an installation, for one scenario at a time. It starts when it is first needed, and ends with this
/// process.
struct Place {
    cluster: OnceCell<Cluster>,
    /// Whether the installation is as it was made: every scenario that ends well leaves it so.
    sound: Mutex<bool>,
}

/// One scenario's turn.
struct Turn(MutexGuard<'static, bool>);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0 = !std::thread::panicking();
    }
}

impl Place {
    const fn new() -> Self {
        Self { cluster: OnceCell::const_new(), sound: Mutex::const_new(true) }
    }

    async fn cluster(&self) -> Result<&Cluster> {
        let start = async || {
            let options = Options { images: own_images(), own_mounts: true, ..Options::default() };
            let cluster = Cluster::from_environment(options).await?;
            if !cluster.is_foreign() {
                cluster.install_definitions().await?;
                cluster.install_placet(&json!({})).await?;
            }
            Ok(cluster)
        };
        self.cluster.get_or_try_init(start).await
    }
}

/// A cluster with a sound installation, for this scenario alone. None where the cluster has no node of ours to run the
/// operator on; the skip has been noted.
async fn alone() -> Option<(&'static Cluster, Turn)> {
    let (place, turn) = tokio::select! {
        biased;
        turn = PLACES[0].sound.lock() => (&PLACES[0], Turn(turn)),
        turn = PLACES[1].sound.lock() => (&PLACES[1], Turn(turn)),
    };
    let cluster = place.cluster().await.unwrap();
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
