//! What happens while the operator is gone is found when it is back, recorded once, and clears nothing.

use placet_e2e::placet::Lending;
use placet_e2e::{SOON, eventually};
use serde_json::json;

use super::alone;
use super::evidence::whole;

#[tokio::test]
async fn what_happened_while_the_operator_was_gone_is_recorded_once_and_clears_nothing() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "unseen", Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    // The garbage collector asks no webhook of ours, so that with its owner this approval goes while we are gone.
    lending.kubectl("root-admin", &["create", "configmap", "owner"]).await.unwrap().ok().unwrap();
    let uid = cluster.field("unseen", "configmap/owner", "{.metadata.uid}").await.unwrap();
    let owner = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid }]);
    let change = json!({ "metadata": { "ownerReferences": owner } }).to_string();
    let patch = ["patch", "approval/model-owner", "--type=merge", "-p", &change];
    lending.kubectl("root-admin", &patch).await.unwrap().ok().unwrap();

    cluster.placet_away().await.unwrap();
    let weaken = ["label", "--overwrite", "namespace", "unseen", "placet.dev/enforce=warn"];
    cluster.kubectl("root-admin", weaken).await.unwrap().ok().unwrap();
    lending.kubectl("root-admin", &["delete", "configmap", "owner"]).await.unwrap().ok().unwrap();
    eventually("the approval to be collected", SOON, async || {
        let get = ["get", "approval/model-owner", "--ignore-not-found", "-o", "name"];
        let left = lending.kubectl("root-admin", &get).await.map_err(|error| error.to_string())?;
        if left.stdout.trim().is_empty() { Ok(()) } else { Err(left.stdout) }
    })
    .await
    .unwrap();

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
}
