//! Properties that hold for every world, not only for those of the cases: the decision is deterministic and total, it
//! holds until the moment it names, forgetting clears nothing, and requiring more never clears more.

#![expect(clippy::unwrap_used, reason = "a property that cannot be set up fails")]

mod common;

use std::path::Path;

use common::{Base, Given, Run, resolve, yaml};
use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_gate::object::{Object, Reading, Record, Stamp};
use placet_gate::people::PeopleKey;
use placet_gate::stamp::ReceiptKeys;
use placet_gate::world::{Clock, Snapshot, World};
use placet_gate::{Cleared, Decision, evaluate};
use proptest::prelude::*;
use serde_json::{Value, json};

fn run() -> Run {
    Run {
        namespace: "lending".into(),
        reading: Reading { cluster: "c".into(), keys: ReceiptKeys::new(), people: PeopleKey::new(*b"cases") },
        now: start(),
    }
}

fn start() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// The objects of the High-class base, for which everything exists, and a few that make it less simple.
fn objects() -> Vec<Given> {
    let base: Base = yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/base/high.yaml"));
    let mut objects = base.objects;
    let like = |objects: &[Given], kind: &str, name: &str| -> Given {
        objects.iter().find(|o| o.kind == kind && o.name == name).unwrap().clone()
    };
    let mut reject = like(&objects, "Approval", "risk-erin");
    reject.name = "risk-reject".into();
    reject.by = Some("ruth".into());
    reject.spec["decision"] = "Reject".into();
    let mut newer = like(&objects, "ImpactAssessment", "impact");
    newer.name = "impact-2".into();
    newer.spec["supersedes"] = "impact".into();
    newer.spec["risks"][0]["residual"] = json!({"likelihood": 3, "severity": 4});
    let mut failed = like(&objects, "TestReport", "bias");
    failed.name = "bias-failed".into();
    failed.spec["groups"][0] =
        json!({"attributes": {"sex": "female"}, "rows": 3000, "tp": 90, "fp": 30, "fn": 1110, "tn": 1770});
    let mut ends = like(&objects, "Approval", "owner-bob");
    ends.name = "owner-olaf".into();
    ends.by = Some("olaf".into());
    ends.spec["expiresAt"] = "2026-11-25T00:00:00Z".into();
    objects.extend([reject, newer, failed, ends]);
    resolve(&run(), "properties", &mut objects, &[]);
    objects
}

/// Which of the objects exist, and the moment.
#[derive(Debug, Clone)]
struct Choice {
    present: Vec<bool>,
    withdrawn: bool,
    unstamped: Option<usize>,
    hours: i64,
}

fn choice() -> impl Strategy<Value = Choice> {
    let count = objects().len();
    (
        // Most of what clears is there and little of what blocks: otherwise hardly any world is near the boundary, and
        // nothing is shown. The blocking ones are the last four of `objects`, of which one does not block.
        (
            prop::collection::vec(prop::bool::weighted(0.97), count - 4),
            prop::collection::vec(prop::bool::weighted(0.25), 4),
        )
            .prop_map(|(most, few)| [most, few].concat()),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.1, 0..count),
        prop_oneof![3 => -48_i64..300, 1 => -2400_i64..9000],
    )
        .prop_map(|(present, withdrawn, unstamped, hours)| Choice {
            present,
            withdrawn,
            unstamped,
            hours,
        })
}

fn world(choice: &Choice) -> (World, Vec<Record>) {
    let run = run();
    let mut world = World::new();
    let mut records = Vec::new();
    for (i, given) in objects().into_iter().enumerate() {
        if !choice.present[i] {
            continue;
        }
        let mut given = given;
        if choice.withdrawn && given.kind == "ModelRelease" {
            given.spec["withdrawn"] = true.into();
        }
        if choice.unstamped == Some(i) {
            given.by = None;
        }
        let record = run.record(&given);
        records.push(record.clone());
        world.apply(record);
    }
    (world, records)
}

fn at(choice: &Choice) -> Timestamp {
    start() + SignedDuration::from_hours(choice.hours)
}

fn snapshot(world: &World, now: Timestamp) -> Snapshot {
    world.snapshot("lending", "scoring-2", Clock::Trusted(now))
}

