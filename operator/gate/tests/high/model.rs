//! What happened, as a naive person notes it, and the rules looked up one by one in these notes: without digests, stamps,
//! memory or any code of the gate. What an object says is read from its spec.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::draw::{Authority, Duties, LEVELS, LOOK_ALIKE, OWNER, Policy, Proof, ROBOT, SIGNERS};

pub const FIRST_USE_DAYS: i64 = 30;
pub const RUNNING_DAYS: i64 = 60;

pub fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// What somebody's word is about.
#[derive(Debug, Clone, PartialEq)]
pub enum About {
    Release,
    System,
    Assessment,
    Acceptance(String),
}

/// Whose word it is, and how it came.
#[derive(Debug, Clone)]
pub struct Given {
    pub by: &'static str,
    /// Place of the key in [`SIGNERS`], if it is signed.
    pub key: Option<usize>,
    /// When it was first there, and when it was applied last.
    pub at: Timestamp,
    pub applied: Timestamp,
    pub role: &'static str,
    pub holds: bool,
    pub lost: bool,
    pub wildcard: bool,
    pub credential: bool,
    pub group: Option<&'static str>,
    pub ends: Option<Timestamp>,
    pub deleted: bool,
    /// Which object of its name the subject was.
    pub life: usize,
}

impl Given {
    /// Who decided.
    pub fn who(&self) -> &'static str {
        self.key.map_or(self.by, |key| SIGNERS[key])
    }
}

/// An Approval.
#[derive(Debug, Clone)]
pub struct Note {
    pub name: String,
    pub about: About,
    /// Of a release: whether it covers the evidence.
    pub evidence: bool,
    pub reject: bool,
    /// What was looked at, whole.
    pub seen: Value,
    /// Levels of the risks at that time.
    pub levels: BTreeMap<String, usize>,
    pub answers: Option<String>,
    pub given: Given,
}

/// A RiskAcceptance.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub name: String,
    pub level: usize,
    /// Each risk as it was seen.
    pub risks: BTreeMap<String, Value>,
    pub given: Given,
}

/// Something that people write, in one of its versions.
#[derive(Debug, Clone)]
pub struct Version {
    pub content: Value,
    pub life: usize,
    pub authors: Vec<&'static str>,
    pub at: Timestamp,
}

/// A TrustedSigner.
#[derive(Debug, Clone)]
pub struct Signer {
    pub at: Timestamp,
    pub roles: Vec<&'static str>,
    pub barred: bool,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Model {
    pub now: Timestamp,
    /// Versions of the policy, each with who changed it when.
    pub policies: Vec<(Policy, &'static str, Timestamp)>,
    /// Every version that there was; the last is there if it lives.
    pub releases: Vec<Version>,
    pub lives: bool,
    /// Of a release that a robot made, whose key signed it.
    pub author: Option<usize>,
    pub withdrawn: Vec<Value>,
    pub used: Vec<Value>,
    pub systems: Vec<Version>,
    pub assessments: Vec<Version>,
    pub assessed: bool,
    pub notes: Vec<Note>,
    pub acceptances: Vec<Accepted>,
    pub signers: [Option<Signer>; 7],
    /// For each key, the earliest moment from which anybody ever said that it does not count.
    pub cut: [Option<Timestamp>; 7],
    /// Which release was cleared under which version of the policy.
    pub basis: Option<(usize, usize)>,
}

/// The world by one version of the policy; of what was said in favour only that of `until`.
pub struct View<'a> {
    model: &'a Model,
    pub policy: &'a Policy,
    version: usize,
    until: Option<Timestamp>,
}

fn moment(text: &Value) -> Timestamp {
    text.as_str().unwrap().parse().unwrap()
}

/// Level of a likelihood and a severity.
fn matrix(likelihood: i64, severity: i64) -> usize {
    const MATRIX: [[usize; 5]; 5] =
        [[0, 0, 1, 1, 1], [0, 1, 1, 2, 2], [1, 1, 2, 3, 3], [1, 2, 3, 3, 4], [2, 3, 3, 4, 4]];
    let of = |n: i64| usize::try_from(n - 1).unwrap();
    MATRIX[of(likelihood)][of(severity)]
}

/// Level of a risk after controls.
fn level(assessment: &Value, risk: &Value, now: Timestamp) -> usize {
    let harm = assessment["harms"].as_array().unwrap().iter().find(|h| h["id"] == risk["harms"][0]).unwrap();
    let number = |value: &Value| value.as_i64().unwrap();
    let raised = usize::from(number(&harm["reach"]) >= 4);
    let of = |of: &Value| (matrix(number(&of["likelihood"]), number(&of["severity"])) + raised).min(4);
    let control = &risk["controls"][0];
    let works = moment(&control["implementedAt"]) <= now;
    match risk.get("residual") {
        Some(residual) if control["status"] == "Implemented" && works => of(residual),
        _ => of(harm),
    }
}

/// What an acceptance is of: the risk and its harm.
pub fn risks(assessment: &Value) -> BTreeMap<String, Value> {
    let harms = assessment["harms"].as_array().unwrap();
    let of = |risk: &Value| {
        let harm = harms.iter().find(|h| h["id"] == risk["harms"][0]).unwrap();
        (risk["id"].as_str().unwrap().to_owned(), json!([risk, harm]))
    };
    assessment["risks"].as_array().unwrap().iter().map(of).collect()
}

impl Policy {
    pub fn covers_evidence(&self, role: &str) -> Option<bool> {
        let of = match role {
            OWNER => 0,
            "risk" => 1,
            "executive" if self.executive => 2,
            _ => return None,
        };
        Some(self.evidence[of].unwrap_or(true))
    }

