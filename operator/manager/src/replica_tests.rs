//! What more than one operator, or one that moved to another node, makes of clocks that differ, and of what it let through
//! itself. Two beds share the key of receipts and nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use placet_api::{Kind, keys};
use placet_gate::Cleared;
use placet_gate::finding::Reason;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::admission::router;
use crate::infra::clock::TimeSource as _;
use crate::infra::door::{Door, Knock};
use crate::testbed::{Bed, NS, RELEASE, SERVER, Site, content, model_release, world};

/// The webhooks of an operator, over an API server that has the world and lets everybody hold each role that there is.
struct Desk {
    router: axum::Router,
    door: Arc<Door>,
}

fn desk(bed: &Bed) -> Desk {
    let client = crate::testbed::api_of_the_world();
    Desk { router: router(bed.admission_over(client)), door: Door::new(&[]).unwrap() }
}

impl Desk {
    /// What is answered to a request to create an object.
    async fn ask(&self, to: &str, by: &str, object: &Value, dry: bool) -> Value {
        let pod = object["kind"] == "Pod";
        let (group, version) = if pod { ("", "v1") } else { ("placet.dev", "v1alpha1") };
        let plural = if pod { "pods".to_owned() } else { "approvals".to_owned() };
        let request = json!({
            "uid": "request", "operation": "CREATE", "name": object["metadata"]["name"], "namespace": NS, "dryRun": dry,
            "kind": {"group": group, "version": version, "kind": object["kind"]},
            "resource": {"group": group, "version": version, "resource": plural},
            "userInfo": {"username": by}, "object": object,
        });
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let Knock::Admitted(visit, inside) = self.door.knock(&self.door.path(to).parse().unwrap()) else {
            panic!("the door does not know its own path to {to}");
        };
        let request =
            Request::post(inside).header("content-type", "application/json").extension(visit.mark());
        let request = request.body(Body::from(review.to_string())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        visit.answered(response.status());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()["response"].clone()
    }

    /// What the API server does with an object that somebody creates; what it stores, or why it is refused.
    async fn create(&self, by: &str, object: &Value, dry: bool) -> Result<Value, String> {
        let mut object = object.clone();
        let refusal = |r: &Value| r["status"]["message"].as_str().unwrap_or_default().to_owned();
        let stamped = self.ask("/mutate/own", by, &object, dry).await;
        if stamped["allowed"] != true {
            return Err(refusal(&stamped));
        }
        let patch = STANDARD.decode(stamped["patch"].as_str().unwrap()).unwrap();
        for step in serde_json::from_slice::<Vec<Value>>(&patch).unwrap() {
            for key in [keys::STAMP, keys::RECEIPT] {
                if step["path"] == format!("/metadata/annotations/{}", key.replace('/', "~1")) {
                    object["metadata"]["annotations"][key] = step["value"].clone();
                }
            }
        }
        object["metadata"]["uid"] = format!("uid-{}", object["metadata"]["name"].as_str().unwrap()).into();
        object["metadata"]["generation"] = 1.into();
        let judged = self.ask("/validate/own", by, &object, dry).await;
        if judged["allowed"] == true { Ok(object) } else { Err(refusal(&judged)) }
    }
}

fn word(name: &str, decision: &str, answers: &[&str]) -> Value {
    let mut object = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name, "namespace": NS},
        "spec": {"subject": {"kind": "ModelRelease", "name": RELEASE, "covers": "Content",
                             "digest": content(&model_release())},
                 "role": "model-owner", "decision": decision},
    });
    if !answers.is_empty() {
        object["spec"]["answers"] = json!(answers);
    }
    object
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": NS, "labels": {"placet.dev/release": RELEASE}},
        "spec": {"containers": [{"name": "main", "image": SERVER}]}})
}

/// An operator that knows everything that clears the release, whose clock differs by so many seconds from the API server's.
fn replica(site: &Site, ahead: i64) -> Bed {
    let bed = site.start();
    site.hands.set(SignedDuration::from_secs(ahead));
    compare(&bed, ahead);
    bed.namespace(Some("deny"));
    for object in world() {
        bed.hear(&object);
    }
    bed
}

/// The API server's `Date` arrives.
fn compare(bed: &Bed, ahead: i64) {
    let own = (bed.hands.wall(), bed.hands.monotonic());
    bed.state.clock.record_date(own.0 - SignedDuration::from_secs(ahead), own, own);
}

fn pass(seconds: i64, beds: [&Bed; 2]) {
    for bed in beds {
        bed.hands.pass(SignedDuration::from_secs(seconds));
    }
}

fn hear(beds: [&Bed; 2], object: &Value) {
    for bed in beds {
        bed.hear(object);
    }
}

fn cleared(bed: &Bed) -> Cleared {
    bed.state.decided(NS, RELEASE).decision.cleared
}

fn reasons(bed: &Bed) -> Vec<Reason> {
    bed.state.decided(NS, RELEASE).decision.findings().map(|f| f.reason).collect()
}

