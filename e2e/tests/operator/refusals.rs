//! What a schema cannot say and admission does: dates that lie, names of what is not there, one release in another's
//! name, and every way of writing a forbidden change.

use placet_e2e::Output;
use placet_e2e::placet::{ASSESSMENT, DEPLOYMENT, IMAGE, Lending, RELEASE, SYSTEM, in_seconds};
use serde_json::{Value, json};

use super::common::refused_with;
use super::lending;

const OTHER_IMAGE: &str = "registry.example.com/lending/scoring-server@sha256:\
                           3333333333333333333333333333333333333333333333333333333333333333";

/// `kubectl VERB -f -` of an object.
async fn send(lending: &Lending<'_>, who: &str, verb: &[&str], object: &Value) -> Output {
    let args = [verb, &["-n", lending.ns, "-f", "-"]].concat();
    lending.cluster.kubectl_with_input(who, args, &object.to_string()).await.unwrap()
}

/// An object as it is stored, without what another version of it must not name.
async fn stored(lending: &Lending<'_>, object: &str) -> Value {
    let text = lending.kubectl("admin", &["get", object, "-o", "json"]).await.unwrap().ok().unwrap();
    let mut object: Value = serde_json::from_str(&text).unwrap();
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    object
}

#[tokio::test]
async fn dates_that_cannot_be_are_refused() {
    let Some(lending) = lending("dates", Some("deny")).await else { return };
    let (system, assessment) = (lending.manifest("system").unwrap(), lending.manifest("assessment").unwrap());
    for (text, from, to, wanted) in [
        (
            &assessment,
            "assessedAt: \"2026-11-16\"",
            "assessedAt: \"2199-01-01\"",
            "spec.assessedAt: wanted a time that has come, found 2199-01-01",
        ),
        (
            &assessment,
            "assessedAt: \"2026-11-16\"",
            "assessedAt: \"2026-02-30\"",
            "spec.assessedAt: wanted a day that exists, found 2026-02-30",
        ),
        (
            &system,
            "lastDrill: \"2026-11-10\"",
            "lastDrill: \"2199-01-01T00:00:00Z\"",
            "spec.oversight.lastDrill: wanted a time that has come, found 2199-01-01T00:00:00Z",
        ),
        (
            &system,
            "placedOnMarketAt: \"2026-12-01\"",
            "placedOnMarketAt: \"2026-02-30\"",
            "spec.placedOnMarketAt: wanted a day that exists, found 2026-02-30",
        ),
        (
            &system,
            "placedOnMarketAt: \"2026-12-01\"",
            "placedOnMarketAt: \"2026-12-01\"\n  designChangedAt: \"2199-01-01\"",
            "spec.designChangedAt: wanted a time that has come, found 2199-01-01",
        ),
        (
            &system,
            "  stage: Deployment",
            "  stage: Deployment\n  derogation: {condition: PreparatoryTask, noSignificantRisk: none, \
             noMaterialInfluence: none, assessedAt: \"2199-01-01\"}",
            "spec.derogation.assessedAt: wanted a time that has come",
        ),
    ] {
        assert!(text.contains(from), "{from:?} is not in the sample");
        refused_with(&lending.apply("dana", &text.replace(from, to)).await.unwrap(), &[wanted]);
    }
}

