//! Properties that hold for every world, not only for those of the cases: the decision is deterministic and total, it
//! holds until the moment it names, forgetting clears nothing, and requiring more never clears more.

#![expect(clippy::unwrap_used, reason = "a property that cannot be set up fails")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Base, Given, Run, resolve, start, yaml};
use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_gate::circumstances::Circumstances;
use placet_gate::object::{Object, Record, Stamp};
use placet_gate::world::{Clock, Snapshot, World};
use placet_gate::{Cleared, Decision, evaluate};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What blocks, as the last of [`objects`].
const BLOCKING: usize = 8;

/// The objects of the High-class base that asks about data, for which everything exists, and a few that make it less simple: a
/// Dataset that corrects another, an assessment that is approved itself, and further risks, each lowered by a control with evidence of its own.
fn objects() -> Vec<Given> {
    let base: Base = yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/base/data.yaml"));
    let mut objects = base.objects;
    let like = |objects: &[Given], kind: &str, name: &str| -> Given {
        objects.iter().find(|o| o.kind == kind && o.name == name).unwrap().clone()
    };
    with_evidence(&mut objects);
    let mut other_word = like(&objects, "Dataset", "train");
    other_word.name = "train-2".into();
    other_word.by = Some("ruth".into());
    other_word.spec["personalData"]["specialCategories"] = json!(["Health"]);
    let mut corrects = like(&objects, "Dataset", "eval");
    corrects.name = "eval-2".into();
    corrects.by = Some("cleo".into());
    corrects.at = Some("2026-10-01T09:00:00Z".parse().unwrap());
    corrects.spec["licence"] = "CC-BY-4.0".into();
    corrects.spec["supersedes"] = json!({"datasets": ["eval"], "reason": "It is under another licence"});
    let mut contradicts = like(&objects, "TestReport", "pentest");
    contradicts.name = "pentest-2".into();
    contradicts.by = Some("ruth".into());
    contradicts.spec["supersedes"] = json!({"reports": ["pentest"], "reason": "It was of another build"});
    let mut of_assessment = like(&objects, "Approval", "assessed-erin");
    of_assessment.name = "assessment-reject".into();
    of_assessment.by = Some("ruth".into());
    of_assessment.spec["decision"] = "Reject".into();
    let mut of_acceptance = of_assessment.clone();
    of_acceptance.name = "withdrawn-ruth".into();
    of_acceptance.spec["subject"] = json!({"kind": "RiskAcceptance", "name": "r1-frank", "covers": "Content",
        "digest": "content of RiskAcceptance/r1-frank"});
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
    objects.extend([
        corrects,
        ends,
        contradicts,
        other_word,
        of_assessment,
        of_acceptance,
        reject,
        newer,
        failed,
    ]);
    resolve(&Run::new(), "properties", &mut objects, &[]);
    objects
}

/// Adds an approval of the assessment, which the policy asks for, and risks that are within the appetite only while a report, an
/// approval and an acceptance show that their controls work.
fn with_evidence(objects: &mut Vec<Given>) {
    let at = |objects: &[Given], kind: &str, name: &str| {
        objects.iter().position(|o| o.kind == kind && o.name == name).unwrap()
    };
    let policy = at(objects, "ReleasePolicy", "high");
    objects[policy].spec["assessment"]["approvedBy"] = "risk-officer".into();
    let impact = at(objects, "ImpactAssessment", "impact");
    for (id, kind, name) in [
        ("R2", "TestReport", "pentest"),
        ("R3", "Approval", "oversight-vera"),
        ("R4", "RiskAcceptance", "r1-frank"),
    ] {
        let risk = json!({
            "id": id, "domain": "AI", "harms": ["H1"], "residual": {"likelihood": 1, "severity": 2},
            "controls": [{"control": "ISO42001/A.6.2.4", "status": "Implemented", "owner": "Model Risk",
                          "implementedAt": "2026-10-01", "evidence": [{"kind": kind, "name": name}]}],
        });
        objects[impact].spec["risks"].as_array_mut().unwrap().push(risk);
    }
    let mut pentest = objects[at(objects, "TestReport", "performance")].clone();
    pentest.name = "pentest".into();
    // Neither an author of what it is to show, nor a developer.
    pentest.by = Some("tess".into());
    pentest.spec["type"] = "Security".into();
    pentest.spec["metrics"] = json!([{"name": "OpenFindings", "value": "0", "rows": 6000}]);
    let mut oversight = objects[at(objects, "Approval", "evaluation-erin")].clone();
    oversight.name = "oversight-vera".into();
    oversight.by = Some("vera".into());
    oversight.spec["role"] = "model-owner".into();
    oversight.spec["expiresAt"] = "2026-12-20T00:00:00Z".into();
    let mut assessed = oversight.clone();
    assessed.name = "assessed-erin".into();
    assessed.by = Some("erin".into());
    assessed.spec = json!({"subject": {"kind": "ImpactAssessment", "name": "impact", "covers": "Content",
        "digest": "content of ImpactAssessment/impact"}, "role": "risk-officer", "decision": "Approve"});
    objects.extend([pentest, oversight, assessed]);
}

