use std::time::Duration;

use jiff::SignedDuration;
use placet_gate::Cleared;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::{Identity, ReceiptKeys, RoleAnswer, StampText};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::infra::clock::TimeSource;
use crate::parents::Parent;
use crate::places::Pod;

fn state(trusted: bool) -> State {
    let clock = Clock::system();
    if trusted {
        let now = (clock.now(), Duration::ZERO);
        clock.record_date(now.0, now, now);
    }
    let people = PeopleKey::new(*b"state");
    let state = State::new(
        Reading { cluster: "c".into(), cluster_name: None, keys: ReceiptKeys::new(), people },
        clock,
    );
    let release = serde_json::json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ModelRelease",
        "metadata": {"name": "v1", "namespace": "credit"}, "spec": {"system": "scoring"},
    });
    let record = state.reading.read(&release).unwrap().0;
    state.world_mut().apply(record);
    state
}

#[test]
fn a_decision_is_taken_again_when_the_world_may_have_changed() {
    let state = state(true);
    let first = state.decided("credit", "v1");
    assert_eq!(first.decision, evaluate(&state.snapshot("credit", "v1")));
    assert!(Arc::ptr_eq(&first, &state.decided("credit", "v1")));
    state.world_mut().set_namespace("credit", [("tier".to_owned(), "prod".to_owned())].into());
    let second = state.decided("credit", "v1");
    assert!(!Arc::ptr_eq(&first, &second));
    assert_ne!(first.digest, second.digest);
}

#[test]
fn a_store_that_is_not_heard_of_is_in_the_decision_at_once() {
    let state = state(true);
    let before = state.decided("credit", "v1");
    state.add_store(Freshness::new("approvals", Duration::from_secs(1)));
    let after = state.decided("credit", "v1");
    assert_eq!(after.snapshot.not_ready, ["approvals"]);
    assert!(before.snapshot.not_ready.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_let_through_to_stop_a_release_makes_it_unknown_at_once_and_for_a_bounded_time() {
    let state = state(true);
    let before = state.decided("credit", "v1");
    let reject = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "Approval",
        "metadata": {"name": "no", "namespace": "credit", "uid": "u", "generation": 1},
        "spec": {"decision": "Reject", "subject": {"kind": "ModelRelease", "name": "v1"}},
    });
    state.coming.admitted(&reject, true);
    let held = state.decided("credit", "v1");
    assert_eq!(held.snapshot.not_ready, ["approvals/no"]);
    assert_eq!(state.snapshot("credit", "v1").not_ready, ["approvals/no"]);
    assert!(held.decision.is_blind() && held.decision.cleared != Cleared::True);
    assert!(state.decided("credit", "v2").snapshot.not_ready.is_empty());
    assert!(state.world().approval("credit", "no").is_none(), "it does not count as existing");
    tokio::time::advance(crate::coming::WAIT).await;
    assert!(Arc::ptr_eq(&before, &state.decided("credit", "v1")));
}

#[tokio::test(start_paused = true)]
async fn after_a_suspension_nothing_is_decided_before_the_stores_were_listed_again() {
    let state = approved(&[]).0;
    let store = Freshness::new("approvals", Duration::from_secs(90));
    store.mark_listed(tokio::time::Instant::now());
    state.add_store(store.clone());
    assert!(state.store_problems().is_empty());
    // The wall clock went on, the monotonic clock did not, and the API server says so.
    let wall = state.clock.now() + SignedDuration::from_mins(10);
    let at = (wall, Duration::from_secs(1));
    state.clock.record_date(wall, at, at);
    assert_eq!(state.store_problems(), ["approvals"]);
    assert_eq!(state.store_problems(), ["approvals"], "until it was listed");
    tokio::time::advance(Duration::from_secs(1)).await;
    store.mark_listed(tokio::time::Instant::now());
    assert!(state.store_problems().is_empty());
}

#[test]
fn nothing_is_kept_that_time_or_a_stranger_could_make_wrong() {
    let untrusted = state(false);
    assert!(!Arc::ptr_eq(&untrusted.decided("credit", "v1"), &untrusted.decided("credit", "v1")));
    let state = state(true);
    assert!(!Arc::ptr_eq(&state.decided("credit", "v2"), &state.decided("credit", "v2")));
    let mut decided = Decided::new(state.snapshot("credit", "v1"));
    let made = decided.snapshot.clock.now();
    let second = SignedDuration::from_secs(1);
    decided.decision.valid_until = None;
    assert!(decided.stands(made) && decided.stands(made + second) && !decided.stands(made - second));
    decided.decision.valid_until = Some(made + second);
    assert!(decided.stands(made) && !decided.stands(made + second));
}

/// Nanoseconds since a fixed moment; stands still until it is set.
#[derive(Debug, Default)]
struct Stopped(Mutex<u64>);

