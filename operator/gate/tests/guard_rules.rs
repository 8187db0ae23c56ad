//! Which version of a role and of a signer decides, recomputed by somebody naive: people write, delete, approve and reject in a
//! random order, the world hears of it as objects with stamps, and beside it a plain list of what happened is kept, in which
//! the rules are looked up one by one, without digests, stamps or any code of the gate. Both must name the same version.

#![expect(clippy::unwrap_used, reason = "a property that cannot be set up fails")]
#![expect(clippy::struct_excessive_bools, reason = "what is drawn at random is many yes or no")]

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;

use common::{Edited, Given, Run, start};
use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_gate::guard::Ruling;
use placet_gate::world::World;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

const HERE: &str = "placet-system";
const ROBOT: &str = "system:serviceaccount:ci:robot";
/// The `o` is Cyrillic.
const LOOK_ALIKE: &str = "b\u{43e}b";
const PEOPLE: [&str; 6] = ["platform", "mallory", "olga", "vera", ROBOT, LOOK_ALIKE];
/// A signer, a role that a policy names, and one that none does.
const THINGS: [(Kind, &str); 3] =
    [(Kind::TrustedSigner, "erin"), (Kind::ApprovalRole, "model-owner"), (Kind::ApprovalRole, "auditor")];
/// Roles in which somebody decides: one is asked by each policy, and the others by nobody.
const ROLES: [&str; 4] = ["risk-officer", "executive", "model-owner", "auditor"];
/// Roles that each policy asks for.
const POLICIES: [&[&str]; 2] = [&["risk-officer"], &["model-owner", "executive"]];
/// Signs with a key of her own, if she has one.
const VERA: &str = "vera";
const VERAS: &str = "veras-key";

/// What a role has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    Stamp,
    Credential,
    Signed,
}

/// What the policies say of changes.
#[derive(Debug, Clone)]
struct Rules {
    /// For each policy the one role that has a say in its changes; None: each that it asks for.
    guards: [Option<usize>; 2],
    /// What each of [`ROLES`] shows, where a policy asks for it.
    proof: [Proof; 4],
    /// Roles for which vera has a key from the start, as bits.
    vera: u8,
}

impl Rules {
    /// Roles that have a say by a policy.
    fn asks(&self, policy: usize) -> Vec<&'static str> {
        self.guards[policy].map_or_else(|| POLICIES[policy].to_vec(), |role| vec![ROLES[role]])
    }

    fn proof(&self, role: &str) -> Proof {
        self.proof[ROLES.iter().position(|r| *r == role).unwrap()]
    }

    /// What whoever judges by a policy shows: whatever it asks of anybody.
    fn judges_show(&self, policy: usize) -> Proof {
        POLICIES[policy].iter().map(|role| self.proof(role)).max().unwrap()
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let guard = || prop::option::of(0..3_usize);
    let proof =
        || prop_oneof![2 => Just(Proof::Stamp), 1 => Just(Proof::Credential), 2 => Just(Proof::Signed)];
    ([guard(), guard()], [proof(), proof(), proof(), proof()], prop_oneof![1 => Just(0_u8), 3 => 1_u8..16])
        .prop_map(|(guards, proof, vera)| Rules { guards, proof, vera })
}

/// What a version says.
#[derive(Debug, Clone, PartialEq)]
struct Says {
    /// Signer: roles, as bits of [`ROLES`]; one at least.
    roles: u8,
    user: bool,
    key: bool,
    /// Signer: days from the start until it ends.
    ends: Option<u8>,
    /// Role: whether tenants give it out.
    tenants: bool,
}

#[derive(Debug, Clone)]
enum Deed {
    Write(Says),
    Delete,
    /// A word on what is there, or if `late` on what was there before.
    Word {
        reject: bool,
        role: usize,
        holds: bool,
        wildcard: bool,
        ends: Option<u8>,
        answers: bool,
        late: bool,
        /// By vera, who signs it.
        signed: bool,
        credential: bool,
    },
    /// vera's key is revoked.
    Revoke,
    TakeBack(prop::sample::Index),
}

/// A deed, who does it, to what, and how many hours after the one before.
type Step = (usize, usize, u8, Deed);

fn says() -> impl Strategy<Value = Says> {
    (
        1_u8..16,
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.15),
        prop::option::of(20_u8..60),
        any::<bool>(),
    )
        .prop_map(|(roles, user, key, ends, tenants)| Says { roles, user, key, ends, tenants })
}

