//! What counts as the replacement of a pod that was admitted while cleared, on pods as a real control plane makes them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use placet_e2e::eventually;
use placet_e2e::placet::{DEPLOYMENT, IMAGE, Lending, RELEASE, in_seconds};
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

/// Everything but the executive's approval.
async fn all_but_one(lending: &Lending<'_>) {
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["executive"]).await.unwrap();
}

/// The executive's approval ends after so many seconds.
async fn approve_for(lending: &Lending<'_>, seconds: i64) {
    lending.approve("frank", "executive", Some(&in_seconds(seconds))).await.unwrap();
    lending.cleared("True").await.unwrap();
}

async fn expired(lending: &Lending<'_>) {
    eventually("the term's end", Duration::from_secs(90), async || {
        lending.cleared("False").await.map_err(|e| e.to_string())
    })
    .await
    .unwrap();
}

/// A StatefulSet with a claim of its own for each pod, a volume for all, and tokens.
fn stateful(ns: &str, replicas: i64) -> Value {
    let labels = json!({"app": "credit-eligibility", "placet.dev/release": RELEASE});
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "scorer", "namespace": ns, "labels": labels},
        "spec": {
            "replicas": replicas, "serviceName": "scorer", "selector": {"matchLabels": {"app": "credit-eligibility"}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}],
            "template": {"metadata": {"labels": labels}, "spec": {
                "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}],
                "containers": [{
                    "name": "server", "image": IMAGE,
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 7},
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "scratch", "mountPath": "/tmp"}],
                }],
            }},
        },
    })
}

/// Pod-content digests of all pods that were recorded with this owner, with how many they were.
async fn contents(lending: &Lending<'_>, owner: &str) -> (usize, BTreeSet<String>) {
    let dir = std::env::temp_dir().join(format!("placet-{}-{}", lending.ns, std::process::id()));
    let to = dir.to_str().unwrap();
    lending
        .cluster
        .run("placet", "admin", ["evidence", "pull", "--to", to], None)
        .await
        .unwrap()
        .ok()
        .unwrap();
    let mut text = String::new();
    entries(&dir.join("tile/entries"), &mut text);
    tokio::fs::remove_dir_all(&dir).await.unwrap();
    let mut found: Vec<(String, String)> = text
        .split("\"request\":\"")
        .skip(1)
        .filter(|record| record.contains(&format!("\"ownerUid\":\"{owner}\"")))
        .filter_map(|record| {
            let request = record.split('"').next()?;
            let digest = record.split_once("\"podContent\":\"")?.1.split('"').next()?;
            Some((request.to_owned(), digest.to_owned()))
        })
        .collect();
    // A tile that grows is there more than once.
    found.sort();
    found.dedup();
    (found.len(), found.into_iter().map(|(_, digest)| digest).collect())
}

#[expect(clippy::disallowed_methods, reason = "a test reads the files that it had written")]
fn entries(dir: &Path, text: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            entries(&path, text);
        } else {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
}

async fn uid(lending: &Lending<'_>, object: &str) -> String {
    lending.cluster.field(lending.ns, object, "{.metadata.uid}").await.unwrap()
}

