//! Deny mode: the workload's Kustomization depends on that of the release, whose health check asks for Cleared.

use super::flux::{Flux, ready};
use super::repository::Repository;
use super::team::Team;

#[tokio::test]
async fn the_workload_is_applied_once_its_release_is_cleared() {
    let Some(place) = ready().await else { return };
    let team = Team::new(place.0, "flux-deny", "deny").await;
    let mut git = Repository::new(team.cluster, team.ns).await;
    team.sign_what_dana_wrote(&git).await;
    let flux = Flux::start(place, team.ns, "deny").await;

    // The release is judged, and waits for people. So does the Kustomization, and the other one for it.
    flux.push(&mut git).await;
    team.cleared("False").await;
    flux.becomes("support-workload", &git, "False", &["dependency", "is not ready"]).await;
    assert_eq!(team.applied().await.len(), 2, "a system and a release, and no Deployment");

    team.approve_all(&git).await;
    flux.push(&mut git).await;
    flux.becomes("support-governance", &git, "True", &["Applied revision"]).await;
    flux.becomes("support-workload", &git, "True", &["Applied revision"]).await;
    team.pods_become("Running ;Running ;").await;
    team.people_stand_behind_it("release created").await;
}
