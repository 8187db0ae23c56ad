//! The risk register on a cluster: a control lowers its risk while what it names as evidence counts, and an assessment is approved
//! before any release that rests on it.

use placet_e2e::placet::{ASSESSMENT, Lending};
use serde_json::{Value, json};

use super::common::refused_with;
use super::lending;

/// The report that a control of the second risk names.
const EVIDENCE: &str = "penetration-test";

/// A report on something else than the release's artefacts, by the name that it gets.
pub fn report(lending: &Lending<'_>, name: &str, supersedes: Option<&str>) -> Value {
    let mut report = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "TestReport",
        "metadata": { "name": name, "namespace": lending.ns },
        "spec": {
            "type": "Security", "artifact": format!("sha256:{}", "9".repeat(64)),
            "dataset": format!("sha256:{}", "8".repeat(64)),
            "tool": { "name": "garak", "version": "0.13.0" }, "ranAt": "2026-11-01T09:00:00Z",
            "metrics": [{ "name": "AttackSuccessRate", "value": "0.02", "rows": 1000, "lower": "0.01", "upper": "0.03" }],
        },
    });
    if let Some(earlier) = supersedes {
        report["spec"]["supersedes"] = json!({ "reports": [earlier], "reason": "The pipeline was rebuilt" });
    }
    report
}

/// Waits until the second risk has this level in the assessment's status.
pub async fn level(lending: &Lending<'_>, wanted: &str) {
    let path = "{.status.risks[?(@.id=='R2')].residual}";
    lending
        .cluster
        .becomes(lending.ns, &format!("impactassessment/{ASSESSMENT}"), path, wanted)
        .await
        .unwrap();
}

/// The second risk, as `placet risks` reads it from the cluster, for somebody who may read the public keys of its receipts.
async fn risk(lending: &Lending<'_>) -> Value {
    let args = ["risks", &format!("ia/{ASSESSMENT}"), "-o", "json", "-n", lending.ns];
    let said = lending.cluster.run("placet", "root-admin", args, None).await.unwrap().ok().unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    said["assessments"][0]["risks"][1].clone()
}

#[tokio::test]
async fn a_control_lowers_its_risk_while_its_evidence_counts() {
    let Some(lending) = lending("register", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    let patch = json!([
        {"op": "replace", "path": "/spec/risks/1/impacts",
            "value": {"likelihood": 4, "confidentiality": 1, "integrity": 4, "availability": 2}},
        {"op": "add", "path": "/spec/risks/1/controls/0/evidence",
            "value": [{"kind": "TestReport", "name": EVIDENCE}]},
    ]);
    let patch = patch.to_string();
    let args = ["patch", "ia", ASSESSMENT, "--type=json", "-p", &patch];
    lending.kubectl("dana", &args).await.unwrap().ok().unwrap();
    lending.settings_and_risk().await.unwrap();

    level(&lending, "High").await;
    let missing = format!("has evidence that does not count: TestReport/{EVIDENCE} is not there");
    lending.findings_say(&["R2 is High after controls", &missing]).await.unwrap();
    let found = risk(&lending).await;
    assert_eq!((&found["residual"]["level"], &found["raised"]), (&json!("High"), &json!(true)), "{found}");
    assert_eq!(found["controls"][0]["counts"], false, "{found}");

    let arrives = report(&lending, EVIDENCE, None);
    // By somebody who neither wrote what it is to show nor develops the release.
    lending.apply("mallory", &arrives.to_string()).await.unwrap().ok().unwrap();
    level(&lending, "Low").await;
    let found = risk(&lending).await;
    assert_eq!((&found["residual"]["level"], &found["raised"]), (&json!("Low"), &json!(false)), "{found}");
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();

    // What the clearance rests on stays; who contradicts it takes the clearance along.
    let delete = lending.kubectl("root-admin", &["delete", "tr", EVIDENCE]).await.unwrap();
    refused_with(&delete, &["was read by the decision on"]);
    let other = report(&lending, "second-penetration-test", Some(EVIDENCE));
    lending.apply("dana", &other.to_string()).await.unwrap().ok().unwrap();
    level(&lending, "High").await;
    lending.cleared("False").await.unwrap();
    lending
        .findings_say(&[&format!("TestReport/{EVIDENCE} is superseded by second-penetration-test")])
        .await
        .unwrap();
}

#[tokio::test]
async fn who_approves_before_the_assessment_is_approved_is_asked_again() {
    let Some(lending) = lending("assessed-late", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.approve("bob", "model-owner", None).await.unwrap();
    let not_approved = "nobody of risk-officer approved it as it is";
    lending.findings_say(&[not_approved]).await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["model-owner"]).await.unwrap();
    lending.findings_say(&["bob approved before the assessment was approved"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    lending.approve_as("again", "bob", "model-owner", None).await.unwrap();
    lending.cleared("True").await.unwrap();
}
