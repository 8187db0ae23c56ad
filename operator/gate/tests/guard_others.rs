//! Roles and signers guard themselves as policies do: which change lets more in (YAML cases of `tests/guard/`), who approves
//! it, which version decides until then, and what an installation is set up with.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test reads its cases from files, and a case that cannot be read fails it"
)]

mod common;

use std::path::Path;

use common::{Base, Given, Run, merge, resolve, start, yaml};
use placet_api::Kind;
use placet_api::approvalrole::{ApprovalRoleSpec, RoleScope};
use placet_api::crd::crds;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::trustedsigner::TrustedSignerSpec;
use placet_gate::circumstances::Circumstances;
use placet_gate::guard::{Asked, Because, Guarded, Ruling};
use placet_gate::object::Record;
use placet_gate::world::{Clock, World};
use placet_gate::{Cleared, digest, evaluate};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    spec: Value,
    changes: Vec<OneChange>,
    #[serde(default)]
    added: Vec<Added>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OneChange {
    title: String,
    change: Value,
    loosens: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    title: String,
    spec: Value,
    loosens: Vec<String>,
}

fn cases(name: &str) -> Cases {
    yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard").join(name))
}

/// A spec, with a key in place of its number.
fn spec<S: DeserializeOwned>(value: &Value) -> S {
    let mut value = value.clone();
    if let Some(number) = value["key"].as_str().and_then(|k| k.strip_prefix("key ")) {
        let key = common::signing::key(number.parse().unwrap());
        value["key"] = key.public_key().to_openssh().unwrap().into();
    }
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e}: {value}"))
}

fn fields(found: &[String]) -> Vec<String> {
    found.iter().map(|f| f.split(": ").next().unwrap().to_owned()).collect()
}

