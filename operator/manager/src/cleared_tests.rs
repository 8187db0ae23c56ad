//! The memory of clearances is the log: what a change follows is known after a restart, whatever became of the object.

use std::collections::BTreeSet;

use placet_api::Kind;
use serde_json::{Value, json};

use crate::testbed::{Bed, NS, Site, content, model_release, policy, stamped, world};

/// The policy, which asks about changes.
fn asks_about_changes() -> Value {
    let mut spec = policy(&[])["spec"].clone();
    spec["change"] = json!({"rollbackTarget": false});
    stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &spec)
}

fn release(name: &str, kind: &str, previous: Option<&str>) -> Value {
    let mut spec = model_release()["spec"].clone();
    spec["change"]["kind"] = kind.into();
    if let Some(previous) = previous {
        spec["previous"] = previous.into();
    }
    stamped(Kind::ModelRelease, name, "dana", "2026-11-01T09:00:00Z", &spec)
}

fn approved(release: &Value) -> Value {
    let name = release["metadata"]["name"].as_str().unwrap();
    let subject =
        json!({"kind": "ModelRelease", "name": name, "covers": "Content", "digest": content(release)});
    let spec = json!({"subject": subject, "role": "model-owner", "decision": "Approve"});
    stamped(Kind::Approval, &format!("owner-of-{name}"), "bob", "2026-11-04T09:00:00Z", &spec)
}

/// An operator that hears of everything but the release of the world.
fn bed(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    let others = world().into_iter().filter(|o| {
        let name = o["metadata"]["name"].as_str().unwrap();
        o["kind"] != "ReleasePolicy" && o["kind"] != "ModelRelease" && name != "owner-bob"
    });
    for object in others.chain([asks_about_changes()]) {
        bed.put(&object);
    }
    bed
}

fn cleared(bed: &Bed, name: &str) -> String {
    let condition = bed.condition(Kind::ModelRelease, name, "Cleared");
    condition["status"].as_str().unwrap_or_default().to_owned()
}

fn reasons(bed: &Bed, name: &str) -> Vec<String> {
    let status = bed.status(Kind::ModelRelease, name);
    let gates = status["gates"].as_array().into_iter().flatten();
    let findings = gates.flat_map(|g| g["findings"].as_array().into_iter().flatten());
    findings.map(|f| f["reason"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_was_cleared_is_followed_though_it_was_deleted_and_the_operator_started_again() {
    let site = Site::new();
    let first = bed(&site);
    let one = release("scoring-1", "Initial", None);
    for object in [approved(&one), one] {
        first.put(&object);
    }
    first.turns(2).await;
    assert_eq!(cleared(&first, "scoring-1"), "True", "{:?}", reasons(&first, "scoring-1"));
    first.delete(Kind::ModelRelease, "scoring-1");
    first.turns(2).await;
    drop(first);

    let again = site.start_again();
    let two = release("scoring-2", "Initial", None);
    let three = release("scoring-3", "Configuration", Some("scoring-1"));
    let four = release("scoring-4", "Configuration", Some("scoring-0"));
    for object in [approved(&two), approved(&three), approved(&four), two, three, four] {
        again.put(&object);
    }
    again.turns(3).await;
    assert_eq!(reasons(&again, "scoring-2"), ["PreviousMissing"]);
    assert_eq!(cleared(&again, "scoring-3"), "True", "{:?}", reasons(&again, "scoring-3"));
    assert_eq!(reasons(&again, "scoring-4"), ["PreviousNotValid"]);
}

#[tokio::test]
async fn what_is_cleared_is_followed_at_once_by_what_waits_and_by_nothing_that_was_cleared_before() {
    let site = Site::new();
    let bed = bed(&site);
    let (one, two) = (release("scoring-1", "Initial", None), release("scoring-2", "Initial", None));
    for object in [&one, &two] {
        bed.put(object);
    }
    bed.turns(2).await;
    assert_eq!(reasons(&bed, "scoring-1"), ["ApprovalMissing"], "two that wait");
    bed.put(&approved(&two));
    bed.turns(2).await;
    assert_eq!(cleared(&bed, "scoring-2"), "True");
    assert_eq!(reasons(&bed, "scoring-1"), ["PreviousMissing", "ApprovalMissing"]);
    // Nothing follows from a release of another system, and nothing for the one that came first.
    let mut other = model_release()["spec"].clone();
    other["system"] = "other".into();
    bed.put(&stamped(Kind::ModelRelease, "other-1", "dana", "2026-11-01T09:00:00Z", &other));
    bed.turns(2).await;
    assert_eq!(cleared(&bed, "scoring-2"), "True");
    let snapshot = |name: &str| bed.state.snapshot(NS, name);
    assert_eq!(snapshot("scoring-1").cleared_before.map(|c| c.len()), Some(1));
    assert_eq!(snapshot("scoring-2").cleared_before, Some(BTreeSet::new()));
    assert_eq!(snapshot("other-1").cleared_before, Some(BTreeSet::new()));
}