/// Which of the objects exist, and the moment.
#[derive(Debug, Clone)]
struct Choice {
    present: Vec<bool>,
    withdrawn: bool,
    unstamped: Option<usize>,
    hours: i64,
    /// Whether the policy has a gate of its author's.
    custom: bool,
}

/// A gate that reads whatever can be read, and is met while everything is there.
fn custom() -> Value {
    let expression = "reports.exists(r, r.type == 'Security') && approvals.exists(a, a.role == 'model-owner') && \
                      acceptances.exists(x, x.level == 'High') && assessment.risks.exists(r, r.id == 'R1') && \
                      system.purpose != '' && release.version == '2' && now < timestamp('2027-06-01')";
    json!([{"name": "house", "expression": expression, "message": "All of it", "who": "the house"}])
}

fn choice() -> impl Strategy<Value = Choice> {
    let count = objects().len();
    (
        // Most of what clears is there and little of what blocks: otherwise hardly any world is near the boundary, and
        // nothing is shown. The blocking ones are the last of `objects`, of which one does not block.
        (
            prop::collection::vec(prop::bool::weighted(0.98), count - BLOCKING),
            prop::collection::vec(prop::bool::weighted(0.15), BLOCKING),
        )
            .prop_map(|(most, few)| [most, few].concat()),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.25, 0..count),
        prop_oneof![3 => -48_i64..300, 1 => -2400_i64..9000],
        prop::bool::weighted(0.4),
    )
        .prop_map(|(present, withdrawn, unstamped, hours, custom)| Choice {
            present,
            withdrawn,
            unstamped,
            hours,
            custom,
        })
}

