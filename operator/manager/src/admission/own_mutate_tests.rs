use std::sync::atomic::Ordering;

use placet_evidence::Record;
use placet_gate::stamp::StampProblem;

use super::*;
use crate::testbed::{Bed, NS, Site, model_release, signing, stamped, unstamped};

fn request(operation: &str, object: &Value, old: &Value) -> Request {
    let kind = object["kind"].as_str().unwrap();
    serde_json::from_value(json!({
        "uid": "request", "operation": operation, "name": object["metadata"]["name"], "namespace": NS,
        "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": kind},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "x"},
        "userInfo": {"username": "dana"}, "object": object, "oldObject": old,
    }))
    .unwrap()
}

fn release() -> Value {
    unstamped(Kind::ModelRelease, "r", &model_release()["spec"])
}

/// The value that an answer sets an annotation to.
fn set(answer: &Answer, key: &str) -> Option<String> {
    let path = format!("/metadata/annotations/{}", key.replace('/', "~1"));
    let step = answer.patch.iter().find(|step| step["path"] == path && step["op"] == "add")?;
    step["value"].as_str().map(str::to_owned)
}

fn stampings(bed: &Bed) -> Vec<(usize, Record)> {
    let records = bed.records().into_iter().enumerate();
    records.filter(|(_, record)| matches!(record.payload, Payload::Stamp(_))).collect()
}

#[tokio::test]
async fn a_stamping_is_a_record_that_the_receipt_names() {
    let site = Site::new();
    let bed = site.start();
    let desk = bed.admission();
    let answer = answer(&desk, &request("CREATE", &release(), &Value::Null)).await;
    assert_eq!(answer.denied, None);
    let (text, receipt) = (set(&answer, keys::STAMP).unwrap(), set(&answer, keys::RECEIPT).unwrap());
    let content = crate::testbed::content(&release());
    let place = Place {
        cluster: &bed.state.reading.cluster,
        kind: Kind::ModelRelease,
        namespace: Some(NS),
        name: "r",
    };
    let check =
        |text: &str| stamp::verify(&bed.state.reading.keys, place, Some(text), Some(&receipt), &content);
    let stamp = check(&text).unwrap();

    let recorded = stampings(&bed);
    let [(index, record)] = recorded.as_slice() else { panic!("{recorded:?}") };
    assert_eq!(stamp.record, Some(u64::try_from(*index).unwrap()));
    let Payload::Stamp(body) = &record.payload else { unreachable!() };
    assert_eq!((body.stamp.as_bytes(), body.content.to_string()), (&stamp.digest(), content.clone()));
    assert_eq!(body.key, stamp::key_id(&signing().verifying_key()));
    assert_eq!((body.op, body.kind.as_str(), body.name.as_str()), (Operation::Create, "ModelRelease", "r"));
    assert_eq!((body.namespace.as_deref(), record.has_actor()), (Some(NS), true));
    // The index is part of what is signed.
    let moved = text.replace(&format!("\"record\":{index}"), "\"record\":0");
    assert_eq!(check(&moved), Err(StampProblem::WrongSignature));
}

#[tokio::test]
async fn a_stamp_says_by_which_uid_it_was_and_when_the_role_was_asked_for() {
    let site = Site::new();
    let bed = site.start();
    let desk = bed.admission_over(crate::testbed::api_of_the_world());
    let spec = crate::testbed::approval("new", "bob", "Approve", "2026-11-04T09:00:00Z")["spec"].clone();
    let object = unstamped(Kind::Approval, "new", &spec);
    let mut asked = request("CREATE", &object, &Value::Null);
    asked.user_info.username = "bob".to_owned();
    asked.user_info.uid = Some("uid-of-bob".to_owned());
    let before = bed.state.now();
    let answered = answer(&desk, &asked).await;
    assert_eq!(answered.denied, None);
    let (text, receipt) = (set(&answered, keys::STAMP).unwrap(), set(&answered, keys::RECEIPT).unwrap());
    let stamp: StampText = serde_json::from_str(&text).unwrap();
    assert_eq!((stamp.creator.user.as_str(), stamp.creator.uid.as_deref()), ("bob", Some("uid-of-bob")));
    let role = stamp.role.unwrap();
    assert_eq!((role.name.as_str(), role.allowed, role.wildcard), ("model-owner", true, false));
    assert!(before <= role.at && role.at <= bed.state.now(), "{} of {before}", role.at);
    // Both are part of what is signed.
    let content = crate::testbed::content(&object);
    let place =
        Place { cluster: &bed.state.reading.cluster, kind: Kind::Approval, namespace: Some(NS), name: "new" };
    let check =
        |text: &str| stamp::verify(&bed.state.reading.keys, place, Some(text), Some(&receipt), &content);
    assert!(check(&text).is_ok());
    let at = serde_json::to_string(&role.at).unwrap();
    let asked_at = format!("\"at\":{at}");
    assert!(text.contains(&asked_at), "{text}");
    for other in
        [text.replace("uid-of-bob", "uid-of-eve"), text.replace(&asked_at, "\"at\":\"2026-01-01T00:00:00Z\"")]
    {
        assert_eq!(check(&other), Err(StampProblem::WrongSignature), "{other}");
    }
}

