//! Whether a Reject stands already, so that another one would add nothing.

#![expect(clippy::unwrap_used, reason = "a world that cannot be set up fails")]

mod common;

use common::{Given, Run, SignedBy};
use jiff::{SignedDuration, Timestamp};
use placet_api::approval::ApprovalSpec;
use placet_gate::gates::rejects::Rejecting;
use placet_gate::world::World;
use serde_json::{Value, json};

const NS: &str = "lending";

fn at(hour: i64) -> Timestamp {
    common::start() + SignedDuration::from_hours(hour - 100)
}

fn spec(decision: &str, change: &Value) -> Value {
    let mut spec = json!({
        "subject": {"kind": "ModelRelease", "name": "scoring-2", "covers": "Content",
                    "digest": format!("sha256:{}", "1".repeat(64))},
        "role": "risk-officer", "decision": decision,
    });
    common::merge(&mut spec, change);
    spec
}

fn given(name: &str, by: &str, hour: i64, spec: &Value) -> Given {
    let text = json!({"by": by, "at": at(hour).to_string(), "kind": "Approval", "name": name, "spec": spec});
    serde_json::from_value(text).unwrap()
}

fn reject(name: &str, by: &str, hour: i64) -> Given {
    given(name, by, hour, &spec("Reject", &json!({})))
}

fn answer(name: &str, by: &str, hour: i64, change: &Value) -> Given {
    let mut spec = spec("Approve", &json!({"answers": ["no"]}));
    common::merge(&mut spec, change);
    given(name, by, hour, &spec)
}

/// Name of the Reject that stands already, where these are there and erin gives another one.
fn stands_for(by: &str, all: &[Given], new: &Value, by_wildcard: bool) -> Option<String> {
    let (run, mut world) = (Run::new(), World::new());
    for given in all {
        run.add(&mut world, given, false);
    }
    let by = run.reading.people.person(by);
    let spec: ApprovalSpec = serde_json::from_value(spec("Reject", new)).unwrap();
    let found = world.stands_already(NS, Rejecting { by: &by, by_wildcard, spec: &spec });
    found.map(|reject| reject.name().to_owned())
}

fn stands(all: &[Given]) -> bool {
    stands_for("erin", all, &json!({}), false).is_some()
}

#[test]
fn the_same_person_role_and_content_stand_once() {
    let no = [reject("no", "erin", 1)];
    assert_eq!(stands_for("erin", &no, &json!({}), false).as_deref(), Some("no"));
    assert_eq!(stands_for("bob", &no, &json!({}), false), None, "another person");
    for other in [
        json!({"role": "model-owner"}),
        json!({"subject": {"digest": format!("sha256:{}", "2".repeat(64))}}),
        json!({"subject": {"name": "scoring-3"}}),
        json!({"subject": {"kind": "AISystem"}}),
    ] {
        assert_eq!(stands_for("erin", &no, &other, false), None, "{other}");
    }
    // What it says beside that is nothing new.
    assert_eq!(stands_for("erin", &no, &json!({"comment": "Still"}), false).as_deref(), Some("no"));
    assert!(!stands(&[answer("yes", "erin", 1, &json!({}))]), "an Approve is no Reject");
}

#[test]
fn one_that_does_not_count_or_counts_less_is_none() {
    let with = |change: fn(&mut Given)| {
        let mut no = reject("no", "erin", 1);
        change(&mut no);
        no
    };
    assert!(!stands(&[with(|no| no.by = None)]), "nobody's");
    assert!(!stands(&[with(|no| no.holds_role = Some(false))]));
    let wild = with(|no| no.wildcard = true);
    assert!(!stands(std::slice::from_ref(&wild)), "it counts in fewer policies than one by name");
    assert!(stands_for("erin", &[wild], &json!({}), true).is_some());
    assert!(stands_for("erin", &[reject("no", "erin", 1)], &json!({}), true).is_some());
    assert!(stands(&[with(|no| no.role_lost = true)]), "a Reject stands when its giver has lost the role");
}

#[test]
fn a_deleted_one_stands_and_a_live_one_is_named_before_it() {
    let mut gone = reject("gone", "erin", 1);
    gone.deleted = true;
    assert!(stands(std::slice::from_ref(&gone)));
    let named = stands_for("erin", &[gone, reject("there", "erin", 2)], &json!({}), false);
    assert_eq!(named.as_deref(), Some("there"));
}

#[test]
fn one_that_may_have_been_answered_stands_no_longer() {
    let no = || reject("no", "erin", 5);
    assert!(!stands(&[no(), answer("yes", "bob", 6, &json!({}))]));
    assert!(!stands(&[no(), answer("yes", "erin", 6, &json!({}))]), "by who gave it");
    // Whatever else a policy asks of those whose approval counts.
    let whole = json!({"subject": {"covers": "Evidence", "digest": format!("sha256:{}", "2".repeat(64))}});
    assert!(!stands(&[no(), answer("yes", "bob", 6, &whole)]));
    for (answers, why) in [
        (answer("yes", "bob", 4, &json!({})), "given before"),
        (answer("yes", "bob", 6, &json!({"answers": ["other"]})), "of another"),
        (answer("yes", "bob", 6, &json!({"answers": null})), "newer, and no answer"),
        (answer("yes", "bob", 6, &json!({"role": "model-owner"})), "in another role"),
        (answer("yes", "bob", 6, &json!({"subject": {"name": "scoring-3"}})), "of another release"),
    ] {
        assert!(stands(&[no(), answers]), "{why}");
    }
    let mut answers = answer("yes", "bob", 6, &json!({}));
    answers.holds_role = Some(false);
    assert!(stands(&[no(), answers.clone()]), "by somebody without the role");
    answers.holds_role = None;
    answers.deleted = true;
    assert!(stands(&[no(), answers]), "deleted, it is void");
    // Given again after the answer, it stands again.
    assert!(stands(&[no(), answer("yes", "bob", 6, &json!({})), reject("again", "erin", 7)]));
}

#[test]
fn a_signed_one_is_of_who_signed_it_and_stays_when_the_key_goes() {
    let robot = "system:serviceaccount:ci:robot";
    let mut no = reject("no", robot, 1);
    let by = SignedBy {
        key: 7,
        user: Some("erin".into()),
        issued_at: None,
        but: Value::Null,
        broken: false,
        in_namespace: None,
        seen: None,
    };
    no.signed = Some(by);
    assert!(stands(std::slice::from_ref(&no)), "whoever stands behind the key by now");
    assert_eq!(stands_for(robot, &[no], &json!({}), false), None, "the robot said nothing");
}
