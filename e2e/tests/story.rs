//! The demo's story, with the operator killed in the middle of each of its commands.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use placet_e2e::placet::{INSTALLED_IN, repository};
use placet_e2e::{Cluster, Output, eventually, person, record_skip};
use serde_json::Value;

#[path = "cluster/left.rs"]
mod left;

use left::{nothing_left, processes_of};

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

/// How many steps the story has.
const STEPS: usize = 12;

/// A command of the story with its step.
type Command<'a> = (usize, &'a str);

/// The commands that the story shows.
fn shown(story: &str) -> Vec<Command<'_>> {
    let (mut step, mut found) = (0, Vec::new());
    for line in story.lines() {
        if let Some((number, _)) = line.strip_prefix("── ").and_then(|rest| rest.split_once('.')) {
            step = number.parse().unwrap();
        } else if line.split_once("$ ").is_some_and(|(who, _)| person(who).is_some()) {
            found.push((step, line));
        }
    }
    assert_eq!(step, STEPS, "steps of the story:\n{story}");
    found
}

/// The commands during which the operator was killed.
fn killed(told: &str) -> Vec<Command<'_>> {
    let found: Vec<Command<'_>> = told
        .lines()
        .map_while(|line| {
            let (step, command) = line.split_once(". ")?;
            Some((step.parse().ok()?, command))
        })
        .collect();
    assert!(!found.is_empty(), "no kills in:\n{told}");
    found
}

/// What no kill hit of what the story shows: no command of it but those before there was an operator, and those that only
/// wait for something to be seen.
fn spared<'a>(shown: &[Command<'a>], killed: &[Command<'_>]) -> Vec<Command<'a>> {
    let installs = shown.iter().position(|command| *command == killed[0]);
    assert!(killed[0].1.contains(" helm install placet charts/placet "), "{:?}", killed[0]);
    let mut left = killed.to_vec();
    let mut spared = Vec::new();
    for command in &shown[installs.unwrap()..] {
        match left.iter().position(|hit| hit == command) {
            Some(at) => drop(left.remove(at)),
            None if command.1.contains("$ kubectl get ") => {}
            None => spared.push(*command),
        }
    }
    spared
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
    let mut starts = 0;
    let found = match &cluster {
        // What is published follows what was answered.
        Ok(cluster) if told.status.success() => {
            let logs = cluster.pod_logs(INSTALLED_IN, "placet-0").await.unwrap();
            starts = logs.lines().filter(|line| line.contains(r#""message":"running""#)).count();
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
    let (story, kills) = text.split_once("\nThe operator was killed ").unwrap();
    let (shown, killed) = (shown(story), killed(kills.split_once('\n').unwrap().1));
    let spared = spared(&shown, &killed);
    assert_eq!(spared, [], "no operator was killed during these commands");
    for step in 1..=STEPS {
        assert!(killed.iter().any(|kill| kill.0 == step), "no operator was killed in step {step}:\n{kills}");
    }
    // Each of them had started, in its own words: the last kill's successor may not have yet.
    assert!(starts >= killed.len() - 1, "{} kills and {starts} starts of the operator", killed.len());
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

/// A demo in a directory without charts, so that its first command fails, and where its cluster is.
async fn without_charts(keep: &str) -> (std::process::Output, PathBuf, PathBuf) {
    let dir = std::env::temp_dir().join(format!("placet-e2e-charts-{keep}-{}", std::process::id()));
    tokio::fs::create_dir_all(&dir).await.unwrap();
    let told = tokio::process::Command::new(env!("CARGO_BIN_EXE_placet-demo"))
        .args(["--dir", "demo"])
        .env("DEMO_KEEP", keep)
        .current_dir(&dir)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let cluster = dir.join("demo/cluster");
    (told, dir, cluster)
}

#[tokio::test]
async fn a_demo_that_fails_leaves_nothing_running_or_says_how_to_stop_it() {
    let (kept, gone) = tokio::join!(without_charts("1"), without_charts("0"));
    for (told, ..) in [&kept, &gone] {
        let said = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(1), "{said}");
        assert!(
            said.contains("The demo did not come out as told: wanted exit code 0, found 1 from"),
            "{said}"
        );
    }
    let (told, dir, cluster) = gone;
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(!said.contains("stop it"), "{said}");
    assert_eq!(processes_of(&cluster), Vec::<String>::new(), "DEMO_KEEP=0");
    tokio::fs::remove_dir_all(&dir).await.unwrap();

    let (told, dir, cluster) = kept;
    let said = String::from_utf8_lossy(&told.stderr);
    let command = |start| said.lines().find_map(|line| line.trim_start().strip_prefix(start));
    let (export, stop) = (command("export KUBECONFIG="), command("stop it: "));
    let running = processes_of(&cluster).len();
    // Whatever else is wrong, the cluster goes.
    let stopped = tokio::process::Command::new("sh").arg("-c").arg(stop.unwrap_or("false")).output().await;
    if !stopped.as_ref().is_ok_and(|stopped| stopped.status.success()) {
        Cluster::join(&cluster).unwrap().shut_down().await.unwrap();
    }
    assert!(stopped.as_ref().is_ok_and(|done| done.status.success()), "{said}\n{stopped:?}");
    assert!(running > 5, "{running} processes are no cluster");
    assert!(export.is_some_and(|file| file.starts_with(cluster.to_str().unwrap())), "{said}");
    nothing_left(&cluster, Duration::from_secs(10)).await;
    tokio::fs::remove_dir_all(&dir).await.unwrap();
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

#[test]
fn a_command_without_a_kill_is_named() {
    let last = format!("── {STEPS}. Ends.\ndana$ placet why mr/a\ndana$ kubectl get mr\n");
    let story = format!(
        "── 1. Begins.\nroot-admin$ kubectl create ns a\nroot-admin$ helm install placet charts/placet -n b\nor$ none\n{last}"
    );
    let hit = "1. root-admin$ helm install placet charts/placet -n b\n12. dana$ placet why mr/a\n\nLook around:\n3. more";
    let (shown, killed) = (shown(&story), killed(hit));
    assert_eq!((shown.len(), killed.len()), (4, 2));
    assert_eq!(spared(&shown, &killed), []);
    assert_eq!(spared(&shown, &killed[..1]), [(12, "dana$ placet why mr/a")]);
    let elsewhere = [killed[0], (11, killed[1].1)];
    assert_eq!(spared(&shown, &elsewhere), [(12, "dana$ placet why mr/a")]);
}
