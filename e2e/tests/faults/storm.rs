//! One owner whose pods are refused again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use placet_e2e::placet::{Lending, RELEASE};
use placet_e2e::{Cluster, SOON, eventually};
use serde_json::json;
use tokio::time::Instant;

use super::alone;
use super::common::holds;
use super::evidence::{log_dir, whole};

/// How many pods are refused at least.
const PODS: usize = 2000;

/// What 100,000 of them may cost the log, in bytes.
const ALLOWED_FOR_100_000: u64 = 5_000_000;

/// How many requests are under way at once.
const AT_ONCE: usize = 24;

/// How many pods are refused at most: without an owner, until the condition has to warn. A namespace may write 4,096 records
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

/// How many pods somebody starts one after the other in a namespace in which everything goes its way.
const CALM_PODS: usize = 60;

/// The time in which all but a twentieth of these are admitted, at least: below it nobody is delayed, whatever it was
/// before. A namespace of its own that waited for another's would wait for seconds.
const NO_DELAY: Duration = Duration::from_secs(2);

/// How many times longer it may take while another namespace storms: the machine is as busy as it can be then.
const LONGER: u32 = 20;

/// Starts pods of a release that is cleared. Each is admitted: none is refused, none waits until the API server gives up.
/// Gives the time within which 19 of 20 were.
async fn admitted(lending: &Lending<'_>) -> Duration {
    let api: Api<Pod> = Api::namespaced(lending.cluster.client("dana").await.unwrap(), lending.ns);
    let mut times = Vec::new();
    for index in 0..CALM_PODS {
        let mut pod = lending.pod(&format!("calm-{index}"), RELEASE);
        pod["metadata"]["labels"]["app"] = json!("calm");
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let begun = Instant::now();
        if let Err(error) = api.create(&PostParams::default(), &pod).await {
            panic!("pod {index} of {}, after {:?}: {error}", lending.ns, begun.elapsed());
        }
        times.push(begun.elapsed());
    }
    times.sort();
    times[CALM_PODS * 95 / 100]
}

/// A namespace in which everything goes its way, from the first document to the running pods; gives what that cost and how
/// soon its pods were admitted.
async fn calm(cluster: &Cluster, ns: &str) -> (u64, Duration) {
    let before = published(cluster).await;
    let lending = Lending::open(cluster, ns, Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    let soon = admitted(&lending).await;
    (published(cluster).await.saturating_sub(before), soon)
}

/// The number before a text, in each line that has it.
fn numbers(tail: &str, text: &str) -> u64 {
    let before = |line: &str| line.split_once(text)?.0.rsplit(' ').next()?.parse::<u64>().ok();
    tail.lines().filter_map(before).sum()
}

#[tokio::test]
async fn an_owner_that_fails_again_and_again_costs_little_and_delays_nobody() {
    let Some((cluster, _guard)) = alone().await else { return };
    let (usual, soon) = calm(cluster, "before-storm").await;
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

    // Somebody else's work goes on meanwhile, and as long as it does the storm does.
    let calm_again = AtomicBool::new(false);
    let more = |index: &usize| std::future::ready(*index < PODS || !calm_again.load(Ordering::Relaxed));
    let storming = futures::stream::iter(0..MOST)
        .take_while(more)
        .map(|index| {
            let (api, mut pod) = (&api, pod.clone());
            pod.metadata.name = Some(format!("crashing-{index}"));
            async move { api.create(&PostParams::default(), &pod).await.map(drop) }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    let calmly = async {
        let found = calm(cluster, "calm").await;
        calm_again.store(true, Ordering::Relaxed);
        found
    };
    let (answers, (_, meanwhile)) = tokio::join!(storming, calmly);
    let pods = answers.len();
    assert!(pods < MOST, "the storm ended before the calm namespace was done");
    for answer in answers {
        let refusal = answer.expect_err("a pod of no release was admitted").to_string();
        holds(&refusal, &["denied the request", RELEASE]);
    }
    println!(
        "{pods} pods were refused; of the calm namespace 19 of 20 pods took {soon:?} before, {meanwhile:?} meanwhile"
    );
    assert!(
        meanwhile <= NO_DELAY.max(soon * LONGER),
        "a namespace waits for another: 19 of 20 pods were admitted within {soon:?} before the storm, {meanwhile:?} in it"
    );

    cluster.placet_away().await.unwrap();
    let grown = published(cluster).await.saturating_sub(before);
    let allowed = usual * 5 / 4 + ALLOWED_FOR_100_000 * pods as u64 / 100_000;
    assert!(
        grown <= allowed,
        "{pods} refused pods and one calm namespace cost {grown} bytes, wanted {allowed}"
    );
    // Few records, and each refusal is accounted for.
    let tail: String = whole(cluster).await.lines().skip(earlier).flat_map(|line| [line, "\n"]).collect();
    let recorded = tail.lines().filter(|line| line.contains("storm/")).count();
    assert!((1..=5).contains(&recorded), "{recorded} records:\n{tail}");
    let counted = numbers(&tail, " repeated refusals") + numbers(&tail, " times before without a record");
    assert_eq!(recorded as u64 + counted, pods as u64, "{tail}");
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
