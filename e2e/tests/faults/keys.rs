//! The key of receipts: rotated, distrusted, lost with its Secret.

use placet_e2e::placet::{INSTALLED_IN, Lending};
use placet_e2e::{Cluster, Output};
use serde_json::{Value, json};

use super::alone;
use super::common::{holds, refused_with};
use super::evidence::{line, placet, whole};

const HEAD: &str = "configmap/placet-log-head";

/// The keys as `placet keys list` gives them.
async fn keys(cluster: &Cluster) -> Vec<Value> {
    let listed = placet(cluster, &["keys", "list", "-o", "json"]).await.ok().unwrap();
    serde_json::from_str::<Value>(&listed).unwrap().as_array().unwrap().clone()
}

/// Id of the key that signs, the only one.
async fn signs(cluster: &Cluster) -> String {
    let keys = keys(cluster).await;
    let signing: Vec<&Value> = keys.iter().filter(|key| key["signs"] == true).collect();
    assert_eq!(signing.len(), 1, "{keys:?}");
    signing[0]["id"].as_str().unwrap().to_owned()
}

/// Key that signed an approval, and the record that its stamp names.
async fn stamped(lending: &Lending<'_>, approval: &str) -> (String, u64) {
    let field = async |key: &str| {
        let path = format!("{{.metadata.annotations.placet\\.dev/{key}}}");
        lending.cluster.field(lending.ns, &format!("approval/{approval}"), &path).await.unwrap()
    };
    let (receipt, stamp) = (field("receipt").await, field("stamp").await);
    let stamp: Value = serde_json::from_str(&stamp).unwrap();
    (receipt.split('.').nth(1).unwrap().to_owned(), stamp["record"].as_u64().unwrap())
}

async fn again(lending: &Lending<'_>, who: &str, role: &str, name: &str) {
    lending.approve_as(name, who, role, None).await.unwrap();
}

/// What a deployment of the release is refused with.
async fn refusal(lending: &Lending<'_>) -> Output {
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap()
}

#[tokio::test]
async fn keys_are_rotated_distrusted_and_lost_and_what_the_log_knows_decides() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "keys", Some("deny")).await.unwrap();
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["model-owner", "executive"]).await.unwrap();
    let first = signs(cluster).await;
    assert_eq!(stamped(&lending, "validator").await.0, first);

    // Rotated, by somebody who may change that one ConfigMap and nothing else there.
    let role = [
        "create",
        "role",
        "keys",
        "-n",
        INSTALLED_IN,
        "--verb=get,patch",
        "--resource=configmaps",
        "--resource-name=placet-log-head",
    ];
    cluster.kubectl("root-admin", role).await.unwrap().ok().unwrap();
    let bind = ["create", "rolebinding", "keys", "-n", INSTALLED_IN, "--role=keys", "--user=mallory"];
    cluster.kubectl("root-admin", bind).await.unwrap().ok().unwrap();
    let rotate = ["keys", "rotate", "--because", "Every year", "--yes"];
    let rotated = cluster.run("placet", "mallory", rotate, None).await.unwrap().ok().unwrap();
    for object in ["rolebinding", "role"] {
        let delete = ["delete", object, "keys", "-n", INSTALLED_IN];
        cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
    }
    let second = signs(cluster).await;
    assert_ne!(second, first);
    holds(&rotated, &[&second, &format!("{first} goes on verifying")]);
    cluster.placet_ready().await.unwrap();
    // What the old key signed counts beside what the new one signs.
    lending.approve("bob", "model-owner", None).await.unwrap();
    lending.approve("frank", "executive", None).await.unwrap();
    lending.cleared("True").await.unwrap();
    let (key, from) = stamped(&lending, "executive").await;
    assert_eq!(key, second);

    // What cannot be ordered.
    let distrust = async |key: &str, from: &str| {
        placet(cluster, &["keys", "distrust", key, "--from", from, "--because", "It leaked", "--yes"]).await
    };
    refused_with(
        &distrust("0123456789abcdef", "1").await,
        &["wanted the id of a receipt key", &first, &second],
    );
    let beyond = distrust(&second, "99999999").await;
    refused_with(
        &beyond,
        &["the operator refused the order", "wanted an index of the log", "found 99999999"],
    );
    assert_eq!((beyond.code, signs(cluster).await), (2, second.clone()));
    let empty = placet(cluster, &["keys", "rotate", "--because", " ", "--yes"]).await;
    refused_with(&empty, &["--because: wanted a reason"]);

    // Distrusted from the last approval on: that one alone does not count, and a new key signs.
    let said = distrust(&second, &from.to_string()).await.ok().unwrap();
    let third = signs(cluster).await;
    holds(&said, &["is distrusted", &third]);
    assert_ne!(third, second);
    cluster.placet_ready().await.unwrap();
    lending.cleared("False").await.unwrap();
    let refused = refusal(&lending).await;
    refused_with(&refused, &["executive: 0 of 1", "a key that is distrusted", "applies it again"]);
    assert!(!refused.stderr.contains("model-owner: 0"), "{refused:?}");
    // Its author gives it anew; the old one is as if it had never been.
    again(&lending, "frank", "executive", "executive-again").await;
    lending.cleared("True").await.unwrap();
    assert_eq!(stamped(&lending, "executive-again").await.0, third);
    let listed = placet(cluster, &["keys", "list"]).await.ok().unwrap();
    holds(&listed, &[&format!("distrusted from record {from} on: It leaked"), "verifies", "signs"]);

    // An order waits while the operator is away; a second one is refused.
    cluster.placet_away().await.unwrap();
    let tail = whole(cluster).await;
    holds(&tail, &["key replaced", "Every year", "key distrusted", "It leaked"]);
    holds(line(&tail, from), &["approval stamped", "by frank", &second, "(Approval keys/executive)"]);
    let order = json!({ "id": "0001", "because": "The first" }).to_string();
    let leave = json!({ "data": { "keyOrder": order } }).to_string();
    let patch = ["patch", "-n", INSTALLED_IN, HEAD, "--type=merge", "-p", &leave];
    cluster.kubectl("root-admin", patch).await.unwrap().ok().unwrap();
    let refused = placet(cluster, &rotate).await;
    refused_with(&refused, &["wanted no order that waits, found one: The first", "kubectl patch configmap"]);
    let back = r#"[{"op":"remove","path":"/data/keyOrder"}]"#;
    let patch = ["patch", "-n", INSTALLED_IN, HEAD, "--type=json", "-p", back];
    cluster.kubectl("root-admin", patch).await.unwrap().ok().unwrap();

    // The Secret is lost with it.
    let delete = ["delete", "-n", INSTALLED_IN, "secret/placet-receipt-key"];
    cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
    cluster.placet_back().await.unwrap();
    let fourth = signs(cluster).await;
    assert_eq!(keys(cluster).await.len(), 4);
    // Approvals of all trusted keys count, new ones too.
    let reconciled = lending.kubectl("root-admin", &["delete", "approval/executive-again"]).await.unwrap();
    reconciled.ok().unwrap();
    lending.cleared("False").await.unwrap();
    again(&lending, "frank", "executive", "executive-once-more").await;
    lending.cleared("True").await.unwrap();
    assert_eq!(stamped(&lending, "executive-once-more").await.0, fourth);
    refusal(&lending).await.ok().unwrap();
    lending.running(1).await.unwrap();
}
