//! Looking at the webhook configurations and calling where they lead.

use placet_e2e::placet::INSTALLED_IN;
use placet_e2e::{Cluster, Output, SOON, eventually};
use serde_json::{Value, json};

/// The webhook configurations.
pub const CONFIGURATIONS: [&str; 2] =
    ["mutatingwebhookconfiguration/placet-mutating", "validatingwebhookconfiguration/placet-validating"];

/// Where the webhook `own.validate.placet.dev` leads.
pub async fn path(cluster: &Cluster) -> String {
    let jsonpath = "{.webhooks[?(@.name=='own.validate.placet.dev')].clientConfig.service.path}";
    cluster.field("", CONFIGURATIONS[1], jsonpath).await.unwrap()
}

/// Waits until every webhook leads where the operator says, and gives the path of one.
pub async fn in_force(cluster: &Cluster) -> String {
    eventually("every webhook to have a path and a bundle", SOON, async || {
        for configuration in CONFIGURATIONS {
            let each =
                "{range .webhooks[*]}{.clientConfig.service.path} {.clientConfig.caBundle}{'\\n'}{end}";
            let found = cluster.field("", configuration, each).await?;
            for line in found.lines() {
                match line.split_once(' ') {
                    Some((path, bundle)) if path.len() > 65 && bundle.len() > 100 => {}
                    _ => return Err(format!("{configuration}: {} characters", line.len())),
                }
            }
        }
        Ok(path(cluster).await)
    })
    .await
    .unwrap()
}

/// Sends a review to the operator's port, past the API server's webhooks: through the Service's proxy, as somebody who
/// may do that. What the proxied server answers is kubectl's answer.
pub async fn send(cluster: &Cluster, path: &str, review: &Value) -> Output {
    let url = format!("/api/v1/namespaces/{INSTALLED_IN}/services/https:placet:8443/proxy{path}");
    cluster
        .kubectl_with_input("admin", ["create", "--raw", url.as_str(), "-f", "-"], &review.to_string())
        .await
        .unwrap()
}

/// An update of a namespace that nobody made. The operator records such.
pub fn review(nobody: &str) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u1", "operation": "UPDATE", "name": nobody, "userInfo": {"username": "frank"},
        "kind": {"group": "", "version": "v1", "kind": "Namespace"},
        "resource": {"group": "", "version": "v1", "resource": "namespaces"},
        "object": {"metadata": {"name": nobody, "labels": {"placet.dev/enforce": "deny"}}},
        "oldObject": {"metadata": {"name": nobody}},
    }})
}

/// Whether the log says this.
pub async fn log_says(cluster: &Cluster, text: &str) -> bool {
    let tail = ["evidence", "tail", "--last", "100000"];
    cluster.run("placet", "admin", tail, None).await.unwrap().ok().unwrap().contains(text)
}

/// The path of `namespaces.placet.dev`, from that of `own.validate.placet.dev`.
pub fn namespaces(path: &str) -> String {
    path.replace("/validate/own", "/validate/namespaces")
}

/// Asserts that a review sent by [`send`] was answered with 404.
#[track_caller]
pub fn not_found(output: &Output) {
    assert!(output.code != 0 && output.stderr.contains("NotFound"), "{output:?}");
}
