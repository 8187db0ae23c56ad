//! The log: verified, tampered with, taken away, and the operator killed while it writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use placet_e2e::placet::{INSTALLED_IN, Lending};
use placet_e2e::{Cluster, Did, Output, PodSignal, SOON, eventually};
use serde_json::Value;

use super::alone;
use super::common::holds;

pub async fn placet(cluster: &Cluster, args: &[&str]) -> Output {
    cluster.run("placet", "root-admin", args, None).await.unwrap()
}

/// The log's directory on this machine.
pub async fn log_dir(cluster: &Cluster) -> PathBuf {
    cluster.claim_dir(INSTALLED_IN, "log-placet-0").await.unwrap().unwrap().join("log")
}

/// A file with the log's public key, as an auditor keeps it.
pub async fn key(cluster: &Cluster) -> PathBuf {
    let key = cluster.field(INSTALLED_IN, "configmap/placet-log-head", "{.data.vkey}").await.unwrap();
    let file = cluster.dir().join("settings/log-key");
    tokio::fs::write(&file, key).await.unwrap();
    file
}

pub async fn verify(cluster: &Cluster, dir: &Path, key: Option<&Path>) -> Output {
    let mut args = vec!["evidence".to_owned(), "verify".to_owned(), dir.display().to_string()];
    if let Some(key) = key {
        args.extend(["--key".to_owned(), key.display().to_string()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    placet(cluster, &args).await
}

/// Copies a directory with everything below it.
pub async fn copy(from: &Path, to: &Path) {
    let mut open = vec![(from.to_path_buf(), to.to_path_buf())];
    while let Some((from, to)) = open.pop() {
        tokio::fs::create_dir_all(&to).await.unwrap();
        let mut entries = tokio::fs::read_dir(&from).await.unwrap();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type().await.unwrap().is_dir() {
                open.push((source, target));
            } else {
                tokio::fs::copy(&source, &target).await.unwrap();
            }
        }
    }
}

/// All files below a directory.
async fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![dir.to_path_buf()], Vec::new());
    while let Some(dir) = open.pop() {
        let mut entries = tokio::fs::read_dir(&dir).await.unwrap();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            if entry.file_type().await.unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found
}

/// The files below a directory that hold one of these.
async fn holding(dir: &Path, wanted: &[Vec<u8>]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in files(dir).await {
        let bytes = tokio::fs::read(&file).await.unwrap();
        if wanted.iter().any(|one| bytes.windows(one.len()).any(|part| part == one)) {
            found.push(file);
        }
    }
    found
}

#[tokio::test]
async fn the_log_verifies_and_one_byte_that_is_flipped_is_found() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "verified", Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    // Everything is written out when the operator ends.
    cluster.placet_away().await.unwrap();
    let (dir, key) = (log_dir(cluster).await, key(cluster).await);
    let verified = verify(cluster, &dir, Some(&key)).await;
    assert_eq!(verified.code, 0, "{verified:?}");
    holds(&verified.stdout, &["verified:", "decision", "admission"]);
    let unauthenticated = verify(cluster, &dir, None).await;
    assert_eq!(unauthenticated.code, 3, "{unauthenticated:?}");
    holds(&unauthenticated.stdout, &["consistent with itself, not authenticated"]);

    // The keys lie in Secrets alone, and nowhere on the volume: not as they are, not as text.
    let volume = dir.parent().unwrap();
    let origin = cluster.field(INSTALLED_IN, "configmap/placet-log-head", "{.data.vkey}").await.unwrap();
    let origin = origin.split('+').next().unwrap().as_bytes().to_vec();
    assert!(holding(volume, &[origin]).await.contains(&dir.join("checkpoint")), "what is there is found");
    for secret in ["log-key", "receipt-key", "people-key"] {
        let object = format!("secret/placet-{secret}");
        let stored = cluster.field(INSTALLED_IN, &object, "{.data.key}").await.unwrap();
        let raw = STANDARD.decode(&stored).unwrap();
        assert_eq!(raw.len(), 32, "{secret}");
        let (text, in_urls) = (stored.trim_end_matches('='), URL_SAFE_NO_PAD.encode(&raw));
        let wanted = [raw, text.as_bytes().to_vec(), in_urls.into_bytes()];
        assert_eq!(holding(volume, &wanted).await, Vec::<PathBuf>::new(), "{secret}");
    }

    // One byte of one tile of records, of a copy.
    let copied = cluster.dir().join("flipped");
    copy(&dir, &copied).await;
    let file = files(&copied.join("tile/entries")).await.pop().unwrap();
    let mut bytes = tokio::fs::read(&file).await.unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    tokio::fs::write(&file, bytes).await.unwrap();
    let tampered = verify(cluster, &copied, Some(&key)).await;
    assert_eq!(tampered.code, 1, "{tampered:?}");
    holds(&tampered.stdout, &["TAMPERED", "wrong:"]);
    tokio::fs::remove_dir_all(&copied).await.unwrap();
    cluster.placet_back().await.unwrap();
}

