//! What happens while the operator is gone is found when it is back, recorded once, and clears nothing.

use placet_e2e::placet::{INSTALLED_IN, Lending, RELEASE, SYSTEM};
use placet_e2e::{SOON, eventually};
use serde_json::{Value, json};

use super::alone;
use super::common::refused_with;
use super::evidence::whole;
use super::webhooks::CONFIGURATIONS;

#[tokio::test]
async fn what_happened_while_the_operator_was_gone_is_recorded_once_and_clears_nothing() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "unseen", Some("deny")).await.unwrap();
    lending.clear().await.unwrap();

    cluster.placet_away().await.unwrap();
    let weaken = ["label", "--overwrite", "namespace", "unseen", "placet.dev/enforce=warn"];
    cluster.kubectl("root-admin", weaken).await.unwrap().ok().unwrap();
    // With the operator gone nothing of ours can be deleted, until somebody takes the webhooks away, too.
    let delete = ["delete", "approval/model-owner"];
    let refusal = lending.kubectl("root-admin", &delete).await.unwrap();
    refused_with(&refusal, &["failed calling webhook"]);
    for configuration in CONFIGURATIONS {
        cluster.kubectl("root-admin", ["delete", configuration]).await.unwrap().ok().unwrap();
    }
    let given = lending
        .kubectl("root-admin", &["get", "approval/model-owner", "-o", "json"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    lending.kubectl("root-admin", &delete).await.unwrap().ok().unwrap();
    // What is written now nobody stamps: neither what copies the stamp of what was there, nor what carries none.
    let mut copied: Value = serde_json::from_str(&given).unwrap();
    let metadata =
        json!({"name": "copied", "namespace": "unseen", "annotations": copied["metadata"]["annotations"]});
    let bare = json!({"name": "bare", "namespace": "unseen"});
    for metadata in [metadata, bare] {
        copied["metadata"] = metadata;
        copied["status"] = Value::Null;
        lending.apply("root-admin", &copied.to_string()).await.unwrap().ok().unwrap();
    }
    // The webhooks come back as the README says, and the operator with them.
    let scale = ["scale", "-n", INSTALLED_IN, "statefulset/placet", "--replicas=1"];
    cluster.kubectl("root-admin", scale).await.unwrap().ok().unwrap();
    cluster.install_placet(&json!({})).await.unwrap();

    for start in 1..=2 {
        cluster.placet_back().await.unwrap();
        lending.cleared("False").await.unwrap();
        cluster.placet_away().await.unwrap();
        let tail = whole(cluster).await;
        let about = |line: &&str| line.contains("(unseen/model-owner)") || line.contains("unseen");
        for found in ["approval found gone", "deny to warn, found afterwards"] {
            let times = tail.lines().filter(about).filter(|line| line.contains(found)).count();
            assert_eq!(times, 1, "{found:?} after start {start}:\n{tail}");
        }
    }
    cluster.placet_back().await.unwrap();
    lending.findings_say(&["copied", "another object", "bare", "it carries no stamp"]).await.unwrap();

    // A class that was lowered is known to the next start, too: from the log, since nothing that is there says so.
    let lower = r#"{"spec":{"triggers":{"annexIII":[],"article50":["1"],"profiling":false}}}"#;
    let patch = ["patch", &format!("ais/{SYSTEM}"), "--type=merge", "-p", lower];
    lending.kubectl("dana", &patch).await.unwrap().ok().unwrap();
    cluster.becomes("unseen", &format!("ais/{SYSTEM}"), "{.status.class}", "Limited").await.unwrap();
    cluster.placet_away().await.unwrap();
    cluster.placet_back().await.unwrap();
    let again = lending.manifest("release-v2").unwrap().replace(RELEASE, "judged-anew");
    lending.apply("dana", &again).await.unwrap().ok().unwrap();
    eventually("the class to be told as lowered", SOON, async || {
        let gates = cluster.field("unseen", "mr/judged-anew", "{.status.gates}").await?;
        if gates.contains("was of class High before") { Ok(()) } else { Err(gates) }
    })
    .await
    .unwrap();
}
