//! Installing, upgrading, uninstalling, and the namespace that goes.

use placet_e2e::placet::{INSTALLED_IN, Lending, RELEASE, repository};
use placet_e2e::{Cluster, Options, Output, SOON, eventually, own_images};
use serde_json::{Value, json};

use super::alone;
use super::common::{holds, refused_with};
use super::webhooks::{CONFIGURATIONS, in_force};

async fn head(cluster: &Cluster) -> Value {
    let text = cluster.field(INSTALLED_IN, "configmap/placet-log-head", "{.data.head}").await.unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn webhooks(cluster: &Cluster) -> String {
    let kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations";
    cluster.kubectl("admin", ["get", kinds, "-o", "name"]).await.unwrap().ok().unwrap()
}

/// What makes Kubernetes hold the pods of a namespace against its restricted standard.
const RESTRICTED: [&str; 2] =
    ["pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted"];

/// Lets only pods of the restricted standard into the operator's namespace.
async fn restrict(cluster: &Cluster) {
    let label = ["label", "ns", INSTALLED_IN].into_iter().chain(RESTRICTED);
    let labelled = cluster.kubectl("root-admin", label).await.unwrap();
    // Kubernetes warns of pods that run there and would not be let in.
    assert_eq!((labelled.code, labelled.stderr.as_str()), (0, ""), "{labelled:?}");
    let other =
        ["run", "other", "--image=registry.example.com/other:1", "-n", INSTALLED_IN, "--dry-run=server"];
    refused_with(
        &cluster.kubectl("root-admin", other).await.unwrap(),
        &["violates PodSecurity \"restricted"],
    );
}

#[tokio::test]
async fn uninstalling_lifts_holds_and_keeps_keys_and_log() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "uninstall", Some("hold")).await.unwrap();
    lending.all_documents().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    // From here on, everything of ours is made anew where only the restricted standard is let in.
    restrict(cluster).await;

    // An upgrade that changes something keeps the CA that the operator put in.
    let bundle = "{.webhooks[*].clientConfig.caBundle}";
    let before = cluster.field("", "validatingwebhookconfiguration/placet-validating", bundle).await.unwrap();
    assert!(before.len() > 100, "{before}");
    cluster.install_placet(&json!({ "podLabels": { "upgraded": "yes" } })).await.unwrap();
    cluster.becomes(INSTALLED_IN, "pod/placet-0", "{.metadata.labels.upgraded}", "yes").await.unwrap();
    cluster.placet_ready().await.unwrap();
    let after = cluster.field("", "validatingwebhookconfiguration/placet-validating", bundle).await.unwrap();
    assert_eq!(before, after);
    // Nor does one take it away that the operator would have to put back: where nothing of them changes, nothing is written.
    let generations = async || {
        let mut out = Vec::new();
        for kind in ["mutating", "validating"] {
            let object = format!("{kind}webhookconfiguration/placet-{kind}");
            out.push(cluster.field("", &object, "{.metadata.generation}").await.unwrap());
        }
        out
    };
    let before = generations().await;
    let more = json!({ "podLabels": { "upgraded": "yes" }, "policyViewers": { "authenticated": true } });
    cluster.install_placet(&more).await.unwrap();
    assert_eq!(generations().await, before);
    lending.pods_become("the hold after an upgrade", |pods| pods.len() == 1 && pods[0].held).await.unwrap();

    let before = head(cluster).await;
    let key = cluster.field(INSTALLED_IN, "secret/placet-receipt-key", "{.data}").await.unwrap();
    cluster
        .helm(["uninstall", "placet", "-n", INSTALLED_IN, "--wait", "--timeout", "90s"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    assert_eq!(webhooks(cluster).await, "");
    lending.running(1).await.unwrap();
    assert_eq!(cluster.field(INSTALLED_IN, "secret/placet-receipt-key", "{.data}").await.unwrap(), key);
    cluster.field(INSTALLED_IN, "pvc/log-placet-0", "{.metadata.name}").await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.kubectl("root-admin", &["get", "mr", RELEASE]).await.unwrap().ok().unwrap();

    // Installed again it goes on with the same log and the same keys: what was signed still counts.
    let installed = cluster.helm_placet(&json!({})).await.unwrap();
    assert!(!installed.stderr.contains("PodSecurity"), "{installed:?}");
    installed.ok().unwrap();
    let after = head(cluster).await;
    assert_eq!(before["origin"], after["origin"]);
    assert!(after["size"].as_i64() > before["size"].as_i64(), "{before} {after}");
    let removed =
        cluster.field(INSTALLED_IN, "configmap/placet-log-head", "{.data.webhooksRemoved}").await.unwrap();
    holds(&removed, &["\"names\":[\"placet-mutating\",\"placet-validating\"]", "\"lifted\":1"]);
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();

    // Without its webhooks it is an installation all the same: beside it there is room for none.
    for configuration in CONFIGURATIONS {
        cluster.kubectl("root-admin", ["delete", configuration]).await.unwrap().ok().unwrap();
    }
    let second = install_second(cluster, "uninstall").await;
    refused_with(
        &second,
        &["release placet in namespace placet-system (ClusterRoleBinding placet-operator)"],
    );
    cluster.install_placet(&json!({})).await.unwrap();
    in_force(cluster).await;
    let lift = RESTRICTED.map(|label| label.replace("=restricted", "-"));
    let lift = ["label", "ns", INSTALLED_IN].into_iter().chain(lift.iter().map(String::as_str));
    cluster.kubectl("root-admin", lift).await.unwrap().ok().unwrap();
}

/// What an API server and Helm say of a second installation, short of making it.
async fn install_second(cluster: &Cluster, ns: &str) -> Output {
    let chart = repository().join("charts/placet");
    let args = ["install", "other", &chart.to_string_lossy(), "-n", ns, "--dry-run=server"];
    cluster.helm(args).await.unwrap()
}

#[tokio::test]
async fn the_namespace_of_the_installation_may_be_deleted() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "orphaned", Some("deny")).await.unwrap();
    lending.all_documents().await.unwrap();
    let delete = ["delete", "namespace", INSTALLED_IN, "--timeout=90s"];
    cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
    eventually("the webhook configurations to go", SOON, async || {
        let found = webhooks(cluster).await;
        if found.is_empty() { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
    // Its cluster-wide role bindings outlive it. They are no installation.
    cluster.field("", "clusterrolebinding/placet-operator", "{.metadata.name}").await.unwrap();
    install_second(cluster, "orphaned").await.ok().unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    lending.kubectl("root-admin", &["delete", "mr", RELEASE]).await.unwrap().ok().unwrap();
    let delete = ["delete", "namespace", "orphaned", "--timeout=60s"];
    cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
    // What Helm still remembers of it goes by an installation over it. What the packs bring is in force in its new log,
    // though releases were there before it.
    let before = Lending::open(cluster, "survivor", Some("deny")).await.unwrap();
    before.all_documents().await.unwrap();
    cluster.install_placet(&json!({})).await.unwrap();
    let path = "{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=='InForce')].status} {end}";
    let all = eventually("all policies in force", SOON, async || {
        let found = cluster.field("", "releasepolicies", path).await?;
        if found.trim() == "high-risk=True limited=True minimal=True" { Ok(()) } else { Err(found) }
    });
    if let Err(unmet) = all.await {
        panic!("{unmet}\n{}", cluster.pod_logs(INSTALLED_IN, "placet-0").await.unwrap());
    }
    let delete = ["delete", "namespace", "survivor", "--timeout=60s"];
    cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn without_its_definitions_the_operator_waits_for_them() {
    // A cluster of its own, beside the one that the other scenarios share.
    let cluster = Cluster::start(Options { images: own_images(), ..Options::default() }).await.unwrap();
    let refused = cluster.helm_placet_within(&json!({}), "10s").await.unwrap();
    assert_ne!(refused.code, 0, "ready without definitions: {refused:?}");
    let logs = cluster.pod_logs(INSTALLED_IN, "placet-0").await.unwrap();
    holds(&logs, &["modelreleases"]);
    cluster.install_definitions().await.unwrap();
    cluster.install_placet(&json!({})).await.unwrap();
    cluster.placet_ready().await.unwrap();
    cluster.shut_down().await.unwrap();
}
