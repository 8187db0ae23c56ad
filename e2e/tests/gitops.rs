//! Approvals through Git: the real kustomize-controller of Flux applies a directory with a release, its workload and what
//! people signed. The manifests are those of `e2e/samples/gitops`, which docs/gitops.md shows.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

#[path = "gitops/deny.rs"]
mod deny;
#[path = "gitops/flux.rs"]
mod flux;
#[path = "gitops/hold.rs"]
mod hold;
#[path = "gitops/repository.rs"]
mod repository;
#[path = "gitops/team.rs"]
mod team;
