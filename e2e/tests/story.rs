//! The demo's story, with the operator killed in the middle of each of its commands.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use placet_e2e::placet::repository;
use placet_e2e::{Cluster, Output, eventually, record_skip};
use serde_json::Value;

/// The records that the API server's audit log says an answer rests on, with the name of the object.
async fn answered(cluster: &Cluster) -> BTreeMap<u64, String> {
    let text = tokio::fs::read_to_string(cluster.audit_log().unwrap()).await.unwrap();
    let mut found = BTreeMap::new();
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if event["stage"] != "ResponseComplete" {
            continue;
        }
        let notes = event["annotations"].as_object().into_iter().flatten();
        for (_, record) in notes.filter(|(key, _)| key.ends_with("placet.dev/record")) {
            let index = record.as_str().and_then(|index| index.parse().ok()).unwrap();
            let name = event["objectRef"]["name"].as_str().unwrap_or_default().to_owned();
            assert_eq!(found.insert(index, name), None, "record {index} stands for two answers");
        }
    }
    found
}

async fn placet(cluster: &Cluster, args: &[&str]) -> Output {
    cluster.run("placet", "audrey", args, None).await.unwrap()
}

#[tokio::test]
async fn the_story_comes_out_the_same_with_the_operator_killed_during_each_step() {
    // The demo starts a cluster of its own, whatever E2E_KUBECONFIG says.
    #[expect(clippy::disallowed_methods, reason = "the variable is the test's, not the product's")]
    let elsewhere = std::env::var_os("E2E_KUBECONFIG");
    if elsewhere.is_some() {
        record_skip("kill the operator", "the cluster of E2E_KUBECONFIG is not ours");
        return;
    }
    let dir = std::env::temp_dir().join(format!("placet-e2e-story-{}", std::process::id()));
    let told = tokio::process::Command::new(env!("CARGO_BIN_EXE_placet-demo"))
        .arg("--kill-operator")
        .arg("--dir")
        .arg(&dir)
        .env("DEMO_KEEP", "1")
        .current_dir(repository())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let cluster = Cluster::join(&dir.join("cluster"));
    // The cluster goes, whatever is found.
    let found = match &cluster {
        // What is published follows what was answered.
        Ok(cluster) if told.status.success() => {
            let found = eventually("a log that holds everything", Duration::from_secs(60), async || {
                nothing_is_lost(cluster, &dir).await
            });
            found.await.map_err(|error| error.to_string())
        }
        _ => Err(String::from_utf8_lossy(&told.stderr).into_owned()),
    };
    if let Ok(cluster) = cluster {
        cluster.shut_down().await.unwrap();
    }
    assert!(told.status.success(), "{text}\n{}", String::from_utf8_lossy(&told.stderr));
    found.unwrap();
    let kills = text.lines().find_map(|line| line.strip_prefix("The operator was killed ")).unwrap();
    let kills: usize = kills.trim_end_matches(" times.").parse().unwrap();
    assert!(kills >= 15, "only {kills} kills:\n{text}");
    tokio::fs::remove_dir_all(&dir).await.unwrap();
}

#[tokio::test]
async fn a_demo_that_cannot_go_on_ends_with_exit_code_1() {
    // Its transcript has no place to go.
    let told = tokio::process::Command::new(env!("CARGO_BIN_EXE_placet-demo"))
        .args(["--dir", "/dev/null/demo"])
        .current_dir(repository())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(1), "{said}");
    assert!(said.contains("The demo did not come out as told: "), "{said}");
}

/// The log verifies, and holds each record that an answer rested on.
async fn nothing_is_lost(cluster: &Cluster, dir: &Path) -> Result<(), String> {
    let answered = answered(cluster).await;
    if answered.len() < 20 {
        return Err(format!("only {} answers: {answered:?}", answered.len()));
    }
    let (log, key) = (dir.join("pulled-again"), dir.join("log.pub"));
    let (log, key) = (log.to_string_lossy(), key.to_string_lossy());
    placet(cluster, &["evidence", "pull", "--to", &log]).await.ok().map_err(|error| error.to_string())?;
    let verified = placet(cluster, &["evidence", "verify", &log, "--key", &key]).await;
    if verified.code != 0 {
        return Err(format!("the log does not verify: {verified:?}"));
    }
    let tail = placet(cluster, &["evidence", "tail", "--dir", &log, "--last", "100000"]).await;
    let tail = tail.ok().map_err(|error| error.to_string())?;
    for (index, name) in &answered {
        let wanted = index.to_string();
        let line = tail.lines().find(|line| line.split_whitespace().next() == Some(&wanted));
        if !line.is_some_and(|line| line.contains(name.as_str())) {
            return Err(format!("record {index} is to be about {name}, found {line:?}"));
        }
    }
    Ok(())
}
