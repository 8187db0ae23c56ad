//! The decision on a release: all gates, and what follows from them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use placet_api::approval::{ApprovalDecision, Covers};
use placet_api::common::Class;
use placet_api::modelrelease::GateVerdict;
use serde::{Deserialize, Serialize};

use crate::class::Classified;
use crate::evidence::Evidence;
use crate::finding::{Finding, Gate, GateOutcome, Reason};
use crate::gates::heard::Hearing;
use crate::gates::{self, Context, Outcome};
use crate::object::Standing;
use crate::policy::{PolicySet, Requirements};
use crate::risk::{self, Score};
use crate::time::Now;
use crate::world::{Clock, Snapshot};

/// Whether a release may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cleared {
    /// All gates are met.
    True,
    /// It is not yet known. Blocks.
    Unknown,
    /// At least one gate is not met.
    False,
}

/// Why a release that ran may no longer: it decides what happens to replacements of running pods (invariant 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lapse {
    /// Only time: a term ended.
    Expired,
    /// Somebody took it back, or what was approved is not what is there: withdrawal, Reject, changed content,
    /// prohibition.
    TakenBack,
    /// Anything else that is missing.
    Missing,
}

/// The decision on a release at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether it may run.
    pub cleared: Cleared,
    /// What kind of lapse keeps it from running; None when cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapse: Option<Lapse>,
    /// Class of the system, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The class that its triggers give, where a policy says that it is at least another one here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<Class>,
    /// Why it has this class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_basis: Vec<String>,
    /// All gates that are asked, in the order of [`Gate::ALL`].
    pub gates: Vec<GateOutcome>,
    /// Content digest of the release.
    pub content: String,
    /// Evidence digest of the release, where everything that it binds is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Names and digests of the policies that apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<(String, String)>,
    /// Whether it was decided under the policies that the release was cleared under before, and not under those of now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_basis: bool,
    /// Until when the same inputs give the same decision; None: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Whether replacements of running pods are held when the clearance was taken back.
    pub hold_replacements: bool,
    /// What people see of how it came to be. Not recorded: it follows from the inputs, which are.
    #[serde(skip)]
    pub shown: Shown,
}

/// What follows from a decision's inputs beside the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// What the evidence digest is made of.
    pub evidence: Option<Evidence>,
    /// Roles whose approval is asked for, and what the digest of each must cover.
    pub approvers: Vec<(String, Covers)>,
    /// The evidence digest that approvals name on which the release still stands, where it is decided on its basis; then
    /// `evidence` is what approvals name from now on.
    pub stands_on: Option<String>,
}

/// How a note begins that is shown to people beside the findings.
pub(crate) const SHOWN: &str = "shown: ";

impl Decision {
    /// All findings, gate by gate.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.gates.iter().flat_map(|g| &g.findings)
    }

    /// What the gates warn of: it keeps nothing from being cleared, and whoever decides should see it.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.gates.iter().flat_map(|g| &g.notes).filter_map(|note| note.strip_prefix("warning: "))
    }

    /// What whoever decides should see beside the findings: warnings, and what was computed and binds nobody.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let shown = self.gates.iter().flat_map(|g| &g.notes).filter_map(|note| note.strip_prefix(SHOWN));
        self.warnings().chain(shown)
    }

    /// Whether it says nothing about the release, since the clock or what the operator hears cannot be trusted now.
    pub fn is_blind(&self) -> bool {
        self.findings().any(|f| matches!(f.reason, Reason::ClockUntrusted | Reason::StoreNotReady))
    }

    /// Whether replacements of pods that were admitted while it was cleared start although it no longer is.
    pub fn replacements_start(&self) -> bool {
        match self.lapse {
            Some(Lapse::Expired) => true,
            Some(Lapse::TakenBack) => !self.hold_replacements,
            Some(Lapse::Missing) | None => false,
        }
    }

    /// Gates that are not met.
    pub fn open(&self) -> impl Iterator<Item = &GateOutcome> {
        self.gates.iter().filter(|g| g.verdict != GateVerdict::Met)
    }
}