fn world(choice: &Choice) -> (World, Vec<Record>) {
    let run = Run::new();
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
        if choice.custom && given.kind == "ReleasePolicy" {
            given.spec["customGates"] = custom();
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
    fn what_shows_that_controls_work_decides(hours in -48_i64..300, custom in prop::bool::ANY) {
        // Were it not so, the properties below would say nothing of evidence.
        let mut present = vec![true; objects().len() - BLOCKING];
        present.extend([false; BLOCKING]);
        let choice = Choice { present, withdrawn: false, unstamped: None, hours, custom };
        let (world, _) = world(&choice);
        let whole = evaluate(&snapshot(&world, at(&choice)));
        prop_assert_eq!(whole.cleared, Cleared::True, "{:?}", whole.findings().collect::<Vec<_>>());
        for (i, one) in objects().iter().enumerate() {
            if ["pentest", "oversight-vera", "assessed-erin", "r1-frank"].contains(&one.name.as_str()) {
                let mut without = choice.clone();
                without.present[i] = false;
                let (world, _) = self::world(&without);
                prop_assert_ne!(evaluate(&snapshot(&world, at(&choice))).cleared, Cleared::True, "{}", one.name);
            }
        }
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
    fn requiring_more_never_clears_more(choice in choice(), count in 1_i32..3, low in 1_u32..100, appetite in 0_usize..5, asks in prop::sample::select(ASKS.to_vec())) {
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
            "customGates": [{"name": "more", "expression": asks, "message": "x", "who": "y"}],
        });
        let given: Given = serde_json::from_value(json!({"by": "platform", "kind": "ReleasePolicy", "name": "more", "spec": spec.clone()})).unwrap();
        world.apply(Run::new().record(&given));
        let after = evaluate(&snapshot(&world, at(&choice))).cleared;
        prop_assert!(before == Cleared::True || after != Cleared::True, "policy {spec} cleared what was {before:?}");
    }

    #[test]
    fn what_is_kept_shows_in_no_decision(choice in choice(), edits in prop::collection::vec(edit(), 1..5)) {
        let (mut kept, records) = world(&choice);
        for done in 0..=edits.len() {
            let now = at(&choice);
            // Twice, since the first evaluation may be the one that keeps something.
            let first = evaluate(&snapshot(&kept, now));
            prop_assert_eq!(&evaluate(&snapshot(&kept, now)), &first);
            let mut fresh = World::new();
            for record in &records {
                fresh.apply(record.clone());
            }
            for edit in &edits[..done] {
                edit.apply(&mut fresh);
            }
            prop_assert_eq!(&evaluate(&snapshot(&fresh, now)), &first);
            if let Some(next) = edits.get(done) {
                next.apply(&mut kept);
            }
        }
    }

    #[test]
    fn a_stored_snapshot_is_read_back(choice in choice(), edits in prop::collection::vec(edit(), 0..4), around in around()) {
        let (mut world, _) = world(&choice);
        for edit in &edits {
            edit.apply(&mut world);
        }
        let mut snapshot = snapshot(&world, at(&choice));
        around.apply(&mut snapshot);
        let mut stored = vec![serde_json::to_vec(&Circumstances::of(&snapshot)).unwrap()];
        stored.extend(snapshot.records().iter().map(|(r, _)| serde_json::to_vec(r).unwrap()));
        let (mut circumstances, mut objects) = (None, Vec::new());
        for bytes in stored {
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            match Circumstances::read(&value).unwrap() {
                Some(found) => circumstances = Some(found),
                None => objects.push((placet_gate::digest::of_bytes(&bytes), serde_json::from_value(value).unwrap())),
            }
        }
        let again = circumstances.unwrap().snapshot(objects, snapshot.clock.now());
        prop_assert_eq!(again.digest(), snapshot.digest());
        prop_assert_eq!(&again.clock, &snapshot.clock);
        prop_assert_eq!(evaluate(&again), evaluate(&snapshot));
    }

    #[test]
    fn any_spec_gives_a_decision(kind in prop::sample::select(Kind::ALL.to_vec()), spec in any_json()) {
        let (mut world, _) = world(&Choice { present: vec![true; objects().len()], withdrawn: false, unstamped: None, hours: 0, custom: true });
        let name = objects().into_iter().find(|o| o.kind == kind.as_str()).map_or("x".to_owned(), |o| o.name);
        let given: Given = serde_json::from_value(json!({"by": "mallory", "kind": kind.as_str(), "name": name, "spec": spec})).unwrap();
        let record = Run::new().record(&given);
        let object: Object<Value> = Object::new(record.clone(), true);
        prop_assert!(object.spec.is_ok());
        world.apply(record);
        let decision = evaluate(&snapshot(&world, start()));
        for finding in decision.findings() {
            prop_assert!(!finding.command.is_empty() && !finding.who.is_empty());
        }
    }
}

