//! Somebody with `edit` in the namespace, and what it gets them.

use placet_e2e::placet::{DEPLOYMENT, IMAGE, RELEASE};
use serde_json::json;

use super::common::{holds, refused_with};
use super::lending;

const EVIL: &str =
    "registry.example.com/evil@sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test]
async fn the_hold_does_not_come_off_by_hand() {
    let Some(lending) = lending("gates", Some("hold")).await else { return };
    lending.all_documents().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    let held = lending.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    let pod = format!("pod/{}", held[0].name);

    // By JSON patch.
    let patch = r#"[{"op":"remove","path":"/spec/schedulingGates"}]"#;
    let refusal = lending.kubectl("mallory", &["patch", &pod, "--type=json", "-p", patch]).await.unwrap();
    refused_with(&refusal, &["the request takes it off before", "leave spec.schedulingGates as it is"]);
    // By replace.
    let text = lending.kubectl("mallory", &["get", &pod, "-o", "json"]).await.unwrap().ok().unwrap();
    let mut object: serde_json::Value = serde_json::from_str(&text).unwrap();
    object["spec"].as_object_mut().unwrap().remove("schedulingGates");
    let replace = ["replace", "-n", "gates", "-f", "-"];
    let refusal = lending.cluster.kubectl_with_input("mallory", replace, &object.to_string()).await.unwrap();
    refused_with(&refusal, &["the request takes it off before"]);
    // By merge patch and by server-side apply that takes the list over.
    let refusal = lending
        .kubectl("mallory", &["patch", &pod, "--type=merge", "-p", r#"{"spec":{"schedulingGates":null}}"#])
        .await
        .unwrap();
    refused_with(&refusal, &["the request takes it off before"]);
    let apply = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": held[0].name, "namespace": "gates" },
        "spec": { "schedulingGates": [], "containers": [{ "name": "server", "image": IMAGE }] },
    });
    let apply_args = ["apply", "--server-side", "--force-conflicts", "-n", "gates", "-f", "-"];
    lending.cluster.kubectl_with_input("mallory", apply_args, &apply.to_string()).await.unwrap();
    // Another release's name, and binding the pod to a node directly.
    // (it may change the label; it is held for the other release then.)
    let labelled = lending
        .kubectl("mallory", &["label", &pod, "--overwrite", "placet.dev/release=other"])
        .await
        .unwrap();
    holds(&labelled.stderr, &["a ModelRelease other in namespace gates", "is held"]);
    let back = format!("placet.dev/release={RELEASE}");
    lending.kubectl("mallory", &["label", &pod, "--overwrite", &back]).await.unwrap().ok().unwrap();
    let pods = lending.pods("app=credit-eligibility").await.unwrap();
    assert!(
        pods.len() == 1 && pods[0].held && pods[0].phase == "Pending" && pods[0].release == RELEASE,
        "{pods:?}"
    );
    // A pod with the release's name and an image that is not the release's waits in vain.
    let mut evil = lending.pod("evil", RELEASE);
    evil["spec"]["containers"][0]["image"] = json!(EVIL);
    evil["metadata"]["labels"]["app"] = json!("evil");
    lending.apply("mallory", &evil.to_string()).await.unwrap().ok().unwrap();

    // Once cleared, anybody may; here the operator is faster.
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.running(1).await.unwrap();
    evil["metadata"]["name"] = json!("late");
    lending.apply("mallory", &evil.to_string()).await.unwrap().ok().unwrap();
    // Long enough for a hold that is lifted by mistake: others take a tenth of a second.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let pods = lending.pods("app=evil").await.unwrap();
    assert!(pods.len() == 2 && pods.iter().all(|pod| pod.held && pod.phase == "Pending"), "{pods:?}");
}

