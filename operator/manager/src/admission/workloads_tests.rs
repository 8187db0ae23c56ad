//! What replaces what after a clearance has expired, also by an operator that has read it back from its log; and what passes
//! when the log cannot be written.

use std::sync::atomic::Ordering;

use jiff::SignedDuration;
use placet_evidence::{GapReason, Payload};
use serde_json::{Value, json};

use super::*;
use crate::testbed::{Bed, NS, RELEASE, SERVER, Site, world};

fn owned_by(kind: &str, uid: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": "server", "uid": uid, "controller": true}])
}

/// The ReplicaSet of a Deployment.
fn replica_set(replicas: i64) -> Value {
    let labels = json!({"placet.dev/release": RELEASE});
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "server", "namespace": NS, "uid": "rs", "labels": labels,
            "ownerReferences": owned_by("Deployment", "deployment")},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": SERVER}]}}},
    })
}

/// A pod of it, held or not.
fn pod(name: &str, held: bool) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NS, "uid": format!("uid-{name}"),
            "labels": {"placet.dev/release": RELEASE}, "ownerReferences": owned_by("ReplicaSet", "rs")},
        "spec": {"containers": [{"name": "main", "image": SERVER}]},
    });
    if held {
        pod["spec"]["schedulingGates"] = json!([{"name": "other.dev/gate"}, {"name": "placet.dev/hold"}]);
    }
    pod
}

/// Whether a request of the ReplicaSet's controller is let through.
async fn passes(bed: &Bed, object: &Value, old: Option<&Value>) -> bool {
    sent(bed, object, old, "replicaset-controller").await
}

/// The same of a pod that another controller makes.
async fn passes_by(bed: &Bed, object: &Value, controller: &str) -> bool {
    sent(bed, object, None, controller).await
}

async fn sent(bed: &Bed, object: &Value, old: Option<&Value>, controller: &str) -> bool {
    asked(bed, object, old, controller, false).await
}

async fn asked(bed: &Bed, object: &Value, old: Option<&Value>, controller: &str, dry: bool) -> bool {
    answered(bed, object, old, controller, dry).await.denied.is_none()
}

/// The answer of the entry that the API server matches by the labels which the stores know, too.
async fn answered(bed: &Bed, object: &Value, old: Option<&Value>, controller: &str, dry: bool) -> Answer {
    let mode = Mode::of(&bed.state.world().namespace_labels(NS));
    let watching = mode.is_some_and(|(mode, _)| !mode.enforces());
    let user = format!("system:serviceaccount:kube-system:{controller}");
    validate(&bed.admission(), &request(object, old, &user, dry), watching).await
}

fn request(object: &Value, old: Option<&Value>, user: &str, dry: bool) -> Request {
    let (group, plural) = match object["kind"].as_str() {
        Some("Pod") => ("", "pods"),
        _ => ("apps", "replicasets"),
    };
    let request = json!({
        "uid": "request", "kind": {"group": group, "version": "v1", "kind": object["kind"]},
        "resource": {"group": group, "version": "v1", "resource": plural},
        "name": object["metadata"]["name"], "namespace": NS, "object": object, "oldObject": old,
        "operation": if old.is_some() { "UPDATE" } else { "CREATE" }, "dryRun": dry,
        "userInfo": {"username": user},
    });
    serde_json::from_value(request).unwrap()
}

/// The stores hear of exactly these pods, after a time in which whatever was let through came to be, or never will.
fn pods(bed: &Bed, pods: &[Value]) {
    bed.hands.pass(SignedDuration::from_mins(5));
    stores_hear_of(bed, pods);
}

/// The stores hear of exactly these pods now.
fn stores_hear_of(bed: &Bed, pods: &[Value]) {
    let mut sink = crate::stores::pod_sink(Arc::clone(&bed.state), Arc::clone(&bed.reconciler.queue));
    sink(crate::infra::watch::Event::Restarted(pods.to_vec().into()));
}

fn started(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("hold"));
    for object in world() {
        bed.put(&object);
    }
    bed
}

/// Another operator over the same log, which is then expected to answer alike.
async fn again(site: &Site, bed: Bed) -> Bed {
    bed.stop().await;
    started(site)
}

