//! Clearance implies that the rules hold, recomputed by somebody naive: people do things in a random order, the world hears
//! of them as objects with stamps, and beside it a plain list of what happened is kept, in which the rules of
//! [`Model::clears`] are looked up one by one, without digests, stamps, memory or any code of the gate. Both must come to
//! the same answer.

#![expect(clippy::unwrap_used, reason = "a property that cannot be set up fails")]
#![expect(clippy::struct_excessive_bools, reason = "what is drawn at random is many yes or no")]

mod common;

use std::cell::Cell;

use common::{Given, Run};
use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_gate::gates::heard::{Heard, Said, hear};
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::ReceiptKeys;
use placet_gate::world::{Clock, World};
use placet_gate::{Cleared, Decision, evaluate};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

const ROBOT: &str = "system:serviceaccount:ci:robot";
/// The `o` is Cyrillic.
const LOOK_ALIKE: &str = "b\u{43e}b";
const PEOPLE: [&str; 9] = ["olga", "dana", "alice", "bob", "oidc:bob", "carl", "erin", ROBOT, LOOK_ALIKE];
const ROLES: [&str; 3] = ["owner", "risk", "classifier"];
const FIRST_USE_DAYS: i64 = 30;

/// What a policy asks for.
#[derive(Debug, Clone)]
struct Policy {
    owners: usize,
    evidence: [bool; 2],
    author_may_approve: bool,
    one_role_per_person: bool,
    robot_may: bool,
    wildcards_count: bool,
    aliases: bool,
    no_developers_as_risk: bool,
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Deed {
    Create { content: u8, developers: Vec<usize> },
    Delete,
    Withdraw,
    EditSystem { purpose: u8, limited: bool },
    Decide(Decide),
    DeleteDecision(prop::sample::Index),
}

#[derive(Debug, Clone)]
struct Decide {
    role: usize,
    reject: bool,
    /// Whether it covers what the policy asks the role for.
    as_asked: bool,
    holds: bool,
    wildcard: bool,
    group: Option<&'static str>,
    /// Days until it ends.
    ends: Option<u8>,
    answers: Option<prop::sample::Index>,
}

/// A deed, who does it, and how many hours after the one before.
type Step = (usize, u8, Deed);

fn policy() -> impl Strategy<Value = Policy> {
    let often = || prop::bool::weighted(0.8);
    let seldom = || prop::bool::weighted(0.2);
    (
        (1_usize..=2, prop::array::uniform2(any::<bool>()), seldom(), often()),
        (seldom(), seldom(), often(), any::<bool>()),
    )
        .prop_map(|((owners, evidence, author_may_approve, one_role_per_person), rest)| Policy {
            owners,
            evidence,
            author_may_approve,
            one_role_per_person,
            robot_may: rest.0,
            wildcards_count: rest.1,
            aliases: rest.2,
            no_developers_as_risk: rest.3,
        })
}

fn decide(reject: bool) -> impl Strategy<Value = Deed> {
    (
        (0..ROLES.len(), prop::bool::weighted(0.9), prop::bool::weighted(0.92), prop::bool::weighted(0.1)),
        (
            prop::option::weighted(0.2, prop::sample::select(vec!["auditors", "developers"])),
            prop::option::weighted(0.2, 1_u8..40),
            prop::option::weighted(0.4, any::<prop::sample::Index>()),
        ),
    )
        .prop_map(move |((role, as_asked, holds, wildcard), (group, ends, answers))| {
            Deed::Decide(Decide { role, reject, as_asked, holds, wildcard, group, ends, answers })
        })
}

fn step() -> impl Strategy<Value = Step> {
    let deed = prop_oneof![
        1 => (0_u8..2, prop::collection::vec(0..PEOPLE.len(), 0..2))
            .prop_map(|(content, developers)| Deed::Create { content, developers }),
        1 => Just(Deed::Delete),
        1 => (0_u8..2, any::<bool>()).prop_map(|(purpose, limited)| Deed::EditSystem { purpose, limited }),
        26 => decide(false),
        2 => decide(true),
        2 => any::<prop::sample::Index>().prop_map(Deed::DeleteDecision),
    ];
    // Withdrawing ends most worlds; it is rare.
    let deed = prop_oneof![60 => deed, 1 => Just(Deed::Withdraw)];
    (0..PEOPLE.len(), 1_u8..36, deed)
}

/// A decision that somebody gave, as a naive person notes it.
#[derive(Debug, Clone)]
struct Note {
    name: String,
    by: &'static str,
    at: Timestamp,
    role: &'static str,
    reject: bool,
    /// `content`, `evidence` or `classification`.
    covers: &'static str,
    /// What was looked at, whole.
    seen: Value,
    /// Which object of this name it was, counted from 0; systems are never deleted.
    incarnation: usize,
    holds: bool,
    wildcard: bool,
    group: Option<&'static str>,
    ends: Option<Timestamp>,
    answers: Option<String>,
    deleted: bool,
}

/// A release as a naive person notes it.
#[derive(Debug, Clone)]
struct Release {
    by: &'static str,
    content: Value,
    developers: Vec<&'static str>,
}

/// What happened.
#[derive(Debug)]
struct Model {
    policy: Policy,
    now: Timestamp,
    /// Every release that there was; the last lives if `lives`.
    releases: Vec<Release>,
    lives: bool,
    withdrawn: Vec<Value>,
    system: Value,
    system_authors: Vec<&'static str>,
    notes: Vec<Note>,
}

impl Model {
    /// One person, whatever they are called.
    fn person(&self, name: &'static str) -> &'static str {
        if self.policy.aliases && name == "oidc:bob" { "bob" } else { name }
    }

    fn seen(&self, covers: &str) -> Option<Value> {
        let release = || self.releases.last().filter(|_| self.lives).map(|r| r.content.clone());
        Some(match covers {
            "content" => release()?,
            "evidence" => json!([release()?, self.system["limited"]]),
            _ => self.system.clone(),
        })
    }

    /// What an approval of a role must cover.
    fn asked(&self, role: &str) -> &'static str {
        match role {
            "owner" if self.policy.evidence[0] => "evidence",
            "risk" if self.policy.evidence[1] => "evidence",
            "classifier" => "classification",
            _ => "content",
        }
    }