async fn delete_pod(lending: &Lending<'_>, name: &str) {
    lending.kubectl("root-admin", &["delete", "pod", name]).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn pods_of_one_owner_have_one_content_before_and_after_a_drain() {
    let Some(lending) = lending("contents", Some("deny")).await else { return };
    all_but_one(&lending).await;
    approve_for(&lending, 60).await;
    lending.apply("dana", &stateful("contents", 2).to_string()).await.unwrap().ok().unwrap();
    lending.running(2).await.unwrap();
    let deployment = lending
        .manifest("deployment-v2")
        .unwrap()
        .replace("replicas: 1", "replicas: 2")
        .replace("app: credit-eligibility", "app: other")
        // With a token, whose volume's name is drawn for each pod.
        .replace("automountServiceAccountToken: false", "automountServiceAccountToken: true");
    lending.apply("dana", &deployment).await.unwrap().ok().unwrap();
    let labels = json!({"app": "job", "placet.dev/release": RELEASE});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "scoring", "namespace": "contents", "labels": labels},
        "spec": {"parallelism": 2, "completions": 3, "completionMode": "Indexed",
            "template": {"metadata": {"labels": labels}, "spec": {
                "restartPolicy": "Never", "containers": [{"name": "server", "image": IMAGE}]}}},
    });
    lending.apply("dana", &job.to_string()).await.unwrap().ok().unwrap();
    let two = |pods: &[placet_e2e::placet::Pod]| {
        pods.len() == 2 && pods.iter().all(|pod| pod.phase == "Running" && !pod.held)
    };
    let others = eventually("the Deployment's pods", Duration::from_secs(30), async || {
        let pods = lending.pods("app=other").await?;
        if two(&pods) { Ok(pods) } else { Err(format!("{pods:?}")) }
    })
    .await
    .unwrap();
    lending.cluster.becomes("contents", "job/scoring", "{.status.succeeded}", "3").await.unwrap();
    expired(&lending).await;

    // A drain of one of each.
    let stateful = uid(&lending, "statefulset/scorer").await;
    let before = uid(&lending, "pod/scorer-1").await;
    delete_pod(&lending, "scorer-1").await;
    delete_pod(&lending, &others[0].name).await;
    eventually("the replacements", Duration::from_secs(30), async || {
        let new = uid(&lending, "pod/scorer-1").await != before;
        let pods = [lending.pods("app=credit-eligibility").await?, lending.pods("app=other").await?];
        let other = pods[1].iter().all(|pod| pod.name != others[0].name);
        if new && other && pods.iter().all(|pods| two(pods)) { Ok(()) } else { Err(format!("{pods:?}")) }
    })
    .await
    .unwrap();
    let set = lending
        .kubectl("dana", &["get", "rs", "-l", "app=other", "-o", "jsonpath={.items[0].metadata.uid}"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    let job = uid(&lending, "job/scoring").await;
    for (owner, least) in [(stateful, 3), (set, 3), (job, 3)] {
        let (pods, digests) = contents(&lending, &owner).await;
        assert!(pods >= least && digests.len() == 1, "{pods} pods of {owner}: {digests:?}");
    }
}

#[tokio::test]
async fn after_expiry_scaled_down_and_up_again_is_scale_up() {
    // In deny mode, the scale is refused, and so is another template.
    let Some(deny) = lending("again-deny", Some("deny")).await else { return };
    let Some(hold) = lending("again-hold", Some("hold")).await else { return };
    for lending in [&deny, &hold] {
        all_but_one(lending).await;
    }
    for lending in [&deny, &hold] {
        approve_for(lending, 25).await;
        lending.apply("dana", &stateful(lending.ns, 2).to_string()).await.unwrap().ok().unwrap();
        lending.running(2).await.unwrap();
    }
    let hook = r#"{"spec":{"template":{"spec":{"containers":[{"name":"server",
        "lifecycle":{"postStart":{"exec":{"command":["sh","-c","id"]}}}}]}}}}"#;
    for lending in [&deny, &hold] {
        expired(lending).await;
        lending
            .kubectl("dana", &["scale", "statefulset/scorer", "--replicas=0"])
            .await
            .unwrap()
            .ok()
            .unwrap();
        lending.running(0).await.unwrap();
    }
    let up = ["scale", "statefulset/scorer", "--replicas=1"];
    let patch = ["patch", "statefulset/scorer", "-p", hook];
    refused_with(&deny.kubectl("mallory", &patch).await.unwrap(), &["frank's approval ended"]);
    refused_with(&deny.kubectl("mallory", &up).await.unwrap(), &["frank's approval ended"]);

    // In hold mode its pods are held, as the warning says: with the same content, and with another.
    for change in [None, Some(patch)] {
        if let Some(patch) = change {
            hold.kubectl("mallory", &["scale", "statefulset/scorer", "--replicas=0"])
                .await
                .unwrap()
                .ok()
                .unwrap();
            hold.running(0).await.unwrap();
            hold.kubectl("mallory", &patch).await.unwrap().ok().unwrap();
        }
        let scaled = hold.kubectl("mallory", &up).await.unwrap();
        assert_eq!(scaled.code, 0, "{scaled:?}");
        holds(&scaled.stderr, &["its pods are held until cleared"]);
        hold.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
        // Long enough for a pod that starts by mistake.
        tokio::time::sleep(Duration::from_secs(2)).await;
        hold.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    }
}

