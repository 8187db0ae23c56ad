//! Which refusals have a record, and of whom.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;
use crate::testbed::{Bed, NS, Site};

fn request(user: &str, op: &str, name: &str, dry: bool) -> Request {
    let object = json!({"metadata": {"name": name, "namespace": NS, "uid": "uid-1"}});
    let (object, old) = if op == "DELETE" { (json!(null), object) } else { (object, json!(null)) };
    serde_json::from_value(json!({
        "uid": "request", "operation": op, "name": name, "namespace": NS, "dryRun": dry,
        "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": "Approval"},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "approvals"},
        "userInfo": {"username": user}, "object": object, "oldObject": old,
    }))
    .unwrap()
}

/// Records of refusals: verb, name, times before.
fn refusals(bed: &Bed) -> Vec<(Operation, String, u64)> {
    let bodies = bed.records().into_iter().filter_map(|record| match record.payload {
        Payload::Admission(body) if body.effect == Effect::Deny && body.mode == MODE => Some(body),
        _ => None,
    });
    bodies.map(|body| (body.op, body.name, body.repeats)).collect()
}

#[tokio::test]
async fn who_was_refused_what_is_recorded_once_and_then_counted() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    let a = bed.admission();
    let no = || Answer::forbid("no");
    let ask = async |user: &str, op: &str, name: &str, dry: bool, answer: Answer| {
        recorded(&a, &request(user, op, name, dry), answer).await
    };
    assert!(ask("mallory", "DELETE", "no-by-erin", true, no()).await.denied.is_some());
    assert!(ask("mallory", "DELETE", "no-by-erin", false, Answer::allow()).await.denied.is_none());
    let late = Answer::deny(503, "ServiceUnavailable", "the log cannot be written");
    assert!(ask("mallory", "DELETE", "no-by-erin", false, late).await.denied.is_some());
    assert!(
        refusals(&bed).is_empty(),
        "a dry run, what is allowed, and what is refused since nothing can be recorded"
    );

    let first = ask("mallory", "DELETE", "no-by-erin", false, no()).await;
    assert!(first.denied.is_some() && first.audit.contains_key("record"), "{first:?}");
    ask("mallory", "DELETE", "no-by-erin", false, no()).await;
    ask("olga", "DELETE", "no-by-erin", false, no()).await;
    ask("mallory", "UPDATE", "no-by-erin", false, Answer::invalid("no")).await;
    let deleted = |repeats| (Operation::Delete, "no-by-erin".to_owned(), repeats);
    let updated = (Operation::Update, "no-by-erin".to_owned(), 0);
    assert_eq!(refusals(&bed), [deleted(0), deleted(0), updated.clone()]);
    let of_mallory = bed.records().into_iter().filter(placet_evidence::Record::has_actor).count();
    assert!(of_mallory >= 3, "each says who");
    // Later the same again, with how often it was meanwhile.
    bed.hands.pass(jiff::SignedDuration::from_hours(25));
    ask("mallory", "DELETE", "no-by-erin", false, no()).await;
    assert_eq!(refusals(&bed), [deleted(0), deleted(0), updated, deleted(1)]);
}

#[tokio::test]
async fn a_refusal_without_a_record_is_a_refusal() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    site.faults.full.store(true, Ordering::Relaxed);
    assert!(bed.log.health().full);
    let answer =
        recorded(&bed.admission(), &request("mallory", "CREATE", "x", false), Answer::forbid("no")).await;
    let why = answer.denied.map(|(code, _, why)| (code, why));
    assert_eq!(why, Some((403, "no".to_owned())));
    assert!(answer.audit.is_empty());
}