const BEGIN: &str = "2026-11-20T00:00:00Z";

impl Stopped {
    fn set(&self, nanos: u64) {
        *self.0.lock().unwrap() = nanos;
    }
}

impl TimeSource for Stopped {
    fn wall(&self) -> Timestamp {
        BEGIN.parse::<Timestamp>().unwrap() + SignedDuration::try_from(self.monotonic()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(*self.0.lock().unwrap())
    }
}

/// A release of class Minimal with an approval that ends at each of these times, in nanoseconds after the beginning,
/// each by another person; one is enough.
fn approved(ends: &[u64]) -> (State, Arc<Stopped>) {
    let time = Arc::new(Stopped::default());
    let clock = Clock::new(Arc::clone(&time) as Arc<dyn TimeSource>);
    let reading = (time.wall(), time.monotonic());
    clock.record_date(reading.0, reading, reading);
    let people = PeopleKey::new(*b"state");
    let state = State::new(
        Reading { cluster: "c".into(), cluster_name: None, keys: ReceiptKeys::new(), people },
        clock,
    );
    let put = |kind: &str, name: &str, by: &str, spec: Value| {
        let namespaced = !matches!(kind, "ReleasePolicy" | "ApprovalRole");
        let mut metadata = json!({"name": name, "uid": format!("uid-{name}")});
        if namespaced {
            metadata["namespace"] = "credit".into();
        }
        let object =
            json!({"apiVersion": "placet.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        let at = "2026-11-19T00:00:00Z".parse().unwrap();
        let role = spec.get("role").and_then(Value::as_str);
        let stamp = StampText {
            subject_uid: spec.pointer("/subject/name").and_then(Value::as_str).map(|n| format!("uid-{n}")),
            role: role.map(|name| RoleAnswer {
                name: name.into(),
                user: None,
                allowed: true,
                wildcard: false,
                at,
            }),
            ..StampText::new(Identity { user: by.into(), ..Identity::default() }, at)
        };
        let record = state.reading.read_assuming(&object, &stamp).unwrap().0;
        state.world_mut().apply(record);
    };
    for text in [
        include_str!("../../../policies/packs/minimal.yaml"),
        include_str!("../../../policies/packs/roles.yaml"),
    ] {
        for object in serde_saphyr::from_multiple::<Value>(text).unwrap() {
            let text = |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
            put(&text("/kind"), &text("/metadata/name"), "root", object["spec"].clone());
        }
    }
    let system = json!({
        "title": "Forecast", "owner": {"function": "Head"}, "organisationRoles": ["Provider"], "purpose": "Forecast",
        "intendedUse": {"users": ["Officers"], "decisions": ["Staffing"], "affectedGroups": ["None"], "regions": ["EU"]},
        "triggers": {"annexIII": [], "article5": [], "annexI": [], "article50": [], "profiling": false, "personalData": false},
        "stage": "Operation",
    });
    put("AISystem", "scoring", "olga", system);
    let digest = format!("sha256:{}", "3".repeat(64));
    let release = json!({
        "system": "scoring", "version": "1", "change": {"kind": "Retrain", "reason": "New data"},
        "artifacts": [{"name": "weights", "role": "Model", "kind": "OCI", "reference": "r.example/w", "digest": digest}],
        "datasets": [{"name": "train", "digest": digest, "use": "Training"}], "developers": ["alice"],
    });
    put("ModelRelease", "v1", "dana", release);
    let approve = |kind: &str, name: &str, covers: &str, digest: &str, role: &str| {
        json!({
            "subject": {"kind": kind, "name": name, "covers": covers, "digest": digest},
            "role": role, "decision": "Approve",
        })
    };
    let class = state.world().system("credit", "scoring").unwrap().classification.clone().unwrap();
    put(
        "Approval",
        "class",
        "erin",
        approve("AISystem", "scoring", "Classification", &class, "risk-officer"),
    );
    let content = state.world().release("credit", "v1").unwrap().digest().to_owned();
    for (n, end) in ends.iter().enumerate() {
        let mut spec = approve("ModelRelease", "v1", "Content", &content, "model-owner");
        let begin: Timestamp = BEGIN.parse().unwrap();
        let end = begin + SignedDuration::try_from(Duration::from_nanos(*end)).unwrap();
        spec["expiresAt"] = end.to_string().into();
        put("Approval", &format!("owner-{n}"), &format!("bob-{n}"), spec);
    }
    (state, time)
}

#[test]
fn a_decision_ends_in_the_nanosecond_in_which_its_term_does() {
    let end = 3_600_000_000_000;
    let (state, time) = approved(&[end]);
    let first = state.decided("credit", "v1");
    assert_eq!(first.decision.cleared, Cleared::True, "{:?}", first.words.lines);
    time.set(end - 1);
    assert!(Arc::ptr_eq(&first, &state.decided("credit", "v1")));
    time.set(end);
    let then = state.decided("credit", "v1");
    assert_eq!(then.decision.cleared, Cleared::False);
    assert_eq!(then.decision, evaluate(&state.snapshot("credit", "v1")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_decision_that_was_kept_is_the_one_that_would_be_made_now(
        ends in prop::collection::vec(1_u64..6, 1..4),
        steps in prop::collection::vec((0_u64..7, -1_i64..2, 0_u8..6), 1..12),
    ) {
        const HOUR: u64 = 3_600_000_000_000;
        let ends: Vec<u64> = ends.into_iter().map(|h| h * HOUR).collect();
        let (state, time) = approved(&ends);
        let mut at = 0;
        for (hour, off, change) in steps {
            // At the ends of terms, a nanosecond before and a nanosecond after; time never goes back.
            at = at.max((hour * HOUR).saturating_add_signed(off));
            time.set(at);
            match change {
                0 => state.world_mut().remove(placet_api::Kind::Approval, Some("credit"), "owner-0"),
                1 => state.world_mut().set_namespace("credit", [("tier".into(), at.to_string())].into()),
                _ => {}
            }
            for _ in 0..2 {
                let now = state.snapshot("credit", "v1");
                let kept = state.decided("credit", "v1");
                prop_assert_eq!(&kept.decision, &evaluate(&now));
                prop_assert_eq!(&kept.digest, &now.digest());
                prop_assert_eq!(&kept.words, &Words::of(&kept.decision));
            }
        }
    }
}

fn pod(owner: &str) -> Pod {
    Pod { uid: "p".into(), release: None, held: false, owner: Some(owner.into()), live: true }
}

fn parent(uid: &str, owner: Option<&str>) -> Parent {
    let mut object = json!({"metadata": {"uid": uid, "name": "web"}, "spec": {"replicas": 2}});
    if let Some(owner) = owner {
        object["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": owner, "controller": true}]);
    }
    Parent::new(&object)
}

#[test]
fn what_was_admitted_is_forgotten_when_nothing_of_its_owner_is_left() {
    let at = |seconds: i64| Timestamp::new(seconds, 0).unwrap();
    let content = || ("v1".to_owned(), "sha256:0".to_owned());
    let mut workloads = Workloads::default();
    for uid in ["there", "pods-only", "gone", "new"] {
        workloads.admit(uid, Some(content()), 2, at(if uid == "new" { 100 } else { 1 }));
    }
    workloads.parents.set("ReplicaSet", "n", "web", parent("there", None));
    workloads.pods.insert(("n".into(), "a".into()), pod("pods-only"));
    assert_eq!(workloads.forget(at(50)), 1);
    assert_eq!(workloads.admitted.keys().collect::<Vec<_>>(), ["new", "pods-only", "there"]);
    // A replacement of what exists is still one: pods and the highest number are as they were.
    let kept = &workloads.admitted["there"];
    assert_eq!((kept.pods.contains(&content()), kept.replicas), (true, 2));
    workloads.parents.remove("ReplicaSet", "n", "web");
    workloads.pods.clear();
    assert_eq!(workloads.forget(at(50)), 2);
    assert_eq!(workloads.forget(at(200)), 1);
    assert!(workloads.admitted.is_empty());
}

#[test]
fn what_is_admitted_again_is_not_old() {
    let at = |seconds: i64| Timestamp::new(seconds, 0).unwrap();
    let state = state(true);
    let content = || ("v1".to_owned(), "sha256:0".to_owned());
    state.admit("rs", Some(content()), 1, at(1));
    state.admit("rs", Some(content()), 3, at(60));
    assert_eq!(state.workloads().admitted["rs"].replicas, 3);
    assert_eq!(state.forget(at(50)), 0);
    state.add_store(Freshness::new("pods", Duration::from_secs(1)));
    assert_eq!(state.forget(at(200)), 0, "nothing is forgotten while a store is not live");
}

#[test]
fn an_object_that_takes_anothers_name_takes_its_place() {
    let mut workloads = Workloads::default();
    workloads.parents.set("ReplicaSet", "n", "web", parent("one", Some("deployment")));
    workloads.pods.insert(("n".into(), "a".into()), pod("two"));
    assert!(!workloads.pods_run("n", "deployment"));
    workloads.parents.set("ReplicaSet", "n", "web", parent("two", Some("deployment")));
    assert!(workloads.pods_run("n", "deployment"));
    assert!(!workloads.pods_run("other", "deployment"));
    assert_eq!(workloads.forget(Timestamp::MAX), 0);
    assert_eq!(workloads.parents.get("ReplicaSet", "n", "web").unwrap().object()["spec"]["replicas"], 2);
    workloads.parents.clear("ReplicaSet");
    assert!(workloads.parents.get("ReplicaSet", "n", "web").is_none());
    assert!(!workloads.pods_run("n", "deployment"));
}
