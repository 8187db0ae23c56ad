//! With the operator gone the cluster goes on; with the API server gone the operator waits.

use std::time::Duration;

use placet_e2e::placet::{DEPLOYMENT, INSTALLED_IN, Lending, RELEASE};
use placet_e2e::{Component, Did, PodSignal, SOON, eventually};
use serde_json::json;

use super::alone;
use super::common::refused_with;

/// A Job that is in the middle of its work: KWOK ends its pod when it is told to.
fn job(ns: &str) -> serde_json::Value {
    let labels = json!({ "app": "credit-eligibility", "placet.dev/release": RELEASE });
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "scoring", "namespace": ns, "labels": labels },
        "spec": { "template": { "metadata": { "labels": labels }, "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "server", "image": placet_e2e::placet::IMAGE }] } } },
    })
}

#[tokio::test]
async fn with_the_operator_down_nothing_is_wedged() {
    let Some((cluster, _guard)) = alone().await else { return };
    let free = Lending::open(cluster, "down-free", None).await.unwrap();
    free.apply("dana", &free.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    free.running(1).await.unwrap();
    let going = Lending::open(cluster, "down-going", Some("hold")).await.unwrap();
    going.all_documents().await.unwrap();
    going.apply("dana", &going.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    going.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    let lending = Lending::open(cluster, "down", Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    let deployment = lending.manifest("deployment-v2").unwrap().replace("replicas: 1", "replicas: 3");
    lending.apply("dana", &deployment).await.unwrap().ok().unwrap();
    lending.running(3).await.unwrap();

    // A crash first, then for good.
    assert_eq!(cluster.signal_pod(INSTALLED_IN, "placet-0", None, PodSignal::Kill).await.unwrap(), Did::Done);
    cluster.placet_away().await.unwrap();

    // Not opted in: a rolling update goes through.
    free.kubectl("dana", &["set", "image", DEPLOYMENT, "server=registry.example.com/x:2"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    free.kubectl("dana", &["rollout", "status", DEPLOYMENT, "--timeout=30s"]).await.unwrap().ok().unwrap();

    // Enforcing: down by the subresource, as the autoscaler does it, and by the object.
    lending.kubectl("dana", &["scale", DEPLOYMENT, "--replicas=2"]).await.unwrap().ok().unwrap();
    let two = lending.running(2).await.unwrap();
    let down = ["patch", DEPLOYMENT, "--type=merge", "-p", r#"{"spec":{"replicas":1}}"#];
    lending.kubectl("dana", &down).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    // What starts nothing passes: labels, finalizers.
    lending.kubectl("dana", &["annotate", DEPLOYMENT, "note=seen"]).await.unwrap().ok().unwrap();
    let left = lending.running(1).await.unwrap();
    assert!(two.contains(&left[0]), "{left:?}");
    let pod = format!("pod/{}", left[0].name);
    for finalizers in
        [r#"{"metadata":{"finalizers":["example.com/wait"]}}"#, r#"{"metadata":{"finalizers":null}}"#]
    {
        let patch = ["patch", &pod, "--type=merge", "-p", finalizers];
        lending.kubectl("root-admin", &patch).await.unwrap().ok().unwrap();
    }
    // What starts something does not.
    let changes: [&[&str]; 2] = [&["scale", DEPLOYMENT, "--replicas=2"], &["set", "env", DEPLOYMENT, "A=b"]];
    for change in changes {
        refused_with(
            &lending.kubectl("dana", change).await.unwrap(),
            &["failed calling webhook \"workloads.placet.dev\""],
        );
    }
    // A namespace with a held pod and our objects goes.
    let delete = ["delete", "namespace", "down-going", "--timeout=60s"];
    cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();

    // A drain: the pod goes, its replacement is refused, and starts by itself once the operator is back.
    let node = cluster.field("down", &pod, "{.spec.nodeName}").await.unwrap();
    let drain = ["drain", &node, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=60s"];
    let selected = [&drain[..], &["--pod-selector=app=credit-eligibility"]].concat();
    cluster.kubectl("root-admin", selected).await.unwrap().ok().unwrap();
    lending.running(0).await.unwrap();
    cluster.kubectl("root-admin", ["uncordon", &node]).await.unwrap().ok().unwrap();
    cluster.placet_back().await.unwrap();
    eventually("the replacement after the operator came back", Duration::from_secs(120), async || {
        lending.running(1).await.map_err(|error| error.to_string())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_job_ends_with_the_operator_down() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "down-job", Some("hold")).await.unwrap();
    lending.all_documents().await.unwrap();
    lending.apply("dana", &job("down-job").to_string()).await.unwrap().ok().unwrap();
    lending.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    // The pod is let go and ends; the Job controller hears of it only once the operator is gone, and has to take its
    // finalizer off the pod then.
    assert_eq!(cluster.kill(Component::ControllerManager).await.unwrap(), Did::Done);
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending
        .pods_become("a pod that ended", |pods| pods.len() == 1 && pods[0].phase == "Succeeded")
        .await
        .unwrap();
    cluster.placet_away_without_controllers().await.unwrap();
    assert_eq!(cluster.start_component(Component::ControllerManager).await.unwrap(), Did::Done);
    cluster.becomes("down-job", "job/scoring", "{.status.succeeded}", "1").await.unwrap();
    let finalizers = "{.items[*].metadata.finalizers}";
    let args = ["get", "pods", "-n", "down-job", "-o", &format!("jsonpath={finalizers}")];
    assert_eq!(cluster.kubectl("admin", args).await.unwrap().ok().unwrap(), "");
    cluster.placet_back().await.unwrap();
}

#[tokio::test]
async fn the_way_out_works_with_the_operator_down() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "way-out", Some("deny")).await.unwrap();
    cluster.placet_away().await.unwrap();
    let deployment = lending.manifest("deployment-v2").unwrap();
    refused_with(&lending.apply("dana", &deployment).await.unwrap(), &["failed calling webhook"]);
    cluster
        .kubectl("root-admin", ["label", "ns", "way-out", "placet.dev/enforce-"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    lending.apply("dana", &deployment).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    cluster.placet_back().await.unwrap();
}

#[tokio::test]
async fn the_api_server_may_be_gone_for_a_minute() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "server-gone", Some("deny")).await.unwrap();
    lending.all_documents().await.unwrap();
    lending.cleared("False").await.unwrap();
    assert_eq!(cluster.kill(Component::ApiServer).await.unwrap(), Did::Done);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.start_component(Component::ApiServer).await.unwrap(), Did::Done);
    cluster.placet_ready().await.unwrap();
    eventually("a complete refusal again", SOON, async || {
        let refusal = lending
            .apply("dana", &lending.manifest("deployment-v2").unwrap())
            .await
            .map_err(|e| e.to_string())?;
        if refusal.stderr.contains("riskAcceptance  R1 is High") { Ok(()) } else { Err(refusal.stderr) }
    })
    .await
    .unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();
}
