//! Hold mode: everything is in one Kustomization that waits.

use super::flux::{Flux, ready};
use super::repository::Repository;
use super::team::Team;
use serde_json::Value;

/// What Flux must leave as it is when nothing in Git has changed: versions of all objects, and the stamps in them.
async fn versions(team: &Team) -> Vec<(String, String, String)> {
    let text =
        |item: &Value, at: &str| item.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let items = team.applied().await;
    let key = |item: &Value| {
        let stamp = text(item, "/metadata/annotations/placet.dev~1stamp");
        (text(item, "/metadata/name"), text(item, "/metadata/resourceVersion"), stamp)
    };
    items.iter().map(key).collect()
}

#[tokio::test]
async fn held_pods_are_let_go_by_what_people_signed_and_flux_leaves_our_fields_alone() {
    let Some(place) = ready().await else { return };
    let team = Team::new(place.0, "flux-hold", "hold").await;
    let mut git = Repository::new(team.cluster, team.ns).await;
    let flux = Flux::start(place, team.ns, "hold").await;

    // A release that the robot applied and nobody signed: its author is unknown, and that blocks.
    flux.push(&mut git).await;
    team.pods_become("Pending placet.dev/hold;Pending placet.dev/hold;").await;
    team.found("it carries no author's signature").await;

    // Its author signs it, in the repository; reviewers sign what they see in the cluster.
    team.sign_what_dana_wrote(&git).await;
    flux.push(&mut git).await;
    team.cleared("False").await;
    team.approve_all(&git).await;
    flux.push(&mut git).await;
    team.cleared("True").await;
    team.pods_become("Running ;Running ;").await;
    flux.becomes("support", &git, "True", &["Applied revision"]).await;

    // Nothing has changed in Git: nothing changes in the cluster, however often it is reconciled.
    let before = versions(&team).await;
    assert_eq!(before.len(), 5, "{before:?}");
    assert!(before.iter().filter(|(_, _, stamp)| !stamp.is_empty()).count() == 4, "{before:?}");
    for token in ["first", "second"] {
        flux.reconcile("support", token).await;
        assert_eq!(versions(&team).await, before, "after the {token} reconciliation");
    }
    team.people_stand_behind_it("release changed").await;
}

#[tokio::test]
async fn everything_at_once_is_applied_with_approvals_before_what_they_are_about() {
    let Some(place) = ready().await else { return };
    let team = Team::new(place.0, "flux-at-once", "hold").await;
    let mut git = Repository::new(team.cluster, team.ns).await;
    team.sign_what_dana_wrote(&git).await;
    // Reviewers sign what they see; then it is gone, as in a cluster that is made anew from its repository.
    let governance = git.path("governance").display().to_string();
    let apply = ["apply", "-n", team.ns, "-f", governance.as_str()];
    team.cluster.kubectl("dana", apply).await.unwrap().ok().unwrap();
    team.approve_all(&git).await;
    // One was against it first, and answered that: both stay in the repository, and are applied before the release.
    team.reject_and_answer(&git).await;
    let delete = ["delete", "-n", team.ns, "aisystem,modelrelease", "--all"];
    team.cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
    let delete = ["delete", "-n", team.ns, "approval", "--all"];
    team.cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();

    let flux = Flux::start(place, team.ns, "hold").await;
    flux.push(&mut git).await;
    team.cleared("True").await;
    team.pods_become("Running ;Running ;").await;
    flux.becomes("support", &git, "True", &["Applied revision"]).await;
    team.people_stand_behind_it("release created").await;
}