#[tokio::test]
async fn a_cleared_pod_does_not_become_another() {
    let Some(lending) = lending("cleared", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    let pods = lending.running(1).await.unwrap();
    let pod = format!("pod/{}", pods[0].name);

    // Another image: by patch and by set image.
    let evil = format!("server={EVIL}");
    let refusal = lending.kubectl("mallory", &["set", "image", &pod, &evil]).await.unwrap();
    refused_with(
        &refusal,
        &["is cleared, but Pod", EVIL, &format!("an image of release {RELEASE}, or a platform image")],
    );
    let patch = format!(r#"[{{"op":"replace","path":"/spec/containers/0/image","value":"{EVIL}"}}]"#);
    let refusal = lending.kubectl("mallory", &["patch", &pod, "--type=json", "-p", &patch]).await.unwrap();
    refused_with(&refusal, &["is cleared, but Pod", EVIL]);
    // An ephemeral container, which needs a permission that `edit` does not give.
    let grant = ["create", "role", "debug", "--verb=get,patch,update", "--resource=pods/ephemeralcontainers"];
    lending.kubectl("root-admin", &grant).await.unwrap().ok().unwrap();
    let grant = ["create", "rolebinding", "debug", "--role=debug", "--user=mallory"];
    lending.kubectl("root-admin", &grant).await.unwrap().ok().unwrap();
    let debug = ["debug", &pods[0].name, &format!("--image={EVIL}"), "--profile=general"];
    refused_with(&lending.kubectl("mallory", &debug).await.unwrap(), &["is cleared, but Pod", EVIL]);
    let debug = ["debug", &pods[0].name, "--image=busybox", "--profile=general"];
    refused_with(&lending.kubectl("mallory", &debug).await.unwrap(), &["busybox", "means the tag latest"]);

    // By a tag: the message knows the pinned form.
    let tag = ["set", "image", DEPLOYMENT, "server=registry.example.com/lending/scoring-server:2.0.0"];
    refused_with(
        &lending.kubectl("mallory", &tag).await.unwrap(),
        &[
            "is named by a tag, which can be moved",
            &format!("set spec.template.spec.containers[0].image to {IMAGE}"),
        ],
    );
    // A side container, an init container, a volume from an image.
    for patch in [
        format!(
            r#"{{"spec":{{"template":{{"spec":{{"containers":[{{"name":"extra","image":"{EVIL}"}}]}}}}}}}}"#
        ),
        format!(
            r#"{{"spec":{{"template":{{"spec":{{"initContainers":[{{"name":"extra","image":"{EVIL}"}}]}}}}}}}}"#
        ),
        format!(
            r#"{{"spec":{{"template":{{"spec":{{"volumes":[{{"name":"extra","image":{{"reference":"{EVIL}"}}}}]}}}}}}}}"#
        ),
    ] {
        let refusal = lending.kubectl("mallory", &["patch", DEPLOYMENT, "-p", &patch]).await.unwrap();
        refused_with(&refusal, &["is cleared, but Deployment", EVIL]);
    }
    // Without a release, only platform images run.
    let mut bare = lending.pod("bare", RELEASE);
    bare["metadata"]["labels"].as_object_mut().unwrap().remove("placet.dev/release");
    refused_with(
        &lending.apply("mallory", &bare.to_string()).await.unwrap(),
        &["names no release", "platformImages"],
    );
    let again = lending.running(1).await.unwrap();
    assert_eq!(pods, again, "the pod that ran still runs");
}

#[tokio::test]
async fn a_release_of_another_namespace_counts_for_nothing() {
    let Some(owner) = lending("theirs", Some("deny")).await else { return };
    owner.clear().await.unwrap();
    let Some(other) = lending("ours", Some("deny")).await else { return };
    let refusal = other.apply("mallory", &other.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(
        &refusal,
        &[&format!("wanted: a ModelRelease {RELEASE} in namespace ours"), "there is none"],
    );
    // Two labels that differ.
    let manifest = owner.manifest("deployment-v2").unwrap().replacen(RELEASE, "other", 1);
    refused_with(
        &owner.apply("mallory", &manifest).await.unwrap(),
        &["the same label placet.dev/release on the Deployment and on its pod template"],
    );
}

#[tokio::test]
async fn every_controller_is_judged() {
    let Some(lending) = lending("kinds", Some("deny")).await else { return };
    lending.documents(&["system", "release-v2"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    let labels = json!({ "app": "credit-eligibility", "placet.dev/release": RELEASE });
    let template = json!({
        "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "server", "image": IMAGE }] },
    });
    let selector = json!({ "matchLabels": { "app": "credit-eligibility" } });
    let mut once = template.clone();
    once["spec"]["restartPolicy"] = json!("Never");
    let specs = [
        ("apps/v1", "Deployment", json!({ "selector": selector, "template": template })),
        ("apps/v1", "StatefulSet", json!({ "serviceName": "x", "selector": selector, "template": template })),
        ("apps/v1", "DaemonSet", json!({ "selector": selector, "template": template })),
        ("apps/v1", "ReplicaSet", json!({ "selector": selector, "template": template })),
        (
            "v1",
            "ReplicationController",
            json!({ "selector": { "app": "credit-eligibility" }, "template": template }),
        ),
        ("batch/v1", "Job", json!({ "template": once })),
        (
            "batch/v1",
            "CronJob",
            json!({
                "schedule": "0 0 1 1 *", "jobTemplate": { "metadata": { "labels": labels }, "spec": { "template": once } },
            }),
        ),
        ("v1", "Pod", template["spec"].clone()),
    ];
    for (version, kind, spec) in specs {
        let object = json!({
            "apiVersion": version, "kind": kind, "spec": spec,
            "metadata": { "name": "judged", "namespace": "kinds", "labels": labels },
        });
        let refusal = lending.apply("root-admin", &object.to_string()).await.unwrap();
        refused_with(&refusal, &["workloads.placet.dev", RELEASE, "is not cleared"]);
        // A dry run is judged, answered and never recorded.
        let dry = ["apply", "--dry-run=server", "-n", "kinds", "-f", "-"];
        let refusal =
            lending.cluster.kubectl_with_input("root-admin", dry, &object.to_string()).await.unwrap();
        refused_with(&refusal, &["is not cleared"]);
        assert!(!refusal.stderr.contains("(record "), "{refusal:?}");
    }
}