    fn proof_of(&self, role: &str) -> Proof {
        match role {
            OWNER => self.proof[0],
            "risk" => self.proof[1],
            "executive" if self.executive => self.proof[2],
            _ => Proof::Stamp,
        }
    }

    /// For how many days who changed it does not approve.
    fn bars_for(&self) -> Option<i64> {
        match self.duties {
            Duties::Said => Some(3),
            Duties::LeftOut => Some(7),
            Duties::Ignored => None,
        }
    }

    /// What whoever approves evidence is asked under.
    fn asks(&self) -> Value {
        let authority = |a: &Option<Authority>| format!("{a:?}");
        let covers: Vec<_> = [OWNER, "risk", "executive"].map(|r| self.covers_evidence(r)).to_vec();
        json!([
            self.owners,
            covers,
            format!("{:?}", [OWNER, "risk", "executive"].map(|r| self.proof_of(r))),
            self.assessed,
            self.max_age,
            self.appetite,
            authority(&self.medium),
            authority(&self.high),
            self.author_may_approve,
            self.one_role.unwrap_or(true),
            self.bars_for(),
            self.wildcards,
            self.robot_may,
            self.no_developers_as_risk,
            self.void_on_loss.unwrap_or(true),
        ])
    }

    fn authority(&self, level: usize) -> Option<&Authority> {
        match level {
            2 => self.medium.as_ref(),
            3 => self.high.as_ref(),
            _ => None,
        }
    }

    /// The spec that says so.
    pub fn spec(&self) -> Value {
        let mut approvals =
            vec![json!({"role": OWNER, "count": self.owners}), json!({"role": "risk", "count": 1})];
        if self.executive {
            approvals.push(json!({"role": "executive", "count": 1, "when": "ResidualHighOrAbove"}));
        }
        for (i, rule) in approvals.iter_mut().enumerate() {
            if let Some(evidence) = self.evidence[i] {
                rule["covers"] = if evidence { "Evidence" } else { "Content" }.into();
            }
            if self.proof[i] != Proof::Stamp {
                rule["proof"] = format!("{:?}", self.proof[i]).into();
            }
        }
        if self.no_developers_as_risk {
            approvals[1]["notInGroups"] = json!(["developers"]);
        }
        let mut assessment = json!({"required": true});
        if let Some(days) = self.max_age {
            assessment["maxAgeDays"] = days.into();
        }
        if self.assessed {
            assessment["approvedBy"] = "assessor".into();
        }
        let mut authority = Vec::new();
        for (level, said) in [("Medium", &self.medium), ("High", &self.high)] {
            let Some(said) = said else { continue };
            let mut one = json!({"level": level, "roles": said.roles});
            if said.every {
                one["needs"] = "EveryRole".into();
            }
            if !said.consulted.is_empty() {
                one["consulted"] = json!(said.consulted);
            }
            if let Some(days) = said.max_days {
                one["maxDays"] = days.into();
            }
            if said.proof != Proof::Stamp {
                one["proof"] = format!("{:?}", said.proof).into();
            }
            authority.push(one);
        }
        let mut duties = json!({"authorMayApprove": self.author_may_approve});
        if let Some(one) = self.one_role {
            duties["oneRolePerPerson"] = one.into();
        }
        match self.duties {
            Duties::Said => {
                duties["barredGroups"] = json!(["auditors"]);
                duties["acceptorNotApproverAs"] = json!([OWNER]);
                duties["policyChangeDays"] = 3.into();
            }
            Duties::LeftOut => {}
            Duties::Ignored => duties["highDefaults"] = "Ignore".into(),
        }
        if self.wildcards {
            duties["wildcardGrants"] = "Count".into();
        }
        if self.aliases {
            duties["aliases"] = json!([{"names": ["bob", "oidc:bob"]}]);
        }
        if self.robot_may {
            duties["serviceAccounts"] = json!([ROBOT]);
        }
        let mut validity = json!({"firstUseDays": FIRST_USE_DAYS, "runningDays": RUNNING_DAYS});
        if let Some(void) = self.void_on_loss {
            validity["roleLoss"] = if void { "Void" } else { "Keep" }.into();
        }
        let mut spec = json!({
            "appliesTo": {"classes": ["High"]}, "assessment": assessment, "riskAppetite": LEVELS[self.appetite],
            "approvals": approvals, "separationOfDuties": duties, "validity": validity,
        });
        if !authority.is_empty() {
            spec["acceptanceAuthority"] = json!(authority);
        }
        if self.to_cleared {
            spec["appliesToCleared"] = true.into();
        }
        spec
    }
}

impl Model {
    pub fn view(&self, version: usize, until: Option<Timestamp>) -> View<'_> {
        View { model: self, policy: &self.policies[version].0, version, until }
    }

