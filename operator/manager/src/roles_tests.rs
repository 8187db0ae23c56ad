use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::infra::fake_api;
use crate::testbed::{Bed, Site, policy, stamped, world};

/// Who holds which role, as the API server says; None: it does not answer.
type Holders = Arc<Mutex<Option<BTreeSet<(String, String)>>>>;

fn holders(all: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    all.iter().map(|(user, role)| ((*user).to_owned(), (*role).to_owned())).collect()
}

fn api(holders: &Holders) -> (Client, Arc<Mutex<Vec<fake_api::Seen>>>) {
    let holders = Arc::clone(holders);
    fake_api::client(move |seen| {
        let text =
            |pointer: &str| seen.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let asked = (text("/spec/user"), text("/spec/resourceAttributes/name"));
        let answer = match &*holders.lock().unwrap() {
            None => fake_api::failure(500, "InternalError"),
            Some(all) => {
                let mut body = seen.body.clone();
                body["status"] = json!({"allowed": all.contains(&asked)});
                fake_api::reply(201, &body)
            }
        };
        async move { answer }
    })
}

/// A release that is cleared under a policy that voids what was given by somebody who lost their role.
fn bed(site: &Site, role_loss: Option<&str>) -> Bed {
    let bed = site.start();
    bed.namespace(Some("hold"));
    for object in world() {
        bed.put(&object);
    }
    if let Some(said) = role_loss {
        let mut spec = policy(&[])["spec"].take();
        spec["validity"]["roleLoss"] = said.into();
        bed.put(&stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &spec));
    }
    bed
}

fn keeper(bed: &Bed, holders: &Holders) -> (RoleKeeper, Arc<Mutex<Vec<fake_api::Seen>>>) {
    let (client, asked) = api(holders);
    (keeper_over(bed, client), asked)
}

fn keeper_over(bed: &Bed, client: Client) -> RoleKeeper {
    let reconciler = &bed.reconciler;
    RoleKeeper::new(
        Arc::clone(&bed.state),
        Arc::clone(&reconciler.queue),
        client,
        Arc::clone(&reconciler.ledger),
    )
}

/// What the log says became of roles: lost or held again, the role, and what was said in it.
fn told(bed: &Bed) -> Vec<(bool, String, Vec<String>)> {
    let all = bed.records().into_iter().filter_map(|record| match record.payload {
        Payload::RoleStanding(told) => {
            let words = told.words.into_iter().map(|w| format!("{} {} on {}", w.kind, w.name, w.about_name));
            Some((told.lost, record.subject.name, words.collect()))
        }
        _ => None,
    });
    all.collect()
}

fn word_of_bob(lost: bool) -> (bool, String, Vec<String>) {
    (lost, "model-owner".to_owned(), vec!["Approval owner-bob on scoring-2".to_owned()])
}

const BOTH: [(&str, &str); 2] = [("bob", "model-owner"), ("erin", "risk-officer")];

#[tokio::test]
async fn who_has_lost_the_role_counts_no_more_until_they_hold_it_again() {
    let site = Site::new();
    let bed = bed(&site, Some("Void"));
    let now: Holders = Arc::new(Mutex::new(Some(holders(&BOTH))));
    let (mut keeper, asked) = keeper(&bed, &now);
    assert_eq!(keeper.round().await, EVERY);
    // Of a role of the cluster once, in however many namespaces somebody approved.
    assert!(keeper.wanted().keys().all(|question| question.namespace.is_none()));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    let groups = asked.lock().unwrap()[0].body["spec"]["groups"].clone();
    assert_eq!(groups, json!([EVERYBODY]));

    // A binding that is gone for a moment changes nothing.
    *now.lock().unwrap() = Some(holders(&[("erin", "risk-officer")]));
    assert_eq!(keeper.round().await, SURE);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    assert_eq!(keeper.round().await, EVERY);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    let said = bed.condition(Kind::ModelRelease, crate::testbed::RELEASE, "Cleared");
    assert!(said["message"].as_str().unwrap().contains("approvals"), "{said}");

    // The stores hear of the object again: it is read as before.
    bed.put(&crate::testbed::approval("owner-bob", "bob", "Approve", "2026-11-04T09:00:00Z"));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");

    *now.lock().unwrap() = Some(holders(&BOTH));
    keeper.round().await;
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
}

#[tokio::test]
async fn who_holds_it_by_a_wildcard_only_has_lost_what_was_given_by_name() {
    let site = Site::new();
    let bed = bed(&site, Some("Void"));
    let client = fake_api::client(|seen| {
        // Allowed whatever the name of the role.
        let mut body = seen.body;
        body["status"] = json!({"allowed": true});
        async move { fake_api::reply(201, &body) }
    });
    let mut keeper = keeper_over(&bed, client.0);
    keeper.round().await;
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
}

#[tokio::test]
async fn a_restart_decides_nothing_before_it_has_asked() {
    let site = Site::new();
    let bed = bed(&site, Some("Void"));
    let now: Holders = Arc::new(Mutex::new(None));
    let (mut keeper, _) = keeper(&bed, &now);
    assert_eq!(bed.state.store_problems(), [NAME]);
    assert_eq!(keeper.round().await, AGAIN);
    bed.turns(1).await;
    assert_eq!(bed.state.store_problems(), [NAME], "nothing was answered");
    *now.lock().unwrap() = Some(holders(&[("erin", "risk-officer")]));
    keeper.round().await;
    assert!(bed.state.store_problems().is_empty());
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False", "a no is believed at once where no yes was heard before");
    // Later, no answer leaves everything as it was.
    *now.lock().unwrap() = None;
    assert_eq!(keeper.round().await, EVERY);
    bed.turns(2).await;
    assert!(bed.state.store_problems().is_empty());
    assert_eq!(bed.cleared(), "False");
}