#[tokio::test]
async fn an_acceptance_names_what_is_there() {
    let Some(lending) = lending("accepting", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    let digest = lending.risk_digest("R1").await.unwrap();
    let acceptance = |name: &str, change: Value| {
        let mut object = json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "RiskAcceptance",
            "metadata": { "name": name, "namespace": lending.ns },
            "spec": {
                "assessment": { "name": ASSESSMENT }, "risks": [{ "id": "R1", "digest": digest }],
                "role": "executive", "level": "High", "rationale": "A person reviews each refusal", "expiresAt": in_seconds(86_400),
            },
        });
        for (field, value) in change.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        object
    };
    let other = format!("sha256:{}", "0".repeat(64));
    for (name, change, wanted) in [
        (
            "of-nothing",
            json!({ "assessment": { "name": "no-such-assessment" } }),
            "wanted an ImpactAssessment in namespace accepting, found no no-such-assessment".to_owned(),
        ),
        (
            "of-another-content",
            json!({ "risks": [{ "id": "R1", "digest": other }] }),
            format!("R1 of {ASSESSMENT} has the digest {digest} now, found {other}"),
        ),
        (
            "of-unknown-risks",
            json!({ "risks": [{ "id": "R1", "digest": digest }, { "id": "R9", "digest": other }] }),
            format!("wanted risks of {ASSESSMENT} (R1, R2, R3), found R9"),
        ),
        (
            "ended",
            json!({ "expiresAt": "2020-01-01T00:00:00Z" }),
            "spec.expiresAt: wanted a time to come, found 2020-01-01T00:00:00Z".to_owned(),
        ),
        (
            "without-the-role",
            json!({ "role": "risk-officer" }),
            "wanted a holder of the role risk-officer, found frank".to_owned(),
        ),
    ] {
        refused_with(
            &lending.apply("frank", &acceptance(name, change).to_string()).await.unwrap(),
            &[&wanted],
        );
    }
    // The same assessment's name and digest in another namespace are another object.
    let Some(other) = super::lending("accepting-there", None).await else { return };
    let mut elsewhere = acceptance("elsewhere", json!({}));
    elsewhere["metadata"]["namespace"] = json!(other.ns);
    refused_with(
        &other.apply("frank", &elsewhere.to_string()).await.unwrap(),
        &["wanted an ImpactAssessment in namespace accepting-there"],
    );
    lending.apply("frank", &acceptance("right", json!({})).to_string()).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn a_policy_that_contradicts_itself_is_refused() {
    let Some(lending) = lending("contradiction", None).await else { return };
    let policy = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": { "name": "contradiction" },
        "spec": {
            "appliesTo": { "classes": ["High"], "namespaceSelector": { "matchLabels": { "nobody": "has-it" } } },
            "tests": [{ "type": "Performance", "metric": "Accuracy", "atLeast": "0.9", "atMost": "0.1" }],
            "approvals": [{ "role": "model-owner", "count": 1, "covers": "Content" }],
        },
    });
    refused_with(
        &lending.apply("root-admin", &policy.to_string()).await.unwrap(),
        &["the policy contradicts itself", "atLeast 0.9 is above atMost 0.1"],
    );
}