/// A decision without the moment until which it holds.
fn said(decision: &Decision) -> Decision {
    Decision { valid_until: None, ..decision.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_inputs_give_the_same_decision(choice in choice()) {
        let (one, _) = world(&choice);
        let (two, _) = world(&choice);
        let (one, two) = (snapshot(&one, at(&choice)), snapshot(&two, at(&choice)));
        prop_assert_eq!(evaluate(&one), evaluate(&two));
        prop_assert_eq!(one.digest(), two.digest());
    }

    #[test]
    fn a_decision_holds_until_the_moment_it_names_and_is_taken_again_exactly_then(choice in choice(), part in 0.0_f64..1.0) {
        let (world, _) = world(&choice);
        let now = at(&choice);
        let decision = evaluate(&snapshot(&world, now));
        let until = decision.valid_until.unwrap_or(now + SignedDuration::from_hours(24 * 3650));
        let span = until.duration_since(now);
        let later = now + span.mul_f64_checked(part);
        prop_assert!(later < until || span.is_zero());
        prop_assert_eq!(said(&evaluate(&snapshot(&world, later))), said(&decision));
        let last = until - SignedDuration::from_nanos(1);
        prop_assert_eq!(said(&evaluate(&snapshot(&world, last))), said(&decision));
    }

    #[test]
    fn forgetting_never_clears(choice in choice(), which in any::<prop::sample::Index>()) {
        let (mut world, records) = world(&choice);
        let namespaced: Vec<&Record> = records.iter().filter(|r| r.kind.namespaced()).collect();
        prop_assume!(!namespaced.is_empty());
        let before = evaluate(&snapshot(&world, at(&choice))).cleared;
        let gone = which.get(&namespaced);
        world.remove(gone.kind, gone.namespace.as_deref(), &gone.name);
        let after = evaluate(&snapshot(&world, at(&choice))).cleared;
        prop_assert!(before == Cleared::True || after != Cleared::True, "deleting {} {} cleared", gone.kind, gone.name);
    }

    #[test]
    fn creating_an_old_version_again_never_clears(choice in choice(), which in any::<prop::sample::Index>()) {
        let (mut world, records) = world(&choice);
        let namespaced: Vec<&Record> = records
            .iter()
            .filter(|r| r.kind.namespaced() && matches!(r.stamp, Stamp::Valid(_)))
            .collect();
        prop_assume!(!namespaced.is_empty());
        let before = evaluate(&snapshot(&world, at(&choice))).cleared;
        let again = which.get(&namespaced);
        world.remove(again.kind, again.namespace.as_deref(), &again.name);
        world.apply((*again).clone());
        let after = evaluate(&snapshot(&world, at(&choice))).cleared;
        prop_assert!(before == Cleared::True || after != Cleared::True, "re-creating {} {} cleared", again.kind, again.name);
    }

    #[test]
    fn requiring_more_never_clears_more(choice in choice(), count in 1_i32..3, low in 1_u32..100, appetite in 0_usize..5) {
        let (mut world, records) = world(&choice);
        // Without any policy nothing is cleared, so that the first one may clear.
        let counts = |r: &Record| r.kind == Kind::ReleasePolicy && matches!(r.stamp, Stamp::Valid(_));
        prop_assume!(records.iter().any(counts));
        let before = evaluate(&snapshot(&world, at(&choice))).cleared;
        let appetite = placet_api::common::Level::from_rank(appetite).to_string();
        let spec = json!({
            "appliesTo": {"classes": ["High"]},
            "tests": [{"type": "Performance", "metric": "BalancedAccuracy", "atLeast": format!("0.{low:02}")}],
            "riskAppetite": appetite,
            "approvals": [{"role": "model-owner", "count": count, "covers": "Content"}],
        });
        let given: Given = serde_json::from_value(json!({"by": "platform", "kind": "ReleasePolicy", "name": "more", "spec": spec.clone()})).unwrap();
        world.apply(run().record(&given));
        let after = evaluate(&snapshot(&world, at(&choice))).cleared;
        prop_assert!(before == Cleared::True || after != Cleared::True, "policy {spec} cleared what was {before:?}");
    }

    #[test]
    fn any_spec_gives_a_decision(kind in prop::sample::select(Kind::ALL.to_vec()), spec in any_json()) {
        let (mut world, _) = world(&Choice { present: vec![true; objects().len()], withdrawn: false, unstamped: None, hours: 0 });
        let name = objects().into_iter().find(|o| o.kind == kind.as_str()).map_or("x".to_owned(), |o| o.name);
        let given: Given = serde_json::from_value(json!({"by": "mallory", "kind": kind.as_str(), "name": name, "spec": spec})).unwrap();
        let record = run().record(&given);
        let object: Object<Value> = Object::new(record.clone(), true);
        prop_assert!(object.spec.is_ok());
        world.apply(record);
        let decision = evaluate(&snapshot(&world, start()));
        for finding in decision.findings() {
            prop_assert!(!finding.command.is_empty() && !finding.who.is_empty());
        }
    }
}

/// Any JSON, with the field names of our kinds among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "system",
        "artifacts",
        "digest",
        "role",
        "risks",
        "harms",
        "id",
        "triggers",
        "approvals",
        "tests",
        "groups",
        "rows",
        "subject",
        "decision",
        "covers",
        "appliesTo",
        "classes",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

trait Part {
    /// A part of a span, rounded down.
    fn mul_f64_checked(self, part: f64) -> SignedDuration;
}

impl Part for SignedDuration {
    fn mul_f64_checked(self, part: f64) -> SignedDuration {
        SignedDuration::try_from_secs_f64((self.as_secs_f64() - 1.0).max(0.0) * part)
            .unwrap_or(SignedDuration::ZERO)
    }
}
