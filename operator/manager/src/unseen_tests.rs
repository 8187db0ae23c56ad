//! What happened unseen is found, recorded once, and clears nothing.

use placet_evidence::Payload;
use serde_json::json;

use super::*;
use crate::testbed::{Bed, NS, RELEASE, Site, approval, model_release, policy, stamped, unstamped, world};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn begin(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    bed
}

/// Starts again: what the API server holds is listed.
fn again(site: &Site, mode: Option<&str>) -> Bed {
    let bed = site.start();
    bed.namespace(mode);
    bed.list();
    bed
}

/// Records about what nobody was seen doing, in short.
fn found(bed: &Bed) -> Vec<String> {
    let told = |record: &placet_evidence::Record| {
        let name = &record.subject.name;
        Some(match &record.payload {
            Payload::Object(o) if !record.has_actor() => {
                format!("{:?} {} {name} stamped={}", o.op, o.kind, o.stamped)
            }
            Payload::PolicyChange(p) if !record.has_actor() => {
                format!("{:?} {} {name}", p.op, record.subject.kind)
            }
            Payload::Enforcement(e) if !e.seen => format!("{name} {:?} to {:?}", e.before, e.after),
            _ => return None,
        })
    };
    bed.records().iter().filter_map(told).collect()
}

#[tokio::test]
async fn a_weakened_label_is_recorded_once() {
    let site = Site::new();
    let bed = begin(&site);
    bed.turns(1).await;
    let learned = "lending None to Some(\"deny\")";
    assert_eq!(found(&bed), [learned]);
    drop(bed);
    for mode in ["warn", "warn"] {
        let bed = again(&site, Some(mode));
        bed.turns(2).await;
        assert_eq!(found(&bed), [learned, "lending Some(\"deny\") to Some(\"warn\")"]);
    }
    let bed = again(&site, None);
    bed.turns(2).await;
    drop(bed);
    let bed = again(&site, None);
    bed.turns(2).await;
    assert_eq!(found(&bed).len(), 3);
    assert_eq!(found(&bed)[2], "lending Some(\"warn\") to None");
}

#[tokio::test]
async fn a_label_that_only_a_decision_knows_of_is_missed_all_the_same() {
    let site = Site::new();
    let bed = site.start();
    // The first look finds nothing; what comes afterwards is looked at once it has settled.
    bed.turns(1).await;
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    bed.turns(1).await;
    assert_eq!(bed.cleared(), "True");
    assert_eq!(found(&bed), Vec::<String>::new());
    drop(bed);
    let bed = again(&site, Some("warn"));
    bed.turns(2).await;
    assert_eq!(found(&bed), ["lending Some(\"deny\") to Some(\"warn\")"]);
}

#[tokio::test]
async fn objects_that_a_decision_had_read_and_that_are_gone_are_recorded_once_and_nothing_is_cleared() {
    let site = Site::new();
    let bed = begin(&site);
    // A Reject that a decision has read: gone, it would clear the release, if it were forgotten.
    bed.put(&approval("no-bert", "bert", "Reject", "2026-11-05T09:00:00Z"));
    bed.turns(1).await;
    assert_eq!(bed.cleared(), "False");
    drop(bed);
    for (kind, name) in [(Kind::Approval, "no-bert"), (Kind::Approval, "class-erin")] {
        site.fake.take_away(&crate::testbed::path(kind, name));
    }
    for _ in 0..3 {
        let bed = again(&site, Some("deny"));
        bed.turns(2).await;
        let wanted = ["Delete Approval class-erin stamped=true", "Delete Approval no-bert stamped=true"];
        assert_eq!(found(&bed)[1..], wanted, "once, however often it starts");
        assert_eq!(bed.cleared(), "False");
        let findings = bed.status(Kind::ModelRelease, RELEASE).to_string();
        assert!(findings.contains("Rejected"), "the log still knows the Reject: {findings}");
    }
}