#[tokio::test]
async fn a_release_lends_its_name_to_no_other() {
    let Some(lending) = lending("two-releases", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    // A third release with another server: the same system, assessment, datasets and tests, and no approval.
    let third = lending
        .manifest("release-v2")
        .unwrap()
        .replace("credit-eligibility-2.0.0", "credit-eligibility-3.0.0")
        .replace("version: 2.0.0", "version: 3.0.0")
        .replace(IMAGE.split_once('@').unwrap().1, OTHER_IMAGE.split_once('@').unwrap().1);
    lending.apply("dana", &third).await.unwrap().ok().unwrap();
    lending
        .cluster
        .becomes(
            lending.ns,
            "mr/credit-eligibility-3.0.0",
            "{.status.conditions[?(@.type=='Cleared')].status}",
            "False",
        )
        .await
        .unwrap();
    // Its image under the cleared release's name, and the cleared image under its name.
    let deployment = lending.manifest("deployment-v2").unwrap();
    refused_with(
        &lending.apply("dana", &deployment.replace(IMAGE, OTHER_IMAGE)).await.unwrap(),
        &[&format!("{RELEASE} is cleared, but Deployment"), OTHER_IMAGE],
    );
    refused_with(
        &lending.apply("dana", &deployment.replace(RELEASE, "credit-eligibility-3.0.0")).await.unwrap(),
        &["credit-eligibility-3.0.0 is not cleared", "model-owner"],
    );
    // An approval of one says nothing of the other: digests differ, and admission says so.
    let digest = lending.digest(&format!("mr/{RELEASE}")).await.unwrap();
    let approval =
        lending.approval("borrowed", "model-owner", "ModelRelease", "credit-eligibility-3.0.0", &digest);
    refused_with(
        &lending.apply("bob", &approval.to_string()).await.unwrap(),
        &["spec.subject.digest", &digest, "look at what changed"],
    );
    // Deleted and made again under its name with another content, it has none of its approvals.
    lending.kubectl("root-admin", &["delete", "mr", RELEASE]).await.unwrap().ok().unwrap();
    let again = lending
        .manifest("release-v2")
        .unwrap()
        .replace(IMAGE.split_once('@').unwrap().1, OTHER_IMAGE.split_once('@').unwrap().1);
    lending.apply("dana", &again).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    refused_with(
        &lending.apply("dana", &deployment.replace(IMAGE, OTHER_IMAGE)).await.unwrap(),
        &["bob approved earlier evidence; changed since: the release's content: spec.artifacts"],
    );
}

#[tokio::test]
async fn a_cleared_image_is_not_changed_in_any_way_of_writing() {
    let Some(lending) = lending("rewriting", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    let before = lending.running(1).await.unwrap();
    for object in [format!("pod/{}", before[0].name), DEPLOYMENT.to_owned()] {
        let mut changed = stored(&lending, &object).await;
        let containers = if object == DEPLOYMENT {
            "/spec/template/spec/containers/0/image"
        } else {
            "/spec/containers/0/image"
        };
        *changed.pointer_mut(containers).unwrap() = json!(OTHER_IMAGE);
        let patch = json!([{ "op": "replace", "path": containers, "value": OTHER_IMAGE }]).to_string();
        let json_patch = ["patch", &object, "--type=json", "-p", &patch];
        refused_with(
            &lending.kubectl("mallory", &json_patch).await.unwrap(),
            &["is cleared, but", OTHER_IMAGE],
        );
        let ways: [&[&str]; 3] = [&["replace"], &["apply"], &["apply", "--server-side", "--force-conflicts"]];
        for way in ways {
            refused_with(&send(&lending, "mallory", way, &changed).await, &["is cleared, but", OTHER_IMAGE]);
        }
    }
    assert_eq!(lending.running(1).await.unwrap(), before);
}

#[tokio::test]
async fn the_hold_stays_in_every_way_of_writing() {
    let Some(lending) = lending("rewriting-gates", Some("hold")).await else { return };
    lending.all_documents().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    let held = lending.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    let pod = format!("pod/{}", held[0].name);
    let refused = &["the request takes it off before", "leave spec.schedulingGates as it is"];
    for (type_, patch) in [
        ("json", r#"[{"op":"remove","path":"/spec/schedulingGates/0"}]"#),
        ("json", r#"[{"op":"replace","path":"/spec/schedulingGates","value":[]}]"#),
        ("merge", r#"{"spec":{"schedulingGates":[]}}"#),
        ("strategic", r#"{"spec":{"schedulingGates":[{"name":"placet.dev/hold","$patch":"delete"}]}}"#),
    ] {
        let args = ["patch", &pod, "--type", type_, "-p", patch];
        refused_with(&lending.kubectl("mallory", &args).await.unwrap(), refused);
    }
    let mut without = stored(&lending, &pod).await;
    without["spec"].as_object_mut().unwrap().remove("schedulingGates");
    refused_with(&send(&lending, "mallory", &["replace"], &without).await, refused);
    // By server-side apply, twice: the list is taken over, then left out. Its first owner keeps it.
    let mut owned = stored(&lending, &pod).await;
    owned["spec"]["schedulingGates"] = json!([{ "name": "placet.dev/hold" }]);
    let apply: &[&str] = &["apply", "--server-side", "--force-conflicts", "--field-manager=mallory"];
    send(&lending, "mallory", apply, &owned).await.ok().unwrap();
    send(&lending, "mallory", apply, &without).await;
    let pods = lending.pods("app=credit-eligibility").await.unwrap();
    assert!(pods.len() == 1 && pods[0].held && pods[0].phase == "Pending", "{pods:?}");
}

#[tokio::test]
async fn a_status_written_on_a_system_or_an_approval_changes_nothing() {
    let Some(lending) = lending("forged-status", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.approve("bob", "model-owner", None).await.unwrap();
    let system = format!("ais/{SYSTEM}");
    lending.cluster.becomes(lending.ns, &system, "{.status.class}", "High").await.unwrap();
    for (object, forged) in [
        (
            system.as_str(),
            json!({ "status": { "class": "Minimal", "releases": { "cleared": RELEASE, "pending": 0 } } }),
        ),
        (
            "apv/model-owner",
            json!({ "status": { "by": "frank", "conditions": [{ "type": "Counts", "status": "True",
                "reason": "Bound", "message": "as executive", "lastTransitionTime": "2026-01-01T00:00:00Z" }] } }),
        ),
    ] {
        let text = forged.to_string();
        let patch = ["patch", object, "--subresource=status", "--type=merge", "-p", &text];
        lending.kubectl("root-admin", &patch).await.unwrap().ok().unwrap();
    }
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["is not cleared", "executive"]);
    lending.cluster.becomes(lending.ns, &system, "{.status.class}", "High").await.unwrap();
    lending.cluster.becomes(lending.ns, &system, "{.status.releases.cleared}", "").await.unwrap();
    lending.cluster.becomes(lending.ns, "apv/model-owner", "{.status.by}", "bob").await.unwrap();
}

#[tokio::test]
async fn a_label_of_a_workload_with_a_typo_names_no_release() {
    let Some(lending) = lending("label-typo", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let deployment = lending.manifest("deployment-v2").unwrap();
    // A release that does not exist.
    let refusal =
        lending.apply("dana", &deployment.replace(RELEASE, "credit-eligibility-2.0.O")).await.unwrap();
    refused_with(&refusal, &["credit-eligibility-2.0.O"]);
    // Another key: the label is not there, which is no way around.
    let refusal = lending
        .apply("dana", &deployment.replace("placet.dev/release:", "placet.dev/relaese:"))
        .await
        .unwrap();
    refused_with(&refusal, &["names no release", "platformImages"]);
    // The right one passes.
    let accepted = lending.apply("dana", &deployment).await.unwrap();
    assert_eq!((accepted.code, accepted.stderr.as_str()), (0, ""), "{accepted:?}");
}