fn judged<S: Guarded + DeserializeOwned>(file: &str) {
    let Cases { spec: before, changes, added } = cases(file);
    let mut wrong = Vec::new();
    for case in &changes {
        let mut after = before.clone();
        merge(&mut after, &case.change);
        let found = S::ways(Some(&spec(&before)), &spec(&after));
        if fields(&found) != case.loosens {
            wrong.push(format!("{}: wanted {:?}, found {found:?}", case.title, case.loosens));
        }
    }
    for case in &added {
        let found = S::ways(None, &spec(&case.spec));
        if fields(&found) != case.loosens {
            wrong.push(format!("{}: wanted {:?}, found {found:?}", case.title, case.loosens));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_change_of_a_role_or_a_signer_is_judged_field_by_field() {
    judged::<TrustedSignerSpec>("signers.yaml");
    judged::<ApprovalRoleSpec>("roles.yaml");
    let new = spec::<TrustedSignerSpec>(&cases("signers.yaml").spec);
    assert_eq!(
        TrustedSignerSpec::ways(None, &new),
        ["user: <person:erin> could sign as executive, risk-officer"]
    );
}

/// Names of the properties of an object schema, those of objects in it included.
fn properties(schema: &Value, path: &str, out: &mut Vec<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        out.push(format!("{path}{name}"));
        properties(inner, &format!("{path}{name}/"), out);
    }
}

#[test]
fn a_case_changes_each_field_of_the_schema() {
    for (plural, file) in [("trustedsigners", "signers.yaml"), ("approvalroles", "roles.yaml")] {
        let crd = crds().into_iter().find(|c| c.spec.names.plural == plural).unwrap();
        let crd = serde_json::to_value(crd).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut all = Vec::new();
        properties(schema, "/", &mut all);
        let changes = cases(file).changes;
        let untried: Vec<&String> =
            all.iter().filter(|field| !changes.iter().any(|c| c.change.pointer(field).is_some())).collect();
        assert!(untried.is_empty(), "{file} changes no {untried:?}");
    }
}

fn of(given: &Given) -> Record {
    Run::new().record(given)
}

fn base() -> Vec<Given> {
    let base: Base = yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/base/high.yaml"));
    let mut objects = base.objects;
    resolve(&Run::new(), "guard", &mut objects, &[]);
    objects
}

fn given(kind: &str, name: &str, by: &str, at: &str, spec: Value) -> Given {
    serde_json::from_value(json!({"by": by, "at": at, "kind": kind, "name": name, "spec": spec})).unwrap()
}

/// One risk officer is asked for.
fn asks(more: Value) -> Given {
    let mut spec = json!({"appliesTo": {"classes": ["High"]},
        "approvals": [{"role": "risk-officer", "count": 1, "covers": "Content"}]});
    merge(&mut spec, &more);
    given("ReleasePolicy", "high", "platform", "2026-01-01T00:00:00Z", spec)
}

/// The key of a risk officer.
fn erins(more: Value) -> Given {
    let mut spec = json!({"key": "key 1", "user": "erin", "roles": ["risk-officer"]});
    merge(&mut spec, &more);
    given("TrustedSigner", "erin", "mallory", "2026-11-02T00:00:00Z", spec)
}

/// What somebody says of a version, given after it was made.
fn word(kind: &str, name: &str, by: &str, digest: &str, more: Value) -> Given {
    let mut word = json!({"by": by, "at": "2026-11-11T00:00:00Z", "kind": "Approval", "name": format!("{name}-{by}"),
        "namespace": "placet-system", "spec": {
        "subject": {"kind": kind, "name": name, "covers": "Content", "digest": digest},
        "role": "risk-officer", "decision": "Approve"}});
    merge(&mut word, &more);
    serde_json::from_value(word).unwrap()
}

/// An installation in which these policies and nothing else took effect, and whose first release was cleared.
fn used(policies: &[Given]) -> World {
    let mut world = World::new();
    let run = Run::new();
    for given in base() {
        let kept = given.kind != "ReleasePolicy" && given.name != "risk-erin";
        if kept {
            run.add(&mut world, &given, false);
        }
    }
    world.guard("placet-system", true);
    for policy in policies {
        world.apply(of(policy));
        world.took_effect(of(policy));
    }
    world.set_up();
    for (_, name) in world.names(Kind::ApprovalRole) {
        assert_eq!(ruling(&world, Kind::ApprovalRole, &name), Ruling::Takes(Because::First));
        let record = world.role(&name).unwrap().record.clone();
        world.took_effect(record);
    }
    assert!(!world.may_close(Kind::ApprovalRole), "nothing was cleared yet");
    world.in_use();
    for kind in [Kind::ApprovalRole, Kind::TrustedSigner] {
        assert!(world.may_close(kind), "{kind}");
        world.closes(kind);
        assert!(!world.may_close(kind));
    }
    world
}

fn ruling(world: &World, kind: Kind, name: &str) -> Ruling {
    world.change(kind, name, start(), None).expect("a change").ruling
}

fn waits(world: &World, kind: Kind, name: &str) -> Vec<String> {
    match ruling(world, kind, name) {
        Ruling::Waits(asked) => asked.why_not,
        Ruling::Takes(because) => panic!("it takes effect: {because:?}"),
    }
}

/// The release, with erin's approval signed by her key.
fn cleared(world: &mut World) -> Cleared {
    let mut approval = base().into_iter().find(|g| g.name == "risk-erin").unwrap();
    approval.by = Some("system:serviceaccount:flux:robot".into());
    approval.at = Some("2026-11-12T00:00:00Z".parse().unwrap());
    approval.signed = serde_json::from_value(json!({"key": 1, "user": "erin"})).unwrap();
    world.apply(of(&approval));
    let snapshot = world.snapshot("lending", "scoring-2", Clock::Trusted(start()));
    let decision = evaluate(&snapshot);
    // Replay comes to the same, from what is stored.
    let stored = serde_json::to_value(Circumstances::of(&snapshot)).unwrap();
    let records = snapshot.records().into_iter().map(|(record, _)| {
        let bytes = serde_json::to_vec(record).unwrap();
        (digest::of_bytes(&bytes), serde_json::from_slice(&bytes).unwrap())
    });
    let again = Circumstances::read(&stored).unwrap().unwrap().snapshot(records, start());
    assert_eq!(again.digest(), snapshot.digest());
    assert_eq!(evaluate(&again), decision);
    decision.cleared
}

#[test]
fn a_new_signer_stands_behind_nothing_until_a_second_person_approves_the_key() {
    let mut world = used(&[asks(json!({}))]);
    world.apply(of(&erins(json!({}))));
    let digest = of(&erins(json!({}))).digest.unwrap();
    assert_eq!(cleared(&mut world), Cleared::False);
    let before = world.snapshot("lending", "scoring-2", Clock::Trusted(start())).digest();
    assert!(waits(&world, Kind::TrustedSigner, "erin").is_empty());
    let says = |world: &mut World, given: Given| {
        Run::new().add(world, &given, false);
        waits(world, Kind::TrustedSigner, "erin").join("; ")
    };
    let vouch = |by: &str, more: Value| word("TrustedSigner", "erin", by, &digest, more);
    assert!(says(&mut world, vouch("mallory", json!({}))).contains("a second person is asked"));
    assert!(
        says(&mut world, vouch("olga", json!({"spec": {"role": "model-owner"}})))
            .contains("has no say in this signer")
    );
    assert!(says(&mut world, vouch("olga", json!({"holdsRole": false}))).contains("does not hold the role"));
    let too_early = vouch("olga", json!({"at": "2026-11-01T00:00:00Z"}));
    assert!(says(&mut world, too_early).contains("before the change was made"));
    // An approval of a role or a policy of the same name and digest is none of the key.
    says(&mut world, word("ReleasePolicy", "erin", "frank", &digest, json!({})));
    says(&mut world, word("TrustedSigner", "erin", "vera", &digest, json!({"namespace": "lending"})));
    world.apply(of(&vouch("olga", json!({}))));
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::Approved));
    assert_eq!(cleared(&mut world), Cleared::False, "the log has the first word");
    world.took_effect(of(&erins(json!({}))));
    assert_eq!(cleared(&mut world), Cleared::True);
    let after = world.snapshot("lending", "scoring-2", Clock::Trusted(start())).digest();
    assert_ne!(before, after, "that it stands is an input");
    assert!(world.change(Kind::TrustedSigner, "erin", start(), None).is_none());
}