/// The release has expired, and there are two pods that were admitted before.
async fn expired(site: &Site) -> Bed {
    let bed = started(site);
    bed.turns(1).await;
    assert!(passes(&bed, &replica_set(2), None).await);
    for name in ["a", "b"] {
        assert!(passes(&bed, &pod(name, false), None).await);
    }
    // What controls them, and a Job that has ended, were let through, too.
    bed.state.admit("deployment", None, 2, bed.state.now());
    let mut of_job = pod("of-job", false);
    of_job["metadata"]["ownerReferences"] = owned_by("Job", "job");
    assert!(passes_by(&bed, &of_job, "job-controller").await);
    bed.hands.pass(SignedDuration::from_hours(24 * 200));
    let decided = bed.state.decided(NS, RELEASE);
    assert_eq!(decided.decision.lapse, Some(placet_gate::decision::Lapse::Expired));
    bed
}

#[tokio::test]
async fn as_many_are_replaced_as_their_owner_wanted_after_a_restart_too() {
    let site = Site::new();
    let mut bed = expired(&site).await;
    for _ in 0..2 {
        pods(&bed, &[pod("a", false)]);
        assert!(passes(&bed, &pod("c", false), None).await, "a drain of the second");
        // One that waits takes nobody's place.
        pods(&bed, &[pod("a", false), pod("held", true)]);
        assert!(passes(&bed, &pod("c", false), None).await, "with a third one held");
        pods(&bed, &[pod("a", false), pod("b", false)]);
        assert!(!passes(&bed, &pod("c", false), None).await, "a third");
        bed = again(&site, bed).await;
    }
}

#[tokio::test]
async fn pods_beyond_what_was_wanted_before_a_scale_up_are_held() {
    let site = Site::new();
    let mut bed = expired(&site).await;
    // From two to one, which is not judged, and up again, which passes since its pods are held.
    assert!(passes(&bed, &replica_set(2), Some(&replica_set(1))).await);
    for _ in 0..2 {
        pods(&bed, &[pod("a", false)]);
        assert!(!passes(&bed, &pod("c", false), None).await, "a second");
        assert!(passes(&bed, &pod("c", true), None).await, "a second that is held");
        pods(&bed, &[pod("c", true)]);
        assert!(passes(&bed, &pod("d", false), None).await, "the first is replaced");
        bed = again(&site, bed).await;
    }
    // From none.
    assert!(passes(&bed, &replica_set(2), Some(&replica_set(0))).await);
    pods(&bed, &[]);
    for _ in 0..2 {
        assert!(!passes(&bed, &pod("a", false), None).await);
        bed = again(&site, bed).await;
    }
}

#[tokio::test]
async fn pods_that_were_let_go_together_are_replaced_together() {
    let site = Site::new();
    let bed = started(&site);
    // Held before the release was cleared, so that no admission says how many there are.
    for name in ["a", "b"] {
        bed.fake.put(&crate::testbed::pod_path(name), pod(name, true));
    }
    pods(&bed, &[pod("a", true), pod("b", true)]);
    bed.turns(2).await;
    assert!(!bed.held("a") && !bed.held("b"));
    let mut bed = bed;
    bed.hands.pass(SignedDuration::from_hours(24 * 200));
    for _ in 0..2 {
        let found: Vec<Value> = pods_of(&bed);
        assert_eq!(found.len(), 2);
        pods(&bed, &found[..1]);
        // The other gate is on all that the API server has, and is not part of the content.
        assert!(passes(&bed, &pod("c", false), None).await, "a drain of the second");
        bed = again(&site, bed).await;
    }
    let lifted = bed.index(|p| matches!(p, Payload::HoldLifted(body) if body.replicas == Some(2)));
    assert!(lifted.is_some());
}

/// The pods as the API server has them.
fn pods_of(bed: &Bed) -> Vec<Value> {
    ["a", "b"].iter().filter_map(|name| bed.fake.object(&crate::testbed::pod_path(name))).collect()
}

#[tokio::test]
async fn what_was_let_go_since_nobody_enforced_replaces_nothing() {
    let site = Site::new();
    let bed = started(&site);
    bed.namespace(None);
    bed.fake.put(&crate::testbed::pod_path("a"), pod("a", true));
    pods(&bed, &[pod("a", true)]);
    bed.reconciler.queue.push([crate::queue::Work::Release(NS.to_owned(), String::new())]);
    bed.turns(1).await;
    assert!(!bed.held("a"));
    let told = bed.index(|p| matches!(p, Payload::HoldLifted(body) if body.decision.is_none()));
    assert!(told.is_some());
    bed.hands.pass(SignedDuration::from_hours(24 * 200));
    let bed = again(&site, bed).await;
    pods(&bed, &[]);
    assert!(!passes(&bed, &pod("c", false), None).await);
}

