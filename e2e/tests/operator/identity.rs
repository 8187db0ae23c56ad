//! Who wrote what is taken from the request, never from the object.

use placet_e2e::placet::{Lending, RELEASE};
use serde_json::json;

use super::common::{holds, refused_with};
use super::lending;

const STAMP: &str = "{.metadata.annotations.placet\\.dev/stamp}";
const RECEIPT: &str = "{.metadata.annotations.placet\\.dev/receipt}";

async fn field(lending: &Lending<'_>, object: &str, path: &str) -> String {
    lending.cluster.field(lending.ns, object, path).await.unwrap()
}

#[tokio::test]
async fn a_stamp_that_is_typed_or_dropped_is_put_right() {
    let Some(lending) = lending("stamps", Some("deny")).await else { return };
    let release = format!("mr/{RELEASE}");
    // Typed on creation: dana says that she is erin.
    let typed = lending.manifest("release-v2").unwrap().replacen(
        "metadata:\n",
        "metadata:\n  annotations:\n    placet.dev/stamp: '{\"creator\":{\"user\":\"erin\"}}'\n    placet.dev/receipt: forged\n",
        1,
    );
    lending.apply("dana", &typed).await.unwrap().ok().unwrap();
    let stamp = field(&lending, &release, STAMP).await;
    holds(&stamp, &["\"creator\":{\"user\":\"dana\"", "\"credential\":\""]);
    let receipt = field(&lending, &release, RECEIPT).await;
    assert!(receipt.starts_with("v1."), "{receipt}");

    // Typed afterwards, by somebody who may.
    let typed = ["annotate", &release, "--overwrite", "placet.dev/stamp={\"creator\":{\"user\":\"erin\"}}"];
    lending.kubectl("root-admin", &typed).await.unwrap().ok().unwrap();
    assert_eq!(field(&lending, &release, STAMP).await, stamp);
    // Dropped.
    for dropped in ["placet.dev/stamp-", "placet.dev/receipt-"] {
        lending.kubectl("root-admin", &["annotate", &release, dropped]).await.unwrap().ok().unwrap();
    }
    assert_eq!(
        (field(&lending, &release, STAMP).await, field(&lending, &release, RECEIPT).await),
        (stamp.clone(), receipt.clone())
    );
    // `kubectl replace` sends an object without any annotation.
    let manifest = lending.manifest("release-v2").unwrap();
    let replace = ["replace", "-n", "stamps", "-f", "-"];
    lending.cluster.kubectl_with_input("alice", replace, &manifest).await.unwrap().ok().unwrap();
    assert_eq!(
        (field(&lending, &release, STAMP).await, field(&lending, &release, RECEIPT).await),
        (stamp, receipt)
    );

    // An edit of the spec names its editor beside the creator.
    lending.documents(&["system"]).await.unwrap();
    let edit = r#"{"spec":{"title":"Income check"}}"#;
    lending
        .kubectl("alice", &["patch", "ais/credit-eligibility", "--type=merge", "-p", edit])
        .await
        .unwrap()
        .ok()
        .unwrap();
    let stamp = field(&lending, "ais/credit-eligibility", STAMP).await;
    holds(&stamp, &["\"creator\":{\"user\":\"dana\"", "\"editors\":[", "{\"user\":\"alice\""]);
}