fn step() -> impl Strategy<Value = Step> {
    let often = || prop::bool::weighted(0.9);
    let word = (
        (prop::bool::weighted(0.12), 0..ROLES.len(), often(), prop::bool::weighted(0.1)),
        (prop::option::weighted(0.2, 1_u8..20), any::<bool>(), prop::bool::weighted(0.1)),
        (prop::bool::weighted(0.4), prop::bool::weighted(0.8)),
    )
        .prop_map(|((reject, role, holds, wildcard), (ends, answers, late), (signed, credential))| {
            Deed::Word { signed, credential, reject, role, holds, wildcard, ends, answers, late }
        });
    let deed = prop_oneof![
        4 => says().prop_map(Deed::Write),
        1 => Just(Deed::Delete),
        12 => word,
        1 => any::<prop::sample::Index>().prop_map(Deed::TakeBack),
    ];
    let deed = prop_oneof![60 => deed, 1 => Just(Deed::Revoke)];
    (0..PEOPLE.len(), 0..THINGS.len(), 1_u8..24, deed)
}

/// An object that is there.
#[derive(Debug, Clone)]
struct Live {
    /// Which object of its name it is.
    life: usize,
    by: &'static str,
    at: Timestamp,
    edits: Vec<(&'static str, Timestamp)>,
    says: Says,
}

impl Live {
    fn changed(&self) -> Timestamp {
        self.edits.last().map_or(self.at, |(_, at)| *at)
    }
}

/// Somebody's word.
#[derive(Debug, Clone)]
struct Note {
    name: String,
    thing: usize,
    by: &'static str,
    at: Timestamp,
    reject: bool,
    role: &'static str,
    holds: bool,
    wildcard: bool,
    ends: Option<Timestamp>,
    answers: Vec<String>,
    seen: Says,
    gone: bool,
    signed: bool,
    credential: bool,
}

/// What happened.
#[derive(Debug)]
struct Model {
    rules: Rules,
    /// Since when vera's key is revoked.
    revoked: Option<Timestamp>,
    /// Roles in which a key ever counted.
    signed_in: u8,
    now: Timestamp,
    lives: [usize; 3],
    live: [Option<Live>; 3],
    before: [Option<Says>; 3],
    in_force: [Option<Live>; 3],
    keys_deleted: BTreeMap<bool, Timestamp>,
    notes: Vec<Note>,
}

fn is_signer(thing: usize) -> bool {
    THINGS[thing].0 == Kind::TrustedSigner
}

impl Model {
    /// What of a version counts.
    fn same(thing: usize, one: &Says, other: &Says) -> bool {
        if is_signer(thing) {
            (one.roles, one.user, one.key, one.ends) == (other.roles, other.user, other.key, other.ends)
        } else {
            one.tenants == other.tenants
        }
    }