#[tokio::test]
async fn a_pod_that_its_owner_let_go_goes_on_taking_its_place() {
    let site = Site::new();
    let mut bed = expired(&site).await;
    let mut stray = pod("a", false);
    stray["metadata"]["ownerReferences"] = Value::Null;
    // Adopted by somebody for whom nothing was admitted, which in a namespace that holds anybody may create.
    let mut adopted = pod("a", false);
    adopted["metadata"]["ownerReferences"] = owned_by("ReplicaSet", "adopter");
    // Given to somebody for whom something was admitted, whose pod it never was: nothing of the pod itself changes by it. The
    // Deployment controls no pods, and a Job that has ended looks for none.
    let given = |kind: &str, uid: &str| {
        let mut pod = pod("a", false);
        pod["metadata"]["ownerReferences"] = owned_by(kind, uid);
        pod
    };
    let (above, ended) = (given("Deployment", "deployment"), given("Job", "job"));
    // One that ends when it likes.
    let mut ending = pod("a", false);
    ending["metadata"]["deletionTimestamp"] = "2027-11-20T12:00:00Z".into();
    ending["metadata"]["deletionGracePeriodSeconds"] = 31_536_000.into();
    for _ in 0..2 {
        for other in [&stray, &adopted, &above, &ended, &ending] {
            pods(&bed, &[other.clone(), pod("b", false)]);
            assert!(!passes(&bed, &pod("c", false), None).await, "a third beside {other}");
            pods(&bed, std::slice::from_ref(other));
            assert!(passes(&bed, &pod("c", false), None).await, "a second beside {other}");
        }
        // One that goes soon has given up its place.
        ending["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        pods(&bed, &[ending.clone(), pod("b", false)]);
        assert!(passes(&bed, &pod("c", false), None).await);
        ending["metadata"]["deletionGracePeriodSeconds"] = 31_536_000.into();
        bed = again(&site, bed).await;
    }
}

#[tokio::test]
async fn a_pod_that_never_had_an_owner_takes_the_place_of_none_and_lends_its_own_once() {
    let site = Site::new();
    let bed = started(&site);
    bed.turns(1).await;
    let mut bare = pod("bare", false);
    bare["metadata"]["ownerReferences"] = Value::Null;
    bare["metadata"]["uid"] = "uid-of-bare".into();
    assert!(passes(&bed, &replica_set(2), None).await);
    assert!(passes(&bed, &bare, None).await);
    for name in ["a", "b"] {
        assert!(passes(&bed, &pod(name, false), None).await);
    }
    let mut bed = bed;
    bed.hands.pass(SignedDuration::from_hours(24 * 200));
    for _ in 0..2 {
        pods(&bed, &[bare.clone(), pod("a", false)]);
        assert!(passes(&bed, &pod("c", false), None).await, "a drain of the second, beside a bare one");
        // Made to belong to the bare one.
        let mut child = pod("child", false);
        child["metadata"]["ownerReferences"] = owned_by("Pod", "uid-of-bare");
        assert!(!passes(&bed, &child, None).await, "another in the place of one that runs");
        bed.state.forget(bed.state.now());
        assert!(passes(&bed, &pod("c", false), None).await, "the bare one is not forgotten while it runs");
        bed = again(&site, bed).await;
    }
}

#[tokio::test]
async fn a_daemon_set_that_lets_pods_go_gets_no_others_for_them() {
    let site = Site::new();
    let bed = started(&site);
    bed.turns(1).await;
    let daemon = |name: &str, owned: bool| {
        let mut pod = pod(name, false);
        pod["metadata"]["ownerReferences"] = if owned { owned_by("DaemonSet", "ds") } else { Value::Null };
        pod
    };
    assert!(passes_by(&bed, &daemon("a", true), "daemon-set-controller").await);
    bed.hands.pass(SignedDuration::from_hours(24 * 200));
    pods(&bed, &[daemon("a", true)]);
    assert!(passes_by(&bed, &daemon("c", true), "daemon-set-controller").await, "on another node");
    pods(&bed, &[daemon("a", false)]);
    assert!(!passes_by(&bed, &daemon("c", true), "daemon-set-controller").await);
}

#[tokio::test]
async fn of_several_at_once_no_more_start_than_there_are_places() {
    let site = Site::new();
    let bed = expired(&site).await;
    stores_hear_of(&bed, &[pod("a", false)]);
    assert!(asked(&bed, &pod("dry", false), None, "replicaset-controller", true).await);
    assert!(passes(&bed, &pod("c", false), None).await);
    assert!(!passes(&bed, &pod("d", false), None).await, "the store has not heard of the other yet");
    assert!(passes(&bed, &pod("d", true), None).await, "held");
    // What the store shows counts once, and what it does not show within time never came.
    stores_hear_of(&bed, &[pod("a", false), pod("c", false)]);
    stores_hear_of(&bed, &[pod("c", false)]);
    assert!(passes(&bed, &pod("e", false), None).await);
    assert!(!passes(&bed, &pod("f", false), None).await);
    pods(&bed, &[pod("c", false)]);
    assert!(passes(&bed, &pod("f", false), None).await);
}

/// The API server has these pods, and the stores hear of them now.
fn there_are(bed: &Bed, pods: &[Value]) {
    for pod in pods {
        bed.fake.put(&crate::testbed::pod_path(pod["metadata"]["name"].as_str().unwrap()), pod.clone());
    }
    stores_hear_of(bed, pods);
}

/// A pod is gone, as a watch says.
fn goes(bed: &Bed, pod: &Value) {
    let mut sink = crate::stores::pod_sink(Arc::clone(&bed.state), Arc::clone(&bed.reconciler.queue));
    sink(crate::infra::watch::Event::Deleted(pod.clone()));
}

#[tokio::test]
async fn a_pod_that_was_held_for_want_of_a_place_starts_once_there_is_one() {
    let site = Site::new();
    let mut bed = expired(&site).await;
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| pod(name, name > "b"));
    // Another object that says it is of the same owner, made by hand.
    let by_hand = pod("by-hand", true);
    there_are(&bed, &[a.clone(), b.clone()]);
    // Its controller saw before us that b is gone, or went.
    for made in [&c, &d] {
        assert!(passes(&bed, made, None).await);
    }
    assert!(sent(&bed, &by_hand, None, "somebody").await);
    let all = [a.clone(), b.clone(), c.clone(), d.clone(), by_hand.clone()];
    there_are(&bed, &all);
    bed.turns(2).await;
    assert!(["c", "d", "by-hand"].iter().all(|name| bed.held(name)), "there is no place");
    bed = again(&site, bed).await;
    there_are(&bed, &all);
    bed.turns(1).await;
    goes(&bed, &b);
    bed.turns(1).await;
    let started: Vec<&str> = ["c", "d", "by-hand"].into_iter().filter(|name| !bed.held(name)).collect();
    assert_eq!(started, ["c"], "one place");
    let lifted = |bed: &Bed| {
        bed.records()
            .into_iter()
            .filter_map(|record| match record.payload {
                Payload::HoldLifted(lift) => Some((lift.pod, lift.replacement)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(lifted(&bed), [("c".to_owned(), true)]);
    // The places are as many as before, after a restart too.
    for _ in 0..2 {
        there_are(&bed, &[a.clone(), by_hand.clone(), pod("c", false), d.clone()]);
        bed.turns(2).await;
        assert!(bed.held("d") && bed.held("by-hand"));
        bed = again(&site, bed).await;
    }
    there_are(&bed, &[a.clone(), by_hand.clone(), pod("c", false), d.clone()]);
    bed.turns(1).await;
    // Taken back: nobody starts in the place of the first.
    bed.put(&crate::testbed::approval("no", "bob", "Reject", "2026-11-05T09:00:00Z"));
    there_are(&bed, &[by_hand.clone(), pod("c", false), d]);
    bed.turns(2).await;
    assert!(bed.held("d") && bed.held("by-hand"));
}

#[tokio::test]
async fn a_pod_whose_place_came_free_after_it_was_given_its_hold_starts_at_once() {
    let site = Site::new();
    let bed = expired(&site).await;
    // The mutating webhook gave it a hold, and then b went.
    there_are(&bed, &[pod("a", false)]);
    assert!(passes(&bed, &pod("c", true), None).await);
    there_are(&bed, &[pod("a", false), pod("c", true)]);
    bed.turns(1).await;
    assert!(!bed.held("c"));
    // It has the place, and another waits for one.
    there_are(&bed, &[pod("a", false), pod("c", false)]);
    assert!(passes(&bed, &pod("d", true), None).await);
    there_are(&bed, &[pod("a", false), pod("c", false), pod("d", true)]);
    bed.turns(2).await;
    assert!(bed.held("d"));
}

#[tokio::test]
async fn what_is_enforced_is_what_the_entry_says_that_was_asked() {
    let site = Site::new();
    let bed = started(&site);
    bed.turns(1).await;
    bed.hands.pass(SignedDuration::from_hours(24 * 200));
    let ask = async |watching: bool| {
        let request = request(&pod("x", false), None, "dana", false);
        validate(&bed.admission(), &request, watching).await.denied.map(|(code, _, _)| code)
    };
    // The stores are behind: the namespace was changed a moment ago, or was made with its label.
    for (known, watching, refused) in [
        (Some("warn"), false, Some(403)),
        (Some("audit"), false, Some(403)),
        (None, false, Some(403)),
        (Some("deny"), true, None),
        (Some("hold"), true, None),
        (None, true, None),
    ] {
        bed.namespace(known);
        assert_eq!(ask(watching).await, refused, "known as {known:?}, asked as watching: {watching}");
        let request = request(&pod("x", false), None, "dana", true);
        let held = !mutate(&bed.admission(), &request, watching).patch.is_empty();
        assert_eq!(held, known == Some("hold") && !watching, "{known:?} {watching}");
    }
}

#[tokio::test]
async fn a_namespace_that_used_up_what_it_may_write_is_told_so_and_of_no_broken_disk() {
    let site = Site::new();
    let bed = started(&site);
    bed.turns(1).await;
    let ledger = &bed.reconciler.ledger;
    let tries = (0..1_000_000).take_while(|_| ledger.effective(NS, bed.state.now()) != Repeat::Exhausted);
    assert!(tries.count() > 100);
    let answer = answered(&bed, &pod("a", false), None, "replicaset-controller", false).await;
    let (code, _, why) = answer.denied.unwrap();
    assert!(code == 429 && why.contains("has used up what it may write"), "{code} {why}");
    // Nobody else's is used up by it, and where nothing is enforced it passes and is told as what it is.
    bed.namespace(Some("warn"));
    let answer = answered(&bed, &pod("a", false), None, "replicaset-controller", false).await;
    let warned = answer.warnings.first().is_some_and(|w| w.contains("has used up what it may write"));
    assert!(answer.denied.is_none() && warned, "{answer:?}");
    ledger.gaps(bed.state.now()).await.unwrap();
    let gap =
        bed.index(|p| matches!(p, Payload::Gap(g) if g.reason == GapReason::Budget && g.count == Some(1)));
    assert!(gap.is_some());
    assert!(bed.index(|p| matches!(p, Payload::Gap(g) if g.reason == GapReason::Unwritable)).is_none());
}

#[tokio::test]
async fn a_place_that_was_taken_and_could_not_be_recorded_is_free_again() {
    let site = Site::new();
    let bed = expired(&site).await;
    pods(&bed, &[pod("a", false)]);
    site.faults.full.store(true, Ordering::Relaxed);
    assert!(bed.log.health().full);
    let answer = answered(&bed, &pod("c", false), None, "replicaset-controller", false).await;
    assert_eq!(answer.denied.map(|(code, _, _)| code), Some(503));
    site.faults.full.store(false, Ordering::Relaxed);
    bed.reconciler.ledger.gaps(bed.state.now()).await.unwrap();
    assert!(passes(&bed, &pod("d", false), None).await, "the first never came");
    assert!(!passes(&bed, &pod("e", false), None).await, "and one more is too many");
}

#[tokio::test]
async fn each_person_who_is_refused_is_recorded_and_what_a_controller_repeats_is_counted() {
    let site = Site::new();
    let bed = started(&site);
    bed.namespace(Some("deny"));
    bed.turns(1).await;
    bed.hands.pass(SignedDuration::from_hours(24 * 200));
    let ask = async |user: &str, object: &Value| {
        let answer = validate(&bed.admission(), &request(object, None, user, false), false).await;
        assert!(answer.denied.is_some());
    };
    let mut bare = pod("bare", false);
    bare["metadata"]["ownerReferences"] = Value::Null;
    let refused = || {
        let records = bed.records().into_iter();
        records.filter(|r| matches!(&r.payload, Payload::Admission(a) if a.effect == Effect::Deny)).count()
    };
    for (user, object, wanted) in [
        ("dana", &bare, 1),
        ("dana", &bare, 1),
        ("mallory", &bare, 2),
        ("mallory", &bare, 2),
        ("system:serviceaccount:kube-system:replicaset-controller", &pod("x", false), 3),
        ("system:serviceaccount:kube-system:replicaset-controller", &pod("y", false), 3),
    ] {
        ask(user, object).await;
        assert_eq!(refused(), wanted, "{user} {}", object["metadata"]["name"]);
    }
}

#[tokio::test]
async fn where_nothing_is_enforced_an_unwritable_log_lets_pass_with_a_warning_and_leaves_a_gap() {
    let site = Site::new();
    let bed = started(&site);
    bed.turns(1).await;
    let ask = async |mode: &str, dry: bool| {
        bed.namespace(Some(mode));
        answered(&bed, &pod("a", false), None, "replicaset-controller", dry).await
    };
    site.faults.full.store(true, Ordering::Relaxed);
    assert!(bed.log.health().full);
    for mode in ["warn", "audit"] {
        let answer = ask(mode, false).await;
        assert_eq!((&answer.denied, answer.audit.get("record")), (&None, None), "{mode}: {answer:?}");
        let warning = answer.warnings.first().map(String::as_str).unwrap_or_default();
        assert!(warning.starts_with("the evidence log cannot be written: "), "{mode}: {answer:?}");
        assert!(warning.contains("volume is full"), "{mode}: {answer:?}");
    }
    // A dry run is never recorded, so that nothing is missed.
    let dry = ask("warn", true).await;
    assert!(dry.denied.is_none() && dry.warnings.is_empty(), "{dry:?}");
    // Where it is enforced, the same is refused.
    for mode in ["deny", "hold"] {
        let answer = ask(mode, false).await;
        assert_eq!(answer.denied.map(|(code, _, _)| code), Some(503), "{mode}");
    }

    // The two are counted until the log can be written.
    let ledger = &bed.reconciler.ledger;
    ledger.gaps(bed.state.now()).await.unwrap_err();
    site.faults.full.store(false, Ordering::Relaxed);
    let gaps = || {
        let gaps = bed.records().into_iter().filter_map(|record| match record.payload {
            Payload::Gap(gap) => Some((gap.reason, gap.count)),
            _ => None,
        });
        gaps.collect::<Vec<_>>()
    };
    for _ in 0..2 {
        ledger.gaps(bed.state.now()).await.unwrap();
        assert_eq!(gaps(), [(GapReason::Unwritable, Some(2))]);
    }
    let answer = ask("warn", false).await;
    assert!(answer.warnings.is_empty() && answer.audit.contains_key("record"), "{answer:?}");
}

#[tokio::test]
async fn a_start_keeps_nothing_of_workloads_that_are_gone() {
    use crate::memory::{Memory, There};
    let site = Site::new();
    let bed = started(&site);
    bed.turns(2).await;
    for name in ["a", "b"] {
        assert!(passes(&bed, &pod(name, false), None).await);
    }
    let records = bed.records();
    let read = |uids: &[&str], since: jiff::Timestamp| {
        let mut memory = Memory::of(There { uids: uids.iter().map(|u| (*u).to_owned()).collect(), since });
        for (index, record) in records.iter().enumerate() {
            memory.visit(u64::try_from(index).unwrap(), record);
        }
        let under: Vec<String> = memory.under.into_keys().collect();
        (under, memory.admitted.into_keys().collect::<Vec<String>>())
    };
    let later = bed.state.now() + SignedDuration::from_hours(1);
    let all = (vec!["uid-a".to_owned(), "uid-b".to_owned()], vec!["rs".to_owned()]);
    assert_eq!(read(&["uid-a", "uid-b", "rs"], later), all);
    assert_eq!(read(&["uid-b", "rs"], later), (vec!["uid-b".to_owned()], vec!["rs".to_owned()]));
    assert_eq!(read(&[], later), (vec![], vec![]));
    // What was let through a moment ago may come to be yet.
    assert_eq!(read(&[], bed.state.now() - SignedDuration::from_mins(1)), all);
}