    fn holds(&self, note: &Note) -> bool {
        note.holds && (!note.wildcard || self.policy.wildcards_count)
    }

    /// Whether an approval counts for its role.
    fn counts(&self, note: &Note) -> bool {
        note.covers == self.asked(note.role) && self.is_good(note) && !self.is_taken_back(note)
    }

    /// Whether an approval is one for what it covers, asked for or not.
    fn is_good(&self, note: &Note) -> bool {
        let release = note.covers != "classification";
        !note.reject
            && !note.deleted
            && self.seen(note.covers).as_ref() == Some(&note.seen)
            && (!release || note.incarnation + 1 == self.releases.len())
            && self.holds(note)
            && note.by != LOOK_ALIKE
            && (note.by != ROBOT || self.policy.robot_may)
            && note.group != Some("auditors")
            && !(self.policy.no_developers_as_risk && note.role == "risk" && note.group == Some("developers"))
            && note.ends.is_none_or(|ends| self.now < ends)
            && (!release || self.now < note.at + SignedDuration::from_hours(24 * FIRST_USE_DAYS))
            && !self.authors(release).contains(&self.person(note.by))
    }

    /// Whether whoever gave it rejected the same, as it is now, in the same role since.
    fn is_taken_back(&self, note: &Note) -> bool {
        let now = ["content", "evidence", "classification"].map(|c| self.seen(c));
        let system = |covers: &str| covers == "classification";
        self.notes.iter().filter(|r| r.reject && r.role == note.role && r.at >= note.at).any(|r| {
            self.person(r.by) == self.person(note.by)
                && system(r.covers) == system(note.covers)
                && self.holds(r)
                && now.iter().flatten().any(|n| *n == r.seen)
        })
    }

    fn authors(&self, release: bool) -> Vec<&'static str> {
        let mut authors = self.system_authors.clone();
        if release {
            if self.policy.author_may_approve {
                return Vec::new();
            }
            let now = &self.releases.last().unwrap().content;
            for earlier in self.releases.iter().filter(|r| r.content == *now) {
                authors.push(earlier.by);
                authors.extend(&earlier.developers);
            }
        }
        authors.into_iter().map(|a| self.person(a)).collect()
    }