    /// Whether a version lets in what the one before did not.
    fn more(thing: usize, before: Option<&Says>, after: &Says) -> bool {
        match before {
            _ if !is_signer(thing) => after.tenants && !before.is_some_and(|b| b.tenants),
            None => true,
            Some(before) => {
                let longer = match (before.ends, after.ends) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(before), Some(after)) => after > before,
                };
                after.user != before.user
                    || after.key != before.key
                    || after.roles & !before.roles != 0
                    || longer
            }
        }
    }

    /// Roles that it may let somebody approve in.
    fn lets_into(thing: usize, says: &Says) -> Vec<&'static str> {
        if is_signer(thing) {
            (0..ROLES.len()).filter(|bit| says.roles & (1 << bit) != 0).map(|bit| ROLES[bit]).collect()
        } else {
            vec![THINGS[thing].1]
        }
    }

    /// Whether somebody else approved it in each role that has a say, and nobody's Reject stands.
    fn approved(&self, thing: usize, live: &Live, before: Option<&Live>) -> bool {
        let into = Self::lets_into(thing, &live.says);
        // A policy names its roles, and whom it asks about its changes.
        let names = |policy: &usize, role: &&str| {
            POLICIES[*policy].contains(role) || self.rules.asks(*policy).contains(role)
        };
        let mut judges: Vec<usize> =
            [0, 1].into_iter().filter(|policy| into.iter().any(|role| names(policy, role))).collect();
        if judges.is_empty() {
            judges = vec![0, 1];
        }
        let had_key = |role: &&str| {
            ROLES.iter().position(|r| r == role).is_some_and(|bit| self.signed_in & (1 << bit) != 0)
        };
        let deleted = self.keys_deleted.get(&live.says.key).filter(|_| is_signer(thing)).copied();
        let since = deleted.map_or(live.changed(), |d| d.max(live.changed()));
        let made_by = |who: &str| match before {
            Some(before) => live.edits.iter().any(|(by, at)| *by == who && *at > before.changed()),
            None => live.by == who || live.edits.iter().any(|(by, _)| *by == who),
        };
        judges.into_iter().all(|policy| {
            let asks = self.rules.asks(policy);
            // The first key of all cannot be vouched for by one.
            let first_key = is_signer(thing) && !asks.iter().any(had_key);
            let shown = |n: &Note| match self.rules.judges_show(policy) {
                Proof::Stamp => true,
                Proof::Credential => n.credential || n.signed,
                Proof::Signed => n.signed || (first_key && n.credential),
            };
            let about = |n: &&Note| {
                n.thing == thing && asks.contains(&n.role) && Self::same(thing, &n.seen, &live.says)
            };
            let entitled = |n: &&Note| about(n) && n.holds && !n.wildcard;
            let counts = |n: &&Note| {
                entitled(n)
                    && !n.reject
                    && !n.gone
                    && ![ROBOT, LOOK_ALIKE].contains(&n.by)
                    && !made_by(n.by)
                    && n.at >= since
                    && n.ends.is_none_or(|ends| self.now < ends)
                    && shown(n)
                    && (!n.signed || self.veras_counts(n.role, n.at))
            };
            let approvals: Vec<&Note> = self.notes.iter().filter(counts).collect();
            let answered = |reject: &Note| {
                approvals
                    .iter()
                    .any(|a| a.answers.contains(&reject.name) && a.at > reject.at && a.role == reject.role)
            };
            let stands = self.notes.iter().filter(entitled).any(|n| n.reject && !answered(n));
            !approvals.is_empty() && !stands
        })
    }

    /// Whether what vera signed then, in a role, is hers.
    fn veras_counts(&self, role: &str, at: Timestamp) -> bool {
        let bit = ROLES.iter().position(|r| *r == role).unwrap_or_default();
        self.rules.vera & (1 << bit) != 0 && self.revoked.is_none_or(|revoked| at < revoked)
    }

    fn settle(&mut self) {
        for thing in 0..THINGS.len() {
            let Some(live) = self.live[thing].clone() else {
                self.in_force[thing] = None;
                continue;
            };
            let before = self.in_force[thing].clone().filter(|b| b.life == live.life);
            if before.as_ref().is_some_and(|b| Self::same(thing, &b.says, &live.says)) {
                continue;
            }
            let waits = Self::more(thing, before.as_ref().map(|b| &b.says), &live.says)
                && !self.approved(thing, &live, before.as_ref());
            if !waits && is_signer(thing) {
                self.signed_in |= live.says.roles;
            }
            self.in_force[thing] = if waits { before } else { Some(live) };
        }
    }
}

struct Both {
    run: Run,
    world: World,
    model: Model,
    veras: Given,
}

fn given(value: Value) -> Given {
    serde_json::from_value(value).unwrap()
}

fn spec(thing: usize, says: &Says) -> Value {
    if !is_signer(thing) {
        let scope = if says.tenants { "Namespace" } else { "Cluster" };
        return json!({"title": "T", "answersFor": "A", "scope": scope});
    }
    let key = if says.key { "key 2" } else { "key 1" };
    let mut spec = json!({"key": key, "user": if says.user { "vera" } else { "erin" },
        "roles": Model::lets_into(thing, says)});
    if let Some(days) = says.ends {
        let ends = start() + SignedDuration::from_hours(24 * i64::from(days));
        spec["expiresAt"] = ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }
    spec
}

const NOTHING: Says = Says { roles: 1, user: false, key: false, ends: None, tenants: false };