#[tokio::test]
async fn a_deleted_policy_is_a_change_of_policy() {
    let site = Site::new();
    let bed = begin(&site);
    bed.turns(1).await;
    assert_eq!(bed.cleared(), "True");
    drop(bed);
    site.fake.take_away(&crate::testbed::path(Kind::ReleasePolicy, "minimal"));
    let bed = again(&site, Some("deny"));
    bed.turns(2).await;
    assert_eq!(found(&bed)[1..], ["Delete ReleasePolicy minimal"]);
    assert_eq!(bed.cleared(), "True", "the release stands on the policy that it was cleared under");
}

#[tokio::test]
async fn what_has_no_valid_stamp_is_recorded_once_for_each_content() {
    let site = Site::new();
    let bed = begin(&site);
    bed.turns(1).await;
    drop(bed);
    // While we are gone: a new approval, and a release whose spec was changed and whose stamp was not.
    let mut forged = approval("owner-eve", "eve", "Approve", "2026-11-05T09:00:00Z");
    forged["metadata"].as_object_mut().unwrap().remove("annotations");
    let mut changed = model_release();
    changed["spec"]["version"] = json!("3");
    changed["metadata"]["generation"] = json!(2);
    for object in [&forged, &changed] {
        let kind = Kind::parse(object["kind"].as_str().unwrap()).unwrap();
        site.fake
            .put(&crate::testbed::path(kind, object["metadata"]["name"].as_str().unwrap()), object.clone());
    }
    let wanted = ["Relist ModelRelease scoring-2 stamped=false", "Relist Approval owner-eve stamped=false"];
    for _ in 0..2 {
        let bed = again(&site, Some("deny"));
        bed.turns(2).await;
        assert_eq!(found(&bed)[1..], wanted);
        assert_ne!(bed.cleared(), "True");
    }
    // Another content is another record; a stamp ends it.
    changed["spec"]["version"] = json!("4");
    site.fake.put(&crate::testbed::path(Kind::ModelRelease, RELEASE), changed);
    let bed = again(&site, Some("deny"));
    bed.turns(2).await;
    assert_eq!(found(&bed).len(), 4);
}

#[tokio::test]
async fn while_running_what_lags_behind_a_record_is_not_taken_for_unseen() {
    let site = Site::new();
    let bed = begin(&site);
    bed.turns(1).await;
    let before = found(&bed).len();
    // The webhook has recorded the deletion; the store hears of it a second later.
    let object = approval("owner-bob", "bob", "Approve", "2026-11-04T09:00:00Z");
    let (record, _) = bed.state.reading.read(&object).unwrap();
    let actor = Some("bob");
    let ledger = &bed.reconciler.ledger;
    ledger.object(bed.state.now(), Operation::Delete, &record, actor, None).await.unwrap();
    bed.everything();
    bed.turns(1).await;
    bed.delete(Kind::Approval, "owner-bob");
    bed.pass_turns(MINUTE, 5).await;
    assert_eq!(found(&bed).len(), before);
    // One that nobody was seen deleting: found after it has settled, not at once.
    bed.delete(Kind::Approval, "class-erin");
    bed.turns(1).await;
    assert_eq!(found(&bed).len(), before);
    bed.pass_turns(MINUTE, 3).await;
    assert_eq!(found(&bed)[before..], ["Delete Approval class-erin stamped=true"]);
    // Nothing is compared while nothing changes.
    let records = bed.log.head().size;
    bed.pass_turns(MINUTE, 3).await;
    let more = bed.log.head().size - records;
    assert!(more <= 1, "a heartbeat at most, found {more} records");
}

#[test]
fn a_namespace_that_is_gone_is_no_change_of_its_label() {
    let mut seen = Seen::default();
    let label = |after: Option<&str>| {
        let after = after.map(str::to_owned);
        Payload::Enforcement(Enforcement { before: None, after, seen: true })
    };
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    seen.take(now, &Subject::new("Namespace", None, NS), &label(Some("deny")));
    let mut there = World::new();
    assert_eq!(seen.compare(now, &there), []);
    there.set_namespace(NS, BTreeMap::new());
    let removed =
        Unseen::Enforcement { namespace: NS.to_owned(), before: Some("deny".to_owned()), after: None };
    assert_eq!(seen.compare(now, &there), [removed]);
    seen.take(now, &Subject::new("Namespace", None, NS), &label(None));
    assert_eq!(seen.compare(now, &there), []);
}

