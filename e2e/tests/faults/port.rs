//! Where the webhooks lead, when the operator restarts, somebody overwrites it, or the API server tells it.

use std::time::Duration;

use placet_e2e::{SOON, eventually};
use serde_json::{Value, json};

use super::alone;
use super::webhooks::{CONFIGURATIONS, in_force, log_says, namespaces, not_found, path, review, send};

fn role(title: &str) -> Value {
    json!({"apiVersion": "placet.dev/v1alpha1", "kind": "ApprovalRole", "metadata": {"name": "port"},
           "spec": {"title": title, "answersFor": "Nothing"}})
}

#[tokio::test]
async fn an_overwritten_path_is_put_back_and_calls_arrive() {
    let Some((cluster, _turn)) = alone().await else { return };
    in_force(cluster).await;
    let patch = r#"[{"op":"replace","path":"/webhooks/0/clientConfig/service/path","value":"/elsewhere"}]"#;
    for configuration in CONFIGURATIONS {
        let patch = ["patch", configuration, "--type=json", "-p", patch];
        cluster.kubectl("root-admin", patch).await.unwrap().ok().unwrap();
    }
    in_force(cluster).await;
    eventually("the API server to call us again", SOON, async || {
        cluster.apply("root-admin", &[role("Overwritten")]).await.map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    cluster.kubectl("root-admin", ["delete", "approvalrole", "port"]).await.unwrap().ok().unwrap();
}

/// What the API server says when a call fails quotes the path. It is worth nothing after that.
#[tokio::test]
async fn a_path_that_was_told_leads_nowhere() {
    let Some((cluster, _turn)) = alone().await else { return };
    let told = in_force(cluster).await;
    cluster.placet_away().await.unwrap();
    let apply = ["apply", "-f", "-"];
    let output = cluster.kubectl_with_input("root-admin", apply, &role("Told").to_string()).await.unwrap();
    let token = told.split('/').nth(1).unwrap();
    assert!(output.code != 0 && output.stderr.contains(token), "the reason for all of this: {output:?}");
    cluster.placet_back().await.unwrap();
    let started = in_force(cluster).await;
    assert_ne!(told, started, "each start makes a token");
    not_found(&send(cluster, &namespaces(&told), &review("never-heard-of")).await);

    // What was told while it started ends by itself: once it is ready, the path changes, and calls go on arriving.
    eventually("another path after the start", Duration::from_secs(120), async || {
        cluster.apply("root-admin", &[role(&started[1..9])]).await.map_err(|error| error.to_string())?;
        let now = path(cluster).await;
        if now == started { Err("the same".to_owned()) } else { Ok(()) }
    })
    .await
    .unwrap();
    eventually("the path of the start to end", Duration::from_secs(60), async || {
        cluster.apply("root-admin", &[role(&started[9..17])]).await.map_err(|error| error.to_string())?;
        let output = send(cluster, &namespaces(&started), &review("made-up")).await;
        if output.code != 0 { Ok(()) } else { Err("it still leads to us".to_owned()) }
    })
    .await
    .unwrap();
    eventually("the log to say what was made up", SOON, async || {
        if log_says(cluster, "made-up").await { Ok(()) } else { Err("it is not published yet".to_owned()) }
    })
    .await
    .unwrap();
    assert!(!log_says(cluster, "never-heard-of").await);
    cluster.kubectl("root-admin", ["delete", "approvalrole", "port"]).await.unwrap().ok().unwrap();
}