/// The records that the API server's audit log says an answer in a namespace rests on, with the object's name.
pub async fn answered(cluster: &Cluster, ns: &str) -> BTreeMap<u64, String> {
    let text = tokio::fs::read_to_string(cluster.audit_log().unwrap()).await.unwrap();
    let mut found = BTreeMap::new();
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let about = &event["objectRef"];
        if about["namespace"] != ns || event["stage"] != "ResponseComplete" {
            continue;
        }
        let notes = event["annotations"].as_object().into_iter().flatten();
        for (_, record) in notes.filter(|(key, _)| key.ends_with("placet.dev/record")) {
            let index = record.as_str().and_then(|index| index.parse().ok()).unwrap();
            let name = about["name"].as_str().unwrap().to_owned();
            let before = found.insert(index, name);
            assert_eq!(before, None, "record {index} stands for two answers");
        }
    }
    found
}

/// All records as lines, from a log that verifies. The operator is away.
pub async fn whole(cluster: &Cluster) -> String {
    let (dir, key) = (log_dir(cluster).await, key(cluster).await);
    let verified = verify(cluster, &dir, Some(&key)).await;
    assert_eq!(verified.code, 0, "{verified:?}");
    let dir = dir.display().to_string();
    placet(cluster, &["evidence", "tail", "--dir", &dir, "--last", "100000"]).await.ok().unwrap()
}

/// The line of a record.
pub fn line(tail: &str, index: u64) -> &str {
    let wanted = index.to_string();
    tail.lines().find(|line| line.split_whitespace().next() == Some(&wanted)).unwrap_or_default()
}

#[tokio::test]
async fn a_kill_in_the_middle_loses_no_record_whose_effect_was_seen() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "killed", Some("deny")).await.unwrap();
    lending.all_documents().await.unwrap();
    for round in 0..3 {
        let writing = async {
            for index in 0..12 {
                let text = lending.manifest("report-performance-v2").unwrap();
                let text = text.replace(
                    "name: credit-eligibility-2.0.0-performance",
                    &format!("name: r{round}-{index}"),
                );
                // Some fail while the operator is away: then there was no effect.
                lending.apply("dana", &text).await.unwrap();
            }
        };
        let killing = async {
            tokio::time::sleep(std::time::Duration::from_millis(400 + 150 * round)).await;
            assert_eq!(
                cluster.signal_pod(INSTALLED_IN, "placet-0", None, PodSignal::Kill).await.unwrap(),
                Did::Done
            );
        };
        tokio::join!(writing, killing);
        cluster.placet_ready().await.unwrap();
    }
    lending.settings_and_risk().await.unwrap();
    cluster.placet_away().await.unwrap();
    let answered = answered(cluster, "killed").await;
    assert!(answered.len() > 12, "{answered:?}");
    let tail = whole(cluster).await;
    for (index, name) in &answered {
        let line = line(&tail, *index);
        assert!(
            line.contains(&format!("killed/{name})")),
            "record {index} is to be about {name}, found {line:?}"
        );
    }
    // And nothing exists that was never recorded.
    let args = ["get", "tr", "-o", "jsonpath={.items[*].metadata.name}"];
    let listed = lending.kubectl("admin", &args).await.unwrap().ok().unwrap();
    for name in listed.split_whitespace() {
        assert!(tail.contains(&format!("killed/{name})")), "{name} exists and is not in the log");
    }
    cluster.placet_back().await.unwrap();
}

#[tokio::test]
async fn a_log_that_is_empty_or_older_is_refused_until_a_successor_is_ordered() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "successor", Some("deny")).await.unwrap();
    lending.all_documents().await.unwrap();
    let dir = log_dir(cluster).await;
    cluster.placet_away().await.unwrap();
    let older = cluster.dir().join("older-log");
    copy(&dir, &older).await;
    cluster.placet_back().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    cluster.placet_away().await.unwrap();
    let newest = cluster.dir().join("newest-log");
    tokio::fs::rename(&dir, &newest).await.unwrap();

    let scale = |replicas: &'static str| ["scale", "-n", INSTALLED_IN, "statefulset/placet", replicas];
    let told = async |wanted: &str| {
        let message = eventually("the operator's refusal of the log", SOON, async || {
            let logs = cluster.kubectl("admin", ["logs", "-n", INSTALLED_IN, "placet-0", "--tail=1"]).await;
            let found = logs.and_then(Output::ok).map_err(|error| error.to_string())?;
            if found.contains(wanted) { Ok(found) } else { Err(found) }
        })
        .await
        .unwrap();
        holds(&message, &["placet evidence begin --because"]);
    };
    // Restored from an older copy.
    copy(&older, &dir).await;
    cluster.kubectl("root-admin", scale("--replicas=1")).await.unwrap().ok().unwrap();
    told("restore").await;
    cluster.placet_away().await.unwrap();
    // Emptied.
    tokio::fs::remove_dir_all(&dir).await.unwrap();
    cluster.kubectl("root-admin", scale("--replicas=1")).await.unwrap().ok().unwrap();
    told("the volume holds no log").await;
    // Nothing is admitted meanwhile.
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    assert_ne!(refusal.code, 0, "{refusal:?}");

    let ordered = placet(cluster, &["evidence", "begin", "--because", "The volume was lost", "--yes"]).await;
    assert_eq!(ordered.code, 0, "{ordered:?}");
    cluster.placet_away().await.unwrap();
    cluster.placet_back().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();
    cluster.placet_away().await.unwrap();
    let key = key(cluster).await;
    let verified = verify(cluster, &dir, Some(&key)).await;
    assert_eq!(verified.code, 0, "{verified:?}");
    holds(&verified.stdout, &["it follows", "The volume was lost"]);
    cluster.placet_back().await.unwrap();
}