    /// Whether a Reject stands: somebody entitled gave it for what is there now, and nobody answered it later, in the same
    /// role, for the same or for what the role is asked for.
    fn stands(&self, note: &Note) -> bool {
        let now = ["content", "evidence", "classification"].map(|c| self.seen(c));
        let system = |covers: &str| covers == "classification";
        let is_now = now.iter().flatten().any(|n| *n == note.seen);
        // Who answers for a system is nobody who wrote it.
        let known = !system(note.covers) || !self.system_authors.contains(&ROBOT);
        let answered = self.notes.iter().any(|a| {
            known
                && a.answers.as_ref() == Some(&note.name)
                && a.at > note.at
                && a.role == note.role
                && system(a.covers) == system(note.covers)
                && (a.covers == self.asked(a.role) || a.covers == note.covers)
                && self.is_good(a)
        });
        // The classifier is asked about the system alone: elsewhere a Reject of that role is refused when it is given.
        let asked = system(note.covers) || note.role != "classifier";
        note.reject && self.holds(note) && asked && is_now && !answered
    }

    fn clears(&self) -> bool {
        let Some(release) = self.releases.last().filter(|_| self.lives) else { return false };
        if self.withdrawn.contains(&release.content) || self.notes.iter().any(|n| self.stands(n)) {
            return false;
        }
        if release.by == ROBOT && !self.policy.author_may_approve {
            return false;
        }
        // Who confirms the class is nobody who wrote the system, which nobody knows of what a robot wrote.
        if self.system_authors.contains(&ROBOT) {
            return false;
        }
        let who = |role: &str| {
            let counted = self.notes.iter().filter(|n| n.role == role && self.counts(n));
            let mut who: Vec<&str> = counted.map(|n| self.person(n.by)).collect();
            who.sort_unstable();
            who.dedup();
            who
        };
        let (owners, risk) = (who("owner"), who("risk"));
        let enough = if self.policy.one_role_per_person {
            // Somebody for risk, and enough others as owners.
            risk.iter().any(|r| owners.iter().filter(|o| *o != r).count() >= self.policy.owners)
        } else {
            !risk.is_empty() && owners.len() >= self.policy.owners
        };
        enough && !who("classifier").is_empty()
    }
}

/// The world that hears of it, and the model.
struct Both {
    run: Run,
    world: World,
    model: Model,
    /// The release as it lives.
    live: Option<Given>,
    system: Given,
}

fn given(value: Value) -> Given {
    serde_json::from_value(value).unwrap()
}

impl Both {
    fn new(policy: &Policy) -> Self {
        let start: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
        let reading = Reading {
            cluster: "c".into(),
            cluster_name: None,
            keys: ReceiptKeys::new(),
            people: PeopleKey::new(*b"rules"),
        };
        let run = Run { namespace: "lending".into(), reading, now: start };
        let mut world = World::new();
        for role in ROLES {
            let spec = json!({"title": role, "answersFor": role});
            run.add(&mut world, &given(json!({"by": "platform", "at": start, "kind": "ApprovalRole", "name": role, "spec": spec})), false);
        }
        let covers = |evidence: bool| if evidence { "Evidence" } else { "Content" };
        let mut risk = json!({"role": "risk", "count": 1, "covers": covers(policy.evidence[1])});
        if policy.no_developers_as_risk {
            risk["notInGroups"] = json!(["developers"]);
        }
        let mut duties = json!({
            "authorMayApprove": policy.author_may_approve,
            "oneRolePerPerson": policy.one_role_per_person,
            "barredGroups": ["auditors"],
            "wildcardGrants": if policy.wildcards_count { "Count" } else { "Ignore" },
        });
        if policy.aliases {
            duties["aliases"] = json!([{"names": ["bob", "oidc:bob"]}]);
        }
        if policy.robot_may {
            duties["serviceAccounts"] = json!([ROBOT]);
        }
        let spec = json!({
            "appliesTo": {"classes": ["Minimal", "Limited"]},
            "classification": {"approvedBy": "classifier"},
            "approvals": [{"role": "owner", "count": policy.owners, "covers": covers(policy.evidence[0])}, risk],
            "separationOfDuties": duties,
            "validity": {"firstUseDays": FIRST_USE_DAYS, "runningDays": 365},
        });
        run.add(
            &mut world,
            &given(
                json!({"by": "platform", "at": start, "kind": "ReleasePolicy", "name": "p", "spec": spec}),
            ),
            false,
        );
        let system = given(
            json!({"by": "olga", "at": start, "kind": "AISystem", "name": "s", "spec": system(0, false)}),
        );
        run.add(&mut world, &system, false);
        let model = Model {
            policy: policy.clone(),
            now: start,
            releases: Vec::new(),
            lives: false,
            withdrawn: Vec::new(),
            system: json!({"purpose": 0, "limited": false}),
            system_authors: vec!["olga"],
            notes: Vec::new(),
        };
        Self { run, world, model, live: None, system }
    }

