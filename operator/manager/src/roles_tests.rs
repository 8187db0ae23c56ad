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
    (RoleKeeper::new(Arc::clone(&bed.state), Arc::clone(&bed.reconciler.queue), client), asked)
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
    let mut keeper = RoleKeeper::new(Arc::clone(&bed.state), Arc::clone(&bed.reconciler.queue), client.0);
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