impl Snapshot {
    /// The same without the approvals and acceptances that were given since: who approves after a policy was changed
    /// approves under the policy of now, and does not prolong that of before.
    fn before(&self, since: Option<Timestamp>) -> Cow<'_, Snapshot> {
        let Some(since) = since else { return Cow::Borrowed(self) };
        let early = |standing: Option<&Standing>| standing.is_none_or(|s| s.created_at <= since);
        let mut out = self.clone();
        out.approvals.retain(|a| {
            let reject = a.spec.as_ref().is_ok_and(|s| s.decision == ApprovalDecision::Reject);
            reject || early(a.standing())
        });
        out.acceptances.retain(|a| early(a.standing()));
        Cow::Owned(out)
    }
}

/// Decides on a release. Total: any input gives a decision, and what is not known blocks.
///
/// A release that is cleared stands on the policies that it was cleared under, for as long as it would be cleared under
/// them, or that cannot be known, and nobody rejects it who has a say by those of now; after that, those of now decide.
pub fn evaluate(snapshot: &Snapshot) -> Decision {
    decide(snapshot, None)
}

/// The same; what becomes of each approval is noted, under the policies of now and under those that it was cleared under.
pub(crate) fn decide(snapshot: &Snapshot, hearings: Option<[&Hearing; 2]>) -> Decision {
    let heard = |which: usize| hearings.and_then(|all| all.get(which).copied());
    let nothing = BTreeSet::new();
    let now = judge(snapshot, &snapshot.policies, (None, &nothing), heard(0));
    let Some(basis) = &snapshot.basis else { return now };
    let early = snapshot.before(basis.replaced_at(&snapshot.policies));
    let own = Hearing::default();
    let by_basis = heard(1).unwrap_or(&own);
    let mut decision = judge(&early, basis, (now.evidence.as_deref(), &nothing), Some(by_basis));
    if decision.cleared != Cleared::True && !decision.is_blind() {
        return now;
    }
    // Whoever has a say by the policies of now stops what stands on those of before; but what was answered by those of before
    // stays answered, whatever is asked of answers since.
    let rejected = |decision: &Decision| decision.findings().any(|f| f.reason == Reason::Rejected);
    if rejected(&now) {
        let (answered, again) = (by_basis.answered(), Hearing::default());
        if rejected(&judge(snapshot, &snapshot.policies, (None, &answered), Some(&again))) {
            return now;
        }
        if let Some(heard) = heard(0) {
            heard.replace(again);
        }
    }
    decision.on_basis = true;
    let note = "decided under the policies that it was cleared under; those of now apply when its approvals end, or at \
                once where a policy says appliesToCleared";
    for gate in decision.gates.iter_mut().filter(|g| g.gate == Gate::Policy) {
        gate.notes.push(note.to_owned());
    }
    // Who approves now approves for what comes after.
    let stands_on = std::mem::replace(&mut decision.evidence, now.evidence);
    decision.shown = Shown { stands_on, ..now.shown };
    decision
}