#[tokio::test]
async fn where_no_policy_voids_nobody_is_asked() {
    let site = Site::new();
    let bed = bed(&site, None);
    let now: Holders = Arc::new(Mutex::new(Some(holders(&[]))));
    let (mut keeper, asked) = keeper(&bed, &now);
    assert_eq!(keeper.round().await, EVERY);
    assert!(asked.lock().unwrap().is_empty());
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
}

#[tokio::test]
async fn each_loss_and_each_regain_is_one_record_without_a_name_in_it() {
    let site = Site::new();
    let bed = bed(&site, Some("Void"));
    let all = || holders(&BOTH);
    let without_bob = || holders(&[("erin", "risk-officer")]);
    let now: Holders = Arc::new(Mutex::new(Some(all())));
    let (mut keeper, _) = keeper(&bed, &now);
    for _ in 0..3 {
        keeper.round().await;
    }
    assert_eq!(told(&bed), [], "nothing was lost");
    *now.lock().unwrap() = Some(without_bob());
    for _ in 0..4 {
        keeper.round().await;
    }
    assert_eq!(told(&bed), [word_of_bob(true)], "and told once");
    *now.lock().unwrap() = Some(all());
    for _ in 0..3 {
        keeper.round().await;
    }
    assert_eq!(told(&bed), [word_of_bob(true), word_of_bob(false)]);
    // Lost again, and the operator starts again twice: it is known, and told no more.
    *now.lock().unwrap() = Some(without_bob());
    for _ in 0..3 {
        keeper.round().await;
    }
    drop((keeper, bed));
    for _ in 0..2 {
        let bed = bed_again(&site);
        let (mut keeper, _) = self::keeper(&bed, &now);
        keeper.round().await;
        bed.turns(2).await;
        assert_eq!(told(&bed).len(), 3);
        assert_eq!(bed.cleared(), "False");
    }
    // Given back while the operator was gone: that is told.
    *now.lock().unwrap() = Some(all());
    let bed = bed_again(&site);
    let (mut keeper, _) = self::keeper(&bed, &now);
    keeper.round().await;
    bed.turns(2).await;
    assert_eq!(told(&bed)[3..], [word_of_bob(false)]);
    assert_eq!(bed.cleared(), "True");

    let records = bed.records();
    let of_roles = records.iter().filter(|r| matches!(r.payload, Payload::RoleStanding(_)));
    for record in of_roles {
        assert_eq!(record.personal.iter().map(|c| c.field.as_str()).collect::<Vec<_>>(), [HOLDER]);
        assert!(!format!("{record:?}").replace("owner-bob", "").contains("bob"), "{record:?}");
    }
    // What a decision read is what the record says it would read.
    let read: BTreeSet<_> = records
        .iter()
        .filter_map(
            |r| if let Payload::Decision(body) = &r.payload { Some(body.snapshot.clone()) } else { None },
        )
        .flatten()
        .collect();
    for record in &records {
        let Payload::RoleStanding(told) = &record.payload else { continue };
        assert!(told.words.iter().all(|word| read.contains(&word.version)), "{told:?}");
    }
}

fn bed_again(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("hold"));
    bed.list();
    bed
}

#[tokio::test]
async fn what_is_lost_counts_until_the_log_says_so() {
    let site = Site::new();
    let bed = bed(&site, Some("Void"));
    let now: Holders = Arc::new(Mutex::new(Some(holders(&BOTH))));
    let (mut keeper, _) = keeper(&bed, &now);
    keeper.round().await;
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    *now.lock().unwrap() = Some(holders(&[("erin", "risk-officer")]));
    keeper.round().await;
    site.faults.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(keeper.round().await, SURE, "it is tried again soon");
    assert!(bed.state.roles_lost().is_empty());
    let approval = bed.state.world().approval(crate::testbed::NS, "owner-bob").unwrap().clone();
    assert!(!approval.standing().unwrap().role_lost, "the record comes first");
    drop((keeper, bed));
    // A log that failed ends its life: the next one is told what is lost before anything is decided.
    site.faults.broken.store(false, std::sync::atomic::Ordering::Relaxed);
    let bed = bed_again(&site);
    let (mut keeper, _) = self::keeper(&bed, &now);
    assert_eq!(bed.state.store_problems(), [NAME]);
    keeper.round().await;
    assert_eq!(told(&bed), [word_of_bob(true)]);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
}

#[tokio::test]
async fn whoever_gives_and_takes_a_role_again_and_again_waits_for_the_budget_and_losing_never_does() {
    let site = Site::new();
    let bed = bed(&site, Some("Void"));
    let now: Holders = Arc::new(Mutex::new(Some(holders(&BOTH))));
    let (mut keeper, _) = keeper(&bed, &now);
    keeper.round().await;
    let ledger = &bed.reconciler.ledger;
    while ledger.effective(crate::testbed::NS, bed.state.now()) != Repeat::Exhausted {}
    *now.lock().unwrap() = Some(holders(&[("erin", "risk-officer")]));
    keeper.round().await;
    keeper.round().await;
    assert_eq!(told(&bed), [word_of_bob(true)]);
    *now.lock().unwrap() = Some(holders(&BOTH));
    keeper.round().await;
    assert_eq!(told(&bed).len(), 1, "what gives back waits");
    assert!(!bed.state.roles_lost().is_empty());
    bed.hands.pass(jiff::SignedDuration::from_hours(24));
    keeper.round().await;
    assert_eq!(told(&bed)[1..], [word_of_bob(false)]);
}
