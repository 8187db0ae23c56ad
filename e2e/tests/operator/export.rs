//! `placet check` on what a cluster exports: the decision and the words are those of the cluster.

use std::path::Path;

use placet_e2e::placet::{Lending, RELEASE};
use placet_e2e::{Cluster, Output};
use serde_json::{Value, json};

use super::common::{holds, refused};
use super::lending;

/// Everything that a decision on a release of this namespace reads, as kubectl writes it.
async fn export(lending: &Lending<'_>, dir: &Path) {
    let ns = lending.ns;
    let all = [
        ("objects.yaml", format!("get ais,ia,mr,tr,dset,apv,ra -n {ns} -o yaml")),
        // Not those of other scenarios, of which a version may be waiting at this moment.
        ("policies.yaml", "get releasepolicies minimal limited high-risk -o yaml".to_owned()),
        ("roles.yaml", "get approvalroles,trustedsigners -o yaml".to_owned()),
        ("namespace.yaml", format!("get namespace {ns} -o yaml")),
    ];
    tokio::fs::create_dir_all(dir).await.unwrap();
    for (file, args) in all {
        let text = lending.cluster.kubectl("admin", args.split(' ')).await.unwrap().ok().unwrap();
        tokio::fs::write(dir.join(file), text).await.unwrap();
    }
}

/// `placet check` on an export, without a cluster.
async fn check(cluster: &Cluster, dir: &Path, more: &[&str]) -> Output {
    let dir = dir.to_string_lossy();
    let args = ["check", "-f", &dir, "-o", "json", "--kubeconfig=/dev/null"];
    cluster.run("placet", "dana", args.iter().chain(more), None).await.unwrap()
}

/// What the cluster's keys and uid are, by the commands that `placet check` names where it was given none.
async fn keys(cluster: &Cluster, told: &Output, file: &Path) -> String {
    let command = |option: &str| {
        let (_, command) =
            told.stderr.split_once(option).unwrap_or_else(|| panic!("no {option} in {told:?}"));
        let end = command.find("> FILE").or_else(|| command.find(')')).unwrap();
        command[..end].trim().to_owned()
    };
    let (keys, uid) = (command("--receipt-keys FILE:"), command("--cluster-uid UID:"));
    let typed = async |command: &str| {
        let args = ["-c", command];
        cluster.run("sh", "admin", args, None).await.unwrap().ok().unwrap()
    };
    tokio::fs::write(file, typed(&keys).await).await.unwrap();
    typed(&uid).await
}

/// What each gate says, in the words of each of its findings.
fn words(gates: &Value) -> Vec<Value> {
    let finding = |found: &Value| -> Value {
        let shown = ["reason", "item", "wanted", "found", "who", "command"];
        shown.iter().map(|key| found[*key].as_str().unwrap_or_default()).collect()
    };
    let gate = |gate: &Value| {
        let findings = gate["findings"].as_array().into_iter().flatten().map(finding);
        json!({ "gate": gate["gate"], "verdict": gate["verdict"], "findings": findings.collect::<Vec<_>>() })
    };
    gates.as_array().unwrap().iter().map(gate).collect()
}

/// The release's status on the cluster.
async fn status(lending: &Lending<'_>) -> Value {
    let text = lending.kubectl("admin", &["get", "mr", RELEASE, "-o", "json"]).await.unwrap().ok().unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["status"].clone()
}

/// Holds the answer to an export against the release's status.
#[track_caller]
fn as_the_cluster(answer: &Output, status: &Value) -> String {
    let answer: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"));
    let release = &answer["releases"][0];
    let cleared = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Cleared").unwrap();
    assert_eq!(release["cleared"], cleared["status"], "{answer}");
    assert_eq!(words(&release["decision"]["gates"]), words(&status["gates"]));
    assert_eq!(release["clearedUntil"], status["validUntil"]);
    assert_eq!(release["decision"]["content"], status["digests"]["content"]);
    assert_eq!(release["decision"]["evidence"], status["digests"]["evidence"]);
    release["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_export_of_the_cluster_is_decided_as_on_the_cluster_in_the_same_words() {
    let Some(lending) = lending("exported", Some("deny")).await else { return };
    let cluster = lending.cluster;
    let dir = cluster.dir().join("exported");
    let keys_file = cluster.dir().join("settings/receipt-keys");

    // Refused: nobody was asked about the risk, a developer's approval does not count, the executive rejects.
    lending.all_documents().await.unwrap();
    let digest = lending.digest("aisystem/credit-eligibility").await.unwrap();
    let evaluation = lending.approval("evaluation", "validator", "AISystem", "credit-eligibility", &digest);
    lending.apply("vera", &evaluation.to_string()).await.unwrap().ok().unwrap();
    lending.approve("bob", "model-owner", None).await.unwrap();
    let mut reject = lending.of_evidence("stop", "legal-compliance").await.unwrap();
    reject["spec"]["decision"] = json!("Reject");
    lending.apply("lena", &reject.to_string()).await.unwrap().ok().unwrap();
    lending.findings_say(&["stop rejects this content"]).await.unwrap();
    let denied = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    let (_, denial) = refused(&denied).split_once("denied the request: ").unwrap();
    let recorded = denial.find(" (record ").unwrap();
    let after = recorded + denial[recorded..].find(')').unwrap() + 1;
    let denial = format!("{}{}", &denial[..recorded], &denial[after..]);
    holds(&denial, &["stop rejects this content", "R1 is High"]);

    export(&lending, &dir).await;
    let unverified = check(cluster, &dir, &[]).await;
    let uid = keys(cluster, &unverified, &keys_file).await;
    let given = ["--receipt-keys", &keys_file.to_string_lossy(), "--cluster-uid", &uid];
    let answer = check(cluster, &dir, &given).await;
    assert_eq!(answer.code, 1, "{answer:?}");
    assert_eq!(as_the_cluster(&answer, &status(&lending).await), denial.trim_end());

    // Cleared: until the same moment.
    lending.assessed().await.unwrap();
    lending.accept_risk().await.unwrap();
    let release = format!("mr/{RELEASE}");
    let answer =
        ["approve", &release, "--role", "legal-compliance", "--answers", "stop", "-n", "exported", "--yes"];
    cluster.run("placet", "lena", answer, None).await.unwrap().ok().unwrap();
    lending.approvals(&["model-owner", "legal-compliance"]).await.unwrap();
    lending.approve_as("model-owner-again", "bob", "model-owner", None).await.unwrap();
    lending.cleared("True").await.unwrap();
    tokio::fs::remove_dir_all(&dir).await.unwrap();
    export(&lending, &dir).await;
    let answer = check(cluster, &dir, &given).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    as_the_cluster(&answer, &status(&lending).await);

    // The export is verified: one word of it changed, it is not what was stamped.
    let file = dir.join("objects.yaml");
    let text = tokio::fs::read_to_string(&file).await.unwrap();
    tokio::fs::write(&file, text.replace("version: 2.0.0", "version: 2.0.1")).await.unwrap();
    let answer = check(cluster, &dir, &given).await;
    assert_eq!(answer.code, 1, "{answer:?}");
    holds(&answer.stdout, &["behind the webhook's back"]);
    tokio::fs::remove_dir_all(&dir).await.unwrap();
}
