//! What Rejects may take, asked of both webhooks, one after the other.

use placet_api::Kind;
use placet_api::keys;
use placet_evidence::Payload;
use serde_json::{Value, json};

use crate::admission::review::{Answer, Request};
use crate::admission::{Admission, own_mutate, own_validate};
use crate::ledger::Repeat;
use crate::quota::{Limits, REJECT};
use crate::testbed::{Bed, NS, RELEASE, Site, approval, unstamped, world};

const AT: &str = "2026-11-04T09:00:00Z";

/// The webhooks, over an API server that has the world and lets everybody hold each role that there is.
fn desk(bed: &Bed) -> Admission {
    bed.admission_over(crate::testbed::api_of_the_world())
}

fn heard(site: &Site, limits: Limits) -> (Bed, Admission) {
    let bed = site.start_with(limits);
    bed.namespace(Some("deny"));
    for object in world() {
        bed.hear(&object);
    }
    let desk = desk(&bed);
    (bed, desk)
}

/// A Reject of the release as somebody applies it.
fn reject(name: &str) -> Value {
    let mut object = unstamped(Kind::Approval, name, &approval(name, "x", "Reject", AT)["spec"]);
    object["metadata"]["uid"] = format!("uid-{name}").into();
    object["metadata"]["generation"] = 1.into();
    object
}

fn request(by: &str, object: &Value, old: &Value) -> Request {
    serde_json::from_value(json!({
        "uid": "request", "operation": if old.is_null() { "CREATE" } else { "UPDATE" },
        "name": object["metadata"]["name"], "namespace": NS, "dryRun": false,
        "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": "Approval"},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "approvals"},
        "userInfo": {"username": by, "groups": ["system:authenticated"]}, "object": object, "oldObject": old,
    }))
    .unwrap()
}

fn why(answer: &Answer) -> Option<String> {
    answer.denied.as_ref().map(|(_, _, why)| why.clone())
}

/// What both webhooks make of a write: what is stored, or why not.
async fn written(desk: &Admission, by: &str, object: &Value, old: &Value) -> Result<Value, String> {
    let answer = own_mutate::answer(desk, &request(by, object, old)).await;
    if let Some(why) = why(&answer) {
        return Err(why);
    }
    let mut object = object.clone();
    for step in &answer.patch {
        for key in [keys::STAMP, keys::RECEIPT] {
            if step["path"] == format!("/metadata/annotations/{}", key.replace('/', "~1")) {
                object["metadata"]["annotations"][key] = step["value"].clone();
            }
        }
    }
    why(&own_validate::answer(desk, &request(by, &object, old)).await).map_or(Ok(object), Err)
}

async fn created(desk: &Admission, by: &str, object: &Value) -> Result<Value, String> {
    written(desk, by, object, &Value::Null).await
}

fn shown(bed: &Bed, object: &Value) {
    bed.hear(object);
    bed.state.coming.shown(Kind::Approval, NS, object["metadata"]["name"].as_str().unwrap(), object);
}

#[tokio::test]
async fn a_second_reject_that_adds_nothing_is_refused_until_the_first_is_answered() {
    let site = Site::new();
    let (bed, desk) = heard(&site, Limits::default());
    let first = created(&desk, "bert", &reject("no")).await.unwrap();
    let records = bed.records().len();
    // No store shows it yet.
    let refused = created(&desk, "bert", &reject("no-again")).await.unwrap_err();
    assert!(refused.contains("found that no by bert") && refused.contains("a moment ago"), "{refused}");
    shown(&bed, &first);
    let refused = created(&desk, "bert", &reject("no-again")).await.unwrap_err();
    let answers = format!("placet approve mr/{RELEASE} --role model-owner --answers no -n {NS}");
    assert!(refused.contains("found that no by bert") && refused.contains(&answers), "{refused}");
    assert!(!refused.contains("deleted") && !refused.contains("moment ago"), "{refused}");
    assert_eq!(bed.records().len(), records, "what is refused is not recorded");
    // Somebody else's word is another one; so is one in another role, if anybody asks for that.
    shown(&bed, &created(&desk, "carl", &reject("no-carl")).await.unwrap());
    // Who applies the same file again is not kept from it.
    let mut labelled = first.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    written(&desk, "bert", &labelled, &first).await.unwrap();
    // Deleted, it stands all the same, under whichever name a second one comes.
    bed.miss(Kind::Approval, "no");
    let refused = created(&desk, "bert", &reject("no-again")).await.unwrap_err();
    assert!(refused.contains("stands although it was deleted") && refused.contains(&answers), "{refused}");
    shown(&bed, &created(&desk, "bert", &reject("no")).await.unwrap());
    // Answered, it may be given again.
    let mut answer = unstamped(Kind::Approval, "yes", &approval("yes", "x", "Approve", AT)["spec"]);
    answer["spec"]["answers"] = json!(["no"]);
    bed.hands.pass(jiff::SignedDuration::from_secs(5));
    bed.hear(&created(&desk, "carl", &answer).await.unwrap());
    bed.hands.pass(jiff::SignedDuration::from_secs(5));
    shown(&bed, &created(&desk, "bert", &reject("no-again")).await.unwrap());
    let refused = created(&desk, "bert", &reject("no-thrice")).await.unwrap_err();
    assert!(refused.contains("found that no-again by bert"), "{refused}");
}