impl Both {
    fn new(rules: &Rules) -> Self {
        let (mut run, mut world, at) = (Run::new(), World::new(), start());
        run.namespace = HERE.into();
        world.guard(HERE, true);
        for (n, names) in POLICIES.iter().enumerate() {
            let rule = |role: &&str| {
                let proof = format!("{:?}", rules.proof(role));
                json!({"role": role, "count": 1, "covers": "Content", "proof": proof})
            };
            let approvals: Vec<Value> = names.iter().map(rule).collect();
            let mut policy = json!({"by": "platform", "at": at, "kind": "ReleasePolicy", "name": format!("p{n}"), "spec": {
                "appliesTo": {"classes": ["High"]}, "approvals": approvals}});
            if let Some(role) = rules.guards[n] {
                policy["spec"]["guard"] = json!({"role": ROLES[role]});
            }
            let record = run.record(&given(policy));
            world.apply(record.clone());
            world.took_effect(record);
        }
        world.set_up();
        let has = |bit: &usize| rules.vera & (1 << bit) != 0;
        let hers: Vec<&str> = (0..ROLES.len()).filter(has).map(|bit| ROLES[bit]).collect();
        let veras = given(json!({"by": "platform", "at": at, "kind": "TrustedSigner", "name": VERAS,
            "uid": VERAS, "spec": {"key": "key 3", "user": VERA, "roles": hers}}));
        if rules.vera != 0 {
            let record = run.record(&veras);
            world.apply(record.clone());
            world.took_effect(record);
        }
        let model = Model {
            rules: rules.clone(),
            revoked: None,
            signed_in: rules.vera,
            now: at,
            lives: [0; 3],
            live: [None, None, None],
            before: [None, None, None],
            in_force: [None, None, None],
            keys_deleted: BTreeMap::new(),
            notes: Vec::new(),
        };
        let mut both = Self { run, world, model, veras };
        for name in ROLES {
            let role = json!({"by": "platform", "at": at, "kind": "ApprovalRole", "name": name,
                "uid": format!("{name}-0"), "spec": spec(1, &NOTHING)});
            let record = both.run.record(&given(role));
            both.world.apply(record.clone());
            both.world.took_effect(record);
            both.world.had_role(name);
        }
        for (thing, _) in THINGS.iter().enumerate().filter(|(thing, _)| !is_signer(*thing)) {
            let live = Live { life: 0, by: "platform", at, edits: Vec::new(), says: NOTHING };
            both.model.live[thing] = Some(live.clone());
            both.model.in_force[thing] = Some(live);
        }
        both.world.in_use();
        both.world.closes(Kind::ApprovalRole);
        both.world.closes(Kind::TrustedSigner);
        both
    }

    fn step(&mut self, (who, thing, hours, deed): &Step) {
        let (by, thing) = (PEOPLE[*who], *thing);
        self.model.now += SignedDuration::from_hours(i64::from(*hours));
        self.run.now = self.model.now;
        match deed {
            Deed::Write(says) => self.write(by, thing, says),
            Deed::Delete => self.delete(thing),
            Deed::Word { .. } => self.word(by, thing, deed),
            Deed::Revoke => {
                if self.model.rules.vera != 0 && self.model.revoked.is_none() {
                    let now = self.model.now;
                    self.model.revoked = Some(now);
                    let text = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                    self.veras.spec["revoked"] = json!({"at": text});
                    self.veras.edited.push(Edited { by: "platform".into(), at: now });
                    self.run.add(&mut self.world, &self.veras, false);
                }
            }
            Deed::TakeBack(which) => {
                let there: Vec<usize> =
                    (0..self.model.notes.len()).filter(|i| !self.model.notes[*i].gone).collect();
                if !there.is_empty() {
                    let note = &mut self.model.notes[*which.get(&there)];
                    note.gone = true;
                    self.world.remove(Kind::Approval, Some(HERE), &note.name);
                }
            }
        }
        self.settle();
        self.model.settle();
    }

    /// As the operator does after each change.
    fn settle(&mut self) {
        for (kind, name) in [(Kind::TrustedSigner, VERAS)].into_iter().chain(THINGS) {
            let change = self.world.change(kind, name, self.model.now, None);
            let Some(change) = change.filter(|c| matches!(c.ruling, Ruling::Takes(_))) else { continue };
            match change.after {
                Some(after) => self.world.took_effect(after),
                None => self.world.ended(kind, name),
            }
        }
    }

    fn write(&mut self, by: &'static str, thing: usize, says: &Says) {
        let now = self.model.now;
        let live = if let Some(live) = &mut self.model.live[thing] {
            if Model::same(thing, &live.says, says) {
                return;
            }
            self.model.before[thing] = Some(live.says.clone());
            live.edits.push((by, now));
            live.says = says.clone();
            live.clone()
        } else {
            self.model.lives[thing] += 1;
            let live =
                Live { life: self.model.lives[thing], by, at: now, edits: Vec::new(), says: says.clone() };
            self.model.live[thing] = Some(live.clone());
            live
        };
        let (kind, name) = THINGS[thing];
        let mut object = given(json!({"by": live.by, "at": live.at, "kind": kind.as_str(), "name": name,
            "uid": format!("{name}-{}", live.life), "spec": spec(thing, &live.says)}));
        object.edited = live.edits.iter().map(|(by, at)| Edited { by: (*by).to_owned(), at: *at }).collect();
        self.run.add(&mut self.world, &object, false);
    }

    fn delete(&mut self, thing: usize) {
        let Some(live) = self.model.live[thing].take() else { return };
        let (kind, name) = THINGS[thing];
        if is_signer(thing) {
            let key = self.world.signer(name).unwrap().record.key().unwrap().to_owned();
            self.world.key_deleted(&key, self.model.now);
            self.model.keys_deleted.insert(live.says.key, self.model.now);
        }
        self.model.before[thing] = Some(live.says);
        self.world.remove(kind, None, name);
    }

