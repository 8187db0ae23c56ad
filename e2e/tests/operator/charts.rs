//! What the chart lets to the operator's pods, and which values it refuses.

use placet_e2e::placet::{INSTALLED_IN, repository};
use placet_e2e::{Cluster, Output};
use serde_json::{Value, json};

use super::common::refused_with;
use super::lending;

/// The chart as Helm renders it with more arguments.
async fn rendered(cluster: &Cluster, more: &[&str]) -> Output {
    let chart = repository().join("charts/placet");
    let args = ["template", "placet", &chart.to_string_lossy(), "-n", INSTALLED_IN];
    cluster.helm(args.iter().chain(more)).await.unwrap()
}

#[tokio::test]
async fn the_network_policy_is_of_the_operators_pods_and_opens_two_ports() {
    let Some(lending) = lending("networks", None).await else { return };
    let cluster = lending.cluster;
    let spec = cluster.field(INSTALLED_IN, "networkpolicy/placet", "{.spec}").await.unwrap();
    let spec: Value = serde_json::from_str(&spec).unwrap();
    let labels = spec["podSelector"]["matchLabels"].as_object().unwrap();
    let selector: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
    let selector = selector.join(",");
    let ports =
        "jsonpath={range .items[*]}{.metadata.name} {.spec.containers[*].ports[*].containerPort}{'\\n'}{end}";
    let pods = ["get", "pods", "-n", INSTALLED_IN, "-l", &selector, "-o", ports];
    let pods = cluster.kubectl("admin", pods).await.unwrap().ok().unwrap();
    assert_eq!(pods, "placet-0 8443 8081\n", "{selector}");

    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    let port = |number: u16| json!({ "port": number, "protocol": "TCP" });
    // The webhooks for everybody, metrics for pods of the cluster; nothing else comes in.
    let everybody = json!({ "ports": [port(8443)] });
    let metrics = json!({ "ports": [port(8081)], "from": [{ "namespaceSelector": {} }] });
    assert_eq!(spec["ingress"], json!([everybody, metrics]));
    assert_eq!(spec["egress"], json!([{ "ports": [port(443), port(6443)] }]));

    let nobody = ["-s", "templates/networkpolicy.yaml", "--set-json", "networkPolicy.metricsFrom=[]"];
    let without = rendered(cluster, &nobody).await.ok().unwrap();
    assert!(without.contains("{port: 8443, protocol: TCP}") && !without.contains("8081"), "{without}");
    let off = rendered(cluster, &["--set", "networkPolicy.enabled=false"]).await.ok().unwrap();
    assert!(off.contains("kind: StatefulSet") && !off.contains("kind: NetworkPolicy"), "{off}");
}

#[tokio::test]
async fn values_that_do_not_fit_are_refused_by_the_name_of_the_field() {
    let Some(lending) = lending("values", None).await else { return };
    rendered(lending.cluster, &["--set", "replicas=1"]).await.ok().unwrap();
    for (how, value, wanted) in [
        // What one replica is about, the chart says itself.
        ("--set", "replicas=2", ["values: replicas: wanted 1", "found 2"]),
        ("--set", "replicas=0", ["'/replicas'", "minimum"]),
        ("--set", "replicas=two", ["'/replicas'", "got string, want integer"]),
        ("--set", "networkPolicy.enabled=perhaps", ["'/networkPolicy/enabled'", "want boolean"]),
        ("--set", "replica=1", ["additional properties 'replica'", "not allowed"]),
        ("--set", "log.size=10Gi", ["'/log'", "additional properties 'size'"]),
        ("--set", "logging.level=loud", ["'/logging/level'", "value must be one of"]),
        ("--set", "webhooks.timeouts.own=31", ["'/webhooks/timeouts/own'", "maximum"]),
        ("--set", "image.digest=latest", ["'/image/digest'", "does not match pattern"]),
        ("--set-json", r#"access=[{"role":"boss","groups":["g"]}]"#, ["'/access/0/role'", "auditor"]),
        ("--set-json", r#"bindings=[{"groups":["g"]}]"#, ["'/bindings/0'", "'role'"]),
    ] {
        let refusal = rendered(lending.cluster, &[how, value]).await;
        refused_with(&refusal, &wanted);
    }
}
