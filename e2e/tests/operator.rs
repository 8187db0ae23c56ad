//! Placet on a real control plane, as people meet it: real kubectl, real Helm, one installation for all scenarios, a
//! namespace for each.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

#[path = "operator/attacks.rs"]
mod attacks;
#[path = "operator/common.rs"]
mod common;
#[path = "operator/deletions.rs"]
mod deletions;
#[path = "operator/identity.rs"]
mod identity;
#[path = "operator/inputs.rs"]
mod inputs;
#[path = "operator/lapses.rs"]
mod lapses;
#[path = "operator/modes.rs"]
mod modes;

use placet_e2e::placet::{Lending, shared_installation};
use placet_e2e::record_skip;

/// The shared installation, and a namespace of its own for the scenario. None where the cluster has no node of ours to
/// run the operator on; the skip has been noted.
async fn lending(ns: &'static str, mode: Option<&str>) -> Option<Lending<'static>> {
    let cluster = shared_installation().await.unwrap();
    if cluster.is_foreign() {
        record_skip("install Placet from this build", "the cluster of E2E_KUBECONFIG has no node of ours");
        return None;
    }
    Some(Lending::open(cluster, ns, mode).await.unwrap())
}