/// A change of a world: policies above all, since what they ask for is kept.
#[derive(Debug, Clone)]
enum Edit {
    Policy(Value),
    NoPolicy,
    Labels(bool),
    Attributes(Vec<&'static str>),
    Counts(i64),
}

fn edit() -> impl Strategy<Value = Edit> {
    let tests = (50_u32..95, prop::option::of(1..400_i32), prop::bool::ANY).prop_map(|(least, rows, warn)| {
        let mut rule = json!({"type": "Bias", "metric": "SelectionRateRatio", "compare": "MinMax", "atLeast": format!("0.{least}")});
        rule["minGroupSize"] = rows.unwrap_or(100).into();
        rule["whenIndeterminate"] = if warn { "Warn" } else { "Hold" }.into();
        rule
    });
    let policy = (tests, 60_u32..95, 0_usize..5, 1_i32..3, prop::bool::ANY, prop::bool::ANY);
    let policy = policy.prop_map(|(rule, accuracy, appetite, count, selects, matrix)| {
        let accuracy = format!("0.{accuracy}");
        let performance = json!({"type": "Performance", "metric": "BalancedAccuracy", "atLeast": accuracy});
        let mut spec = json!({
            "appliesTo": {"classes": ["High"]},
            "assessment": {"required": true, "maxAgeDays": 365},
            "tests": [rule, performance],
            "riskAppetite": placet_api::common::Level::from_rank(appetite).to_string(),
            "acceptanceAuthority": [{"level": "Medium", "roles": ["risk-officer"]}, {"level": "High", "roles": ["executive"]}],
            "approvals": [{"role": "model-owner", "count": count, "covers": "Content"}],
        });
        if selects {
            spec["appliesTo"]["namespaceSelector"] = json!({"matchLabels": {"tier": "prod"}});
        }
        if matrix {
            spec["riskMatrix"] = vec![vec!["Low"; 5], vec!["Low"; 5], vec!["Medium"; 5], vec!["High"; 5], vec!["High"; 5]].into();
        }
        Edit::Policy(spec)
    });
    prop_oneof![
        4 => policy,
        1 => Just(Edit::NoPolicy),
        2 => prop::bool::ANY.prop_map(Edit::Labels),
        1 => prop::sample::select(vec![vec!["sex"], vec!["age"], vec![]]).prop_map(Edit::Attributes),
        1 => (100_i64..1200).prop_map(Edit::Counts),
    ]
}

impl Edit {
    fn apply(&self, world: &mut World) {
        let changed = |kind: &str, name: &str, change: &dyn Fn(&mut Value)| {
            let mut given = objects().into_iter().find(|o| o.kind == kind && o.name == name).unwrap();
            change(&mut given.spec);
            Run::new().record(&given)
        };
        match self {
            Edit::Policy(spec) => world.apply(changed("ReleasePolicy", "high", &|s| s.clone_from(spec))),
            Edit::NoPolicy => world.remove(Kind::ReleasePolicy, None, "high"),
            Edit::Labels(prod) => {
                let labels = prod.then(|| ("tier".to_owned(), "prod".to_owned()));
                world.set_namespace("lending", labels.into_iter().collect());
            }
            Edit::Attributes(names) => world.apply(changed("AISystem", "scoring", &|s| {
                s["evaluation"]["attributeSets"] = if names.is_empty() { json!([]) } else { json!([names]) };
            })),
            Edit::Counts(tp) => world.apply(changed("TestReport", "bias", &|s| {
                s["groups"][0] = json!({"attributes": {"sex": "female"}, "rows": 3000, "tp": tp, "fp": 300, "fn": 1200 - tp, "tn": 1500});
            })),
        }
    }
}

/// What a policy more may ask in CEL: what is so, what is not, what cannot be said, and what is refused.
const ASKS: [&str; 6] = [
    "release.version == '2'",
    "release.version == '3'",
    "reports.exists(r, r.type == 'Bias')",
    "system.oversight.stopProcedure == ''",
    "now > timestamp('2026-11-20')",
    "reports.all(r, r.type == 'Bias')",
];

/// What is no object: each of it as often there as not.
#[expect(clippy::struct_excessive_bools, reason = "each is there or not, whatever the others are")]
#[derive(Debug, Clone)]
struct Around {
    used: bool,
    unready: bool,
    labels: bool,
    untrusted: bool,
}

fn around() -> impl Strategy<Value = Around> {
    let any = || prop::bool::ANY;
    (any(), any(), any(), any()).prop_map(|(used, unready, labels, untrusted)| Around {
        used,
        unready,
        labels,
        untrusted,
    })
}

impl Around {
    fn apply(&self, snapshot: &mut Snapshot) {
        if self.used {
            snapshot.first_use = Some(start() - SignedDuration::from_hours(30));
        }
        if self.unready {
            snapshot.not_ready = vec!["approvals".into(), "TestReport".into()];
        }
        if self.labels {
            snapshot.namespace_labels = Arc::new([("tier".to_owned(), "prod".to_owned())].into());
        }
        if self.untrusted {
            snapshot.clock = Clock::Untrusted { now: snapshot.clock.now(), why: "differs by 45 s".into() };
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
