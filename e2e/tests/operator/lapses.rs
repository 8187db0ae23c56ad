//! What happens to pods when a clearance ends: by its term, or taken back.

use std::time::Duration;

use placet_e2e::placet::{DEPLOYMENT, IMAGE, Lending, RELEASE, in_seconds};
use placet_e2e::{Did, PodSignal, REAL_NODE_LABEL, SOON, eventually, record_skip};
use serde_json::{Value, json};

use super::common::refused_with;
use super::lending;

/// Everything but the executive's approval, which ends after so many seconds; then two pods.
async fn two_pods(lending: &Lending<'_>, ends_in: Option<i64>) {
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["executive"]).await.unwrap();
    let until = ends_in.map(in_seconds);
    lending.approve("frank", "executive", until.as_deref()).await.unwrap();
    lending.cleared("True").await.unwrap();
    let deployment = lending.manifest("deployment-v2").unwrap().replace("replicas: 1", "replicas: 2");
    lending.apply("dana", &deployment).await.unwrap().ok().unwrap();
    lending.running(2).await.unwrap();
}

async fn evict(lending: &Lending<'_>, pod: &str) {
    let ns = lending.ns;
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": ns } });
    let path = format!("/api/v1/namespaces/{ns}/pods/{pod}/eviction");
    let args = ["create", "--raw", &path, "-f", "-"];
    lending.cluster.kubectl_with_input("root-admin", args, &body.to_string()).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn after_expiry_replacements_start_and_nothing_new_does() {
    let Some(lending) = lending("expiry", Some("deny")).await else { return };
    two_pods(&lending, Some(20)).await;
    eventually("the term's end", Duration::from_secs(60), async || {
        lending.cleared("False").await.map_err(|e| e.to_string())
    })
    .await
    .unwrap();
    let before = lending.running(2).await.unwrap();

    // A crash or a drain: the replacement starts.
    lending.kubectl("root-admin", &["delete", "pod", &before[0].name]).await.unwrap().ok().unwrap();
    lending
        .pods_become("a replacement", |pods| {
            pods.len() == 2 && pods.iter().all(|pod| pod.name != before[0].name)
        })
        .await
        .unwrap();
    lending.running(2).await.unwrap();
    evict(&lending, &before[1].name).await;
    lending
        .pods_become("a replacement", |pods| {
            pods.len() == 2 && pods.iter().all(|pod| pod.name != before[1].name)
        })
        .await
        .unwrap();
    lending.running(2).await.unwrap();

    // More pods, or others: refused.
    let refusal = lending.kubectl("dana", &["scale", DEPLOYMENT, "--replicas=3"]).await.unwrap();
    refused_with(&refusal, &["frank's approval ended", "executive: placet approve"]);
    let refusal = lending.kubectl("dana", &["set", "env", DEPLOYMENT, "A=b"]).await.unwrap();
    refused_with(&refusal, &["frank's approval ended"]);
    // Somebody's own pod is nobody's replacement, even with the controller's reference typed.
    let owner = lending
        .kubectl("dana", &["get", "rs", "-o", "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    let (name, uid) = owner.split_once(' ').unwrap();
    let mut typed = lending.pod("typed", RELEASE);
    typed["metadata"]["ownerReferences"] = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": true }]);
    refused_with(&lending.apply("mallory", &typed.to_string()).await.unwrap(), &["frank's approval ended"]);

    // Down is always possible; up again to what was admitted while cleared is scale-up.
    lending.kubectl("dana", &["scale", DEPLOYMENT, "--replicas=1"]).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    let refusal = lending.kubectl("dana", &["scale", DEPLOYMENT, "--replicas=2"]).await.unwrap();
    refused_with(&refusal, &["frank's approval ended"]);
}

#[tokio::test]
async fn after_expiry_in_hold_replacements_start_unheld() {
    let Some(lending) = lending("expiry-hold", Some("hold")).await else { return };
    two_pods(&lending, Some(20)).await;
    eventually("the term's end", Duration::from_secs(60), async || {
        lending.cleared("False").await.map_err(|e| e.to_string())
    })
    .await
    .unwrap();
    let before = lending.running(2).await.unwrap();
    lending.kubectl("root-admin", &["delete", "pod", &before[0].name]).await.unwrap().ok().unwrap();
    lending.running(2).await.unwrap();
    // A third pod is held, the two run on.
    let scaled = lending.kubectl("dana", &["scale", DEPLOYMENT, "--replicas=3"]).await.unwrap();
    assert_eq!(scaled.code, 0, "{scaled:?}");
    lending
        .pods_become("two that run and one that is held", |pods| {
            pods.len() == 3 && pods.iter().filter(|pod| pod.held).count() == 1
        })
        .await
        .unwrap();
}

/// After this, running pods stay, and the replacement of one that goes is not started.
async fn replacements_stay_out(lending: &Lending<'_>, why: &str) {
    lending.cleared("False").await.unwrap();
    let before = lending.running(2).await.unwrap();
    lending.kubectl("root-admin", &["delete", "pod", &before[0].name]).await.unwrap().ok().unwrap();
    let event = eventually("the refusal of the replacement", SOON, async || {
        let args =
            ["get", "events", "--field-selector=reason=FailedCreate", "-o", "jsonpath={.items[*].message}"];
        let found = lending
            .kubectl("admin", &args)
            .await
            .and_then(placet_e2e::Output::ok)
            .map_err(|e| e.to_string())?;
        if found.contains("is not cleared") { Ok(found) } else { Err(found) }
    })
    .await
    .unwrap();
    assert!(event.contains("workloads.placet.dev"), "{event}");
    let told = lending.event("Deployment/credit-eligibility", "PodRefused").await.unwrap();
    assert!(told.contains(why) && told.contains("placet why"), "{told}");
    let after = lending.running(1).await.unwrap();
    assert_eq!(after[0].name, before[1].name, "what runs is left alone");
    // Nor do more of them start, or others.
    let (up, other) = (["scale", DEPLOYMENT, "--replicas=3"], ["set", "env", DEPLOYMENT, "A=b"]);
    for change in [up.as_slice(), other.as_slice()] {
        refused_with(&lending.kubectl("dana", change).await.unwrap(), &["is not cleared", why]);
    }
}

#[tokio::test]
async fn after_a_withdrawal_replacements_stay_out() {
    let Some(lending) = lending("taken-back", Some("deny")).await else { return };
    two_pods(&lending, None).await;
    let withdraw =
        ["patch", &format!("mr/{RELEASE}"), "--type=merge", "-p", r#"{"spec":{"withdrawn":true}}"#];
    lending.kubectl("dana", &withdraw).await.unwrap().ok().unwrap();
    replacements_stay_out(&lending, "withdrawn").await;
    // Scale-down and the namespace's end work all the same.
    lending.kubectl("dana", &["scale", DEPLOYMENT, "--replicas=0"]).await.unwrap().ok().unwrap();
    lending.running(0).await.unwrap();
    let delete = ["delete", "namespace", "taken-back", "--timeout=60s"];
    lending.cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn after_a_reject_replacements_stay_out() {
    let Some(lending) = lending("second-thoughts", Some("deny")).await else { return };
    two_pods(&lending, None).await;
    let digest = lending.digest(&format!("mr/{RELEASE}")).await.unwrap();
    let mut reject = lending.approval("stop", "legal-compliance", "ModelRelease", RELEASE, &digest);
    reject["spec"]["decision"] = json!("Reject");
    lending.apply("lena", &reject.to_string()).await.unwrap().ok().unwrap();
    replacements_stay_out(&lending, "stop rejects this content").await;
}

/// A Job of the release whose pod is a process on our node: it works until it is told that it is done.
fn job(image: &str) -> Value {
    let labels = json!({ "app": "credit-eligibility", "placet.dev/release": RELEASE });
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "scoring", "namespace": "jobs", "labels": labels },
        "spec": { "template": { "metadata": { "labels": labels }, "spec": {
            "restartPolicy": "Never",
            "nodeSelector": { REAL_NODE_LABEL: "true" },
            "tolerations": [{ "key": REAL_NODE_LABEL, "operator": "Exists", "effect": "NoSchedule" }],
            "containers": [{ "name": "server", "image": image, "args": ["selftest-server"] }],
        } } },
    })
}

#[tokio::test]
async fn a_job_that_runs_ends_after_a_withdrawal() {
    let Some(lending) = lending("jobs", Some("deny")).await else { return };
    if lending.cluster.is_foreign() {
        record_skip("run a Job as a process", "the cluster of E2E_KUBECONFIG has no node of ours");
        return;
    }
    // The release's image is one that our node runs.
    let (reference, digest) = IMAGE.split_once('@').unwrap();
    let ours = "placet.dev/placet-cluster";
    let release = lending.manifest("release-v2").unwrap().replace(reference, ours);
    lending.documents(&["system", "assessment", "datasets"]).await.unwrap();
    lending.apply("dana", &release).await.unwrap().ok().unwrap();
    lending.documents(&["report-bias-v2", "report-performance-v2"]).await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();
    let job = job(&format!("{ours}@{digest}")).to_string();
    lending.apply("dana", &job).await.unwrap().ok().unwrap();
    let pods = lending.running(1).await.unwrap();

    let withdraw =
        ["patch", &format!("mr/{RELEASE}"), "--type=merge", "-p", r#"{"spec":{"withdrawn":true}}"#];
    lending.kubectl("dana", &withdraw).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    let counts = "{.status.active}/{.status.succeeded}/{.status.failed}";
    assert_eq!(lending.cluster.field("jobs", "job/scoring", counts).await.unwrap(), "1//");
    assert_eq!(lending.running(1).await.unwrap(), pods, "what runs is left alone");
    let again = job.replace("scoring", "again");
    refused_with(&lending.apply("dana", &again).await.unwrap(), &["is not cleared", "withdrawn"]);

    // Its process ends. The Job controller takes its finalizer off the pod and counts it.
    let Did::Done = lending.cluster.signal_pod("jobs", &pods[0].name, None, PodSignal::Term).await.unwrap()
    else {
        unreachable!("the cluster is ours")
    };
    let complete = "{.status.conditions[?(@.type=='Complete')].status}";
    lending.cluster.becomes("jobs", "job/scoring", complete, "True").await.unwrap();
    assert_eq!(lending.cluster.field("jobs", "job/scoring", counts).await.unwrap(), "/1/");
    let pod = format!("pod/{}", pods[0].name);
    let left = "{.status.phase} {.metadata.finalizers}";
    assert_eq!(lending.cluster.field("jobs", &pod, left).await.unwrap(), "Succeeded ");
    lending.kubectl("root-admin", &["delete", "job/scoring", "--timeout=30s"]).await.unwrap().ok().unwrap();
    lending.running(0).await.unwrap();
}
