//! The world that hears of what people do as objects with stamps, and the model beside it.

use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_gate::gates::heard::{Heard, hear};
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::ReceiptKeys;
use placet_gate::world::{Clock, World};
use serde_json::{Value, json};

use super::draw::{
    Deed, LEVELS, Mend, OWNER, On, PEOPLE, Policy, Proof, ROBOT, ROLES, Risk, SIGNERS, SignerDeed, Step, Word,
};
use super::model::{About, Accepted, Given, Model, Note, Signer, Version, days, risks};
use crate::common::{self, Edited, Run};

const HERE: &str = "lending";

pub struct Both {
    run: Run,
    world: World,
    pub model: Model,
    /// The objects as they are, to be written again.
    policy: common::Given,
    system: Option<common::Given>,
    assessment: Option<common::Given>,
    release: Option<common::Given>,
    signers: [Option<common::Given>; 7],
    decisions: Vec<common::Given>,
    acceptances: Vec<common::Given>,
}

fn given(value: Value) -> common::Given {
    serde_json::from_value(value).unwrap()
}

/// The key of somebody, by its place in [`SIGNERS`].
fn key_of(who: &str) -> Option<usize> {
    SIGNERS.iter().position(|signer| *signer == who)
}

fn in_full(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Both {
    pub fn new(policy: &Policy) -> Self {
        let start: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
        let reading = Reading {
            cluster: "c".into(),
            cluster_name: None,
            keys: ReceiptKeys::new(),
            people: PeopleKey::new(*b"rules"),
        };
        let run = Run { namespace: HERE.into(), reading, now: start };
        let mut world = World::new();
        for role in ROLES {
            let spec = json!({"title": role, "answersFor": role});
            let role = given(
                json!({"by": "platform", "at": start, "kind": "ApprovalRole", "name": role, "spec": spec}),
            );
            run.add(&mut world, &role, false);
        }
        let written = given(
            json!({"by": "platform", "at": start, "kind": "ReleasePolicy", "name": "p", "spec": policy.spec()}),
        );
        run.add(&mut world, &written, false);
        let model =
            Model { now: start, policies: vec![(policy.clone(), "platform", start)], ..Model::default() };
        let mut both = Self {
            run,
            world,
            model,
            policy: written,
            system: None,
            assessment: None,
            release: None,
            signers: [const { None }; 7],
            decisions: Vec::new(),
            acceptances: Vec::new(),
        };
        both.write_system("olga", 0, false);
        both
    }

    /// The decision of now, which is then stood on, as the operator does.
    pub fn decide(&mut self) -> Heard {
        let snapshot = self.world.snapshot(HERE, "r", Clock::Trusted(self.model.now));
        let heard = hear(&snapshot);
        self.world.settle(&snapshot, &heard.decision);
        heard
    }

    pub fn wait(&mut self, time: SignedDuration) {
        self.model.now += time;
        self.run.now = self.model.now;
    }

    pub fn step(&mut self, (who, hours, deed): &Step) {
        let by = PEOPLE[*who];
        self.wait(SignedDuration::from_hours(i64::from(*hours)));
        match deed {
            Deed::Create { content, developers, signed } => {
                let developers: Vec<&str> = developers.iter().map(|d| PEOPLE[*d]).collect();
                self.create(by, *content, &developers, *signed);
            }
            Deed::Delete => {
                self.world.remove(Kind::ModelRelease, Some(HERE), "r");
                self.release = None;
                self.model.lives = false;
            }
            Deed::Withdraw => {
                let Some(release) = &mut self.release else { return };
                release.spec["withdrawn"] = true.into();
                self.run.add(&mut self.world, release, false);
                self.model.withdrawn.push(self.model.releases.last().unwrap().content.clone());
            }
            Deed::Assess(drawn, again) => {
                let before = again.filter(|_| !self.model.assessments.is_empty());
                let content = match before {
                    Some(which) => which.get(&self.model.assessments).content.clone(),
                    None => self.assessment_of(drawn),
                };
                self.assess(by, content);
            }
            Deed::DeleteAssessment => {
                self.world.remove(Kind::ImpactAssessment, Some(HERE), "ia");
                self.assessment = None;
                self.model.assessed = false;
            }
            Deed::EditSystem { title } => self.write_system(by, *title, true),
            Deed::RecreateSystem { title } => self.write_system(by, *title, false),
            Deed::EditPolicy(other, mask) => self.edit_policy(by, other, *mask),
            Deed::Decide { on, role, reject, answers, fits, word } => {
                let role = ROLES[*role];
                let (about, evidence) = match on {
                    On::Release { as_asked } => {
                        let asked = self.model.now().policy.covers_evidence(role).unwrap_or(false);
                        (About::Release, asked == *as_asked)
                    }
                    On::System => (About::System, false),
                    On::Assessment => (About::Assessment, false),
                    On::Acceptance(_) if self.model.acceptances.is_empty() => return,
                    On::Acceptance(which) => {
                        (About::Acceptance(which.get(&self.model.acceptances).name.clone()), false)
                    }
                };
                let rejects: Vec<&Note> = self.model.notes.iter().filter(|n| n.reject).collect();
                let answers = answers.filter(|_| !*reject && !rejects.is_empty());
                let answered = answers.map(|which| which.get(&rejects).to_owned().clone());
                let (about, evidence, role) = match answered.as_ref().filter(|_| *fits) {
                    Some(of) => (of.about.clone(), of.evidence, of.given.role),
                    None => (about, evidence, role),
                };
                self.word(by, about, evidence, role, *reject, answered.map(|r| r.name), word);
            }
            Deed::Accept { role, level, risks, word } => self.accept(by, ROLES[*role], *level, *risks, word),
            Deed::DeleteDecision(which) => {
                let live: Vec<usize> =
                    (0..self.model.notes.len()).filter(|i| !self.model.notes[*i].given.deleted).collect();
                if !live.is_empty() {
                    let note = &mut self.model.notes[*which.get(&live)];
                    note.given.deleted = true;
                    self.world.remove(Kind::Approval, Some(HERE), &note.name);
                }
            }
            Deed::DeleteAcceptance(which) => {
                if !self.model.acceptances.is_empty() {
                    let which = which.index(self.model.acceptances.len());
                    self.model.acceptances[which].given.deleted = true;
                    self.world.remove(Kind::RiskAcceptance, Some(HERE), &self.model.acceptances[which].name);
                }
            }
            Deed::Loses { role, lost } => self.loses(by, ROLES[*role], *lost),
            // Once things happen, whoever makes signers makes all that are missing.
            Deed::Signer(_, SignerDeed::Create) if *hours > 0 => {
                for key in 0..SIGNERS.len() {
                    self.sign_up(key, &SignerDeed::Create);
                }
            }
            Deed::Signer(key, deed) => self.sign_up(*key, deed),
            Deed::Replay(which) => self.replay(*which),
            Deed::Use => {
                let Some(release) = &self.release else { return };
                let digest = self.run.record(release).digest.unwrap();
                self.world.used(&digest, self.model.now);
                self.model.used.push(self.model.releases.last().unwrap().content.clone());
            }
            Deed::Mend(mend) => self.mend(mend),
        }
    }

    fn create(&mut self, by: &'static str, content: u8, developers: &[&'static str], signed: bool) {
        if self.model.lives {
            return;
        }
        let mut spec = json!({
            "system": "s", "version": content.to_string(), "change": {"kind": "Initial", "reason": "First"},
            "artifacts": [{"name": "weights", "role": "Model", "kind": "OCI", "reference": "registry.example.com/w",
                           "digest": format!("sha256:{}", content.to_string().repeat(64))}],
        });
        if !developers.is_empty() {
            spec["developers"] = json!(developers);
        }
        let life = self.model.releases.len();
        let mut release = given(json!({
            "by": by, "at": self.model.now, "kind": "ModelRelease", "name": "r", "spec": spec, "uid": format!("r-{life}"),
        }));
        let mut authors = vec![by];
        self.model.author = None;
        if by == ROBOT && signed {
            // hugo wrote it.
            let key = key_of("hugo").unwrap();
            release.signed = Some(self.signed_by(key));
            authors.push("hugo");
            self.model.author = Some(key);
        }
        self.run.add(&mut self.world, &release, false);
        self.release = Some(release);
        authors.extend(developers);
        self.model.lives = true;
        self.model.releases.push(Version { content: spec, life, authors, at: self.model.now });
    }

    fn signed_by(&self, key: usize) -> common::SignedBy {
        serde_json::from_value(
            json!({"key": key + 1, "user": SIGNERS[key], "issuedAt": in_full(self.model.now)}),
        )
        .unwrap()
    }

    fn assessment_of(&self, drawn: &[Risk; 2]) -> Value {
        let now = self.model.now;
        let harm = |(i, r): (usize, &Risk)| {
            let (likelihood, severity, reach) = r.harm;
            json!({"id": format!("H{i}"), "affects": "Individuals", "description": format!("Harm {}", r.text),
                   "likelihood": likelihood, "severity": severity, "reach": reach, "reversibility": "Easy", "vulnerable": false})
        };
        let risk = |(i, r): (usize, &Risk)| {
            let mut risk = json!({
                "id": format!("R{i}"), "domain": "AI", "harms": [format!("H{i}")],
                "controls": [{"control": "ISO42001/A.6.2.4", "status": if r.implemented { "Implemented" } else { "Planned" },
                              "owner": "Model Risk", "implementedAt": in_full(now + days(r.from))}],
            });
            if let Some((likelihood, severity)) = r.residual {
                risk["residual"] = json!({"likelihood": likelihood, "severity": severity});
            }
            risk
        };
        json!({
            "system": "s", "assessedAt": in_full(now), "scope": {"datasets": []},
            "harms": drawn.iter().enumerate().map(harm).collect::<Vec<_>>(),
            "risks": drawn.iter().enumerate().map(risk).collect::<Vec<_>>(),
        })
    }

    fn assess(&mut self, by: &'static str, content: Value) {
        let now = self.model.now;
        let (mut authors, mut life) = (vec![by], self.model.assessments.len());
        if let Some(object) = &mut self.assessment {
            let last = self.model.assessments.last().unwrap();
            if last.content == content {
                return;
            }
            object.edited.push(Edited { by: by.into(), at: now });
            object.spec = content.clone();
            authors.extend(&last.authors);
            life = last.life;
        } else {
            self.assessment = Some(given(json!({
                "by": by, "at": now, "kind": "ImpactAssessment", "name": "ia", "spec": content, "uid": format!("ia-{life}"),
            })));
        }
        self.run.add(&mut self.world, self.assessment.as_ref().unwrap(), false);
        self.model.assessed = true;
        self.model.assessments.push(Version { content, life, authors, at: now });
    }

    fn write_system(&mut self, by: &'static str, title: u8, edit: bool) {
        let now = self.model.now;
        let content = json!({
            "title": format!("Scoring {title}"), "owner": {"function": "Lending"}, "organisationRoles": ["Provider"],
            "purpose": "Estimate default",
            "intendedUse": {"users": ["Officers"], "decisions": ["Credit"], "affectedGroups": ["Applicants"], "regions": ["EU"]},
            "triggers": {"annexIII": ["5(b)"], "article5": [], "annexI": [], "article50": [], "profiling": true, "personalData": true},
            "stage": "Operation",
        });
        let (mut authors, mut life) = (vec![by], self.model.systems.len());
        match &mut self.system {
            Some(object) if edit => {
                let last = self.model.systems.last().unwrap();
                if last.content == content {
                    return;
                }
                object.edited.push(Edited { by: by.into(), at: now });
                object.spec = content.clone();
                authors.extend(&last.authors);
                life = last.life;
            }
            _ => {
                self.world.remove(Kind::AISystem, Some(HERE), "s");
                self.system = Some(given(json!({
                    "by": by, "at": now, "kind": "AISystem", "name": "s", "spec": content, "uid": format!("s-{life}"),
                })));
            }
        }
        self.run.add(&mut self.world, self.system.as_ref().unwrap(), false);
        self.model.systems.push(Version { content, life, authors, at: now });
    }

    fn edit_policy(&mut self, by: &'static str, other: &Policy, mask: u32) {
        let policy = self.model.now().policy.edited(other, mask);
        if policy.spec() == self.policy.spec {
            return;
        }
        self.policy.spec = policy.spec();
        self.policy.edited.push(Edited { by: by.into(), at: self.model.now });
        self.run.add(&mut self.world, &self.policy, false);
        self.model.policies.push((policy, by, self.model.now));
    }

    fn sign_up(&mut self, key: usize, deed: &SignerDeed) {
        let now = self.model.now;
        let cut = |model: &mut Model, at: Timestamp| {
            let cut = &mut model.cut[key];
            *cut = Some(cut.map_or(at, |cut| cut.min(at)));
        };
        if matches!(deed, SignerDeed::Create) {
            if self.signers[key].is_some() {
                return;
            }
            let spec = json!({"key": format!("key {}", key + 1), "user": SIGNERS[key], "roles": ROLES});
            let name = SIGNERS[key];
            let signer = given(
                json!({"by": "platform", "at": now, "kind": "TrustedSigner", "name": name, "spec": spec}),
            );
            self.model.signers[key] = Some(Signer { at: now, roles: ROLES.to_vec(), barred: false });
            self.signers[key] = Some(signer);
        }
        let Some(object) = &mut self.signers[key] else { return };
        match deed {
            SignerDeed::Create => {}
            SignerDeed::Revoke => {
                object.spec["revoked"] = json!({"at": in_full(now)});
                cut(&mut self.model, now);
            }
            SignerDeed::Compromise(hours) => {
                let since = now - SignedDuration::from_hours(*hours);
                object.spec["revoked"] = json!({"at": in_full(now), "compromisedSince": in_full(since)});
                cut(&mut self.model, since);
            }
            SignerDeed::Edit(bits, barred) => {
                let roles: Vec<&'static str> =
                    (0..ROLES.len()).filter(|bit| bits & (1 << bit) != 0).map(|bit| ROLES[bit]).collect();
                object.spec["roles"] = json!(roles);
                let spec = object.spec.as_object_mut().unwrap();
                if *barred {
                    spec.insert("groups".into(), json!(["auditors"]));
                } else {
                    spec.remove("groups");
                }
                let signer = self.model.signers[key].as_mut().unwrap();
                (signer.roles, signer.barred) = (roles, *barred);
            }
            SignerDeed::Delete => {
                let token = self.run.record(object).key().unwrap().to_owned();
                self.world.remove(Kind::TrustedSigner, None, SIGNERS[key]);
                self.world.key_deleted(&token, now);
                self.signers[key] = None;
                self.model.signers[key] = None;
                return;
            }
        }
        if !matches!(deed, SignerDeed::Create) {
            object.edited.push(Edited { by: "platform".into(), at: now });
        }
        self.run.add(&mut self.world, object, false);
    }

    /// How somebody's word is noted, and the object that carries it.
    fn said(
        &self,
        by: &'static str,
        role: &'static str,
        word: &Word,
        (life, subject): (usize, String),
        object: Value,
    ) -> (Given, common::Given) {
        let now = self.model.now;
        let key = key_of(by).filter(|_| word.signed);
        let mut object = given(object);
        object.by = Some(if key.is_some() { ROBOT } else { by }.to_owned());
        object.at = Some(now);
        object.holds_role = Some(word.holds);
        object.wildcard = word.wildcard;
        object.credential = word.credential && key.is_none();
        object.subject_uid = Some(subject.clone());
        object.groups = word.group.filter(|_| key.is_none()).into_iter().map(str::to_owned).collect();
        if let Some(key) = key {
            let mut signed = self.signed_by(key);
            signed.seen = serde_json::from_value(json!({"at": now, "subjectUid": subject})).unwrap();
            object.signed = Some(signed);
        }
        let given = Given {
            by,
            key,
            at: now,
            applied: now,
            role,
            holds: word.holds,
            lost: false,
            wildcard: word.wildcard,
            credential: word.credential,
            group: word.group,
            ends: word.ends.map(|ends| now + days(ends)),
            deleted: false,
            life,
        };
        (given, object)
    }

    #[expect(clippy::too_many_arguments, reason = "an approval says as much")]
    fn word(
        &mut self,
        by: &'static str,
        about: About,
        evidence: bool,
        role: &'static str,
        reject: bool,
        answers: Option<String>,
        word: &Word,
    ) {
        let view = self.model.now();
        let Some(seen) = view.is_now(&about, evidence) else { return };
        let (life, levels) = (view.life(&about), view.levels());
        let heard = hear(&self.world.snapshot(HERE, "r", Clock::Trusted(self.model.now)));
        let digest = |object: &common::Given| self.run.record(object).digest.unwrap();
        let (kind, name, uid, digest) = match &about {
            About::Release if evidence => {
                let Some(digest) = heard.decision.evidence.clone() else { return };
                ("ModelRelease", "r", format!("r-{life}"), digest)
            }
            About::Release => {
                ("ModelRelease", "r", format!("r-{life}"), digest(self.release.as_ref().unwrap()))
            }
            About::System => ("AISystem", "s", format!("s-{life}"), digest(self.system.as_ref().unwrap())),
            About::Assessment => {
                ("ImpactAssessment", "ia", format!("ia-{life}"), digest(self.assessment.as_ref().unwrap()))
            }
            About::Acceptance(name) => {
                let object = self.acceptances.iter().find(|a| a.name == *name).unwrap();
                ("RiskAcceptance", name.as_str(), format!("uid-RiskAcceptance-{name}"), digest(object))
            }
        };
        let mut spec = json!({
            "subject": {"kind": kind, "name": name, "covers": if evidence { "Evidence" } else { "Content" }, "digest": digest},
            "role": role, "decision": if reject { "Reject" } else { "Approve" },
        });
        if let Some(reject) = &answers {
            spec["answers"] = json!([reject]);
        }
        if let Some(ends) = word.ends {
            spec["expiresAt"] = in_full(self.model.now + days(ends)).into();
        }
        let name = format!("n{}", self.model.notes.len());
        let object = json!({"kind": "Approval", "name": name, "spec": spec});
        let (given, mut object) = self.said(by, role, word, (life, uid), object);
        object.evidence = heard.decision.shown.evidence.filter(|_| evidence).map(|e| Box::new(e.bounded()));
        self.run.add(&mut self.world, &object, false);
        self.decisions.push(object);
        self.model.notes.push(Note { name, about, evidence, reject, seen, levels, answers, given });
    }

    /// Accepts the risks of these bits.
    fn accept(&mut self, by: &'static str, role: &'static str, level: usize, bits: u8, word: &Word) {
        let Some(assessment) = self.model.assessment() else { return };
        let (life, content) = (assessment.life, assessment.content.clone());
        let seen: std::collections::BTreeMap<String, Value> = risks(&content)
            .into_iter()
            .enumerate()
            .filter(|(i, _)| bits & (1 << i) != 0)
            .map(|(_, risk)| risk)
            .collect();
        let named: Vec<Value> = seen
            .keys()
            .map(|id| json!({"id": id, "digest": placet_gate::digest::risk(HERE, "ia", &content, id).unwrap().unwrap()}))
            .collect();
        let name = format!("a{}", self.model.acceptances.len());
        let ends = word.ends.unwrap_or(50);
        let spec = json!({
            "assessment": {"name": "ia"}, "risks": named, "role": role, "level": LEVELS[level], "rationale": "Reviewed",
            "expiresAt": in_full(self.model.now + days(ends)),
        });
        let object = json!({"kind": "RiskAcceptance", "name": name, "spec": spec});
        let word = Word { ends: Some(ends), ..word.clone() };
        let (given, object) = self.said(by, role, &word, (life, format!("ia-{life}")), object);
        self.run.add(&mut self.world, &object, false);
        self.acceptances.push(object);
        self.model.acceptances.push(Accepted { name, level, risks: seen, given });
    }

    /// Somebody loses a role, or is given it again: what they said in it is asked anew.
    fn loses(&mut self, who: &'static str, role: &'static str, lost: bool) {
        let Self { run, world, model, decisions, acceptances, .. } = self;
        let notes = model.notes.iter_mut().map(|n| &mut n.given).zip(decisions);
        let accepted = model.acceptances.iter_mut().map(|a| &mut a.given).zip(acceptances);
        for (given, object) in notes.chain(accepted) {
            if given.who() == who && given.role == role && !given.deleted {
                (given.lost, object.role_lost) = (lost, lost);
                run.add(world, object, false);
            }
        }
    }

    fn replay(&mut self, which: proptest::sample::Index) {
        let gone = |i: &usize| {
            let note = &self.model.notes[*i];
            note.given.deleted && note.given.key.is_some() && !note.reject
        };
        let all: Vec<usize> = (0..self.model.notes.len()).filter(gone).collect();
        if all.is_empty() {
            return;
        }
        let which = *which.get(&all);
        let (note, object) = (&mut self.model.notes[which], &mut self.decisions[which]);
        object.at = Some(self.model.now);
        let release = note.about == About::Release;
        // The webhook says which object it is about now; the log, which it was about first.
        if release {
            object.subject_uid = Some(format!("r-{}", self.model.releases.len() - 1));
        }
        self.run.add(&mut self.world, object, false);
        note.given.deleted = false;
        note.given.applied = self.model.now;
    }

    /// Everybody does what is missing, in the order in which it is asked for.
    fn mend(&mut self, mend: &Mend) {
        let Mend { turn, forgotten, .. } = *mend;
        let policy = self.model.now().policy.clone();
        let holders = |role: &str| -> &[&'static str] {
            match role {
                OWNER if turn == 4 => &["frank", "hugo"],
                OWNER => &["bob", "hugo"],
                "risk" => &["erin", "gina"],
                "executive" => &["frank", "gina"],
                "legal" => &["lena", "carl"],
                _ => &["carl", "vera"],
            }
        };
        let of = |role: &str, more: usize| {
            let all = holders(role);
            all[(turn + more) % all.len()]
        };
        let mut done = 0;
        let mut next = |both: &mut Self| {
            both.wait(SignedDuration::from_mins(1));
            done += 1;
            Some(done - 1) != forgotten
        };
        if next(self) && !self.model.lives {
            self.create("dana", 0, &[], false);
        }
        let word = |proof: Proof| Word {
            signed: proof == Proof::Signed || turn > 3,
            holds: true,
            wildcard: false,
            credential: mend.credential,
            group: None,
            ends: mend.ends,
        };
        if policy.assessed && next(self) {
            self.word(
                of("assessor", 0),
                About::Assessment,
                false,
                "assessor",
                false,
                None,
                &word(Proof::Stamp),
            );
        }
        for (i, level) in self.model.now().levels().into_values().enumerate() {
            let authority = if level == 3 { &policy.high } else { &policy.medium };
            let Some(authority) = authority.as_ref().filter(|_| level > policy.appetite && level < 4) else {
                continue;
            };
            let roles = if authority.every { &authority.roles[..] } else { &authority.roles[..1] };
            for role in roles.iter().filter(|_| mend.accepts) {
                if next(self) {
                    let (by, level) = (of(role, usize::from(turn == 1)), level - usize::from(mend.low));
                    self.accept(by, role, level, 1 << i, &word(authority.proof));
                }
            }
            let Some(last) = self.model.acceptances.last().map(|a| a.name.clone()) else { continue };
            for role in &authority.consulted {
                if next(self) {
                    self.word(
                        of(role, 0),
                        About::Acceptance(last.clone()),
                        false,
                        role,
                        false,
                        None,
                        &word(authority.proof),
                    );
                }
            }
        }
        let places = [(OWNER, 0, 0), (OWNER, 1, 0), ("risk", 0, 1), ("executive", 0, 2)];
        for (role, more, proof) in places {
            let Some(evidence) = policy.covers_evidence(role).filter(|_| more < policy.owners) else {
                continue;
            };
            if next(self) {
                self.word(
                    of(role, more),
                    About::Release,
                    evidence,
                    role,
                    false,
                    None,
                    &word(policy.proof[proof]),
                );
            }
        }
    }
}