#[test]
fn a_looser_version_of_a_signer_waits_and_the_one_before_decides() {
    let mut world = used(&[asks(json!({}))]);
    let before = erins(json!({"roles": ["model-owner"]}));
    world.apply(of(&before));
    world.took_effect(of(&before));
    let looser = |by: &str| {
        let mut looser = erins(json!({}));
        looser.edited = serde_json::from_value(json!([{"by": by, "at": "2026-11-10T00:00:00Z"}])).unwrap();
        looser
    };
    world.apply(of(&looser("platform")));
    assert_eq!(cleared(&mut world), Cleared::False);
    assert_eq!(
        world.signer_in_force("erin").unwrap().digest(),
        of(&before).digest.unwrap(),
        "and stands for what it stood for"
    );
    // mallory made the key, and not this change.
    let vouch = word("TrustedSigner", "erin", "mallory", &of(&looser("platform")).digest.unwrap(), json!({}));
    world.apply(of(&vouch));
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::Approved));
    world.took_effect(of(&looser("platform")));
    assert_eq!(cleared(&mut world), Cleared::True);
    // Less takes effect at once, and so does a revocation in a version that waits.
    let mut revoked = erins(json!({"groups": ["staff"],
        "revoked": {"at": "2026-11-19T00:00:00Z", "compromisedSince": "2026-11-01T00:00:00Z"}}));
    revoked.edited = serde_json::from_value(json!([{"by": "olga", "at": "2026-11-19T00:00:00Z"}])).unwrap();
    world.apply(of(&revoked));
    assert_eq!(
        world.change(Kind::TrustedSigner, "erin", start(), None).unwrap().loosens,
        ["groups: changed"]
    );
    assert_eq!(cleared(&mut world), Cleared::False, "what was revoked stays revoked");
}

#[test]
fn a_signer_that_was_deleted_comes_back_only_if_somebody_approves_that_again() {
    let mut world = used(&[asks(json!({}))]);
    world.apply(of(&erins(json!({}))));
    let digest = of(&erins(json!({}))).digest.unwrap();
    world.apply(of(&word("TrustedSigner", "erin", "olga", &digest, json!({}))));
    world.took_effect(of(&erins(json!({}))));
    assert_eq!(cleared(&mut world), Cleared::True);
    world.remove(Kind::TrustedSigner, None, "erin");
    assert_eq!(cleared(&mut world), Cleared::False, "deleting voids at once");
    assert_eq!(world.unsettled_of(Kind::TrustedSigner), ["erin"]);
    // Created anew before the log heard of it: another object, though it says the same.
    let mut anew = erins(json!({}));
    (anew.uid, anew.at) = (Some("u2".into()), Some("2026-11-14T00:00:00Z".parse().unwrap()));
    world.apply(of(&anew));
    assert!(world.signer_in_force("erin").is_none());
    assert!(waits(&world, Kind::TrustedSigner, "erin").join("").contains("before the change was made"));
    world.remove(Kind::TrustedSigner, None, "erin");
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::Tightens));
    world.ended(Kind::TrustedSigner, "erin");
    let key = of(&erins(json!({}))).key().unwrap().to_owned();
    world.key_deleted(&key, "2026-11-15T00:00:00Z".parse().unwrap());
    // Restored with its stamp: olga's word is older than the deletion.
    world.apply(of(&erins(json!({}))));
    assert!(waits(&world, Kind::TrustedSigner, "erin").join("").contains("before the change was made"));
    let again = word("TrustedSigner", "erin", "frank", &digest, json!({"at": "2026-11-16T00:00:00Z"}));
    world.apply(of(&again));
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::Approved));
}

