//! Placet on a real control plane, as people meet it: real kubectl, real Helm, one installation for all scenarios, a
//! namespace for each.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

#[path = "operator/acceptances.rs"]
mod acceptances;
#[path = "operator/access.rs"]
mod access;
#[path = "operator/access_command.rs"]
mod access_command;
#[path = "operator/argocd.rs"]
mod argocd;
#[path = "operator/attacks.rs"]
mod attacks;
#[path = "operator/charts.rs"]
mod charts;
#[path = "operator/common.rs"]
mod common;
#[path = "operator/content.rs"]
mod content;
#[path = "operator/deletions.rs"]
mod deletions;
#[path = "operator/export.rs"]
mod export;
#[path = "operator/gates.rs"]
mod gates;
#[path = "operator/guarded.rs"]
mod guarded;
#[path = "operator/identity.rs"]
mod identity;
#[path = "operator/incarnations.rs"]
mod incarnations;
#[path = "operator/inputs.rs"]
mod inputs;
#[path = "operator/labels.rs"]
mod labels;
#[path = "operator/lapses.rs"]
mod lapses;
#[path = "operator/modes.rs"]
mod modes;
#[path = "operator/names.rs"]
mod names;
#[path = "operator/ownerreferences.rs"]
mod ownerreferences;
#[path = "operator/people.rs"]
mod people;
#[path = "operator/port.rs"]
mod port;
#[path = "operator/refusals.rs"]
mod refusals;
#[path = "operator/register.rs"]
mod register;
#[path = "operator/replacements.rs"]
mod replacements;
#[path = "operator/reporters.rs"]
mod reporters;
#[path = "operator/restore.rs"]
mod restore;
#[path = "operator/rewriting.rs"]
mod rewriting;
#[path = "operator/role_loss.rs"]
mod role_loss;
#[path = "operator/roles.rs"]
mod roles;
#[path = "operator/second.rs"]
mod second;
#[path = "operator/signatures.rs"]
mod signatures;
#[path = "operator/webhooks.rs"]
mod webhooks;

use placet_e2e::placet::{Lending, shared_installation};
use placet_e2e::{record_skip, shared_cluster};

/// The shared installation, and a namespace of its own for the scenario. None where the operator cannot be installed; the
/// skip has been noted.
async fn lending(ns: &'static str, mode: Option<&str>) -> Option<Lending<'static>> {
    if !shared_cluster().await.unwrap().can_install() {
        record_skip(
            "install Placet from this build",
            "E2E_VALUES does not say which image of the operator the cluster of E2E_KUBECONFIG can run",
        );
        return None;
    }
    let cluster = shared_installation().await.unwrap();
    Some(Lending::open(cluster, ns, mode).await.unwrap())
}
