//! What each mode of a namespace does.

use placet_e2e::placet::{APPROVERS, DEPLOYMENT, RELEASE};
use placet_e2e::{SOON, eventually};

use super::common::{holds, refused, refused_with};
use super::lending;

#[tokio::test]
async fn deny_refuses_with_everything_that_is_missing_until_it_exists() {
    let Some(lending) = lending("deny", Some("deny")).await else { return };
    let deployment = lending.manifest("deployment-v2").unwrap();

    // Nothing is there yet, not even the release.
    let refusal = lending.apply("dana", &deployment).await.unwrap();
    refused_with(
        &refusal,
        &[&format!("wanted: a ModelRelease {RELEASE} in namespace deny"), "kubectl apply -f RELEASE.yaml"],
    );
    assert!(
        refused(&refusal).trim_end().ends_with(&format!("placet why mr/{RELEASE} -n deny")),
        "{refusal:?}"
    );

    // Only the release and its system: everything else is missing, at once, with who can supply it.
    lending.documents(&["system", "release-v2"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    let refusal = lending.apply("dana", &deployment).await.unwrap();
    refused_with(
        &refusal,
        &[
            "admission webhook \"workloads.placet.dev\" denied the request",
            "assessment",
            "tests",
            "Bias",
            "Performance",
            "approvals",
            "0 of 1",
            "(record ",
        ],
    );
    for (_, role) in APPROVERS.iter().filter(|(_, role)| *role != "executive") {
        holds(refused(&refusal), &[role]);
    }

    // The documents; people are still missing.
    lending.all_documents().await.unwrap();
    let refusal = eventually("the assessment's gate to be met", SOON, async || {
        let refusal = lending.apply("dana", &deployment).await.map_err(|error| error.to_string())?;
        if refusal.stderr.contains("riskAcceptance  R1 is High") { Ok(refusal) } else { Err(refusal.stderr) }
    })
    .await
    .unwrap();
    assert!(!refused(&refusal).contains("Performance"), "{refusal:?}");
    refused_with(
        &refusal,
        &[
            "executive: placet accept-risk ia/credit-eligibility-2026 R1",
            "placet approve ais/credit-eligibility",
        ],
    );

    // The same words in status.
    let found = lending
        .kubectl("audrey", &["get", "mr", RELEASE, "-o", "jsonpath={.status.gates[*].findings[*].command}"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    holds(
        &found,
        &["placet accept-risk ia/credit-eligibility-2026 R1 --role executive", "placet approve mr/"],
    );

    // People; all but the last change nothing.
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["executive"]).await.unwrap();
    let refusal = eventually("only the executive to be missing", SOON, async || {
        let refusal = lending.apply("dana", &deployment).await.map_err(|error| error.to_string())?;
        let open = refusal.stderr.contains("1 of 14 gates");
        if open { Ok(refusal) } else { Err(refusal.stderr) }
    })
    .await
    .unwrap();
    refused_with(&refusal, &["executive: 0 of 1"]);
    assert!(!refused(&refusal).contains("validator"), "{refusal:?}");

    lending.approve("frank", "executive", None).await.unwrap();
    lending.cleared("True").await.unwrap();
    let accepted = lending.apply("dana", &deployment).await.unwrap();
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(accepted.stderr, "", "a cleared release brings no warning");
    lending.running(1).await.unwrap();
}

#[tokio::test]
async fn hold_lets_pods_wait_until_the_last_approval() {
    let Some(lending) = lending("hold", Some("hold")).await else { return };
    lending.all_documents().await.unwrap();
    let accepted = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    assert_eq!(accepted.code, 0, "{accepted:?}");
    holds(
        &accepted.stderr,
        &["Warning:", "its pods are held until cleared", &format!("placet why mr/{RELEASE} -n hold")],
    );
    lending
        .pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held && pods[0].phase == "Pending")
        .await
        .unwrap();
    let columns = lending.kubectl("dana", &["get", "pods"]).await.unwrap().ok().unwrap();
    holds(&columns, &["SchedulingGated"]);
    let event = lending.event("Deployment/credit-eligibility", "PodHeld").await.unwrap();
    holds(&event, &["is not cleared", "starts by itself once cleared", "placet why mr/"]);
    assert!(event.len() <= 1024, "{event}");

    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["executive"]).await.unwrap();
    let pods = lending.pods("app=credit-eligibility").await.unwrap();
    assert!(pods.iter().all(|pod| pod.held), "{pods:?}");
    lending.approve("frank", "executive", None).await.unwrap();
    let pods = lending.running(1).await.unwrap();
    let event = lending.event(&format!("Pod/{}", pods[0].name), "HoldLifted").await.unwrap();
    holds(&event, &["is cleared (decision ", "the hold is lifted"]);
}

#[tokio::test]
async fn a_pod_that_names_its_node_cannot_be_held() {
    let Some(lending) = lending("hold-node", Some("hold")).await else { return };
    lending.all_documents().await.unwrap();
    let pod = lending.pod("direct", RELEASE);
    let mut named = pod.clone();
    named["spec"]["nodeName"] = "kwok-node-0".into();
    let refusal = lending.apply("dana", &named.to_string()).await.unwrap();
    refused_with(&refusal, &["spec.nodeName is set, and Kubernetes holds no pod that names its node"]);
    let held = lending.apply("dana", &pod.to_string()).await.unwrap();
    assert_eq!(held.code, 0, "{held:?}");
    lending.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
}

#[tokio::test]
async fn warn_says_it_and_audit_says_nothing() {
    let Some(warned) = lending("warn", Some("warn")).await else { return };
    warned.documents(&["system", "release-v2"]).await.unwrap();
    warned.cleared("False").await.unwrap();
    let accepted = warned.apply("dana", &warned.manifest("deployment-v2").unwrap()).await.unwrap();
    assert_eq!(accepted.code, 0, "{accepted:?}");
    holds(
        &accepted.stderr,
        &["the namespace only warns", "approvals", &format!("placet why mr/{RELEASE} -n warn")],
    );
    warned.running(1).await.unwrap();

    let Some(audited) = lending("audit", Some("audit")).await else { return };
    audited.documents(&["system", "release-v2"]).await.unwrap();
    audited.cleared("False").await.unwrap();
    let accepted = audited.apply("dana", &audited.manifest("deployment-v2").unwrap()).await.unwrap();
    assert_eq!((accepted.code, accepted.stderr.as_str()), (0, ""), "{accepted:?}");
    audited.running(1).await.unwrap();
}

#[tokio::test]
async fn a_misspelt_label_is_deny_and_says_so() {
    let Some(lending) = lending("misspelt", None).await else { return };
    let labelled = lending
        .cluster
        .kubectl("root-admin", ["label", "ns", "misspelt", "placet.dev/enforce=dney"])
        .await
        .unwrap();
    assert_eq!(labelled.code, 0, "{labelled:?}");
    holds(&labelled.stderr, &["\"dney\", wanted deny, hold, warn or audit; taken as deny"]);
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["\"dney\", wanted deny, hold, warn or audit; taken as deny", RELEASE]);
}