#[test]
fn each_policy_that_names_the_role_has_a_say_and_a_new_one_only_adds_to_them() {
    let mut more = asks(json!({"guard": {"role": "executive"}}));
    more.name = "more".into();
    let mut other = asks(json!({"approvals": [{"role": "model-owner", "count": 1, "covers": "Content"}]}));
    other.name = "other".into();
    let mut world = used(&[asks(json!({})), more, other]);
    world.apply(of(&erins(json!({}))));
    let digest = of(&erins(json!({}))).digest.unwrap();
    let roles = |world: &World| match ruling(world, Kind::TrustedSigner, "erin") {
        Ruling::Waits(asked) => asked.roles.into_iter().collect::<Vec<_>>(),
        Ruling::Takes(because) => panic!("{because:?}"),
    };
    assert_eq!(roles(&world), ["risk-officer"]);
    world.apply(of(&word("TrustedSigner", "erin", "olga", &digest, json!({}))));
    assert_eq!(roles(&world), ["executive"], "one after the other");
    world.apply(of(&word("TrustedSigner", "erin", "eve", &digest, json!({"spec": {"role": "executive"}}))));
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::Approved));
    // A Reject stands.
    world.apply(of(&word("TrustedSigner", "erin", "vera", &digest, json!({"spec": {"decision": "Reject"}}))));
    assert_eq!(waits(&world, Kind::TrustedSigner, "erin"), ["erin-vera rejects it"]);
    // A key for a role that no policy names is judged by all.
    world.apply(of(&given(
        "TrustedSigner",
        "zoe",
        "mallory",
        "2026-11-02T00:00:00Z",
        json!({"key": "key 2", "user": "zoe", "roles": ["janitor"]}),
    )));
    waits(&world, Kind::TrustedSigner, "zoe");
}

#[test]
fn whoever_names_a_role_anywhere_is_asked_what_becomes_of_it() {
    let places = [
        json!({"validation": {"role": "janitor"}}),
        json!({"reporters": [{"type": "Bias", "role": "janitor"}]}),
        json!({"classification": {"approvedBy": "risk-officer", "loweredBy": "janitor"}}),
        json!({"classification": {"approvedBy": "janitor"}}),
        json!({"assessment": {"required": true, "approvedBy": "janitor"}}),
        json!({"acceptanceAuthority": [{"level": "High", "roles": ["janitor"]}]}),
        json!({"acceptanceAuthority": [{"level": "High", "roles": ["risk-officer"], "consulted": ["janitor"]}]}),
    ];
    for place in places {
        let spec = of(&asks(place.clone())).spec.value();
        let spec: ReleasePolicySpec = serde_json::from_value(spec).unwrap();
        assert!(placet_gate::guard::names(&spec).contains("janitor"), "{place}");
    }
    // Beside a policy that does not name it, who guards the one that does is asked.
    let mut other = asks(json!({"approvals": [{"role": "model-owner", "count": 1, "covers": "Content"}]}));
    other.name = "other".into();
    let strict = asks(json!({"guard": {"role": "executive"}, "validation": {"role": "janitor"}}));
    let mut world = used(&[strict, other]);
    let key = json!({"key": "key 2", "user": "zoe", "roles": ["janitor"]});
    world.apply(of(&given("TrustedSigner", "zoe", "mallory", "2026-11-02T00:00:00Z", key)));
    let Ruling::Waits(asked) = ruling(&world, Kind::TrustedSigner, "zoe") else { panic!("it takes effect") };
    assert_eq!(asked.roles.into_iter().collect::<Vec<_>>(), ["executive"]);
}

