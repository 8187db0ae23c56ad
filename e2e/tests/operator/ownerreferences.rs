//! An object of ours belongs to nobody: with an owner that does not exist, the garbage collector would delete it for
//! somebody who may not.

use placet_e2e::placet::{ASSESSMENT, Lending, RELEASE};
use serde_json::{Value, json};

use super::common::refused_with;
use super::lending;

/// What the refusal names.
const FIELD: &[&str] = &["metadata.ownerReferences"];

/// Owners of whom none exists.
fn owners() -> Value {
    json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "nowhere",
             "uid": "5f1b7c52-0c1e-4a0e-9d0c-3b1f4d0f6a11" }])
}

async fn get(lending: &Lending<'_>, object: &str) -> Value {
    let text = lending.kubectl("admin", &["get", object, "-o", "json"]).await.unwrap().ok().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// As what somebody would apply who has no more than the object's text.
fn bare(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "spec": object["spec"],
        "metadata": { "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"] },
    })
}

#[tokio::test]
async fn nothing_of_ours_is_deleted_by_an_owner_that_does_not_exist() {
    let Some(lending) = lending("owners", Some("deny")).await else { return };
    let cluster = lending.cluster;
    // Somebody who may do everything in this namespace.
    cluster.grant("owners", "mallory", "cluster-admin").await.unwrap();
    lending.clear().await.unwrap();
    let digest = lending.digest(&format!("mr/{RELEASE}")).await.unwrap();
    let mut reject = lending.approval("stop", "risk-officer", "ModelRelease", RELEASE, &digest);
    reject["spec"]["decision"] = json!("Reject");
    lending.apply("erin", &reject.to_string()).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();

    let apply = ["apply", "--server-side", "--force-conflicts", "-n", "owners", "-f", "-"];
    let assessment = format!("ia/{ASSESSMENT}");
    let objects = ["apv/stop", "apv/validator", "tr/credit-eligibility-2.0.0-bias", "ra/risk-1", &assessment];
    for object in objects {
        let before = get(&lending, object).await;
        let merge = json!({ "metadata": { "ownerReferences": owners() } }).to_string();
        let refusal =
            lending.kubectl("mallory", &["patch", object, "--type=merge", "-p", &merge]).await.unwrap();
        refused_with(&refusal, FIELD);
        let add =
            json!([{ "op": "add", "path": "/metadata/ownerReferences", "value": owners() }]).to_string();
        let refusal =
            lending.kubectl("mallory", &["patch", object, "--type=json", "-p", &add]).await.unwrap();
        refused_with(&refusal, FIELD);
        let mut owned = bare(&before);
        owned["metadata"]["ownerReferences"] = owners();
        let refusal = cluster.kubectl_with_input("mallory", apply, &owned.to_string()).await.unwrap();
        refused_with(&refusal, FIELD);
        refused_with(&lending.apply("mallory", &owned.to_string()).await.unwrap(), FIELD);
        let mut replaced = before.clone();
        replaced["metadata"]["ownerReferences"] = owners();
        let replace = ["replace", "-n", "owners", "-f", "-"];
        let refusal = cluster.kubectl_with_input("mallory", replace, &replaced.to_string()).await.unwrap();
        refused_with(&refusal, FIELD);
        // Made with one it is refused, too, whoever makes it.
        owned["metadata"]["name"] = json!("made-with-an-owner");
        let create = ["create", "-n", "owners", "-f", "-"];
        for who in ["mallory", "root-admin"] {
            let refusal = cluster.kubectl_with_input(who, create, &owned.to_string()).await.unwrap();
            refused_with(&refusal, FIELD);
        }
        // It is the object that it was, and no owner is left for a garbage collector to miss.
        let after = get(&lending, object).await;
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "{object}");
        assert_eq!(after["metadata"]["ownerReferences"], Value::Null, "{object}");
    }
    // So the Reject is in force.
    lending.cleared("False").await.unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["stop"]);
}
