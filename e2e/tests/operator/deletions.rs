//! Deleting never clears.

use placet_e2e::placet::{ASSESSMENT, Lending, RELEASE};
use serde_json::json;

use super::common::refused_with;
use super::lending;

#[tokio::test]
async fn what_a_decision_has_read_stays_while_its_release_lives() {
    let Some(lending) = lending("deleting", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    // A person changes their mind: a Reject blocks.
    let digest = lending.digest(&format!("mr/{RELEASE}")).await.unwrap();
    let mut reject = lending.approval("stop", "risk-officer", "ModelRelease", RELEASE, &digest);
    reject["spec"]["decision"] = json!("Reject");
    lending.apply("erin", &reject.to_string()).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    // So does one of the assessment that the release rests on.
    let digest = lending.digest(&format!("impactassessment/{ASSESSMENT}")).await.unwrap();
    let mut reject = lending.approval("not-so", "risk-officer", "ImpactAssessment", ASSESSMENT, &digest);
    reject["spec"]["decision"] = json!("Reject");
    lending.apply("erin", &reject.to_string()).await.unwrap().ok().unwrap();
    lending.findings_say(&["not-so"]).await.unwrap();

    let objects = [
        "tr/credit-eligibility-2.0.0-bias",
        "tr/credit-eligibility-2.0.0-performance",
        &format!("ia/{ASSESSMENT}"),
        "ra/risk-1",
        "apv/stop",
        "apv/not-so",
    ];
    for object in objects {
        let refusal = lending.kubectl("root-admin", &["delete", object]).await.unwrap();
        refused_with(
            &refusal,
            &["was read by the decision on", RELEASE, "withdraw the release", "supersede"],
        );
    }
    // An Approve may go, and is void at once.
    lending.kubectl("root-admin", &["delete", "apv/validator"]).await.unwrap().ok().unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["validator", "stop"]);

    let withdraw =
        ["patch", &format!("mr/{RELEASE}"), "--type=merge", "-p", r#"{"spec":{"withdrawn":true}}"#];
    lending.kubectl("dana", &withdraw).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    for object in objects {
        lending.kubectl("root-admin", &["delete", object]).await.unwrap().ok().unwrap();
    }
    // Nothing of ours keeps the namespace.
    let delete = ["delete", "namespace", "deleting", "--timeout=60s"];
    lending.cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn a_namespace_goes_with_held_pods_and_a_living_release() {
    let Some(lending) = lending("going", Some("hold")).await else { return };
    lending.all_documents().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    let delete = ["delete", "namespace", "going", "--timeout=60s"];
    lending.cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn a_failed_report_is_not_forgotten() {
    let Some(lending) = lending("failed", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    // The same test of the same artefact on the same data, with other numbers: 0.5 % of the women, 40 % of the men.
    let failed = lending.manifest("report-bias-v2").unwrap();
    let failed = failed
        .replace("credit-eligibility-2.0.0-bias", "second-bias")
        .replace("tp: 553, fp: 1410, fn: 37, tn: 3421", "tp: 20, fp: 10, fn: 570, tn: 4821");
    lending.apply("dana", &failed).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    let refusal = lending.kubectl("root-admin", &["delete", "tr/second-bias"]).await.unwrap();
    refused_with(&refusal, &["was read by the decision on"]);
    // The namespace's objects cannot be emptied of it by way of the release either: made anew, it finds the report.
    let release = format!("mr/{RELEASE}");
    lending.kubectl("root-admin", &["delete", &release]).await.unwrap().ok().unwrap();
    lending.kubectl("root-admin", &["delete", "tr/second-bias"]).await.unwrap().ok().unwrap();
    lending.documents(&["release-v2"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["second-bias"]);
}

#[tokio::test]
async fn a_namespace_that_goes_and_comes_again_forgets_no_reject_and_no_failed_report() {
    let Some(lending) = lending("gone-and-back", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let digest = lending.digest(&format!("mr/{RELEASE}")).await.unwrap();
    let mut reject = lending.approval("stop", "risk-officer", "ModelRelease", RELEASE, &digest);
    reject["spec"]["decision"] = json!("Reject");
    lending.apply("erin", &reject.to_string()).await.unwrap().ok().unwrap();
    let digest = lending.digest(&format!("impactassessment/{ASSESSMENT}")).await.unwrap();
    let mut reject = lending.approval("not-so", "validator", "ImpactAssessment", ASSESSMENT, &digest);
    reject["spec"]["decision"] = json!("Reject");
    lending.apply("vera", &reject.to_string()).await.unwrap().ok().unwrap();
    let failed = lending.manifest("report-bias-v2").unwrap();
    let failed = failed
        .replace("credit-eligibility-2.0.0-bias", "second-bias")
        .replace("tp: 553, fp: 1410, fn: 37, tn: 3421", "tp: 20, fp: 10, fn: 570, tn: 4821");
    lending.apply("dana", &failed).await.unwrap().ok().unwrap();
    let stand = ["stop rejects this content", "not-so rejects the assessment as it is", "second-bias"];
    lending.findings_say(&stand).await.unwrap();

    // The namespace controller asks nobody.
    let delete = ["delete", "namespace", lending.ns, "--wait=true", "--timeout=60s"];
    lending.cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
    let lending = Lending::open(lending.cluster, lending.ns, Some("deny")).await.unwrap();
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.findings_say(&stand).await.unwrap();
    lending.cleared("False").await.unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &stand);
}