    fn step(&mut self, (who, hours, deed): &Step) {
        let by = PEOPLE[*who];
        self.model.now += SignedDuration::from_hours(i64::from(*hours));
        self.run.now = self.model.now;
        match deed {
            Deed::Create { content, developers } => {
                let developers: Vec<&str> = developers.iter().map(|d| PEOPLE[*d]).collect();
                self.create(by, *content, developers);
            }
            Deed::Delete => {
                self.world.remove(Kind::ModelRelease, Some("lending"), "r");
                self.live = None;
                self.model.lives = false;
            }
            Deed::Withdraw => {
                let Some(live) = &mut self.live else { return };
                live.spec["withdrawn"] = true.into();
                self.run.add(&mut self.world, live, false);
                self.model.withdrawn.push(self.model.releases.last().unwrap().content.clone());
            }
            Deed::EditSystem { purpose, limited } => {
                self.system.spec = system(*purpose, *limited);
                self.system.edited.push(common::Edited { by: by.into(), at: self.model.now });
                self.run.add(&mut self.world, &self.system, false);
                self.model.system = json!({"purpose": purpose, "limited": limited});
                self.model.system_authors.push(by);
            }
            Deed::Decide(decide) => self.decide(by, decide),
            Deed::DeleteDecision(which) => {
                let live: Vec<usize> =
                    (0..self.model.notes.len()).filter(|i| !self.model.notes[*i].deleted).collect();
                if live.is_empty() {
                    return;
                }
                let note = &mut self.model.notes[*which.get(&live)];
                note.deleted = true;
                self.world.remove(Kind::Approval, Some("lending"), &note.name);
            }
        }
    }

    fn create(&mut self, by: &'static str, content: u8, developers: Vec<&'static str>) {
        if self.model.lives {
            return;
        }
        let digest = |n: u8| format!("sha256:{}", format!("{n}").repeat(64));
        let mut spec = json!({
            "system": "s", "version": format!("{content}"), "change": {"kind": "Initial", "reason": "First"},
            "artifacts": [{"name": "weights", "role": "Model", "kind": "OCI", "reference": "registry.example.com/w", "digest": digest(content)}],
        });
        if !developers.is_empty() {
            spec["developers"] = json!(developers);
        }
        let release = given(json!({
            "by": by, "at": self.model.now, "kind": "ModelRelease", "name": "r", "spec": spec,
            "uid": format!("r-{}", self.model.releases.len()),
        }));
        self.run.add(&mut self.world, &release, false);
        self.live = Some(release);
        self.model.lives = true;
        self.model.releases.push(Release { by, content: spec, developers });
    }

    fn decide(&mut self, by: &'static str, decide: &Decide) {
        let role = ROLES[decide.role];
        let asked = self.model.asked(role);
        let covers = match (decide.as_asked, asked) {
            (true, asked) => asked,
            (false, _) if role == "owner" => "classification",
            (false, "content") => "evidence",
            (false, _) => "content",
        };
        let Some(seen) = self.model.seen(covers) else { return };
        let snapshot = self.world.snapshot("lending", "r", Clock::Trusted(self.model.now));
        let digest = match covers {
            "content" => snapshot.release.as_ref().unwrap().digest().to_owned(),
            "evidence" => match evaluate(&snapshot).evidence {
                Some(evidence) => evidence,
                None => return,
            },
            _ => self.world.system("lending", "s").unwrap().classification.clone().unwrap(),
        };
        let (kind, subject, uid) = if covers == "classification" {
            ("AISystem", "s", "uid-AISystem-s".to_owned())
        } else {
            ("ModelRelease", "r", format!("r-{}", self.model.releases.len() - 1))
        };
        // Every other time, a name that was used before.
        let number = self.model.notes.len();
        let gone = |n: &&Note| n.deleted && !self.model.notes.iter().any(|o| o.name == n.name && !o.deleted);
        let gone = self.model.notes.iter().find(gone).filter(|_| number.is_multiple_of(2));
        let name = gone.map_or_else(|| format!("n{number}"), |n| n.name.clone());
        let rejects: Vec<&Note> = self.model.notes.iter().filter(|n| n.reject).collect();
        let answers = decide.answers.filter(|_| !decide.reject && !rejects.is_empty());
        let answers = answers.map(|which| which.get(&rejects).name.clone());
        let ends = decide.ends.map(|days| self.model.now + SignedDuration::from_hours(24 * i64::from(days)));
        let title = match covers {
            "content" => "Content",
            "evidence" => "Evidence",
            _ => "Classification",
        };
        let mut spec = json!({
            "subject": {"kind": kind, "name": subject, "covers": title, "digest": digest},
            "role": role, "decision": if decide.reject { "Reject" } else { "Approve" },
        });
        if let Some(reject) = &answers {
            spec["answers"] = json!([reject]);
        }
        if let Some(ends) = ends {
            spec["expiresAt"] = ends.to_string().into();
        }
        let groups: Vec<&str> = decide.group.into_iter().collect();
        let approval = given(json!({
            "by": by, "at": self.model.now, "kind": "Approval", "name": name, "spec": spec, "holdsRole": decide.holds,
            "wildcard": decide.wildcard, "groups": groups, "subjectUid": uid,
        }));
        self.run.add(&mut self.world, &approval, false);
        self.model.notes.push(Note {
            name,
            by,
            at: self.model.now,
            role,
            reject: decide.reject,
            covers,
            seen,
            incarnation: self.model.releases.len().saturating_sub(1),
            holds: decide.holds,
            wildcard: decide.wildcard,
            group: decide.group,
            ends,
            answers,
            deleted: false,
        });
    }
}