#[test]
fn a_role_that_waits_is_nobodys_yet_so_the_others_are_asked() {
    // Somebody adds a policy that asks for a new role alone, which loosens nothing, and makes that role one that a namespace's
    // own administrators give: who can hold it is not asked, since nobody can.
    let only = |name: &str| {
        given(
            "ReleasePolicy",
            name,
            "mallory",
            "2026-11-02T00:00:00Z",
            json!({
                "appliesTo": {"classes": ["High"]}, "approvals": [{"role": "janitor", "count": 1, "covers": "Content"}],
            }),
        )
    };
    let janitor = given(
        "ApprovalRole",
        "janitor",
        "mallory",
        "2026-11-02T01:00:00Z",
        json!({
            "title": "Janitor", "answersFor": "The house", "scope": "Namespace",
        }),
    );
    let mut world = used(&[asks(json!({})), only("only")]);
    world.apply(of(&janitor));
    let asked = |world: &World| match ruling(world, Kind::ApprovalRole, "janitor") {
        Ruling::Waits(asked) => asked,
        Ruling::Takes(because) => panic!("{because:?}"),
    };
    let Asked { digest, roles, .. } = asked(&world);
    assert_eq!(roles.into_iter().collect::<Vec<_>>(), ["risk-officer"]);
    assert!(!world.has_role("janitor"));
    world.apply(of(&word("ApprovalRole", "janitor", "olga", &digest, json!({}))));
    assert_eq!(ruling(&world, Kind::ApprovalRole, "janitor"), Ruling::Takes(Because::Approved));
    // Nor is the policy that asks for it locked, for which nobody else has a say.
    let mut world = used(&[only("only")]);
    world.apply(of(&janitor));
    assert_eq!(ruling(&world, Kind::ApprovalRole, "janitor"), Ruling::Takes(Because::NobodyCould));
    let mut other = only("only");
    other.spec["approvals"][0]["role"] = "caretaker".into();
    world.apply(of(&other));
    assert_eq!(ruling(&world, Kind::ReleasePolicy, "only"), Ruling::Takes(Because::NobodyCould));
}

#[test]
fn who_judges_shows_as_much_as_anybody_whom_the_policy_asks() {
    // Whoever may impersonate takes the role of which no proof is asked, and would trust a key of theirs in the other.
    let approvals = json!([{"role": "model-owner", "count": 1, "covers": "Content"},
        {"role": "risk-officer", "count": 1, "covers": "Content", "proof": "Signed"}]);
    let of_an_acceptance = json!([{"level": "High", "roles": ["risk-officer"], "proof": "Signed"}]);
    let plain = json!([{"role": "model-owner", "count": 1, "covers": "Content"}]);
    for (policy, asked) in [
        (asks(json!({"approvals": approvals})), true),
        (asks(json!({"approvals": approvals, "guard": {"role": "model-owner"}})), true),
        (asks(json!({"approvals": plain, "acceptanceAuthority": of_an_acceptance})), true),
        (asks(json!({"approvals": plain})), false),
    ] {
        let mut world = used(std::slice::from_ref(&policy));
        for had in ["model-owner", "risk-officer"] {
            world.was_in_force(&of(&erins(json!({"roles": [had]}))));
        }
        world.apply(of(&erins(json!({}))));
        let digest = of(&erins(json!({}))).digest.unwrap();
        let owner = json!({"credential": true, "spec": {"role": "model-owner"}});
        world.apply(of(&word("TrustedSigner", "erin", "bob", &digest, owner)));
        if asked {
            assert!(waits(&world, Kind::TrustedSigner, "erin").join("").contains("carries no signature"));
        } else {
            assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::Approved));
        }
    }
}