    /// By the policy of now.
    pub fn now(&self) -> View<'_> {
        self.view(self.policies.len() - 1, None)
    }

    pub fn release(&self) -> Option<&Version> {
        self.releases.last().filter(|_| self.lives)
    }

    pub fn assessment(&self) -> Option<&Version> {
        self.assessments.last().filter(|_| self.assessed)
    }

    /// Whether the release is cleared, and if so, whether under the policy of before.
    fn decides(&self) -> (bool, bool) {
        let now = self.now();
        let life = self.release().map(|r| r.life);
        let before = self.basis.filter(|(of, _)| Some(*of) == life).map(|(_, version)| version);
        let says = |version: usize| self.policies[version].0.spec();
        let other = |version: &usize| says(*version) != now.policy.spec() && !now.policy.to_cleared;
        if let Some(version) = before.filter(other)
            && !now.rejected()
        {
            // Who approves after the policy was changed (last) approves under what took the place of that one.
            let until = self.policies.last().map(|(.., at)| *at);
            if self.view(version, until).clears() {
                return (true, true);
            }
        }
        (now.clears(), false)
    }

    /// Whether the release is cleared; that is remembered.
    pub fn clears(&mut self) -> bool {
        let (cleared, on_basis) = self.decides();
        let life = self.release().map(|r| r.life);
        self.basis = match (cleared, on_basis, life) {
            (true, true, _) => self.basis,
            (true, false, Some(life)) => Some((life, self.policies.len() - 1)),
            _ => None,
        };
        cleared
    }
}

