//! Objects that are created again under the same name, and objects that somebody keeps from going.

use placet_e2e::placet::{Lending, RELEASE};

use super::common::{holds, refused_with};
use super::lending;

/// Deletes the release and has somebody create it again, with the same content.
async fn created_again(lending: &Lending<'_>, who: &str) {
    let release = format!("mr/{RELEASE}");
    let before = lending.digest(&release).await.unwrap();
    lending.kubectl("root-admin", &["delete", &release]).await.unwrap().ok().unwrap();
    let manifest = lending.manifest("release-v2").unwrap();
    lending.apply(who, &manifest).await.unwrap().ok().unwrap();
    assert_eq!(lending.digest(&release).await.unwrap(), before, "the content is the same");
}

#[tokio::test]
async fn who_created_a_release_first_stays_its_author_when_somebody_creates_it_again() {
    let Some(lending) = lending("again-author", Some("deny")).await else { return };
    lending
        .documents(&["system", "assessment", "datasets", "report-bias-v2", "report-performance-v2"])
        .await
        .unwrap();
    // vera, who validates, has written the release herself; then dana creates the same.
    lending.cluster.grant(lending.ns, "vera", "placet-data-scientist").await.unwrap();
    let manifest = lending.manifest("release-v2").unwrap();
    lending.apply("vera", &manifest).await.unwrap().ok().unwrap();
    created_again(&lending, "dana").await;
    lending.settings_and_risk().await.unwrap();
    let approval = lending.of_evidence("validator", "validator").await.unwrap();
    let said = lending.apply("vera", &approval.to_string()).await.unwrap();
    holds(&said.stderr, &["vera wrote or developed", "does not count"]);
    lending.approvals(&["validator"]).await.unwrap();
    lending.findings_say(&["vera is an author and does not count"]).await.unwrap();
    lending.cleared("False").await.unwrap();
}

#[tokio::test]
async fn approvals_of_a_release_do_not_pass_to_one_that_is_created_again() {
    let Some(lending) = lending("again-approved", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    created_again(&lending, "alice").await;
    lending
        .findings_say(&["bob approved an earlier object of this name, which was deleted since"])
        .await
        .unwrap();
    lending.cleared("False").await.unwrap();
    // Given again, they count.
    for (_, role) in placet_e2e::placet::APPROVERS {
        lending.kubectl("root-admin", &["delete", &format!("apv/{role}")]).await.unwrap().ok().unwrap();
    }
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();
}

#[tokio::test]
async fn an_approval_that_is_deleted_is_void_at_once_whatever_finalizer_keeps_it() {
    let Some(lending) = lending("kept", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let keep = r#"{"metadata":{"finalizers":["example.com/keep"]}}"#;
    let patch = ["patch", "apv/model-owner", "--type=merge", "-p", keep];
    lending.kubectl("root-admin", &patch).await.unwrap().ok().unwrap();
    lending.cleared("True").await.unwrap();
    lending
        .kubectl("root-admin", &["delete", "apv/model-owner", "--wait=false"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    lending.cleared("False").await.unwrap();
    let there = lending.kubectl("root-admin", &["get", "apv/model-owner"]).await.unwrap();
    holds(&there.stdout, &["model-owner"]);
    let pod = lending.pod("late", RELEASE).to_string();
    refused_with(&lending.apply("dana", &pod).await.unwrap(), &["model-owner", "0 of 1"]);
    let let_go = ["patch", "apv/model-owner", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#];
    lending.kubectl("root-admin", &let_go).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn a_release_is_withdrawn_however_large_its_annotations_and_by_whomever() {
    let Some(lending) = lending("crowded", Some("deny")).await else { return };
    lending.documents(&["system", "release-v2"]).await.unwrap();
    let release = format!("mr/{RELEASE}");
    // As much as the API server takes beside the stamp: 256 KiB in all.
    let stamp = lending.cluster.field(lending.ns, &release, "{.metadata.annotations}").await.unwrap().len();
    let note = "x".repeat(256 * 1024 - stamp - 64);
    let patch = serde_json::json!({"metadata": {"annotations": {"note": note}}}).to_string();
    let large = ["patch", "-n", lending.ns, &release, "--type=merge", "--patch-file=/dev/stdin"];
    lending.cluster.kubectl_with_input("dana", large, &patch).await.unwrap().ok().unwrap();
    let withdraw = ["patch", &release, "--type=merge", "-p", r#"{"spec":{"withdrawn":true}}"#];
    lending.kubectl("alice", &withdraw).await.unwrap().ok().unwrap();
    lending.findings_say(&["withdrawn"]).await.unwrap();
}