    fn word(&mut self, by: &'static str, thing: usize, deed: &Deed) {
        let Deed::Word { reject, role, holds, wildcard, ends, answers, late, signed, credential } = deed
        else {
            return;
        };
        let signed = *signed && self.model.rules.vera != 0;
        let by = if signed { VERA } else { by };
        let now = self.model.now;
        let live = self.model.live[thing].as_ref().map(|l| l.says.clone());
        let seen = if *late { self.model.before[thing].clone() } else { live };
        let Some(seen) = seen else { return };
        let (kind, name) = THINGS[thing];
        let object = given(
            json!({"by": "x", "at": now, "kind": kind.as_str(), "name": name, "spec": spec(thing, &seen)}),
        );
        let digest = self.run.record(&object).digest.unwrap();
        let word = format!("n{}", self.model.notes.len());
        let rejects = self.model.notes.iter().filter(|n| n.reject && n.thing == thing);
        let answers: Vec<String> = rejects.filter(|_| *answers && !*reject).map(|n| n.name.clone()).collect();
        let ends = ends.map(|hours| now + SignedDuration::from_hours(i64::from(hours)));
        let mut spec = json!({"subject": {"kind": kind.as_str(), "name": name, "covers": "Content", "digest": digest},
            "role": ROLES[*role], "decision": if *reject { "Reject" } else { "Approve" }});
        if !answers.is_empty() {
            spec["answers"] = json!(answers);
        }
        if let Some(ends) = ends {
            spec["expiresAt"] = ends.to_string().into();
        }
        let giver = if signed { ROBOT } else { by };
        let mut approval =
            given(json!({"by": giver, "at": now, "kind": "Approval", "name": word, "namespace": HERE,
            "spec": spec, "holdsRole": holds, "wildcard": wildcard, "credential": *credential && !signed}));
        if signed {
            let at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            approval.signed =
                serde_json::from_value(json!({"key": 3, "user": VERA, "issuedAt": at})).unwrap();
        }
        self.run.add(&mut self.world, &approval, false);
        self.model.notes.push(Note {
            name: word,
            thing,
            by,
            at: now,
            reject: *reject,
            role: ROLES[*role],
            holds: *holds,
            wildcard: *wildcard,
            ends,
            answers,
            seen,
            gone: false,
            signed,
            credential: *credential,
        });
    }

    /// What decides of each, as a spec.
    fn decide(&self) -> [Option<Value>; 3] {
        [0, 1, 2].map(|thing| {
            let (kind, name) = THINGS[thing];
            let record = if kind == Kind::TrustedSigner {
                self.world.signer_in_force(name).map(|s| &s.record)
            } else {
                self.world.role_in_force(name).map(|r| &r.record)
            };
            record.map(|r| r.spec.value())
        })
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        let naive = [0, 1, 2].map(|thing| {
            let says = self.model.in_force[thing].as_ref()?;
            let (kind, name) = THINGS[thing];
            let object = given(json!({"by": "x", "at": start(), "kind": kind.as_str(), "name": name,
                "spec": spec(thing, &says.says)}));
            Some(self.run.record(&object).spec.value())
        });
        prop_assert_eq!(self.decide(), naive, "{:#?}", self.model);
        Ok(())
    }
}

#[test]
fn the_version_that_decides_is_the_one_that_somebody_naive_would_name() {
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (waited, approved) = (Cell::new(0), Cell::new(0));
    let done = runner.run(&(rules(), prop::collection::vec(step(), 4..50)), |(rules, steps)| {
        let mut both = Both::new(&rules);
        both.agree()?;
        for step in &steps {
            let before = both.model.in_force.clone();
            both.step(step);
            both.agree()?;
            let after = both.model.live.iter().zip(&both.model.in_force).zip(&before);
            for ((live, force), was) in after {
                let [live, force, was] = [live, force, was].map(|l| l.as_ref().map(|l| &l.says));
                waited.set(waited.get() + i32::from(live.is_some() && live != force));
                // By a word alone.
                let by_word = matches!(step.3, Deed::Word { .. }) && force != was;
                approved.set(approved.get() + i32::from(by_word));
            }
        }
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
    // A property of which one side never happens shows nothing.
    let (waited, approved) = (waited.get(), approved.get());
    assert!(
        waited > 1000 && approved > 200,
        "{waited} times a version waited, {approved} times one was approved"
    );
}