#[tokio::test]
async fn pods_that_waited_for_their_clearance_are_replaced_after_it_expired() {
    let Some(lending) = lending("waited", Some("hold")).await else { return };
    all_but_one(&lending).await;
    let deployment = lending.manifest("deployment-v2").unwrap().replace("replicas: 1", "replicas: 2");
    lending.apply("dana", &deployment).await.unwrap().ok().unwrap();
    lending
        .pods_become("two held pods", |pods| pods.len() == 2 && pods.iter().all(|p| p.held))
        .await
        .unwrap();
    approve_for(&lending, 20).await;
    let before = lending.running(2).await.unwrap();
    expired(&lending).await;
    delete_pod(&lending, &before[0].name).await;
    lending
        .pods_become("a replacement", |pods| {
            pods.len() == 2
                && pods.iter().all(|p| p.name != before[0].name && !p.held && p.phase == "Running")
        })
        .await
        .unwrap();
    // Beside one that waits for a place of its own, too.
    lending.kubectl("dana", &["scale", DEPLOYMENT, "--replicas=3"]).await.unwrap().ok().unwrap();
    lending.pods_become("a third, held", |pods| pods.iter().filter(|p| p.held).count() == 1).await.unwrap();
    delete_pod(&lending, &before[1].name).await;
    lending
        .pods_become("a replacement", |pods| {
            pods.len() == 3
                && pods.iter().all(|p| p.name != before[1].name)
                && pods.iter().filter(|p| !p.held && p.phase == "Running").count() == 2
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_replacement_that_was_held_starts_once_replacements_do() {
    let Some(lending) = lending("place", Some("hold")).await else { return };
    all_but_one(&lending).await;
    let deployment = lending.manifest("deployment-v2").unwrap().replace("replicas: 1", "replicas: 2");
    lending.apply("dana", &deployment).await.unwrap().ok().unwrap();
    approve_for(&lending, 20).await;
    let before = lending.running(2).await.unwrap();
    expired(&lending).await;
    let release = format!("mr/{RELEASE}");
    let say = async |args: &[&str]| {
        let of_erin = ["--role", "risk-officer", "--yes", "-n", lending.ns];
        let args: Vec<&str> = args.iter().chain(&of_erin).copied().collect();
        lending.cluster.run("placet", "erin", args, None).await.unwrap().ok().unwrap()
    };
    let made = say(&["reject", &release, "--comment", "Not now", "-o", "json"]).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    lending.findings_say(&["rejects this content"]).await.unwrap();
    delete_pod(&lending, &before[0].name).await;
    // One more than there were, and one that somebody made by hand: neither replaces any.
    lending.kubectl("dana", &["scale", DEPLOYMENT, "--replicas=3"]).await.unwrap().ok().unwrap();
    lending.apply("mallory", &lending.pod("by-hand", RELEASE).to_string()).await.unwrap().ok().unwrap();
    lending
        .pods_become("three that are held", |pods| {
            pods.len() == 4 && pods.iter().filter(|pod| pod.held).count() == 3
        })
        .await
        .unwrap();

    let reject = made["metadata"]["name"].as_str().unwrap();
    say(&["approve", &release, "--answers", reject]).await;
    let now = lending
        .pods_become("one more that runs", |pods| {
            pods.len() == 4 && pods.iter().filter(|pod| !pod.held && pod.phase == "Running").count() == 2
        })
        .await
        .unwrap();
    assert!(now.iter().any(|pod| pod.held && pod.name == "by-hand"), "{now:?}");
    let started = now.iter().find(|pod| !pod.held && pod.name != before[1].name).unwrap();
    let wanted = ["replacement let go".to_owned(), format!("pod/{}", started.name)];
    let told = |line: &&str| wanted.iter().all(|w| line.contains(w));
    let once = |shown: &str| shown.lines().filter(told).count() == 1;
    lending.cluster.evidence_shows((lending.ns, RELEASE), "the record of it", once).await.unwrap();
    // It stays at that.
    tokio::time::sleep(Duration::from_secs(2)).await;
    lending.pods_become("no others", |pods| pods.iter().filter(|pod| pod.held).count() == 2).await.unwrap();
}