#[test]
fn a_policy_that_lets_anybody_pass_speaks_for_nobody_beside_one_that_is_guarded() {
    let idle = |more: Value| {
        let mut idle =
            asks(json!({"guard": {"loosening": "Apply"}, "appliesTo": {"classes": ["Minimal", "High"]},
            "approvals": [{"role": "janitor", "count": 1, "covers": "Content"}]}));
        idle.name = "idle".into();
        merge(&mut idle.spec, &more);
        (idle.by, idle.at) = (Some("mallory".into()), Some("2026-11-12T00:00:00Z".parse().unwrap()));
        idle
    };
    let janitor = json!({"title": "Janitor", "answersFor": "Floors"});
    let janitor = given("ApprovalRole", "janitor", "mallory", "2026-01-01T00:00:00Z", janitor);
    let mut before = idle(json!({}));
    before.at = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let world = || {
        let mut world = used(&[asks(json!({})), before.clone()]);
        world.apply(of(&janitor));
        world
    };
    // A key in a role that it alone names is judged by the others.
    let mut there = world();
    there.apply(of(&erins(json!({"roles": ["janitor"]}))));
    waits(&there, Kind::TrustedSigner, "erin");
    // What it asks for itself is changed at will; what reaches beyond it is not: whose reports count, and who judges.
    for (change, free) in [
        (json!({"approvals": [{"role": "janitor", "count": 2, "covers": "Content"}]}), true),
        (
            json!({"tests": [{"type": "Performance", "metric": "Accuracy", "atLeast": "0.5",
            "datasets": [format!("sha256:{}", "2".repeat(64))]}]}),
            false,
        ),
        (json!({"guard": {"loosening": "Wait"}}), false),
        (json!({"guard": {"loosening": "Wait", "role": "risk-officer"}}), true),
    ] {
        let mut there = world();
        there.apply(of(&idle(change.clone())));
        let change_of = there.change(Kind::ReleasePolicy, "idle", start(), None).unwrap();
        match &change_of.ruling {
            Ruling::Takes(_) => assert!(free, "{change}"),
            Ruling::Waits(asked) => {
                assert!(!free, "{change}: {:?}", change_of.loosens);
                assert_eq!(asked.roles, ["risk-officer".to_owned()].into(), "{change}");
            }
        }
    }
}

#[test]
fn nobody_is_locked_out() {
    // Policies that say so are not asked, and where nobody could be asked, nobody is.
    let off = asks(json!({"guard": {"loosening": "Apply"}}));
    let mut world = used(std::slice::from_ref(&off));
    world.apply(of(&erins(json!({}))));
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::Unguarded));
    let mut on = asks(json!({}));
    on.name = "on".into();
    let mut world = used(&[off, on]);
    world.apply(of(&erins(json!({}))));
    waits(&world, Kind::TrustedSigner, "erin");
    let mut world = used(&[asks(json!({"guard": {"role": "emperor"}}))]);
    world.apply(of(&erins(json!({}))));
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::NobodyCould));
    let mut world = used(&[]);
    world.apply(of(&erins(json!({}))));
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::First));
    // Where signatures are asked for, the first key of a role is vouched for without one, by somebody else all the same;
    // the second is not, whether or not the first is still there.
    let signed = json!([{"role": "risk-officer", "count": 1, "covers": "Content", "proof": "Signed"}]);
    let mut world = used(&[asks(json!({"approvals": signed}))]);
    world.apply(of(&erins(json!({}))));
    let digest = of(&erins(json!({}))).digest.unwrap();
    let vouch = |by: &str, more: Value| of(&word("TrustedSigner", "erin", by, &digest, more));
    world.apply(vouch("olga", json!({})));
    assert!(waits(&world, Kind::TrustedSigner, "erin").join("").contains("named no credential"));
    world.apply(vouch("olga", json!({"credential": true})));
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::Approved));
    let other = erins(json!({}));
    world.was_in_force(&of(&other));
    assert!(waits(&world, Kind::TrustedSigner, "erin").join("").contains("carries no signature"));
    // Nor is the first of another role, once somebody has one who is asked: whoever hands out roles without keys would
    // vouch for a key in all the others.
    let both = json!([{"role": "risk-officer", "count": 1, "covers": "Content", "proof": "Signed"},
        {"role": "executive", "count": 1, "covers": "Content", "proof": "Signed"}]);
    let vouched = |executive_had_one: bool| {
        let mut world = used(&[asks(json!({"approvals": both}))]);
        let role = json!({"spec": {"title": "Executive", "answersFor": "All"}});
        let role =
            given("ApprovalRole", "executive", "platform", "2026-01-01T00:00:00Z", role["spec"].clone());
        world.apply(of(&role));
        if executive_had_one {
            world.was_in_force(&of(&erins(json!({"user": "frank", "roles": ["executive"]}))));
        }
        world.apply(of(&erins(json!({}))));
        world.apply(vouch("olga", json!({"credential": true})));
        ruling(&world, Kind::TrustedSigner, "erin")
    };
    assert_eq!(vouched(false), Ruling::Takes(Because::Approved));
    assert!(matches!(vouched(true), Ruling::Waits(_)), "{:?}", vouched(true));
}

