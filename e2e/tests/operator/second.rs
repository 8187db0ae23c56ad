//! One installation a cluster.

use placet_e2e::placet::{INSTALLED_IN, repository};
use serde_json::json;

use super::common::{holds, refused, refused_with};
use super::lending;

#[tokio::test]
async fn a_second_installation_is_refused_and_the_first_goes_on() {
    let Some(lending) = lending("second", Some("deny")).await else { return };
    let cluster = lending.cluster;
    let chart = repository().join("charts/placet");
    let chart = chart.to_string_lossy();
    let other_names = "--set=fullnameOverride=gate";
    for (release, ns) in [("other", "second"), ("other", INSTALLED_IN), ("placet", "second")] {
        let args = ["install", release, &chart, "-n", ns, other_names];
        let refusal = cluster.helm(args).await.unwrap();
        let wanted = [
            "wanted a cluster without another installation of Placet",
            "release placet in namespace placet-system",
            "MutatingWebhookConfiguration placet-mutating",
            "ValidatingWebhookConfiguration placet-validating",
            "ClusterRoleBinding placet-operator",
            "helm uninstall placet -n placet-system",
        ];
        refused_with(&refusal, &wanted);
    }
    let releases = cluster.helm(["list", "--all-namespaces", "--short"]).await.unwrap().ok().unwrap();
    assert_eq!(releases.lines().filter(|name| *name == "placet").count(), 1, "{releases}");
    assert!(!releases.lines().any(|name| name == "other"), "{releases}");

    // Who renders the chart away from the cluster meets the webhooks of the first.
    let template = ["template", "other", &chart, "-n", "second", other_names];
    let rendered = cluster.helm(template).await.unwrap().ok().unwrap();
    let create = ["create", "--dry-run=server", "-f", "-"];
    let refusal = cluster.kubectl_with_input("root-admin", create, &rendered).await.unwrap();
    let there = ["\"placet-mutating\" already exists", "\"placet-validating\" already exists"];
    refused_with(&refusal, &there);
    let apply = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
    let refusal = cluster.kubectl_with_input("root-admin", apply, &rendered).await.unwrap();
    holds(refused(&refusal), &["conflict", ".clientConfig.service.namespace"]);

    // The first is upgraded as ever, and decides.
    cluster.install_placet(&json!({})).await.unwrap();
    lending.all_documents().await.unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["workloads.placet.dev", "denied the request"]);
}