#[tokio::test]
async fn policies_and_roles_without_a_stamp_are_found_too() {
    let site = Site::new();
    let bed = site.start();
    let role = unstamped(Kind::ApprovalRole, "x", &json!({"title": "X", "answersFor": "X"}));
    bed.hear(&role);
    bed.hear(&policy(&[]));
    bed.hear(&stamped(
        Kind::ApprovalRole,
        "y",
        "eve",
        "2026-01-01T00:00:00Z",
        &json!({"title": "Y", "answersFor": "Y"}),
    ));
    let found = Seen::default().compare(bed.state.now(), &bed.state.world());
    let [Unseen::Unstamped(record)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((record.kind, record.name.as_str()), (Kind::ApprovalRole, "x"));
}

/// A report on an artefact that no release names yet.
fn report(name: &str) -> serde_json::Value {
    let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
    let spec = json!({
        "artifact": digest('7'), "dataset": digest('2'), "type": "Performance", "ranAt": "2026-11-03T09:00:00Z",
        "tool": {"name": "scikit-learn", "version": "1.7.0"}, "rows": 1000,
        "metrics": [{"name": "BalancedAccuracy", "value": "0.40"}],
    });
    stamped(Kind::TestReport, name, "tess", "2026-11-03T10:00:00Z", &spec)
}

/// Reports that a release of the artefact would be judged by, with whether they exist.
fn reports(bed: &Bed) -> Vec<(String, bool)> {
    let mut release = model_release();
    release["metadata"]["name"] = "scoring-3".into();
    let artifact = report("x")["spec"]["artifact"].clone();
    release["spec"]["artifacts"][0]["digest"] = artifact;
    let (record, _) = bed.state.reading.read(&release).unwrap();
    bed.state.world_mut().apply(record);
    let snapshot = bed.state.snapshot(NS, "scoring-3");
    bed.state.world_mut().remove(Kind::ModelRelease, Some(NS), "scoring-3");
    snapshot.reports.iter().map(|r| (r.name().to_owned(), r.live)).collect()
}

#[tokio::test]
async fn what_no_decision_read_is_remembered_once_it_is_gone() {
    let site = Site::new();
    let bed = begin(&site);
    for name in ["asked", "unseen"] {
        bed.put(&report(name));
    }
    bed.pass_turns(MINUTE, 3).await;
    assert_eq!(reports(&bed), [("asked".to_owned(), true), ("unseen".to_owned(), true)]);
    // One is deleted through the webhook, which records it first; the other behind its back.
    let (record, _) = bed.state.reading.read(&report("asked")).unwrap();
    let ledger = &bed.reconciler.ledger;
    ledger.object(bed.state.now(), Operation::Delete, &record, Some("tess"), None).await.unwrap();
    bed.delete(Kind::TestReport, "asked");
    bed.delete(Kind::TestReport, "unseen");
    bed.pass_turns(MINUTE, 3).await;
    assert_eq!(found(&bed).last().unwrap(), "Delete TestReport unseen stamped=true");
    drop(bed);
    for _ in 0..2 {
        let bed = again(&site, Some("deny"));
        bed.turns(2).await;
        assert_eq!(reports(&bed), [("asked".to_owned(), false), ("unseen".to_owned(), false)]);
        assert_eq!(found(&bed).iter().filter(|f| f.contains("TestReport")).count(), 1, "recorded once");
    }
}

#[tokio::test]
async fn a_role_that_is_gone_is_recorded() {
    let site = Site::new();
    let bed = begin(&site);
    bed.pass_turns(MINUTE, 2).await;
    bed.delete(Kind::ApprovalRole, "risk-officer");
    bed.pass_turns(MINUTE, 5).await;
    assert_eq!(found(&bed)[1..], ["Delete ApprovalRole risk-officer"]);
}
