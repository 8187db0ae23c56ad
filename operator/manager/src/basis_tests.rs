//! A release that is cleared stands on the policies that it was cleared under, until its term or until a policy says that
//! it applies at once.

use jiff::SignedDuration;
use placet_api::Kind;
use placet_evidence::Payload;
use placet_gate::circumstances::Circumstances;
use placet_gate::object::Record;
use placet_gate::{Decision, evaluate};
use serde_json::{Value, json};

use crate::testbed::{Bed, NS, RELEASE, Site, approval, model_release, policy, stamped, world};

const DAY: SignedDuration = SignedDuration::from_hours(24);

async fn cleared(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    bed.turns(1).await;
    assert_eq!(bed.cleared(), "True");
    bed
}

/// The policy, asking for two people where it asked for one.
fn stricter(more: &Value) -> Value {
    let mut spec = policy(&[])["spec"].clone();
    spec["approvals"][0]["count"] = json!(2);
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-11-20T00:00:00Z", &spec)
}

fn findings(bed: &Bed) -> String {
    bed.status(Kind::ModelRelease, RELEASE)["gates"].to_string()
}

#[tokio::test]
async fn an_edit_of_a_policy_voids_nothing_that_is_cleared() {
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({})));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    drop(bed);
    for _ in 0..2 {
        let bed = site.start_again();
        bed.turns(2).await;
        assert_eq!(bed.cleared(), "True", "after a restart too");
    }
    // A second policy, and the first one deleted: the release stands.
    let bed = site.start_again();
    let mut other = stricter(&json!({}));
    other["metadata"]["name"] = "other".into();
    bed.put(&stamped(Kind::ReleasePolicy, "other", "platform", "2026-11-20T00:00:00Z", &other["spec"]));
    bed.delete(Kind::ReleasePolicy, "minimal");
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
}

#[tokio::test]
async fn a_reject_by_whoever_has_a_say_now_stops_what_stands_on_policies_of_before() {
    let site = Site::new();
    let bed = cleared(&site).await;
    let mut spec = policy(&[])["spec"].clone();
    spec["approvals"] = json!([{"role": "risk-officer", "count": 1, "covers": "Content"}]);
    bed.put(&stamped(Kind::ReleasePolicy, "also", "platform", "2026-11-20T00:00:00Z", &spec));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True", "it stands on the policy of before");
    let mut reject = approval("no", "erin", "Reject", "2026-11-20T00:01:00Z")["spec"].clone();
    reject["role"] = json!("risk-officer");
    bed.put(&stamped(Kind::Approval, "no", "erin", "2026-11-20T00:01:00Z", &reject));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    assert!(findings(&bed).contains("no rejects this content"), "{}", findings(&bed));
}

#[tokio::test]
async fn who_approved_in_a_role_that_nobody_asks_any_more_can_take_it_back() {
    let site = Site::new();
    let bed = cleared(&site).await;
    let mut spec = policy(&[])["spec"].clone();
    spec["approvals"] = json!([{"role": "risk-officer", "count": 1, "covers": "Content"}]);
    bed.put(&stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-11-20T00:00:00Z", &spec));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    let reject = approval("no", "bob", "Reject", "2026-11-20T00:01:00Z");
    let subject = serde_json::from_value(reject["spec"]["subject"].clone()).unwrap();
    let clock = bed.state.gate_clock();
    assert!(crate::subjects::may_reject(&bed.state.world(), &clock, NS, &subject, "model-owner"));
    bed.put(&reject);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
}

#[tokio::test]
async fn at_the_end_of_its_term_the_policy_of_now_decides() {
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({})));
    bed.turns(1).await;
    // The approval of 4 November ends 30 days later without a first use.
    bed.pass_turns(DAY * 13, 1).await;
    assert_eq!(bed.cleared(), "True");
    bed.pass_turns(DAY * 2, 2).await;
    assert_eq!(bed.cleared(), "False");
    assert!(findings(&bed).contains("2 approvals by model-owner"), "{}", findings(&bed));
}

#[tokio::test]
async fn an_edit_that_says_so_applies_at_once() {
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({"appliesToCleared": true})));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    assert!(findings(&bed).contains("1 of 2"), "{}", findings(&bed));
    // What was lost does not come back by the edit alone being changed back in part.
    bed.put(&stricter(&json!({})));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False", "the clearance was lost, and the policy of now decides");
    bed.put(&policy(&[]));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
}

#[tokio::test]
async fn a_clearance_that_is_lost_is_regained_under_the_policy_of_now() {
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({})));
    bed.delete(Kind::Approval, "owner-bob");
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    bed.put(&approval("owner-bert", "bert", "Approve", "2026-11-20T12:00:00Z"));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    assert!(findings(&bed).contains("1 of 2"), "{}", findings(&bed));
    drop(bed);
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False", "after a restart too");
}

#[tokio::test]
async fn a_release_that_is_created_again_begins_under_the_policy_of_now() {
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({})));
    bed.turns(1).await;
    bed.delete(Kind::ModelRelease, RELEASE);
    let mut second = model_release();
    second["metadata"]["uid"] = "second".into();
    bed.put(&second);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    drop(bed);
    // Unseen: deleted and created while nobody watched.
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({})));
    bed.turns(1).await;
    drop(bed);
    site.fake.put(&crate::testbed::path(Kind::ModelRelease, RELEASE), second);
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
}