#[tokio::test]
async fn the_label_is_weakened_by_those_entitled_only() {
    let Some(lending) = lending("weaken", Some("deny")).await else { return };
    // Somebody may edit namespaces and is yet not entitled.
    let role = [
        "create",
        "clusterrole",
        "edit-namespaces",
        "--verb=get,update,patch",
        "--resource=namespaces,namespaces/status",
    ];
    lending.cluster.kubectl("root-admin", role).await.unwrap().ok().unwrap();
    let bind = [
        "create",
        "clusterrolebinding",
        "mallory-edits-namespaces",
        "--clusterrole=edit-namespaces",
        "--user=mallory",
    ];
    lending.cluster.kubectl("root-admin", bind).await.unwrap().ok().unwrap();
    for weaker in ["placet.dev/enforce-", "placet.dev/enforce=warn", "placet.dev/enforce=audit"] {
        let refusal = lending
            .cluster
            .kubectl("mallory", ["label", "ns", "weaken", "--overwrite", weaker])
            .await
            .unwrap();
        refused_with(
            &refusal,
            &["needs the verb enforce on releasepolicies.placet.dev", "mallory does not have it"],
        );
    }
    // A subresource changes labels, too.
    let none = r#"{"metadata":{"labels":{"placet.dev/enforce":null}}}"#;
    let patch = ["patch", "ns", "weaken", "--subresource=status", "--type=merge", "-p", none];
    let refusal = lending.cluster.kubectl("mallory", patch).await.unwrap();
    refused_with(&refusal, &["mallory does not have it"]);
    let other = lending.cluster.kubectl("mallory", ["label", "ns", "weaken", "team=lending"]).await.unwrap();
    assert_eq!(other.code, 0, "{other:?}");
    let stricter = ["label", "ns", "weaken", "--overwrite", "placet.dev/enforce=hold"];
    assert_eq!(
        lending.cluster.kubectl("mallory", stricter).await.unwrap().code,
        0,
        "hold is as strict as deny"
    );
    let removed = lending
        .cluster
        .kubectl("root-admin", ["label", "ns", "weaken", "placet.dev/enforce-"])
        .await
        .unwrap();
    assert_eq!(removed.code, 0, "{removed:?}");
}

#[tokio::test]
async fn a_hold_is_lifted_when_the_namespace_no_longer_enforces() {
    let Some(lending) = lending("opted-out", Some("hold")).await else { return };
    lending.all_documents().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    let removed = lending
        .cluster
        .kubectl("root-admin", ["label", "ns", "opted-out", "placet.dev/enforce-"])
        .await
        .unwrap();
    assert_eq!(removed.code, 0, "{removed:?}");
    lending.running(1).await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_is_not_opted_in_is_left_alone() {
    let Some(lending) = lending("free", None).await else { return };
    let accepted = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    assert_eq!((accepted.code, accepted.stderr.as_str()), (0, ""), "{accepted:?}");
    lending.running(1).await.unwrap();
    let tag = ["set", "image", DEPLOYMENT, "server=registry.example.com/anything:latest"];
    assert_eq!(lending.kubectl("dana", &tag).await.unwrap().stderr, "");
    lending.running(1).await.unwrap();
}

#[tokio::test]
async fn a_gate_that_somebody_typed_where_nothing_is_held_goes_and_the_event_says_why() {
    let Some(lending) = lending("typed", None).await else { return };
    let mut typed = lending.pod("typed", RELEASE);
    typed["spec"]["schedulingGates"] = serde_json::json!([{ "name": "placet.dev/hold" }]);
    lending.apply("dana", &typed.to_string()).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    let event = lending.event("Pod/typed", "HoldLifted").await.unwrap();
    holds(&event, &["Placet holds no pods in namespace typed", "neither deny nor hold", "is taken off"]);
    assert!(!event.contains("no longer"), "it never did: {event}");
}