#[tokio::test]
async fn a_reject_under_a_name_that_is_taken_is_not_said_and_not_waited_for() {
    let site = Site::new();
    let (bed, desk) = heard(&site, Limits::default());
    // As `placet reject` does: the name of before first, then another one.
    for kind in ["Approve", "Reject"] {
        let taken = bed.admission_over(crate::testbed::api_with(&[{
            let mut there = reject("no");
            there["spec"]["decision"] = kind.into();
            there
        }]));
        let records = bed.records().len();
        let answer = own_mutate::answer(&taken, &request("bert", &reject("no"), &Value::Null)).await;
        let wanted = (409, "AlreadyExists", "approvals.placet.dev \"no\" already exists".to_owned());
        assert_eq!(answer.denied, Some(wanted));
        assert_eq!(bed.records().len(), records);
        assert_eq!(bed.state.coming.about(NS, RELEASE), Vec::<String>::new());
    }
    created(&desk, "bert", &reject("no-again")).await.unwrap();
}

#[tokio::test]
async fn in_a_full_namespace_a_small_reject_passes_and_a_large_one_or_a_repeated_one_does_not() {
    let site = Site::new();
    let (bed, desk) = heard(&site, Limits { bytes: 1, objects: 1 });
    let mut large = reject("no");
    large["metadata"]["annotations"] = json!({"fill": "x".repeat(usize::try_from(REJECT).unwrap())});
    let refused = created(&desk, "bert", &large).await.unwrap_err();
    let wanted = format!("too large: wanted a Reject of at most {REJECT} bytes, found 1");
    assert!(refused.contains(&wanted), "{refused}");
    let stored = created(&desk, "bert", &reject("no")).await.unwrap();
    shown(&bed, &stored);
    bed.miss(Kind::Approval, "no");
    let refused = created(&desk, "bert", &reject("no")).await.unwrap_err();
    assert!(refused.contains("which are remembered for good, found"), "{refused}");
    large["metadata"]["name"] = "no-dora".into();
    let refused = created(&desk, "dora", &large).await.unwrap_err();
    assert!(refused.contains("remembered for good") && refused.contains("leave out labels"), "{refused}");
    created(&desk, "dora", &reject("no-dora")).await.unwrap();
}

#[tokio::test]
async fn where_the_budget_is_used_up_rejects_that_come_to_nothing_do_not_fill_the_log_with_stamps() {
    let site = Site::new();
    let (bed, desk) = heard(&site, Limits::default());
    let mut wrong = reject("wrong");
    wrong["spec"]["subject"]["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    let stamps = || bed.records().iter().filter(|r| matches!(r.payload, Payload::Stamp(_))).count();
    let before = stamps();
    while bed.reconciler.ledger.effective(NS, bed.state.now()) != Repeat::Exhausted {}
    let mut used_up = 0;
    for _ in 0..30 {
        let refused = created(&desk, "bert", &wrong).await.unwrap_err();
        if refused.contains("has used up what it may write") {
            used_up += 1;
        } else {
            assert!(refused.contains("spec.subject.digest") && used_up == 0, "{refused}");
        }
    }
    assert!(used_up > 0);
    assert_eq!(stamps() - before, 30 - used_up);
    // Somebody else's Reject passes.
    created(&desk, "carl", &reject("no")).await.unwrap();
    let mut large = reject("no-dora");
    large["metadata"]["annotations"] = json!({"fill": "x".repeat(usize::try_from(REJECT).unwrap())});
    let refused = created(&desk, "dora", &large).await.unwrap_err();
    assert!(refused.contains("has used up what it may write"), "{refused}");
}
