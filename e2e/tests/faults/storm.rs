//! One owner whose pods are refused again and again.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use placet_e2e::placet::{Lending, RELEASE};
use placet_e2e::{Cluster, SOON, eventually};
use serde_json::json;

use super::alone;
use super::common::holds;
use super::evidence::{log_dir, whole};

/// How many pods are refused.
const PODS: usize = 2000;

/// What 100,000 of them may cost the log, in bytes.
const ALLOWED_FOR_100_000: u64 = 5_000_000;

/// How many requests are under way at once.
const AT_ONCE: usize = 24;

/// How many pods without an owner are refused at most until the condition has to warn. A namespace may write 4,096 records
/// at once and here a few more a second: as many as it may by default need a faster machine than some are.
const MOST: usize = 60_000;

/// Bytes of the published log. Of a tile that is not full the last state counts; those before go once it is.
async fn published(cluster: &Cluster) -> u64 {
    let dir = log_dir(cluster).await;
    let mut open: Vec<_> = ["tile", "objects", "openings"].map(|name| dir.join(name)).into();
    let mut sum = 0;
    while let Some(dir) = open.pop() {
        let Ok(mut entries) = tokio::fs::read_dir(&dir).await else { continue };
        let mut sizes = Vec::new();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            match entry.metadata().await {
                Ok(data) if data.is_dir() => open.push(entry.path()),
                Ok(data) => sizes.push(data.len()),
                // Removed since.
                Err(_) => {}
            }
        }
        let partial = dir.extension().is_some_and(|extension| extension == "p");
        sum += if partial { sizes.into_iter().max().unwrap_or(0) } else { sizes.into_iter().sum() };
    }
    sum
}

/// A namespace in which everything goes its way, from the first document to the running pod; gives what that cost.
async fn calm(cluster: &Cluster, ns: &str) -> u64 {
    let before = published(cluster).await;
    let lending = Lending::open(cluster, ns, Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    published(cluster).await.saturating_sub(before)
}

/// The number before a text, in each line that has it.
fn numbers(tail: &str, text: &str) -> u64 {
    let before = |line: &str| line.split_once(text)?.0.rsplit(' ').next()?.parse::<u64>().ok();
    tail.lines().filter_map(before).sum()
}

#[tokio::test]
async fn an_owner_that_fails_again_and_again_costs_little_and_delays_nobody() {
    let Some((cluster, _guard)) = alone().await else { return };
    let usual = calm(cluster, "before-storm").await;
    let storm = Lending::open(cluster, "storm", Some("deny")).await.unwrap();
    let mut pod = storm.pod("crashing", RELEASE);
    pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "name": "crashing", "uid": "5f1b7c52-0c1e-4a0e-9d0c-3b1f4d0f6a11", "controller": true }]);
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let api: Api<Pod> = Api::namespaced(cluster.client("mallory").await.unwrap(), "storm");
    cluster.placet_away().await.unwrap();
    let earlier = whole(cluster).await.lines().count();
    cluster.placet_back().await.unwrap();
    // A dry run is judged, and leaves nothing.
    eventually("the operator's own refusal", SOON, async || {
        let text = serde_json::to_string(&pod).unwrap();
        let args = ["create", "--dry-run=server", "-n", "storm", "-f", "-"];
        let output = cluster.kubectl_with_input("mallory", args, &text).await;
        let told = output.map_err(|error| error.to_string())?.stderr;
        if told.contains("denied the request") { Ok(()) } else { Err(told) }
    })
    .await
    .unwrap();
    let before = published(cluster).await;

    let storming = futures::stream::iter(0..PODS)
        .map(|index| {
            let (api, mut pod) = (&api, pod.clone());
            pod.metadata.name = Some(format!("crashing-{index}"));
            async move { api.create(&PostParams::default(), &pod).await.map(drop) }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    // Somebody else's work goes on meanwhile, with the times that every scenario has.
    let (answers, _) = tokio::join!(storming, calm(cluster, "calm"));
    for answer in answers {
        let refusal = answer.expect_err("a pod of no release was admitted").to_string();
        holds(&refusal, &["denied the request", RELEASE]);
    }

    cluster.placet_away().await.unwrap();
    let grown = published(cluster).await.saturating_sub(before);
    let allowed = usual * 5 / 4 + ALLOWED_FOR_100_000 * PODS as u64 / 100_000;
    assert!(
        grown <= allowed,
        "{PODS} refused pods and one calm namespace cost {grown} bytes, wanted {allowed}"
    );
    // Few records, and each refusal is accounted for.
    let tail: String = whole(cluster).await.lines().skip(earlier).flat_map(|line| [line, "\n"]).collect();
    let recorded = tail.lines().filter(|line| line.contains("storm/")).count();
    assert!((1..=5).contains(&recorded), "{recorded} records:\n{tail}");
    let counted = numbers(&tail, " repeated refusals") + numbers(&tail, " times before without a record");
    assert_eq!(recorded as u64 + counted, PODS as u64, "{tail}");
    cluster.placet_back().await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_nears_its_write_budget_is_named() {
    let Some((cluster, _guard)) = alone().await else { return };
    cluster.install_placet(&json!({"extraArgs": ["--namespace-records-per-second=5"]})).await.unwrap();
    let hasty = Lending::open(cluster, "hasty", Some("deny")).await.unwrap();
    // The disk of the machine that tests may be nearly full; the namespace is named beside it all the same.
    let message = "{.status.conditions[?(@.type=='EvidenceSpace')].message}";
    let unnamed = async || {
        eventually("a condition that names no namespace", SOON, async || {
            let told = cluster.field("", "releasepolicy/high-risk", message).await?;
            if told.is_empty() || told.contains("hasty") { Err(told) } else { Ok(()) }
        })
        .await
        .unwrap();
    };
    unnamed().await;
    // Each has a name of its own, and so a record of its own.
    let pod: Pod = serde_json::from_value(hasty.pod("hasty", RELEASE)).unwrap();
    let api: Api<Pod> = Api::namespaced(cluster.client("mallory").await.unwrap(), "hasty");
    let storming = futures::stream::iter(0..MOST)
        .map(|index| {
            let (api, mut pod) = (&api, pod.clone());
            pod.metadata.name = Some(format!("hasty-{index}"));
            async move { api.create(&PostParams::default(), &pod).await.map(drop) }
        })
        .buffer_unordered(AT_ONCE)
        .for_each(async |answer| {
            let refusal = answer.expect_err("a pod of no release was admitted").to_string();
            holds(&refusal, &["denied the request"]);
        });
    let naming = eventually("the namespace to be named", SOON * 4, async || {
        let told = cluster.field("", "releasepolicy/high-risk", message).await?;
        if told.contains("hasty") { Ok(told) } else { Err(told) }
    });
    let told = tokio::select! {
        told = naming => told.unwrap(),
        () = storming => panic!("{MOST} records of one namespace, and it is not named"),
    };
    holds(
        &told,
        &[
            "used more than 80 %",
            "at once or in a day: hasty;",
            "look for a workload that is created, or an object",
        ],
    );
    let status = "{.status.conditions[?(@.type=='EvidenceSpace')].status}";
    cluster.becomes("", "releasepolicy/high-risk", status, "False").await.unwrap();
    // It is named for ten minutes, and by this run of the operator.
    cluster.install_placet(&json!({})).await.unwrap();
    unnamed().await;
}
