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

/// docs/gitops.md shows the files that the scenarios apply.
#[tokio::test]
async fn the_page_shows_the_files_that_are_applied() {
    let repository = placet_e2e::placet::repository();
    let page = tokio::fs::read_to_string(repository.join("docs/gitops.md")).await.unwrap();
    for file in ["flux/hold.yaml", "flux/deny.yaml", "argocd/argocd-cm.yaml"] {
        let path = repository.join("e2e/samples/gitops").join(file);
        let text = tokio::fs::read_to_string(path).await.unwrap();
        let lines = text.lines().skip_while(|line| line.starts_with('#'));
        let shown: String = lines.flat_map(|line| [line, "\n"]).collect();
        assert!(page.contains(&format!("```yaml\n{shown}```")), "docs/gitops.md shows another {file}");
    }
}