#[tokio::test]
async fn who_may_do_everything_is_no_officer_and_who_is_impersonated_shows_no_credential() {
    let Some(lending) = lending("all-powerful", Some("deny")).await else { return };
    lending.documents(&["system", "release-v2"]).await.unwrap();
    let digest = lending.digest(&format!("mr/{RELEASE}")).await.unwrap();
    let approval =
        |name: &str| lending.approval(name, "model-owner", "ModelRelease", RELEASE, &digest).to_string();
    // A wildcard in the whole cluster, and a member of system:masters.
    let bind =
        ["create", "clusterrolebinding", "all-powerful-mona", "--clusterrole=cluster-admin", "--user=mona"];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
    let said = lending
        .cluster
        .kubectl_with_input(
            "root-admin",
            ["apply", "--as=mona", "-n", lending.ns, "-f", "-"],
            &approval("mona"),
        )
        .await
        .unwrap();
    refused_with(&said, &["given the role model-owner by name", "found mona", "wildcard"]);
    let said = lending.apply("root-admin", &approval("root")).await.unwrap();
    refused_with(&said, &["given the role model-owner by name", "found root-admin"]);
    let unbind = ["delete", "clusterrolebinding", "all-powerful-mona"];
    lending.kubectl("root-admin", &unbind).await.unwrap().ok().unwrap();

    // bob himself, and somebody who impersonates him: the same name, another stamp.
    lending.apply("bob", &approval("himself")).await.unwrap().ok().unwrap();
    let args = [
        "apply",
        "-n",
        lending.ns,
        "-f",
        "-",
        "--as=bob",
        "--as-group=model-owners",
        "--as-group=system:authenticated",
    ];
    lending.cluster.kubectl_with_input("root-admin", args, &approval("posed")).await.unwrap().ok().unwrap();
    let himself = field(&lending, "apv/himself", STAMP).await;
    holds(&himself, &["\"user\":\"bob\"", "\"groups\":[\"model-owners\"]", "\"credential\":\""]);
    let posed = field(&lending, "apv/posed", STAMP).await;
    holds(&posed, &["\"user\":\"bob\"", "\"groups\":[\"model-owners\"]"]);
    assert!(!posed.contains("credential"), "{posed}");
}

#[tokio::test]
async fn a_name_that_the_server_makes_is_refused() {
    let Some(lending) = lending("generated", None).await else { return };
    let manifest = lending.manifest("report-bias-v2").unwrap().replacen(
        "  name: credit-eligibility-2.0.0-bias",
        "  generateName: bias-",
        1,
    );
    let create = ["create", "-n", "generated", "-f", "-"];
    let refusal = lending.cluster.kubectl_with_input("dana", create, &manifest).await.unwrap();
    refused_with(
        &refusal,
        &["metadata.generateName", "the name is part of what is signed", "give the object a name"],
    );
}

