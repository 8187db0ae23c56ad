//! Somebody who reaches the webhook port.

use placet_e2e::{SOON, eventually};
use serde_json::json;

use super::lending;
use super::webhooks::{CONFIGURATIONS, in_force, log_says, namespaces, not_found, review, send};

#[tokio::test]
async fn the_port_answers_nobody_but_the_api_server() {
    let Some(lending) = lending("port", None).await else { return };
    let cluster = lending.cluster;
    let path = in_force(cluster).await;
    assert_eq!(path.len(), 1 + 64 + "/validate/own".len());

    // Without a token, with a wrong one, with the right one for what is not there.
    let wrong = format!("/{}/validate/namespaces", "0123456789abcdef".repeat(4));
    for path in ["/validate/namespaces", "/", &wrong, &path.replace("/validate/own", "/validate")] {
        not_found(&send(cluster, path, &review("never-heard-of")).await);
    }
    // Who knows it is heard: that is what the token guards. It may change by itself meanwhile, and stays good then.
    let output = send(cluster, &namespaces(&path), &review("made-up")).await;
    assert!(output.ok().unwrap().contains("\"allowed\":true"));
    eventually("the log to say what was made up", SOON, async || {
        if log_says(cluster, "made-up").await { Ok(()) } else { Err("it is not published yet".to_owned()) }
    })
    .await
    .unwrap();
    assert!(!log_says(cluster, "never-heard-of").await);
}

#[tokio::test]
async fn only_administrators_read_where_the_webhooks_lead() {
    let Some(lending) = lending("paths", None).await else { return };
    for who in ["dana", "bob", "erin", "audrey", "mallory"] {
        for configuration in CONFIGURATIONS {
            for verb in ["get", "list", "watch", "patch"] {
                let output = lending.kubectl(who, &["auth", "can-i", verb, configuration]).await.unwrap();
                assert!(output.code != 0 && output.stdout.trim() == "no", "{who} {verb}: {output:?}");
            }
        }
    }
    let may = ["auth", "can-i", "get", "mutatingwebhookconfigurations/placet-mutating"];
    assert_eq!(lending.kubectl("root-admin", &may).await.unwrap().ok().unwrap().trim(), "yes");
}

#[tokio::test]
async fn an_upgrade_by_helm_leaves_the_paths_alone() {
    let Some(lending) = lending("upgraded", None).await else { return };
    in_force(lending.cluster).await;
    // Changes something beside the operator's pod, which goes on.
    let values = json!({"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}});
    lending.cluster.helm_placet(&values).await.unwrap().ok().unwrap();
    in_force(lending.cluster).await;
    lending.documents(&["system"]).await.unwrap();
}