/// `after`: the evidence that approvals given from now on name, where that is another than the one of these policies.
/// `answered`: ids of Rejects that are answered whatever these policies ask of answers.
fn judge(
    snapshot: &Snapshot,
    policies: &PolicySet,
    (after, answered): (Option<&str>, &BTreeSet<String>),
    heard: Option<&Hearing>,
) -> Decision {
    let now = Now::new(snapshot.clock.now());
    let release = snapshot.release.as_deref().and_then(|r| Some((r, r.spec.as_ref().ok()?)));
    let system = snapshot.system.as_deref().and_then(|s| Some((s, s.spec.as_ref().ok()?)));
    let classified = system.map(|(object, spec)| {
        let later = policies.not_yet_prohibited(spec, &snapshot.namespace_labels, &now);
        object.classified_before(spec, &later)
    });
    let classified = classified.as_deref();
    let derived = classified.and_then(|c| c.derived.class);
    let minimum = policies.minimum(&snapshot.namespace_labels);
    let class = policies.class_in(derived, &snapshot.namespace_labels);
    let matched = policies.matching(class, &snapshot.namespace_labels);
    let requirements: Option<&Requirements> = match &matched.joined.requirements {
        Ok(r) if !matched.policies.is_empty() && class.is_some() => Some(r),
        _ => None,
    };
    let current = gates::assessment::current(snapshot);
    let assessment = match current.as_slice() {
        [one] if one.live && one.problem().is_none() => one.spec.as_ref().ok().map(|spec| (*one, spec)),
        _ => None,
    };
    let matrix = requirements.map_or(risk::ISO_27005, |r| r.matrix);
    let numbers = assessment.map(|(object, spec)| (object.scored(spec, &matrix), spec));
    let cx = Context {
        snapshot,
        policies,
        now: &now,
        release,
        system,
        derived: classified.map(|c| &c.derived),
        minimum,
        requirements,
        assessment,
        scores: None,
        assessed_since: None,
        evidence: None,
        answered,
        heard,
    };
    let levels = numbers.map(|(all, spec)| gates::controls::Controls::new(&cx).settle(spec, &all.rated));
    let scores: Option<Vec<Score>> =
        levels.as_ref().and_then(|all| all.iter().map(|s| s.as_ref().ok().cloned()).collect());
    let assessed_since = gates::assessment_approved::since(&cx);
    let cx = Context { scores: scores.as_deref(), assessed_since, ..cx };
    let parts = classified.and_then(|c| Evidence::of(&cx, &c.basis, &matched.joined.digest));
    let evidence = parts.as_ref().and_then(|e| e.digest().ok());
    let cx = Context { evidence: parts.as_ref(), ..cx };
    let mut outcomes = vec![
        (Gate::Release, gates::release::evaluate(&cx)),
        (Gate::Policy, gates::policies::evaluate(&cx, &matched)),
        (Gate::Classification, gates::classification::evaluate(&cx)),
    ];
    // A prohibited system has no gate list: it is refused whatever else exists.
    if class == Some(Class::Prohibited) {
        let rest = [Gate::Assessment, Gate::Tests, Gate::RiskAcceptance, Gate::Approvals];
        outcomes.extend(rest.map(|g| (g, Outcome::default())));
    } else {
        let assessment = gates::assessment::evaluate(&cx, &current, levels.as_deref());
        let approvals = gates::approvals::evaluate(&cx, evidence.as_deref(), after);
        outcomes.extend(of_class(&cx, assessment, approvals));
    }
    // Without a release that is understood, what the other gates would ask is not known: the gate release says so once.
    // So it is with which policies apply without a class, and with what they ask for without either.
    let unasked = |gate| {
        let met = release.is_some() && (gate != Gate::Policy || class.is_some());
        if met { GateVerdict::Met } else { GateVerdict::Unknown }
    };
    let said = |gate| outcomes.iter().any(|(g, outcome)| *g == gate && !outcome.findings.is_empty());
    let why_said = said(Gate::Classification) || said(Gate::Policy);
    let mut gates: Vec<GateOutcome> = outcomes
        .into_iter()
        .map(|(gate, mut outcome)| {
            let verdict = outcome.findings.iter().map(|f| f.verdict).max().unwrap_or(unasked(gate));
            outcome.findings.retain(|f| f.reason != Reason::ClassUnknown || !why_said);
            GateOutcome { gate, verdict, findings: outcome.findings, notes: outcome.notes }
        })
        .collect();
    authors_once(&mut gates);
    let cleared = match gates.iter().map(|g| g.verdict).max() {
        Some(GateVerdict::Met) => Cleared::True,
        Some(GateVerdict::NotMet) => Cleared::False,
        Some(GateVerdict::Unknown) | None => Cleared::Unknown,
    };
    let (approvers, valid_until) = (gates::approvals::asked(&cx), now.horizon());
    Decision {
        cleared,
        lapse: lapse(&gates),
        class,
        derived: derived.filter(|d| Some(*d) != class),
        class_basis: basis_in_words(classified, derived, minimum),
        gates,
        content: snapshot.release.as_ref().map(|r| r.digest().to_owned()).unwrap_or_default(),
        evidence,
        policies: requirements.map(|r| r.policies.clone()).unwrap_or_default(),
        on_basis: false,
        valid_until,
        hold_replacements: requirements.is_none_or(|r| r.hold_replacements),
        shown: Shown { approvers, evidence: parts, stands_on: None },
    }
}

