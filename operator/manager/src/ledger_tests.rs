//! What is recorded however much a decision read, what waits for its namespace's budget, and what is told when something
//! cannot be recorded.

use jiff::SignedDuration;
use placet_evidence::inputs::MOST_NAMED;
use placet_evidence::source::{cited, read_inputs};
use serde_json::json;

use super::*;
use crate::admission::unwritable;
use crate::testbed::{Bed, NS, RELEASE, Site, approval, world};

/// A bed with everything that makes the release cleared, and so many more approvals.
fn bed(site: &Site, more: usize) -> Bed {
    let bed = site.start();
    bed.namespace(Some("hold"));
    for object in world() {
        bed.put(&object);
    }
    for n in 0..more {
        bed.put(&approval(&format!("more-{n}"), "bob", "Approve", "2026-11-04T09:00:00Z"));
    }
    bed
}

fn decisions(bed: &Bed) -> Vec<DecisionBody> {
    let bodies = bed.records().into_iter().filter_map(|r| match r.payload {
        Payload::Decision(body) => Some(body),
        _ => None,
    });
    bodies.collect()
}

#[tokio::test]
async fn a_decision_that_read_a_thousand_objects_is_recorded_and_recalled() {
    let site = Site::new();
    let bed = bed(&site, 1000);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    let made = decisions(&bed);
    let last = made.last().unwrap();
    assert_eq!(last.snapshot.len(), 1, "a list stands for them");
    let read = read_inputs(bed.log.source(), &last.snapshot).unwrap();
    assert!(read.len() > 1000 && read.len() > MOST_NAMED, "{}", read.len());
    for record in bed.records() {
        for digest in cited(bed.log.source(), &record).unwrap() {
            assert!(bed.log.has_object(&digest));
        }
    }
    // A Reject takes the clearance back, also now.
    bed.put(&approval("no", "bob", "Reject", "2026-11-20T09:00:00Z"));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    let known = bed.reconciler.ledger.last(NS, RELEASE).unwrap();
    let made = decisions(&bed).len();
    drop(bed);
    // Another operator reads all of it back: the same decision is not recorded again.
    let bed = site.start();
    let recalled = bed.reconciler.ledger.last(NS, RELEASE).unwrap();
    assert_eq!((recalled.index, recalled.inputs, recalled.cleared), (known.index, known.inputs, false));
    bed.namespace(Some("hold"));
    bed.list();
    bed.turns(2).await;
    assert_eq!((bed.cleared().as_str(), decisions(&bed).len()), ("False", made));
}

#[tokio::test]
async fn beyond_the_budget_only_what_changes_the_clearance_is_recorded() {
    let site = Site::new();
    let bed = bed(&site, 0);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    let before = decisions(&bed).len();
    let spend = || {
        let mut budget = bed.reconciler.ledger.budget.lock().unwrap();
        budget.written(NS, u64::MAX, bed.state.now());
    };
    // Another approval of the same person changes what was read, and nothing else.
    site.hands.pass(SignedDuration::from_secs(1));
    spend();
    bed.put(&approval("again", "bob", "Approve", "2026-11-05T09:00:00Z"));
    bed.turn().await.unwrap();
    assert_eq!(decisions(&bed).len(), before, "it waits");
    bed.put(&approval("no", "bob", "Reject", "2026-11-20T09:00:00Z"));
    bed.turn().await.unwrap();
    bed.hear_written();
    assert_eq!((bed.cleared().as_str(), decisions(&bed).len()), ("False", before + 1), "it does not wait");
    bed.put(&approval("third", "bob", "Approve", "2026-11-06T09:00:00Z"));
    spend();
    bed.turn().await.unwrap();
    assert_eq!(decisions(&bed).len(), before + 1);
    // The budget refills, and what waited is recorded.
    bed.turns(6).await;
    assert_eq!(decisions(&bed).len(), before + 2);
}

#[tokio::test]
async fn a_decision_spends_what_its_namespace_may_write() {
    let site = Site::new();
    let bed = bed(&site, 500);
    bed.turns(2).await;
    let room = |bytes| bed.reconciler.ledger.budget.lock().unwrap().has_room(NS, bytes, bed.state.now());
    assert!(room(7 << 20) && !room(8 << 20));
}

#[tokio::test]
async fn what_is_too_large_to_be_recorded_does_not_look_as_if_trying_again_helped() {
    let site = Site::new();
    let bed = bed(&site, 0);
    let ledger = &bed.reconciler.ledger;
    let subject = || Subject::new("ModelRelease", Some(NS), RELEASE);
    let gap = || {
        Payload::Gap(Gap { reason: GapReason::Away, from: None, to: None, count: None, detail: "x".into() })
    };
    let large = NewRecord::new(bed.state.now(), subject(), gap()).with_object(Object::new(vec![0; 1 << 20]));
    let error = ledger.append(large).await.unwrap_err();
    assert!(error.is_permanent());
    let answer = format!("{:?}", unwritable(&error));
    assert!(answer.contains("trying again does not help") && answer.contains("413"), "{answer}");
    assert!(format!("{:?}", unwritable(&AppendError::Busy)).contains("try again"));
    bed.turns(2).await;
    let writable = |bed: &Bed| bed.condition(Kind::ReleasePolicy, "minimal", "EvidenceWritable");
    // The release's own decision was recorded by now.
    assert_eq!(writable(&bed)["status"], "True");
    let other = Subject::new("ModelRelease", Some(NS), "other");
    let large = NewRecord::new(bed.state.now(), other, gap()).with_object(Object::new(vec![0; 1 << 20]));
    ledger.append(large).await.unwrap_err();
    bed.turns(2).await;
    let told = writable(&bed);
    assert_eq!((&told["status"], &told["reason"]), (&json!("False"), &json!("RecordTooLarge")));
    assert!(told["message"].as_str().unwrap().contains("other"), "{told}");
    bed.pass_turns(SignedDuration::from_mins(16), 2).await;
    assert_eq!(writable(&bed)["status"], "True");
}
