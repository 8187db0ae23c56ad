//! What people type wrong: each gets a message that names the field, what was wanted and what was found.

use placet_e2e::placet::{Lending, RELEASE};
use placet_e2e::{SOON, eventually};

use super::common::{holds, refused_with};
use super::lending;

/// Applies a manifest of the sample under another name, with one text in place of another.
async fn changed(
    lending: &Lending<'_>,
    manifest: &str,
    name: &str,
    from: &str,
    to: &str,
) -> placet_e2e::Output {
    let text = lending.manifest(manifest).unwrap();
    assert!(text.contains(from), "{from:?} is not in {manifest}");
    let named = text.lines().map(|line| {
        if line.starts_with("  name: ") { format!("  name: {name}\n") } else { format!("{line}\n") }
    });
    let text = named.collect::<String>().replace(from, to);
    lending.apply("dana", &text).await.unwrap()
}

#[tokio::test]
async fn a_report_that_cannot_be_is_refused() {
    let Some(lending) = lending("bad-reports", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    let ran = "\"2026-11-22T06:55:00Z\"";
    for (from, to, wanted) in [
        (
            ran,
            "\"2099-01-01T00:00:00Z\"",
            "spec.ranAt: wanted a time that has come, found 2099-01-01T00:00:00Z",
        ),
        (ran, "\"2026-02-31\"", "spec.ranAt: wanted a day that exists, found 2026-02-31"),
        ("rows: 16281", "rows: 16282", "wanted 16282 as the report states, found 16281"),
        ("tp: 553", "tp: -553", "should be greater than or equal to 0"),
        ("tp: 553", "tp: 552", "tp + fp + fn + tn must equal rows"),
        ("sha256:7f06", "sha512:7f06", "should match '^sha256:[0-9a-f]{64}$'"),
        ("  rows: 16281", "  verdict: Pass\n  rows: 16281", "unknown field \"spec.verdict\""),
    ] {
        refused_with(&changed(&lending, "report-bias-v2", "wrong", from, to).await, &[wanted]);
    }
    refused_with(&lending.apply("dana", "a: b: c").await.unwrap(), &["mapping values are not allowed"]);

    // A second report with other numbers neither replaces the first nor is chosen from.
    let one = changed(&lending, "report-bias-v2", "another", "tp: 553, fp: 1410", "tp: 563, fp: 1400").await;
    assert_eq!(one.code, 0, "{one:?}");
    eventually("the two reports to contradict each other", SOON, async || {
        let found = lending
            .cluster
            .field("bad-reports", &format!("mr/{RELEASE}"), "{.status.gates[*].findings[*].found}")
            .await?;
        if found.contains("another and credit-eligibility-2.0.0-bias differ") { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_release_that_names_what_is_not_there_waits_and_says_so() {
    let Some(lending) = lending("bad-releases", Some("deny")).await else { return };
    for (from, to, wanted) in [
        ("sha256:7f06", "sha512:7f06", "should match '^sha256:[0-9a-f]{64}$'"),
        ("role: Model", "role: Other", "at least one artefact has the role Model"),
        ("  version: 2.0.0", "  version: 2.0.0\n  approved: true", "unknown field \"spec.approved\""),
    ] {
        refused_with(&changed(&lending, "release-v2", "wrong", from, to).await, &[wanted]);
    }
    lending.documents(&["release-v2"]).await.unwrap();
    eventually("the release to miss its system", SOON, async || {
        let found = lending
            .cluster
            .field("bad-releases", &format!("mr/{RELEASE}"), "{.status.gates[*].findings[*]}")
            .await?;
        if found.contains("there is none") && found.contains("credit-eligibility") {
            Ok(())
        } else {
            Err(found)
        }
    })
    .await
    .unwrap();
    lending.cleared("False").await.unwrap();
    // Once it is there, it is found.
    lending.all_documents().await.unwrap();
    lending
        .cluster
        .becomes("bad-releases", &format!("mr/{RELEASE}"), "{.status.class}", "High")
        .await
        .unwrap();
}

#[tokio::test]
async fn emptied_triggers_need_somebody_else_to_agree() {
    let Some(lending) = lending("triggers", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let emptied = r#"{"spec":{"triggers":{"annexIII":[],"profiling":false,"personalData":false}}}"#;
    lending
        .kubectl("dana", &["patch", "ais/credit-eligibility", "--type=merge", "-p", emptied])
        .await
        .unwrap()
        .ok()
        .unwrap();
    lending
        .cluster
        .becomes("triggers", "ais/credit-eligibility", "{.status.class}", "Minimal")
        .await
        .unwrap();
    lending.cleared("False").await.unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["classification", "nobody confirmed this classification"]);
    // One that is prohibited is refused whatever was approved.
    let prohibited = r#"{"spec":{"triggers":{"annexIII":["5(b)"],"article5":["c"],"profiling":true,"personalData":true}}}"#;
    lending
        .kubectl("dana", &["patch", "ais/credit-eligibility", "--type=merge", "-p", prohibited])
        .await
        .unwrap()
        .ok()
        .unwrap();
    lending
        .cluster
        .becomes("triggers", "ais/credit-eligibility", "{.status.class}", "Prohibited")
        .await
        .unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["prohibited: Article 5(1)(c)", "no approval changes this"]);
}

#[tokio::test]
async fn a_policy_that_asks_for_nothing_or_for_nobody_is_told() {
    let Some(lending) = lending("policies", None).await else { return };
    let nothing = r#"{"apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": "nothing"},
        "spec": {"appliesTo": {"classes": ["Prohibited"]}, "approvals": []}}"#;
    refused_with(
        &lending.apply("root-admin", nothing).await.unwrap(),
        &["spec.approvals", "at least 1 items"],
    );
    // For a namespace that no other scenario uses.
    let emperor = r#"{"apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": "emperor"},
        "spec": {"appliesTo": {"classes": ["High"], "namespaceSelector": {"matchLabels": {"emperor": "yes"}}},
                 "approvals": [{"role": "emperor", "count": 1, "covers": "Content"}]}}"#;
    let applied = lending.apply("root-admin", emperor).await.unwrap();
    assert_eq!(applied.code, 0, "{applied:?}");
    holds(&applied.stderr, &["there is no ApprovalRole emperor yet"]);
    lending
        .cluster
        .becomes("", "rp/emperor", "{.status.conditions[?(@.type=='Usable')].status}", "False")
        .await
        .unwrap();
    // A data scientist writes none.
    refused_with(
        &lending
            .apply("dana", &emperor.replace("\"name\": \"emperor\"", "\"name\": \"mine\""))
            .await
            .unwrap(),
        &["forbidden"],
    );
    lending.kubectl("root-admin", &["delete", "rp/emperor"]).await.unwrap().ok().unwrap();
}