/// The gates of a class that has some, in their order: those that are always asked, and those that a policy asks for.
fn of_class(cx: &Context<'_>, assessment: Outcome, approvals: Outcome) -> Vec<(Gate, Outcome)> {
    let data = cx.requirements.is_some_and(|r| r.data.is_some());
    let custom = cx.requirements.is_some_and(|r| !r.custom.is_empty());
    let all = [
        (Gate::Assessment, Some(assessment)),
        (Gate::Data, data.then(|| gates::data::evaluate(cx))),
        (Gate::Documentation, gates::documentation::evaluate(cx)),
        (Gate::Change, gates::change::evaluate(cx)),
        (Gate::Tests, Some(gates::tests::evaluate(cx))),
        (Gate::Verification, gates::verification::evaluate(cx)),
        (Gate::Validation, gates::verification::validation(cx)),
        (Gate::Oversight, gates::oversight::evaluate(cx)),
        (Gate::Transparency, gates::transparency::evaluate(cx)),
        (Gate::RiskAcceptance, Some(gates::risk_acceptance::evaluate(cx))),
        (Gate::Approvals, Some(approvals)),
        (Gate::Custom, custom.then(|| gates::custom::evaluate(cx))),
    ];
    let asked = all.into_iter().filter_map(|(gate, outcome)| Some((gate, outcome?)));
    let mut asked: Vec<(Gate, Outcome)> = asked.collect();
    gates::verification::hand_over(cx, &mut asked);
    asked
}

/// Several rules ask who wrote an object: where nobody knows, the last gate that asks says so, and all of them stay Unknown.
fn authors_once(gates: &mut [GateOutcome]) {
    let mut said = BTreeSet::new();
    for gate in gates.iter_mut().rev() {
        gate.findings.retain(|f| f.reason != Reason::AuthorUnknown || said.insert(f.item.clone()));
    }
}

/// Why a system has its class.
fn basis_in_words(
    classified: Option<&Classified>,
    derived: Option<Class>,
    minimum: Option<(Class, &str)>,
) -> Vec<String> {
    let mut out = classified.map(|c| c.derived.in_words()).unwrap_or_default();
    if let Some((least, policy)) = minimum.filter(|(least, _)| derived.is_some_and(|d| d < *least)) {
        out.push(format!("at least {least} in this namespace: policy {policy}"));
    }
    out
}

/// Until when a clearance stands if nothing changes: looks past moments that change nothing. None when it is not
/// cleared, or never ends. At most 64 moments are looked past; then the last one is given, which is never too late.
pub fn cleared_until(snapshot: &Snapshot, decision: &Decision) -> Option<Timestamp> {
    let mut until = decision.valid_until.filter(|_| decision.cleared == Cleared::True)?;
    let mut at = snapshot.clone();
    for _ in 0..64 {
        at.clock = Clock::Trusted(until);
        let then = evaluate(&at);
        if then.cleared != Cleared::True {
            return Some(until);
        }
        until = then.valid_until?;
    }
    Some(until)
}

/// The kind of lapse: taken back weighs most, since replacements are held for it; expired only if nothing but terms
/// ended.
fn lapse(gates: &[GateOutcome]) -> Option<Lapse> {
    let kind = |reason: Reason| match reason {
        Reason::Withdrawn
        | Reason::Rejected
        | Reason::ContentChanged
        | Reason::Prohibited
        | Reason::TestFailed
        | Reason::ReleaseNotFound => 2,
        Reason::AssessmentStale
        | Reason::ObligationNotConsidered
        | Reason::DatasetStale
        | Reason::DatasetExpired
        | Reason::ReportStale
        | Reason::DrillStale
        // What runs is no worse for it that nobody can go back any more.
        | Reason::RollbackTargetNotValid
        | Reason::ApprovalExpired
        | Reason::AcceptanceExpired
        | Reason::EvidenceExpired
        | Reason::CustomGateEnded => 0,
        _ => 1,
    };
    gates.iter().flat_map(|g| &g.findings).map(|f| kind(f.reason)).max().map(|worst| match worst {
        0 => Lapse::Expired,
        1 => Lapse::Missing,
        _ => Lapse::TakenBack,
    })
}