#[tokio::test]
async fn not_knowing_for_a_while_takes_nothing_back() {
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({})));
    bed.turns(1).await;
    // Somebody sets the clock ahead; then it is right again.
    site.hands.set(SignedDuration::from_mins(5));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "Unknown");
    drop(bed);
    site.hands.set(SignedDuration::from_mins(-5));
    let bed = site.start_again();
    bed.pass_turns(SignedDuration::from_mins(6), 2).await;
    assert_eq!(bed.cleared(), "True");
}

#[tokio::test]
async fn what_a_decision_stood_on_is_in_the_log_for_replay() {
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({})));
    bed.turns(2).await;
    let read = |digest: &placet_evidence::Digest| -> Value {
        let object = placet_evidence::source::read_object(bed.log.source(), digest).unwrap().unwrap();
        serde_json::from_slice(object.bytes()).unwrap()
    };
    let mut on_basis = 0;
    for record in bed.records() {
        let Payload::Decision(body) = &record.payload else { continue };
        let (mut rest, mut objects) = (None, Vec::new());
        for digest in &body.snapshot {
            let value = read(digest);
            match Circumstances::read(&value).unwrap() {
                Some(found) => rest = Some(found),
                None => {
                    objects.push((digest.to_string(), serde_json::from_value::<Record>(value).unwrap()));
                }
            }
        }
        let rest = rest.unwrap();
        assert_eq!((rest.namespace.as_str(), rest.name.as_str()), (NS, RELEASE));
        let recorded: Decision = serde_json::from_value(read(&body.result.unwrap())).unwrap();
        on_basis += usize::from(recorded.on_basis);
        // What is shown beside the decision is not part of it, and not recorded.
        let again = Decision { shown: recorded.shown.clone(), ..evaluate(&rest.snapshot(objects, body.now)) };
        assert_eq!(again, recorded);
    }
    assert_eq!(on_basis, 1);
}

#[tokio::test]
async fn who_approves_after_the_edit_approves_under_it_and_prolongs_nothing() {
    let site = Site::new();
    let bed = cleared(&site).await;
    bed.put(&stricter(&json!({})));
    bed.turns(1).await;
    // Approved again before the first approval ends, after the policy was edited.
    bed.put(&approval("owner-again", "bob", "Approve", "2026-11-25T09:00:00Z"));
    bed.pass_turns(DAY * 13, 1).await;
    assert_eq!(bed.cleared(), "True");
    bed.pass_turns(DAY * 3, 2).await;
    assert_eq!(bed.cleared(), "False");
    assert!(findings(&bed).contains("1 of 2"), "{}", findings(&bed));
}

#[tokio::test]
async fn what_applied_at_once_goes_on_applying_when_the_flag_is_taken_off() {
    let site = Site::new();
    let bed = cleared(&site).await;
    // One edit that waits, and one policy that applies at once and asks for the risk officer, who approves.
    bed.put(&stricter(&json!({})));
    let mut spec = policy(&[])["spec"].clone();
    spec["approvals"][0]["role"] = json!("risk-officer");
    let unflagged = spec.clone();
    spec["appliesToCleared"] = json!(true);
    let more = |spec: &Value| stamped(Kind::ReleasePolicy, "more", "platform", "2026-11-20T01:00:00Z", spec);
    let mut officer = approval("officer-rita", "rita", "Approve", "2026-11-10T09:00:00Z")["spec"].clone();
    officer["role"] = json!("risk-officer");
    bed.put(&stamped(Kind::Approval, "officer-rita", "rita", "2026-11-10T09:00:00Z", &officer));
    bed.put(&more(&spec));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    bed.put(&more(&unflagged));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    bed.delete(Kind::Approval, "officer-rita");
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False", "{}", findings(&bed));
}

#[tokio::test]
async fn an_answer_to_a_reject_stays_one_whatever_is_asked_of_answers_since() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    let of_class = |name: &str, by: &str, at: &str, more: &Value| {
        let all = world();
        let mut spec = all.iter().find(|o| o["metadata"]["name"] == "class-erin").unwrap()["spec"].clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        stamped(Kind::Approval, name, by, at, &spec)
    };
    bed.put(&of_class("doubt", "rita", "2026-11-06T09:00:00Z", &json!({"decision": "Reject"})));
    bed.turns(1).await;
    assert_eq!(bed.cleared(), "False");
    bed.put(&of_class("answer", "vera", "2026-11-07T09:00:00Z", &json!({"answers": ["doubt"]})));
    bed.turns(1).await;
    assert_eq!(bed.cleared(), "True");
    // A signature is asked of the role from now on: the release stands, with the answer without one.
    let mut spec = policy(&[])["spec"].clone();
    let signed = json!({"role": "risk-officer", "count": 1, "covers": "Content", "proof": "Signed"});
    spec["approvals"].as_array_mut().unwrap().push(signed);
    bed.put(&stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-11-20T00:00:00Z", &spec));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True", "{}", findings(&bed));
    let said = bed.condition(Kind::Approval, "doubt", "Counts");
    assert_eq!((&said["status"], &said["reason"]), (&json!("False"), &json!("Answered")), "{said}");
    drop(bed);
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True", "after a restart too: {}", findings(&bed));
    // Whoever rejects it since is heard.
    bed.put(&of_class("again", "rita", "2026-11-20T00:01:00Z", &json!({"decision": "Reject"})));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    // And what stands on nothing of before is judged as is asked now.
    bed.put(&of_class("answers-again", "vera", "2026-11-20T00:02:00Z", &json!({"answers": ["again"]})));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    assert!(findings(&bed).contains("reject"), "{}", findings(&bed));
}