#[tokio::test]
async fn who_let_a_reject_through_knows_it_before_the_watches_show_it() {
    let site = Site::new();
    let bed = replica(&site, 0);
    let desk = desk(&bed);
    assert_eq!(cleared(&bed), Cleared::True);
    desk.create("bert", &word("no", "Reject", &[]), true).await.unwrap();
    assert_eq!(cleared(&bed), Cleared::True, "a dry run changes nothing");
    desk.create("carl", &word("yes", "Approve", &[]), false).await.unwrap();
    assert_eq!(cleared(&bed), Cleared::True, "what may only clear is waited for by nobody");
    let stored = desk.create("bert", &word("no", "Reject", &[]), false).await.unwrap();
    assert_eq!((cleared(&bed), reasons(&bed)), (Cleared::Unknown, vec![Reason::StoreNotReady]));
    let refused = desk.ask("/validate/workloads", "dana", &pod(), false).await;
    let message = refused["status"]["message"].as_str().unwrap();
    assert!(refused["allowed"] == false && message.contains("approvals/no"), "{refused}");
    // The watch shows it.
    bed.hear(&stored);
    bed.state.coming.shown(Kind::Approval, NS, "no", &stored);
    assert_eq!((cleared(&bed), reasons(&bed)), (Cleared::False, vec![Reason::Rejected]));
}

#[tokio::test]
async fn with_clocks_20_s_apart_a_reject_holds_at_once_and_an_answer_holds_no_longer_than_the_clocks_differ()
{
    for ahead in [20, -20] {
        let (one, two) = (Site::new(), Site::new());
        let (a, b) = (replica(&one, 0), replica(&two, ahead));
        let (desk_a, desk_b) = (desk(&a), desk(&b));
        let both = [&a, &b];
        assert_eq!(both.map(cleared), [Cleared::True; 2]);
        // Stamped by the one whose clock differs; for the other its time is to come, or long gone.
        let reject = desk_b.create("bert", &word("no", "Reject", &[]), false).await.unwrap();
        hear(both, &reject);
        b.state.coming.shown(Kind::Approval, NS, "no", &reject);
        assert_eq!(both.map(cleared), [Cleared::False; 2], "{ahead}");
        pass(5, both);
        let answer = desk_a.create("carl", &word("yes", "Approve", &["no"]), false).await.unwrap();
        hear(both, &answer);
        // By the stamps it came before what it answers: it holds.
        let wanted = if ahead > 0 { Cleared::False } else { Cleared::True };
        assert_eq!(both.map(cleared), [wanted; 2], "{ahead}");
        pass(20, both);
        assert_eq!(both.map(cleared), [wanted; 2], "time alone changes nothing");
        let later = desk_a.create("carl", &word("yes-again", "Approve", &["no"]), false).await.unwrap();
        hear(both, &later);
        assert_eq!(both.map(cleared), [Cleared::True; 2], "{ahead}");
    }
}

#[tokio::test]
async fn with_a_clock_ten_minutes_off_a_replica_clears_stamps_and_takes_nothing_away_from_the_other() {
    for ahead in [600, -600] {
        let (one, two) = (Site::new(), Site::new());
        let (a, b) = (replica(&one, 0), replica(&two, ahead));
        assert_eq!((cleared(&a), cleared(&b)), (Cleared::True, Cleared::Unknown), "{ahead}");
        assert_eq!(reasons(&b), [Reason::ClockUntrusted]);
        let refused = desk(&b).create("bert", &word("no", "Reject", &[]), false).await.unwrap_err();
        assert!(refused.contains("the clock cannot be trusted"), "{refused}");
        let refused = desk(&b).ask("/validate/workloads", "dana", &pod(), false).await;
        assert_eq!(refused["allowed"], false);
        let reject = desk(&a).create("bert", &word("no", "Reject", &[]), false).await.unwrap();
        hear([&a, &b], &reject);
        a.state.coming.shown(Kind::Approval, NS, "no", &reject);
        assert_eq!((cleared(&a), cleared(&b)), (Cleared::False, Cleared::False), "{ahead}");
        // Put right, it agrees again.
        b.hands.set(SignedDuration::from_secs(-ahead));
        compare(&b, 0);
        assert_eq!(b.state.clock.restarts(), 0, "the wall clock is where the monotonic clock says");
        assert_eq!(reasons(&b), [Reason::Rejected]);
    }
}

#[tokio::test]
async fn on_a_node_whose_clock_is_behind_time_stands_still_and_an_answer_counts_only_once_it_goes_on() {
    for behind in [20, 600] {
        let site = Site::new();
        let first = replica(&site, 0);
        let reject = desk(&first).create("bert", &word("no", "Reject", &[]), false).await.unwrap();
        let newest: Timestamp = first.log.newest().unwrap();
        drop(first.stop().await);
        // The operator starts on another node and goes on with the log.
        site.hands.set(SignedDuration::from_secs(-behind));
        let bed = site.start();
        bed.state.clock.observe_floor(newest);
        compare(&bed, -behind.min(25));
        bed.namespace(Some("deny"));
        for object in world().iter().chain([&reject]) {
            bed.hear(object);
        }
        assert_eq!(cleared(&bed), Cleared::False);
        assert_eq!(bed.state.now(), newest, "never below the newest time of the log");
        let answered = desk(&bed).create("carl", &word("yes", "Approve", &["no"]), false).await;
        if behind > 30 {
            assert!(answered.unwrap_err().contains("behind the newest record of the evidence log"));
            continue;
        }
        bed.hear(&answered.unwrap());
        assert_eq!(cleared(&bed), Cleared::False, "it was stamped no later than the Reject");
        bed.hands.pass(SignedDuration::try_from(Duration::from_secs(21)).unwrap());
        let later = desk(&bed).create("carl", &word("yes-again", "Approve", &["no"]), false).await.unwrap();
        bed.hear(&later);
        assert_eq!(cleared(&bed), Cleared::True);
    }
}