impl View<'_> {
    fn person(&self, name: &'static str) -> &'static str {
        if self.policy.aliases && name == "oidc:bob" { "bob" } else { name }
    }

    pub fn levels(&self) -> BTreeMap<String, usize> {
        let Some(assessment) = self.model.assessment() else { return BTreeMap::new() };
        let all = assessment.content["risks"].as_array().unwrap();
        let of =
            |r: &Value| (r["id"].as_str().unwrap().to_owned(), level(&assessment.content, r, self.model.now));
        all.iter().map(of).collect()
    }

    /// What is there now of what a word is about.
    pub fn is_now(&self, about: &About, evidence: bool) -> Option<Value> {
        let release = || Some(self.model.release()?.content.clone());
        match about {
            About::Release if evidence => {
                let assessment = self.model.assessment().map(|a| &a.content);
                Some(json!([release()?, assessment, self.policy.asks()]))
            }
            About::Release => release(),
            About::System => Some(self.model.systems.last()?.content.clone()),
            About::Assessment => Some(self.model.assessment()?.content.clone()),
            About::Acceptance(name) => {
                self.model.acceptances.iter().any(|a| a.name == *name).then(|| json!(name))
            }
        }
    }

    pub fn life(&self, about: &About) -> usize {
        match about {
            About::Release => self.model.releases.last().map_or(0, |r| r.life),
            About::System => self.model.systems.last().map_or(0, |s| s.life),
            About::Assessment => self.model.assessments.last().map_or(0, |a| a.life),
            About::Acceptance(_) => 0,
        }
    }

    fn written_by(all: &[Version], live: bool) -> Vec<&'static str> {
        let Some(now) = all.last().filter(|_| live) else { return Vec::new() };
        all.iter().filter(|v| v.content == now.content).flat_map(|v| v.authors.clone()).collect()
    }

    fn system_authors(&self) -> Vec<&'static str> {
        Self::written_by(&self.model.systems, true)
    }

    fn assessment_authors(&self) -> Vec<&'static str> {
        [Self::written_by(&self.model.assessments, self.model.assessed), self.system_authors()].concat()
    }

    pub fn authors(&self) -> Vec<&'static str> {
        [Self::written_by(&self.model.releases, self.model.lives), self.assessment_authors()].concat()
    }

    fn is_one_of(&self, who: &'static str, authors: &[&'static str]) -> bool {
        authors.iter().any(|a| self.person(a) == self.person(who))
    }

    fn holds(&self, given: &Given) -> bool {
        given.holds && (!given.wildcard || self.policy.wildcards)
    }

    /// Whether whoever's key signed it may sign it.
    fn signature_counts(&self, given: &Given) -> bool {
        let Some(key) = given.key else { return true };
        self.key_counts(key, given.at)
            && self.model.signers[key].as_ref().is_some_and(|s| s.roles.contains(&given.role))
    }

    fn key_counts(&self, key: usize, at: Timestamp) -> bool {
        self.model.signers[key].as_ref().is_some_and(|s| s.at <= at)
            && self.model.cut[key].is_none_or(|cut| at < cut)
    }

    /// Whether a word is one whose giver counts, shown as `proof` says.
    fn eligible(&self, given: &Given, proof: Proof) -> bool {
        let signer = given.key.and_then(|key| self.model.signers[key].as_ref());
        let barred = match signer {
            Some(signer) => signer.barred,
            None => given.group == Some("auditors"),
        };
        let changed = self.policy.bars_for().is_some_and(|bars| {
            self.model.policies[..=self.version].iter().any(|(_, by, at)| {
                self.person(by) == self.person(given.who()) && *at <= given.at && given.at < *at + days(bars)
            })
        });
        let shown = match proof {
            Proof::Stamp => true,
            Proof::Credential => given.credential || given.key.is_some(),
            Proof::Signed => given.key.is_some(),
        };
        !given.deleted
            && self.until.is_none_or(|until| given.applied <= until)
            && self.signature_counts(given)
            && self.holds(given)
            && given.who() != LOOK_ALIKE
            && (given.who() != ROBOT || self.policy.robot_may)
            && !(given.lost && self.policy.void_on_loss.unwrap_or(true))
            && !(barred && self.policy.duties != Duties::Ignored)
            && !changed
            && shown
    }

    /// Whether an approval is one of what is there now, by nobody of `but`, whether or not its end has come.
    fn is_of_now(&self, note: &Note, but: &[&'static str], proof: Proof) -> bool {
        let developer = note.given.key.is_none() && note.given.group == Some("developers");
        !note.reject
            && self.is_now(&note.about, note.evidence).as_ref() == Some(&note.seen)
            && note.given.life == self.life(&note.about)
            && self.eligible(&note.given, proof.max(self.policy.proof_of(note.given.role)))
            && !(self.policy.no_developers_as_risk && note.given.role == "risk" && developer)
            && !self.is_one_of(note.given.who(), but)
    }

    fn ended(&self, note: &Note) -> bool {
        let used = self.model.release().is_some_and(|r| self.model.used.contains(&r.content));
        let stands = days(if used { RUNNING_DAYS } else { FIRST_USE_DAYS });
        let term = note.about == About::Release && self.model.now >= note.given.at + stands;
        term || note.given.ends.is_some_and(|ends| self.model.now >= ends)
    }

    /// Whether whoever gave it rejected the same since, in the same role.
    fn is_taken_back(&self, note: &Note) -> bool {
        self.model.notes.iter().any(|r| {
            r.reject
                && r.about == note.about
                && r.given.role == note.given.role
                && self.person(r.given.who()) == self.person(note.given.who())
                && r.given.at >= note.given.at
                && self.holds(&r.given)
                && self.rejects_what_is_now(r)
        })
    }

    fn rejects_what_is_now(&self, reject: &Note) -> bool {
        let now = [false, true].map(|evidence| self.is_now(&reject.about, evidence));
        now.iter().flatten().any(|now| *now == reject.seen)
    }

    /// Who answers no Reject of it.
    fn but_of(&self, about: &About) -> Vec<&'static str> {
        match about {
            About::Release if self.policy.author_may_approve => Vec::new(),
            About::Release => self.authors(),
            About::System => self.system_authors(),
            // Whoever wrote the system, or the same before it was deleted, answers it; they do not approve it.
            About::Assessment => self.model.assessment().map(|a| a.authors.clone()).unwrap_or_default(),
            About::Acceptance(_) => Vec::new(),
        }
    }

    /// Whether somebody's Reject stands.
    fn rejected(&self) -> bool {
        self.model.notes.iter().any(|r| self.stands(r))
    }

    /// Whether a Reject stands: somebody entitled gave it for what is there now, and nobody answered it later, in the same
    /// role, for the same or for what the role is asked for.
    pub fn stands(&self, reject: &Note) -> bool {
        let asked = match reject.about {
            About::Release => self.policy.covers_evidence(reject.given.role).is_some(),
            About::Acceptance(_) => false,
            _ => true,
        };
        let but = self.but_of(&reject.about);
        let answered = || {
            self.model.notes.iter().any(|a| {
                let whole = a.about != About::Release
                    || self.policy.covers_evidence(a.given.role) == Some(a.evidence);
                a.answers.as_ref() == Some(&reject.name)
                    && a.about == reject.about
                    && a.given.role == reject.given.role
                    && a.given.at > reject.given.at
                    && (whole || a.seen == reject.seen)
                    && self.is_of_now(a, &but, Proof::Stamp)
                    && !self.ended(a)
            })
        };
        reject.reject && asked && self.holds(&reject.given) && self.rejects_what_is_now(reject) && !answered()
    }

    /// Since when the assessment is approved.
    fn assessed_since(&self) -> Option<Timestamp> {
        let but = self.assessment_authors();
        let of = |n: &&Note| {
            n.about == About::Assessment
                && n.given.role == "assessor"
                && self.is_of_now(n, &but, Proof::Stamp)
                && (self.ended(n) || !self.is_taken_back(n))
        };
        self.model.notes.iter().filter(of).map(|n| n.given.at).min()
    }

    fn assessment_is_approved(&self) -> bool {
        let but = self.assessment_authors();
        self.model.notes.iter().any(|n| {
            n.about == About::Assessment
                && n.given.role == "assessor"
                && self.is_of_now(n, &but, Proof::Stamp)
                && !self.ended(n)
                && !self.is_taken_back(n)
        })
    }

    /// Whether an approval of the release counts for its role.
    pub fn counts(&self, note: &Note, but: &[&'static str], since: Option<Timestamp>) -> bool {
        let fell = || {
            let levels = self.levels();
            let lower = |(id, then): (&String, &usize)| levels.get(id).is_some_and(|now| now < then);
            note.evidence && note.given.key.is_none() && note.levels.iter().any(lower)
        };
        note.about == About::Release
            && self.policy.covers_evidence(note.given.role) == Some(note.evidence)
            && self.is_of_now(note, but, Proof::Stamp)
            && !self.ended(note)
            && !self.is_taken_back(note)
            && since.is_none_or(|since| note.given.at > since)
            && !fell()
    }

    fn who_approved(&self, role: &str) -> Vec<&'static str> {
        let since = self.assessed_since().filter(|_| self.policy.assessed);
        let but = self.but_of(&About::Release);
        let counted = self.model.notes.iter().filter(|n| n.given.role == role && self.counts(n, &but, since));
        let mut who: Vec<_> = counted.map(|n| self.person(n.given.who())).collect();
        who.sort_unstable();
        who.dedup();
        who
    }

    /// Whether an acceptance of a risk counts by an authority, without whether it is enough.
    fn accepts(&self, one: &Accepted, risk: &str, level: usize, authority: &Authority) -> bool {
        let Some(assessment) = self.model.assessment() else { return false };
        let given = &one.given;
        let who = self.person(given.who());
        let approved = self.policy.duties != Duties::Ignored
            && self.model.notes.iter().any(|n| {
                n.about == About::Release
                    && !n.reject
                    && !n.given.deleted
                    && self.until.is_none_or(|until| n.given.applied <= until)
                    && n.given.role == OWNER
                    && self.person(n.given.who()) == who
            });
        let withdrawn = self
            .model
            .notes
            .iter()
            .any(|n| n.reject && n.about == About::Acceptance(one.name.clone()) && self.holds(&n.given));
        let now = risks(&assessment.content);
        one.risks.get(risk).is_some_and(|seen| now.get(risk) == Some(seen))
            && authority.roles.contains(&given.role)
            && (given.key.is_none() || given.life == assessment.life)
            && self.eligible(given, authority.proof)
            && one.level >= level
            && !self.is_one_of(given.who(), &self.authors())
            && !approved
            && !withdrawn
            && given.ends.is_none_or(|ends| self.model.now < ends)
            && authority.max_days.is_none_or(|max| self.model.now < given.at + days(max))
    }

    /// Whether everybody accepted a risk who must.
    fn is_accepted(&self, risk: &str, level: usize) -> bool {
        let Some(authority) = self.policy.authority(level) else { return false };
        let all: Vec<&Accepted> =
            self.model.acceptances.iter().filter(|a| self.accepts(a, risk, level, authority)).collect();
        let by: Vec<(&str, &str)> = all.iter().map(|a| (a.given.role, self.person(a.given.who()))).collect();
        let enough = if authority.every { each_by_another(&authority.roles, &by) } else { !all.is_empty() };
        let acceptors: Vec<&'static str> = all.iter().map(|a| a.given.who()).collect();
        let heard: Vec<(&str, &str)> = self
            .model
            .notes
            .iter()
            .filter(|n| all.iter().any(|a| n.about == About::Acceptance(a.name.clone())))
            .filter(|n| authority.consulted.contains(&n.given.role))
            .filter(|n| {
                self.is_of_now(n, &acceptors, authority.proof) && !self.ended(n) && !self.is_taken_back(n)
            })
            .map(|n| (n.given.role, self.person(n.given.who())))
            .collect();
        let of_their_own = self.policy.one_role.unwrap_or(true);
        let asked = if of_their_own {
            each_by_another(&authority.consulted, &heard)
        } else {
            authority.consulted.iter().all(|role| heard.iter().any(|(of, _)| of == role))
        };
        enough && asked
    }

    /// Whether the release is cleared.
    pub fn clears(&self) -> bool {
        let model = self.model;
        let (Some(release), Some(assessment)) = (model.release(), model.assessment()) else { return false };
        let assessed = moment(&assessment.content["assessedAt"]);
        let old = self.policy.max_age.is_some_and(|max| model.now >= assessed + days(max));
        let robots = release.authors.first() == Some(&ROBOT) && !self.policy.author_may_approve;
        let nobodys = robots && !model.author.is_some_and(|key| self.key_counts(key, release.at));
        let wanted = |(risk, level): (&String, &usize)| {
            *level <= self.policy.appetite || (*level < 4 && self.is_accepted(risk, *level))
        };
        let levels = self.levels();
        let mut places: Vec<&str> = vec![OWNER; self.policy.owners];
        places.push("risk");
        if self.policy.executive && levels.values().any(|level| *level >= 3) {
            places.push("executive");
        }
        let by: Vec<(&str, &str)> = [OWNER, "risk", "executive"]
            .into_iter()
            .flat_map(|role| self.who_approved(role).into_iter().map(move |who| (role, who)))
            .collect();
        let approved = if self.policy.one_role.unwrap_or(true) {
            each_by_another(&places, &by)
        } else {
            let need = |role: &str| places.iter().filter(|p| **p == role).count();
            places.iter().all(|role| by.iter().filter(|(of, _)| of == role).count() >= need(role))
        };
        !model.withdrawn.contains(&release.content)
            && !old
            && !nobodys
            && !self.rejected()
            && (!self.policy.assessed || self.assessment_is_approved())
            && levels.iter().all(wanted)
            && approved
    }
}

/// Whether each place can be filled by a person of its own, by trying all ways.
fn each_by_another(places: &[&str], by: &[(&str, &str)]) -> bool {
    let Some((first, rest)) = places.split_first() else { return true };
    by.iter().filter(|(role, _)| role == first).any(|(_, who)| {
        let left: Vec<(&str, &str)> = by.iter().filter(|(_, other)| other != who).copied().collect();
        each_by_another(rest, &left)
    })
}
