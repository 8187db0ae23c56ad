//! A cluster administrator changes what was approved, behind the definition's back.

use placet_e2e::placet::{DEPLOYMENT, Lending, RELEASE};
use placet_e2e::{Output, SOON, eventually};
use serde_json::Value;

use super::alone;
use super::common::{holds, refused_with};

const DEFINITION: &str = "crd/modelreleases.placet.dev";

#[tokio::test]
async fn content_that_is_changed_voids_its_approvals() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "changed", Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    let before = lending.running(1).await.unwrap();

    behind_the_definition(&lending, r#"["alice","mallory"]"#).await;
    lending.cleared("False").await.unwrap();
    // Neither others nor more of the same.
    let (other, up) = (["set", "env", DEPLOYMENT, "A=b"], ["scale", DEPLOYMENT, "--replicas=2"]);
    for change in [other.as_slice(), up.as_slice()] {
        refused_with(
            &lending.kubectl("dana", change).await.unwrap(),
            &["bob approved earlier evidence; changed since: the release's content: spec.developers"],
        );
    }
    assert_eq!(lending.cluster.field(lending.ns, DEPLOYMENT, "{.spec.replicas}").await.unwrap(), "1");
    // What runs stays, its replacement does not start.
    assert_eq!(lending.running(1).await.unwrap(), before);
    lending.kubectl("root-admin", &["delete", "pod", &before[0].name]).await.unwrap().ok().unwrap();
    let told = lending.event("Deployment/credit-eligibility", "PodRefused").await.unwrap();
    holds(&told, &["is not cleared", "changed since: the release's content: spec.developers"]);
    lending.running(0).await.unwrap();
    // As it was when it was approved, it runs, and more of it.
    behind_the_definition(&lending, r#"["alice"]"#).await;
    lending.cleared("True").await.unwrap();
    lending.kubectl("dana", &up).await.unwrap().ok().unwrap();
    lending.running(2).await.unwrap();
}

/// Gives the release other developers while its definition lacks the rule by which it never changes.
async fn behind_the_definition(lending: &Lending<'_>, developers: &str) {
    let cluster = lending.cluster;
    let text = cluster.kubectl("root-admin", ["get", DEFINITION, "-o", "json"]).await.unwrap().ok().unwrap();
    let mut definition: Value = serde_json::from_str(&text).unwrap();
    definition["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let mut lifted = definition.clone();
    let spec = lifted.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    spec.as_object_mut().unwrap().remove("x-kubernetes-validations").unwrap();
    let replace = ["replace", "-f", "-"];
    cluster.kubectl_with_input("root-admin", replace, &lifted.to_string()).await.unwrap().ok().unwrap();
    let (release, patch) = (format!("mr/{RELEASE}"), format!(r#"{{"spec":{{"developers":{developers}}}}}"#));
    eventually("the definition without its rule", SOON, async || {
        let patch = ["patch", &release, "--type=merge", "-p", &patch];
        lending.kubectl("root-admin", &patch).await.and_then(Output::ok).map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    cluster.kubectl_with_input("root-admin", replace, &definition.to_string()).await.unwrap().ok().unwrap();
}
