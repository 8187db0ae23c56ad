//! Policies guard themselves: which change loosens (YAML cases of `tests/guard/`), that what loosens nothing clears nothing,
//! and which version is in force.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test reads its cases from files, and a case that cannot be read fails it"
)]

mod common;
#[path = "guard/life_cycle.rs"]
mod life_cycle;
#[path = "guard/register.rs"]
mod register;
#[path = "guard/variants.rs"]
mod variants;

use std::path::Path;
use std::sync::LazyLock;

use common::{Base, Given, Run, merge, resolve, start, yaml};
use jiff::SignedDuration;
use placet_api::Kind;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_gate::circumstances::Circumstances;
use placet_gate::guard::{Because, Change, Ruling, adds, loosens};
use placet_gate::object::Record;
use placet_gate::people::PeopleKey;
use placet_gate::world::{Clock, World};
use placet_gate::{Cleared, digest, evaluate};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use variants::variants;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Changes {
    policy: Value,
    changes: Vec<OneChange>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OneChange {
    title: String,
    change: Value,
    loosens: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Added {
    in_force: Vec<ReleasePolicySpec>,
    added: Vec<OneAdded>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OneAdded {
    title: String,
    policy: ReleasePolicySpec,
    loosens: Vec<String>,
}

fn file<T: serde::de::DeserializeOwned>(name: &str) -> T {
    yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard").join(name))
}

/// The fields that were found, without what became of them.
fn fields(found: &[String]) -> Vec<String> {
    found.iter().map(|f| f.split(": ").next().unwrap().to_owned()).collect()
}

fn spec(value: &Value) -> ReleasePolicySpec {
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e}: {value}"))
}

#[test]
fn every_change_is_judged_field_by_field() {
    let mut wrong = Vec::new();
    for name in ["changes.yaml", "register.yaml", "life-cycle.yaml", "contradictions.yaml"] {
        let Changes { policy, changes } = file(name);
        for case in &changes {
            let mut after = policy.clone();
            merge(&mut after, &case.change);
            let found = loosens(&spec(&policy), &spec(&after));
            if fields(&found) != case.loosens {
                wrong.push(format!("{}: wanted {:?}, found {found:?}", case.title, case.loosens));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_policy_that_is_new_adds_to_what_is_asked_or_loosens() {
    let Added { in_force, added } = file("added.yaml");
    let in_force: Vec<&ReleasePolicySpec> = in_force.iter().collect();
    let mut wrong = Vec::new();
    for case in &added {
        let found = adds(&case.policy, &in_force);
        if fields(&found) != case.loosens {
            wrong.push(format!("{}: wanted {:?}, found {found:?}", case.title, case.loosens));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Read once: properties ask for it some ten thousand times.
static BASE: LazyLock<Base> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/base/life-cycle.yaml");
    let mut base: Base = yaml(&file);
    // With what is said of its data.
    let data: Base = yaml(&file.with_file_name("data.yaml"));
    base.objects.extend(data.objects.into_iter().filter(|object| object.kind == "Dataset"));
    resolve(&Run::new(), "guard", &mut base.objects, &[]);
    base
});

fn base() -> Vec<Given> {
    BASE.objects.clone()
}

fn policy(name: &str, by: &str, at: &str, spec: &Value) -> Given {
    serde_json::from_value(json!({"by": by, "at": at, "kind": "ReleasePolicy", "name": name, "spec": spec}))
        .unwrap()
}

fn of(given: &Given) -> Record {
    Run::new().record(given)
}

/// Which value of each field a policy has.
fn chosen(choices: &[usize]) -> Value {
    let mut out = json!({});
    for ((field, values), choice) in variants().into_iter().zip(choices) {
        let value = values[choice % values.len()].clone();
        if !value.is_null() {
            out[field] = value;
        }
    }
    out
}

/// A policy, and the same with up to three fields changed.
fn pair() -> impl Strategy<Value = (Value, Value)> {
    let fields = variants().len();
    let edits = prop::collection::vec((0..fields, 0_usize..16), 1..4);
    // Most fields say little, or nothing would ever be cleared.
    let choices = prop::collection::vec(prop_oneof![2 => Just(0_usize), 1 => 0_usize..16], fields);
    (choices, edits).prop_map(|(before, edits)| {
        let mut after = before.clone();
        for (field, value) in edits {
            after[field] = value;
        }
        (chosen(&before), chosen(&after))
    })
}

/// Policies beside the one that changes.
fn beside() -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(
        0.4,
        prop::collection::vec(prop_oneof![3 => Just(0_usize), 1 => 0_usize..16], variants().len())
            .prop_map(|c| chosen(&c)),
    )
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one way in which the world differs")]
struct Around {
    left_out: Vec<usize>,
    limited: bool,
    practice: bool,
    considered: bool,
    wildcard_reject: bool,
    hours: i64,
}

fn around() -> impl Strategy<Value = Around> {
    let count = base().len();
    let rarely = || prop::bool::weighted(0.2);
    (
        prop::collection::vec(0..count, 0..2),
        prop::bool::ANY,
        rarely(),
        prop::bool::ANY,
        rarely(),
        -100_i64..600,
    )
        .prop_map(|(left_out, limited, practice, considered, wildcard_reject, hours)| Around {
            left_out,
            limited,
            practice,
            considered,
            wildcard_reject,
            hours,
        })
}

fn cleared(policies: &[(&str, &Value)], around: &Around) -> Cleared {
    let mut world = World::new();
    let mut objects = base();
    for once in &BASE.cleared {
        Run::new().was_cleared(&mut world, &objects, once);
    }
    for (i, given) in objects.iter_mut().enumerate() {
        if around.left_out.contains(&i) && given.kind != "ApprovalRole" || given.kind == "ReleasePolicy" {
            continue;
        }
        if around.limited && given.kind == "AISystem" {
            given.spec["triggers"]["annexIII"] = json!([]);
            given.spec["triggers"]["article50"] = json!(["1"]);
        }
        if around.practice && given.kind == "AISystem" {
            given.spec["triggers"]["article5"] = json!(["ba"]);
        }
        if around.considered && given.kind == "ImpactAssessment" {
            given.spec["obligations"] = json!([{"id": "Act-1", "version": "1"}]);
            given.spec["scope"]["regions"] = json!(["EU"]);
        }
        given.groups = if given.name == "risk-erin" { vec!["staff".into()] } else { Vec::new() };
        given.credential = given.name != "risk-erin";
        world.apply(of(given));
    }
    if around.wildcard_reject {
        let mut reject = objects.iter().find(|o| o.name == "owner-bob").unwrap().clone();
        reject.name = "reject".into();
        reject.by = Some("root".into());
        reject.wildcard = true;
        reject.spec["decision"] = "Reject".into();
        world.apply(of(&reject));
    }
    for (name, spec) in policies {
        world.apply(of(&policy(name, "platform", "2026-01-01T00:00:00Z", spec)));
    }
    let now = start() + SignedDuration::from_hours(around.hours);
    evaluate(&world.snapshot("lending", "scoring-2", Clock::Trusted(now))).cleared
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn what_loosens_nothing_clears_nothing((before, after) in pair(), beside in beside(), around in around()) {
        let found = loosens(&spec(&before), &spec(&after));
        prop_assume!(found.is_empty());
        let other = beside.as_ref().map(|o| ("other", o));
        let with = |policy: &Value| cleared(&[("one", policy)].into_iter().chain(other).collect::<Vec<_>>(), &around);
        prop_assert!(with(&after) != Cleared::True || with(&before) == Cleared::True, "{before}\n{after}");
    }

    #[test]
    fn what_adds_to_what_is_asked_clears_nothing((before, after) in pair(), around in around()) {
        prop_assume!(adds(&spec(&after), &[&spec(&before)]).is_empty());
        let without = cleared(&[("one", &before)], &around);
        prop_assert!(cleared(&[("one", &before), ("two", &after)], &around) != Cleared::True || without == Cleared::True, "{before}\n{after}");
    }
}

/// Two people are asked for; and one.
fn two() -> Value {
    json!({"appliesTo": {"classes": ["High"]}, "approvals": [{"role": "risk-officer", "count": 2, "covers": "Content"}]})
}

fn one() -> Value {
    json!({"appliesTo": {"classes": ["High"]}, "approvals": [{"role": "risk-officer", "count": 1, "covers": "Content"}]})
}

/// An installation that was set up with this policy.
fn guarded(spec: &Value) -> World {
    let mut world = World::new();
    for given in base().iter().filter(|g| g.kind != "ReleasePolicy") {
        world.apply(of(given));
    }
    let first = of(&policy("high", "platform", "2026-01-01T00:00:00Z", spec));
    world.guard("placet-system", true);
    world.apply(first.clone());
    world.took_effect(first);
    world.set_up();
    assert!(!world.being_set_up());
    world
}

fn edited(spec: &Value, by: &str) -> Given {
    let mut given = policy("high", "platform", "2026-01-01T00:00:00Z", spec);
    given.edited = serde_json::from_value(json!([{"by": by, "at": "2026-11-10T00:00:00Z"}])).unwrap();
    given
}

fn word(name: &str, by: &str, digest: &str, more: Value) -> Given {
    let mut given = json!({"by": by, "at": "2026-11-11T00:00:00Z", "kind": "Approval", "name": name, "namespace": "placet-system", "spec": {
        "subject": {"kind": "ReleasePolicy", "name": "high", "covers": "Content", "digest": digest},
        "role": "risk-officer", "decision": "Approve"}});
    merge(&mut given, &more);
    serde_json::from_value(given).unwrap()
}

fn change(world: &World) -> Option<Change> {
    world.change(Kind::ReleasePolicy, "high", start(), None)
}

fn waits(world: &World) -> Vec<String> {
    match change(world).expect("a change").ruling {
        Ruling::Waits(asked) => asked.why_not,
        Ruling::Takes(because) => panic!("it takes effect: {because:?}"),
    }
}

fn takes(world: &World) -> Because {
    match change(world).expect("a change").ruling {
        Ruling::Takes(because) => because,
        Ruling::Waits(asked) => panic!("it waits: {asked:?}"),
    }
}

fn decides(world: &World) -> Vec<i32> {
    world.in_force().iter().map(|p| p.spec.as_ref().unwrap().approvals[0].count).collect()
}

#[test]
fn until_a_second_person_approves_a_looser_version_the_one_before_decides() {
    let mut world = guarded(&two());
    let looser = edited(&one(), "mallory");
    let digest = of(&looser).digest.unwrap();
    world.apply(of(&looser));
    assert_eq!(decides(&world), [2]);
    assert_eq!(change(&world).unwrap().loosens, ["approvals[risk-officer].count: 2 before, 1 now"]);
    assert!(waits(&world).is_empty());
    let says = |given: Given| {
        let mut world = guarded(&two());
        world.apply(of(&looser));
        Run::new().add(&mut world, &given, false);
        waits(&world).join("; ")
    };
    // Whoever edited it is no second person, under no name.
    assert!(says(word("a", "mallory", &digest, json!({}))).contains("a second person is asked"));
    // Somebody without the role, with another one, with all of them; of another version; elsewhere; too late; a robot.
    assert!(says(word("a", "erin", &digest, json!({"holdsRole": false}))).contains("does not hold the role"));
    assert!(
        says(word("a", "erin", &digest, json!({"spec": {"role": "model-owner"}}))).contains("has no say")
    );
    assert!(says(word("a", "erin", &digest, json!({"wildcard": true}))).contains("by a wildcard"));
    assert_eq!(says(word("a", "erin", &digest.replace("sha256:", "sha256:0"), json!({}))), "");
    assert_eq!(says(word("a", "erin", &digest, json!({"namespace": "lending"}))), "");
    assert!(
        says(word("a", "erin", &digest, json!({"spec": {"expiresAt": "2026-11-12T00:00:00Z"}})))
            .contains("it ended")
    );
    assert!(
        says(word("a", "system:serviceaccount:ci:robot", &digest, json!({}))).contains("service account")
    );
    assert_eq!(says(word("a", "erin", &digest, json!({"deleted": true}))), "");
    let mut unstamped = word("a", "erin", &digest, json!({}));
    unstamped.by = None;
    assert!(says(unstamped).contains("does not count"));

    world.apply(of(&word("a", "erin", &digest, json!({}))));
    assert_eq!(takes(&world), Because::Approved);
    assert_eq!(decides(&world), [2], "the log has the first word");
    world.took_effect(of(&looser));
    assert_eq!(decides(&world), [1]);
    assert!(change(&world).is_none());
    // Taking the approval away changes nothing any more.
    world.remove(Kind::Approval, Some("placet-system"), "a");
    assert_eq!(decides(&world), [1]);
}

#[test]
fn a_reject_stands_until_it_is_answered() {
    let mut world = guarded(&two());
    let looser = edited(&one(), "mallory");
    let digest = of(&looser).digest.unwrap();
    world.apply(of(&looser));
    world.apply(of(&word("no", "vera", &digest, json!({"spec": {"decision": "Reject"}}))));
    world.apply(of(&word("yes", "erin", &digest, json!({}))));
    assert_eq!(waits(&world), ["no rejects it"]);
    world.remove(Kind::Approval, Some("placet-system"), "no");
    assert_eq!(waits(&world), ["no rejects it"], "deleting a Reject clears nothing");
    let answer = |name: &str, role: &str, at: &str| {
        of(&word(name, "erin", &digest, json!({"at": at, "spec": {"role": role, "answers": ["no"]}})))
    };
    // A name that a Reject bears by now is not answered by who named it before, and a role not by another's holder.
    world.apply(answer("early", "risk-officer", "2026-11-10T12:00:00Z"));
    world.apply(answer("same-time", "risk-officer", "2026-11-11T00:00:00Z"));
    assert_eq!(waits(&world), ["no rejects it"]);
    world.apply(answer("answer", "risk-officer", "2026-11-11T00:00:01Z"));
    assert_eq!(takes(&world), Because::Approved);
}

#[test]
fn a_reject_is_answered_in_its_own_role() {
    let with_executive = |spec: &Value| {
        let mut spec = spec.clone();
        let executive = json!({"role": "executive", "count": 1, "covers": "Content"});
        spec["approvals"].as_array_mut().unwrap().push(executive);
        spec
    };
    let mut world = guarded(&with_executive(&two()));
    let looser = edited(&with_executive(&one()), "mallory");
    let digest = of(&looser).digest.unwrap();
    world.apply(of(&looser));
    world.apply(of(&word("no", "vera", &digest, json!({"spec": {"decision": "Reject"}}))));
    let answer = |name: &str, by: &str, role: &str| {
        let more = json!({"at": "2026-11-12T00:00:00Z", "spec": {"role": role, "answers": ["no"]}});
        of(&word(name, by, &digest, more))
    };
    world.apply(answer("other", "eve", "executive"));
    assert_eq!(waits(&world), ["no rejects it"], "of another role, though one holder of either is enough");
    world.apply(answer("answer", "erin", "risk-officer"));
    assert_eq!(takes(&world), Because::Approved);
}

#[test]
fn who_edited_it_before_the_version_in_force_is_a_second_person() {
    let mut world = guarded(&two());
    let looser = edited(&one(), "mallory");
    world.apply(of(&looser));
    // The creator of the policy did not make this change.
    world.apply(of(&word("a", "platform", &of(&looser).digest.unwrap(), json!({}))));
    assert_eq!(takes(&world), Because::Approved);
    // Of an object that was created anew, everybody is.
    let mut anew = edited(&one(), "mallory");
    anew.uid = Some("u2".into());
    world.apply(of(&anew));
    assert!(waits(&world).join("").contains("a second person is asked"));
}

#[test]
fn what_tightens_decides_at_once() {
    let mut world = guarded(&one());
    world.apply(of(&edited(&two(), "mallory")));
    assert_eq!(decides(&world), [2]);
    assert_eq!(takes(&world), Because::Tightens);
}

#[test]
fn a_policy_that_is_gone_decides_until_its_deletion_is_approved() {
    let mut world = guarded(&two());
    world.remove(Kind::ReleasePolicy, None, "high");
    assert_eq!(decides(&world), [2]);
    assert!(waits(&world).is_empty());
    // Created again, looser: the one that was there judges it.
    world.apply(of(&policy("high", "mallory", "2026-11-12T00:00:00Z", &one())));
    assert_eq!(decides(&world), [2]);
    waits(&world);
    world.remove(Kind::ReleasePolicy, None, "high");
    let digest = world.deletion_digest("high").unwrap();
    world.apply(of(&word("a", "erin", &digest, json!({}))));
    assert_eq!(takes(&world), Because::Approved);
    world.ended(Kind::ReleasePolicy, "high");
    assert!(decides(&world).is_empty());
    assert!(change(&world).is_none());
    // Whoever deletes it does not approve that.
    let mut world = guarded(&two());
    let digest = world.deletion_digest("high").unwrap();
    world.apply(of(&word("a", "erin", &digest, json!({}))));
    let people = PeopleKey::new(*b"cases");
    let by = |user: &str| {
        world.change(Kind::ReleasePolicy, "high", start(), Some(&people.person(user))).unwrap().ruling
    };
    assert!(matches!(by("erin"), Ruling::Waits(_)));
    assert_eq!(by("dana"), Ruling::Takes(Because::Approved));
}

#[test]
fn a_policy_where_none_applied_waits_and_one_that_adds_does_not() {
    let mut world = guarded(&two());
    let minimal = json!({"appliesTo": {"classes": ["Minimal"]}, "approvals": [{"role": "model-owner", "count": 1, "covers": "Content"}]});
    world.apply(of(&policy("minimal", "mallory", "2026-11-12T00:00:00Z", &minimal)));
    assert_eq!(decides(&world), [2]);
    let waiting = world.waits(Kind::ReleasePolicy, "minimal", start()).unwrap();
    assert!(waiting.loosens[0].contains("class Minimal"), "{waiting:?}");
    let Ruling::Waits(asked) = waiting.ruling else { panic!() };
    assert_eq!(asked.roles.into_iter().collect::<Vec<_>>(), ["risk-officer"], "those who guard the others");
    world.apply(of(&policy("more", "mallory", "2026-11-12T00:00:00Z", &one())));
    assert_eq!(decides(&world), [2, 1]);
}

#[test]
fn a_policy_says_who_guards_it_or_that_nobody_does() {
    let role = |guard: Value| {
        let mut spec = two();
        spec["guard"] = guard;
        let mut world = guarded(&spec);
        let mut looser = one();
        looser["guard"] = spec["guard"].clone();
        world.apply(of(&edited(&looser, "mallory")));
        world
    };
    let world = role(json!({"role": "executive"}));
    let Ruling::Waits(asked) = change(&world).unwrap().ruling else { panic!() };
    assert_eq!(asked.roles.into_iter().collect::<Vec<_>>(), ["executive"]);
    assert_eq!(takes(&role(json!({"loosening": "Apply"}))), Because::Unguarded);
    // Nobody was ever able to hold it: waiting would be for ever.
    assert_eq!(takes(&role(json!({"role": "emperor"}))), Because::NobodyCould);
    // A role that was deleted is one that somebody could hold again.
    let mut world = role(json!({"role": "executive"}));
    world.remove(Kind::ApprovalRole, None, "executive");
    waits(&world);
}

#[test]
fn while_an_installation_is_set_up_everything_takes_effect() {
    let mut world = World::new();
    world.guard("placet-system", true);
    world.apply(of(&policy("high", "platform", "2026-01-01T00:00:00Z", &two())));
    assert_eq!(takes(&world), Because::First);
    world.set_up();
    assert!(world.being_set_up(), "not while one is there that the log does not know");
    world.took_effect(of(&policy("high", "platform", "2026-01-01T00:00:00Z", &two())));
    world.set_up();
    assert!(!world.being_set_up());
    // One that is new where no policy is left is the first again.
    world.remove(Kind::ReleasePolicy, None, "high");
    world.ended(Kind::ReleasePolicy, "high");
    world.apply(of(&policy("high", "platform", "2026-01-01T00:00:00Z", &one())));
    assert_eq!(takes(&world), Because::First);
}

#[test]
fn what_does_not_count_or_is_not_understood_decides_and_blocks() {
    let mut world = guarded(&two());
    let mut unstamped = edited(&one(), "mallory");
    unstamped.by = None;
    world.apply(of(&unstamped));
    let decision = evaluate(&world.snapshot("lending", "scoring-2", Clock::Trusted(start())));
    assert_eq!(decision.cleared, Cleared::Unknown);
    assert!(change(&world).is_none());
}

#[test]
fn replay_decides_by_the_version_that_was_in_force() {
    let mut world = guarded(&two());
    world.apply(of(&edited(&one(), "mallory")));
    let snapshot = world.snapshot("lending", "scoring-2", Clock::Trusted(start()));
    let decision = evaluate(&snapshot);
    assert_eq!(decision.cleared, Cleared::False, "two people are asked for");
    let stored = serde_json::to_value(Circumstances::of(&snapshot)).unwrap();
    let records = snapshot.records().into_iter().map(|(record, _)| {
        let bytes = serde_json::to_vec(record).unwrap();
        (digest::of_bytes(&bytes), serde_json::from_slice(&bytes).unwrap())
    });
    let again = Circumstances::read(&stored).unwrap().unwrap().snapshot(records, start());
    assert_eq!(again.digest(), snapshot.digest());
    assert_eq!(evaluate(&again), decision);
    // The same without the guard: the looser version clears.
    let mut open = World::new();
    for given in base().iter().filter(|g| g.kind != "ReleasePolicy") {
        open.apply(of(given));
    }
    open.apply(of(&edited(&one(), "mallory")));
    let now = open.snapshot("lending", "scoring-2", Clock::Trusted(start()));
    assert_eq!(evaluate(&now).cleared, Cleared::True);
    assert_ne!(now.digest(), snapshot.digest());
}
