//! Whose reports of tests count, and what was asked when the first of them came.

use placet_e2e::placet::{Lending, RELEASE};
use placet_e2e::{SOON, eventually};
use serde_json::json;

use super::common::holds;
use super::lending;

/// A manifest of the sample under another name.
fn renamed(lending: &Lending<'_>, manifest: &str, name: &str) -> String {
    let text = lending.manifest(manifest).unwrap();
    let old = text.lines().find(|line| line.starts_with("  name: ")).unwrap().to_owned();
    text.replacen(&old, &format!("  name: {name}"), 1)
}

/// What the tests gate says.
const FOUND: &str = "{.status.gates[?(@.gate=='tests')].findings[*].found}";

#[tokio::test]
async fn a_report_counts_for_who_may_report_and_a_command_lets_somebody() {
    let Some(lending) = lending("reporters", Some("deny")).await else { return };
    let (cluster, ns) = (lending.cluster, lending.ns);
    lending
        .documents(&["system", "assessment", "datasets", "release-v2", "report-performance-v2"])
        .await
        .unwrap();
    lending.settings_and_risk().await.unwrap();
    cluster.grant(ns, "mallory", "placet-tester").await.unwrap();

    // mallory may write reports and is nobody's tester: they are told, and so is everybody else.
    let said = lending.apply("mallory", &lending.manifest("report-bias-v2").unwrap()).await.unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    holds(&said.stderr, &["Warning: ", "high-risk", "may not report as validator"]);
    lending
        .findings_say(&["mallory did not hold the verb report on approvalroles.placet.dev/validator"])
        .await
        .unwrap();
    let command = "{.status.gates[?(@.gate=='tests')].findings[*].command}";
    let command = cluster.field(ns, &format!("mr/{RELEASE}"), command).await.unwrap();
    let wanted =
        "create clusterrolebinding report-validator-NAME --clusterrole=placet-report-validator --user=NAME";
    holds(&command, &[wanted]);

    // An administrator, who may do everything, was given the role by nobody.
    let said = lending.apply("root-admin", &renamed(&lending, "report-bias-v2", "by-root")).await.unwrap();
    holds(&said.stderr, &["root-admin may report as validator by a wildcard only"]);
    lending.approvals(&[]).await.unwrap();
    lending.cleared("False").await.unwrap();

    // The command of the finding, and the same numbers again.
    let args = wanted.replace("NAME", "mallory");
    let args: Vec<&str> = args.split(' ').collect();
    cluster.kubectl("root-admin", args).await.unwrap().ok().unwrap();
    eventually("mallory's binding to be known to the API server's authorizer", SOON, async || {
        let asked = ["auth", "can-i", "-A", "report", "approvalroles.placet.dev/validator"];
        let said = cluster.kubectl("mallory", asked).await.map_err(|e| e.to_string())?;
        if said.stdout.trim() == "yes" { Ok(()) } else { Err(said.stdout) }
    })
    .await
    .unwrap();
    let said = lending.apply("mallory", &renamed(&lending, "report-bias-v2", "by-name")).await.unwrap();
    assert!(said.code == 0 && !said.stderr.contains("Warning"), "{said:?}");
    eventually("the tests to be met", SOON, async || {
        let found = cluster.field(ns, &format!("mr/{RELEASE}"), FOUND).await?;
        if found.is_empty() { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
    let unbind = ["delete", "clusterrolebinding", "report-validator-mallory"];
    cluster.kubectl("root-admin", unbind).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn what_was_asked_when_the_first_report_came_is_asked_still() {
    let Some(lending) = lending("asked-first", Some("deny")).await else { return };
    let (cluster, ns) = (lending.cluster, lending.ns);
    let policy = |at_least: &str| {
        json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": { "name": ns },
            "spec": {
                "appliesTo": {
                    "classes": ["High"], "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": ns } },
                },
                "tests": [{ "type": "Performance", "metric": "Accuracy", "atLeast": at_least }],
                "approvals": [{ "role": "model-owner", "count": 1, "covers": "Evidence" }],
                "guard": { "loosening": "Apply" },
            },
        })
    };
    cluster.apply("root-admin", &[policy("0.95")]).await.unwrap();
    cluster
        .becomes(
            "",
            &format!("releasepolicy/{ns}"),
            "{.status.conditions[?(@.type=='InForce')].status}",
            "True",
        )
        .await
        .unwrap();
    lending.all_documents().await.unwrap();
    let asked = format!("{ns} wants Accuracy at least 0.95");
    let wanted = "{.status.gates[?(@.gate=='tests')].findings[*].wanted}";
    let release = format!("mr/{RELEASE}");
    let says = async |text: &str| {
        eventually(&format!("the tests gate to say {text:?}"), SOON, async || {
            let found = cluster.field(ns, &release, wanted).await?;
            if found.contains(text) { Ok(()) } else { Err(found) }
        })
        .await
        .unwrap();
    };
    says(&asked).await;
    // Nobody asks for it any more, and of these weights it is asked all the same.
    cluster.apply("root-admin", &[policy("0.10")]).await.unwrap();
    says(&format!("{ns} wanted Accuracy at least 0.95 on ")).await;
    let notes = "{.status.notes[*]}";
    eventually("the release's notes to say what is frozen", SOON, async || {
        let found = cluster.field(ns, &release, notes).await?;
        if found.contains("judged by what was asked on") { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}