#[test]
fn until_the_first_release_is_cleared_everything_takes_effect() {
    let mut world = World::new();
    for given in base() {
        world.apply(of(&given));
    }
    world.guard("placet-system", true);
    world.set_up();
    world.apply(of(&erins(json!({}))));
    assert!(world.signer_in_force("erin").is_some());
    assert_eq!(ruling(&world, Kind::TrustedSigner, "erin"), Ruling::Takes(Because::First));
    world.in_use();
    assert!(!world.may_close(Kind::TrustedSigner), "not while one is there that the log does not know");
    world.took_effect(of(&erins(json!({}))));
    assert!(world.may_close(Kind::TrustedSigner));
    // What carries no stamp counts for nothing and keeps nobody waiting.
    let mut unstamped = erins(json!({"user": "root"}));
    (unstamped.by, unstamped.name) = (None, "root".into());
    world.apply(of(&unstamped));
    assert!(world.may_close(Kind::TrustedSigner));
}

fn scope(world: &World, role: &str) -> Option<RoleScope> {
    world.role_in_force(role)?.spec.as_ref().unwrap().scope
}

/// Whether the decision says that a policy names a role that there is not.
fn unknown_role(world: &World) -> bool {
    let decision = evaluate(&world.snapshot("lending", "scoring-2", Clock::Trusted(start())));
    assert_ne!(decision.cleared, Cleared::True);
    decision.gates.iter().flat_map(|g| &g.findings).any(|f| f.reason.as_str() == "UnknownRole")
}

#[test]
fn a_role_is_asked_for_in_the_whole_cluster_until_somebody_approves_that_tenants_give_it_out() {
    let mut world = used(&[asks(json!({}))]);
    let was = world.role("risk-officer").unwrap().record.spec.value();
    let mut spec = was.clone();
    spec["scope"] = "Namespace".into();
    let mut looser = given("ApprovalRole", "risk-officer", "platform", "2026-01-01T00:00:00Z", spec.clone());
    looser.edited = serde_json::from_value(json!([{"by": "mallory", "at": "2026-11-10T00:00:00Z"}])).unwrap();
    world.apply(of(&looser));
    assert_eq!(scope(&world, "risk-officer"), None);
    assert!(world.has_role("risk-officer") && !unknown_role(&world));
    waits(&world, Kind::ApprovalRole, "risk-officer");
    // Behind the webhooks, too.
    let mut unstamped = looser.clone();
    unstamped.by = None;
    world.apply(of(&unstamped));
    assert_eq!(scope(&world, "risk-officer"), None);
    world.apply(of(&looser));
    let digest = of(&looser).digest.unwrap();
    world.apply(of(&word("ApprovalRole", "risk-officer", "olga", &digest, json!({}))));
    assert_eq!(ruling(&world, Kind::ApprovalRole, "risk-officer"), Ruling::Takes(Because::Approved));
    world.took_effect(of(&looser));
    assert_eq!(scope(&world, "risk-officer"), Some(RoleScope::Namespace));
    // Back again, at once.
    world.apply(of(&given("ApprovalRole", "risk-officer", "mallory", "2026-11-12T00:00:00Z", was)));
    assert_eq!(scope(&world, "risk-officer"), None);
    // Deleting it makes everything Unknown, and created anew, by one alone, it is no tenant's.
    world.remove(Kind::ApprovalRole, None, "risk-officer");
    assert!(!world.has_role("risk-officer"));
    assert_eq!(ruling(&world, Kind::ApprovalRole, "risk-officer"), Ruling::Takes(Because::Tightens));
    assert!(unknown_role(&world));
    world.ended(Kind::ApprovalRole, "risk-officer");
    world.apply(of(&given("ApprovalRole", "risk-officer", "mallory", "2026-11-12T00:00:00Z", spec)));
    assert!(
        !world.has_role("risk-officer"),
        "olga's word was of the version before, and older than this one"
    );
    waits(&world, Kind::ApprovalRole, "risk-officer");
    assert!(unknown_role(&world));
}