fn system(purpose: u8, limited: bool) -> Value {
    json!({
        "title": "Routing", "owner": {"function": "Operations"}, "organisationRoles": ["Provider"],
        "purpose": format!("Purpose {purpose}"),
        "intendedUse": {"users": ["Officers"], "decisions": ["Routes"], "affectedGroups": ["Clients"], "regions": ["EU"]},
        "triggers": {
            "annexIII": [], "article5": [], "annexI": [], "article50": if limited { json!(["1"]) } else { json!([]) },
            "profiling": false, "personalData": false,
        },
        "stage": "Operation",
    })
}

/// What is said of each approval that is there is what somebody naive says of it.
fn agree_on_each(both: &Both, heard: &Heard) -> Result<(), TestCaseError> {
    let model = &both.model;
    if !model.lives {
        return Ok(());
    }
    for note in model.notes.iter().filter(|n| !n.deleted) {
        let approval = both.world.approval("lending", &note.name).unwrap();
        let said = heard.of(approval);
        // The classifier is asked about the system alone.
        let asked = note.role != "classifier" || note.covers == "classification";
        let naive = if note.reject {
            model.stands(note)
        } else {
            let answers = asked && note.answers.is_some() && model.is_good(note);
            (model.counts(note) || answers) && !model.is_taken_back(note)
        };
        prop_assert!(
            naive == (said == Said::Counts),
            "{note:?} counts by the rules: {naive}, it is said: {said:?}\n{model:?}"
        );
    }
    Ok(())
}

fn agree(both: &Both, decision: &Decision) -> Result<(), TestCaseError> {
    let (gate, naive) = (decision.cleared == Cleared::True, both.model.clears());
    prop_assert!(
        gate == naive,
        "cleared: {gate}, by the rules: {naive}\n{:?}\n{:?}",
        both.model,
        decision.gates
    );
    Ok(())
}

#[test]
fn what_is_cleared_is_what_somebody_naive_would_clear() {
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (cleared, asked) = (Cell::new(0), Cell::new(0));
    let first = (0..PEOPLE.len(), 0_u8..2)
        .prop_map(|(who, content)| (who, 1, Deed::Create { content, developers: vec![] }));
    let steps = (first, prop::collection::vec(step(), 4..40)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    });
    let done = runner.run(&(policy(), steps), |(policy, steps)| {
        let mut both = Both::new(&policy);
        for step in &steps {
            both.step(step);
            let now = both.model.now;
            let heard = hear(&both.world.snapshot("lending", "r", Clock::Trusted(now)));
            agree_on_each(&both, &heard)?;
            let decision = heard.decision;
            asked.set(asked.get() + 1);
            cleared.set(cleared.get() + i32::from(decision.cleared == Cleared::True));
            agree(&both, &decision)?;
        }
        // And later, when terms end.
        for days in [1, 10, 29, 31, 60] {
            both.model.now += SignedDuration::from_hours(24 * days);
            let heard = hear(&both.world.snapshot("lending", "r", Clock::Trusted(both.model.now)));
            agree_on_each(&both, &heard)?;
            agree(&both, &heard.decision)?;
        }
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
    // A property of which one side never happens shows nothing.
    let (cleared, asked) = (cleared.get(), asked.get());
    assert!(cleared * 50 > asked && cleared * 2 < asked, "{cleared} of {asked} were cleared");
}