#[tokio::test]
async fn what_is_not_stamped_anew_is_not_recorded() {
    let site = Site::new();
    let bed = site.start();
    let desk = bed.admission();
    let mut dry = request("CREATE", &release(), &Value::Null);
    dry.dry_run = Some(true);
    let answered = answer(&desk, &dry).await;
    let stamp: StampText = serde_json::from_str(&set(&answered, keys::STAMP).unwrap()).unwrap();
    assert_eq!((stamp.record, set(&answered, keys::RECEIPT)), (None, None));
    // The same spec: the old stamp goes on.
    let old = stamped(Kind::ModelRelease, "r", "erin", "2026-11-01T09:00:00Z", &model_release()["spec"]);
    let answered = answer(&desk, &request("UPDATE", &release(), &old)).await;
    assert_eq!(set(&answered, keys::STAMP).as_deref(), annotation(&old, keys::STAMP));
    assert_eq!(stampings(&bed), []);
}

#[tokio::test]
async fn without_a_record_nothing_is_signed() {
    let site = Site::new();
    let bed = site.start();
    let desk = bed.admission();
    site.faults.broken.store(true, Ordering::Relaxed);
    let answered = answer(&desk, &request("CREATE", &release(), &Value::Null)).await;
    let (code, _, message) = answered.denied.clone().unwrap();
    assert_eq!((code, answered.patch.len()), (503, 0));
    assert!(message.contains("the evidence log cannot be written"), "{message}");
}

#[tokio::test]
async fn stamping_is_within_the_write_budget_but_for_what_stops_something() {
    let site = Site::new();
    let bed = site.start();
    let desk = bed.admission();
    let now = bed.state.now();
    while desk.ledger.effective(NS, now) != Repeat::Exhausted {}
    let answered = answer(&desk, &request("CREATE", &release(), &Value::Null)).await;
    let (code, _, message) = answered.denied.clone().unwrap();
    assert_eq!((code, answered.patch.len()), (429, 0));
    assert!(message.contains(NS) && message.contains("try again in a minute"), "{message}");
    let mut withdrawn = release();
    withdrawn["spec"]["withdrawn"] = true.into();
    let answered = answer(&desk, &request("CREATE", &withdrawn, &Value::Null)).await;
    assert!(answered.denied.is_some(), "it stops nothing: {answered:?}");
    let answered = answer(&desk, &request("UPDATE", &withdrawn, &release())).await;
    assert!(answered.denied.is_none() && set(&answered, keys::RECEIPT).is_some(), "{answered:?}");
    assert_eq!(stampings(&bed).len(), 1);
}

#[test]
fn only_what_stops_something_that_is_there_is_written_beyond_the_budget() {
    let (plain, withdrawn) = (json!({}), json!({"withdrawn": true}));
    let old = |spec: &Value| json!({"spec": spec});
    assert!(blocks(&json!({"decision": "Reject"}), None));
    assert!(!blocks(&json!({"decision": "Approve"}), None));
    assert!(blocks(&withdrawn, Some(&old(&plain))));
    assert!(!blocks(&withdrawn, None), "a release that begins withdrawn stops nothing");
    assert!(!blocks(&withdrawn, Some(&old(&withdrawn))), "nor does one that was withdrawn before");
    assert!(!blocks(&plain, Some(&old(&withdrawn))));
}