#[tokio::test]
async fn an_approval_needs_the_role_and_the_digest_and_cannot_be_changed() {
    let Some(lending) = lending("approving", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    let release = format!("mr/{RELEASE}");
    let digest = lending.digest(&release).await.unwrap();

    // Without the role.
    let approval = lending.approval("no-role", "validator", "ModelRelease", RELEASE, &digest);
    let refusal = lending.apply("bob", &approval.to_string()).await.unwrap();
    refused_with(
        &refusal,
        &["wanted a holder of the role validator, found bob", "kubectl auth can-i -A approve"],
    );
    // A Reject needs it, too.
    let mut reject = approval.clone();
    reject["spec"]["decision"] = json!("Reject");
    refused_with(
        &lending.apply("bob", &reject.to_string()).await.unwrap(),
        &["wanted a holder of the role validator"],
    );
    // A wildcard in the own namespace grants nothing.
    let wildcard = ["create", "role", "everything", "--verb=*", "--resource=*.placet.dev"];
    lending.kubectl("root-admin", &wildcard).await.unwrap().ok().unwrap();
    let bind = ["create", "rolebinding", "everything", "--role=everything", "--user=mallory"];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
    let refusal = lending.apply("mallory", &approval.to_string()).await.unwrap();
    refused_with(&refusal, &["wanted a holder of the role validator, found mallory"]);
    // Nor does the role itself, bound there only.
    let bind = ["create", "rolebinding", "here", "--clusterrole=placet-approve-validator", "--user=mallory"];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
    let refusal = lending.apply("mallory", &approval.to_string()).await.unwrap();
    refused_with(&refusal, &["wanted a holder of the role validator, found mallory"]);
    // A role that is none.
    let approval = lending.approval("no-such-role", "emperor", "ModelRelease", RELEASE, &digest);
    refused_with(
        &lending.apply("bob", &approval.to_string()).await.unwrap(),
        &["wanted an ApprovalRole that exists, found emperor"],
    );

    // With another digest: both are named.
    let other = format!("sha256:{}", "0".repeat(64));
    let approval = lending.approval("other", "model-owner", "ModelRelease", RELEASE, &other);
    refused_with(
        &lending.apply("bob", &approval.to_string()).await.unwrap(),
        &[&digest, &other, "look at what changed"],
    );
    // Of another algorithm.
    let approval = lending.approval("other", "model-owner", "ModelRelease", RELEASE, "md5:00");
    refused_with(
        &lending.apply("bob", &approval.to_string()).await.unwrap(),
        &["spec.subject.digest", "sha256"],
    );
    // Of nothing.
    let approval = lending.approval("nothing", "model-owner", "ModelRelease", "no-such-release", &digest);
    refused_with(
        &lending.apply("bob", &approval.to_string()).await.unwrap(),
        &["found no ModelRelease no-such-release"],
    );
    // Of what is in another namespace only.
    let Some(elsewhere) = super::lending("approving-there", None).await else { return };
    let approval = elsewhere.approval("elsewhere", "model-owner", "ModelRelease", RELEASE, &digest);
    refused_with(
        &elsewhere.apply("bob", &approval.to_string()).await.unwrap(),
        &["wanted an object in namespace approving-there", &format!("found no ModelRelease {RELEASE}")],
    );
    // With a field that this version does not know.
    let mut approval = lending.approval("unknown", "model-owner", "ModelRelease", RELEASE, &digest);
    approval["spec"]["by"] = json!("erin");
    refused_with(&lending.apply("bob", &approval.to_string()).await.unwrap(), &["unknown field \"spec.by\""]);
    // That ended before it began.
    let mut approval = lending.approval("ended", "model-owner", "ModelRelease", RELEASE, &digest);
    approval["spec"]["expiresAt"] = json!("2020-01-01T00:00:00Z");
    refused_with(
        &lending.apply("bob", &approval.to_string()).await.unwrap(),
        &["spec.expiresAt: wanted a time to come"],
    );

    // Immutable.
    lending.approve("bob", "model-owner", None).await.unwrap();
    let change = ["patch", "apv/model-owner", "--type=merge", "-p", r#"{"spec":{"decision":"Reject"}}"#];
    refused_with(
        &lending.kubectl("root-admin", &change).await.unwrap(),
        &["spec is immutable", "decision: Reject"],
    );
    let change = ["patch", &release, "--type=merge", "-p", r#"{"spec":{"developers":[]}}"#];
    refused_with(
        &lending.kubectl("root-admin", &change).await.unwrap(),
        &["is immutable: create a new ModelRelease"],
    );
}

#[tokio::test]
async fn authors_and_one_person_twice_do_not_count() {
    let Some(lending) = lending("counting", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    // The creator and a listed developer get the role.
    let bind = [
        "create",
        "clusterrolebinding",
        "developers-own",
        "--clusterrole=placet-approve-model-owner",
        "--user=dana",
        "--user=alice",
    ];
    lending.cluster.kubectl("root-admin", bind).await.unwrap().ok().unwrap();
    for who in ["dana", "alice"] {
        lending.cluster.grant("counting", who, "placet-reviewer").await.unwrap();
    }
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["model-owner"]).await.unwrap();
    for who in ["dana", "alice"] {
        let approval = lending.of_evidence(&format!("by-{who}"), "model-owner").await.unwrap();
        let applied = lending.apply(who, &approval.to_string()).await.unwrap();
        assert_eq!(applied.code, 0, "{applied:?}");
        holds(&applied.stderr, &["so this approval does not count"]);
    }
    let deployment = lending.manifest("deployment-v2").unwrap();
    let refusal = lending.apply("dana", &deployment).await.unwrap();
    refused_with(&refusal, &["1 of 14 gates", "model-owner: 0 of 1", "dana", "alice"]);
    // The validator, who approved in one role, holds the other one as well.
    let bind = [
        "create",
        "clusterrolebinding",
        "vera-owns",
        "--clusterrole=placet-approve-model-owner",
        "--user=vera",
    ];
    lending.cluster.kubectl("root-admin", bind).await.unwrap().ok().unwrap();
    let approval = lending.of_evidence("by-vera", "model-owner").await.unwrap();
    lending.apply("vera", &approval.to_string()).await.unwrap().ok().unwrap();
    refused_with(
        &lending.apply("dana", &deployment).await.unwrap(),
        &["0 of 1, since a person counts in one role only"],
    );
    lending.approve("bob", "model-owner", None).await.unwrap();
    lending.cleared("True").await.unwrap();
    for binding in ["developers-own", "vera-owns"] {
        lending
            .cluster
            .kubectl("root-admin", ["delete", "clusterrolebinding", binding])
            .await
            .unwrap()
            .ok()
            .unwrap();
    }
}

#[tokio::test]
async fn what_was_withdrawn_stays_withdrawn() {
    let Some(lending) = lending("taken", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let release = format!("mr/{RELEASE}");
    let patch = |value: &'static str| ["patch", &release, "--type=merge", "-p", value].map(str::to_owned);
    let set = patch(r#"{"spec":{"withdrawn":true}}"#);
    lending.kubectl("dana", &set.each_ref().map(String::as_str)).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    for back in [r#"{"spec":{"withdrawn":false}}"#, r#"{"spec":{"withdrawn":null}}"#] {
        let unset = patch(back);
        let refusal = lending.kubectl("root-admin", &unset.each_ref().map(String::as_str)).await.unwrap();
        refused_with(&refusal, &["what was withdrawn stays withdrawn"]);
    }
    // Approved once more, it is withdrawn all the same.
    lending.approve_as("once-more", "bob", "model-owner", None).await.unwrap();
    lending.findings_say(&["spec.withdrawn is true"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    // Made anew, with the same content: it is known.
    lending.kubectl("root-admin", &["delete", &release]).await.unwrap().ok().unwrap();
    lending.documents(&["release-v2"]).await.unwrap();
    lending.findings_say(&["this content was withdrawn before"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["is not cleared", "withdrawn before"]);
}

#[tokio::test]
async fn a_status_written_by_hand_changes_nothing_and_goes() {
    let Some(lending) = lending("by-hand", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.cleared("False").await.unwrap();
    let release = format!("mr/{RELEASE}");
    let open = field(&lending, &release, "{.status.open}").await;
    let forged = json!({ "status": {
        "class": "Minimal", "open": "", "validUntil": "2099-01-01T00:00:00Z",
        "conditions": [{ "type": "Cleared", "status": "True", "reason": "AllGatesMet", "message": "cleared",
                         "lastTransitionTime": "2026-01-01T00:00:00Z" }],
    }});
    let patch = ["patch", &release, "--subresource=status", "--type=merge", "-p", &forged.to_string()];
    lending.kubectl("root-admin", &patch).await.unwrap().ok().unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["is not cleared"]);
    lending.cleared("False").await.unwrap();
    lending.cluster.becomes("by-hand", &release, "{.status.class}", "High").await.unwrap();
    lending.cluster.becomes("by-hand", &release, "{.status.open}", &open).await.unwrap();
    lending.cluster.becomes("by-hand", &release, "{.status.validUntil}", "").await.unwrap();
    // Nobody but the operator and an administrator may write one at all.
    let patch = ["patch", &release, "--subresource=status", "--type=merge", "-p", &forged.to_string()];
    refused_with(&lending.kubectl("dana", &patch).await.unwrap(), &["modelreleases/status", "forbidden"]);
}
