//! The gates, one a file. Each takes the same [`Context`] and returns its findings.

pub mod approvals;
pub mod assessment;
pub mod assessment_approved;
pub mod assessment_content;
pub mod authors;
pub mod change;
pub mod class_lowered;
pub mod classification;
pub mod controls;
pub mod counted;
pub mod custom;
pub mod data;
pub mod documentation;
mod early;
pub mod entitled;
pub mod freshness;
pub mod heard;
pub mod oversight;
pub mod policies;
pub mod rejects;
pub mod release;
pub mod risk_acceptance;
pub mod tests;
pub mod transparency;
pub mod verification;

use std::collections::BTreeSet;
use std::sync::Arc;

use placet_api::aisystem::AISystemSpec;
use placet_api::common::Class;
use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_api::modelrelease::{GateVerdict, ModelReleaseSpec};

use crate::class::Derived;
use crate::digest::changed_fields;
use crate::evidence::Evidence;
use crate::finding::{Finding, Gate, Reason};
use crate::object::{Object, Problem};
use crate::policy::{PolicySet, Requirements};
use crate::risk::Score;
use crate::stamp::StampProblem;
use crate::time::Now;
use crate::world::Snapshot;

/// What the gates share: the snapshot and what was worked out before them.
#[derive(Debug)]
pub struct Context<'a> {
    /// What the decision reads.
    pub snapshot: &'a Snapshot,
    /// The policies by which it is decided: those of now, or those that the release stands on.
    pub policies: &'a PolicySet,
    /// The moment, which remembers what was compared with it.
    pub now: &'a Now,
    /// The release and its spec, where it is understood.
    pub release: Option<(&'a Object<ModelReleaseSpec>, &'a ModelReleaseSpec)>,
    /// The system and its spec, where it is understood.
    pub system: Option<(&'a Object<AISystemSpec>, &'a AISystemSpec)>,
    /// The derived class.
    pub derived: Option<&'a Derived>,
    /// The least class here, and the policy that says so.
    pub minimum: Option<(Class, &'a str)>,
    /// What the policies ask for together; None while the class or the policies are not known.
    pub requirements: Option<&'a Requirements>,
    /// Ids of Rejects that are answered, whatever is asked of answers.
    pub answered: &'a BTreeSet<String>,
    /// The current assessment, where there is exactly one that counts.
    pub assessment: Option<(&'a Object<ImpactAssessmentSpec>, &'a ImpactAssessmentSpec)>,
    /// Its scores, where all can be computed.
    pub scores: Option<&'a [Score]>,
    /// Since when the assessment is approved by each role that is asked for it: who approved the release before does not
    /// count. None where nobody is asked, or somebody's approval is missing.
    pub assessed_since: Option<rejects::When>,
    /// What the release's evidence is made of, where all of it is known.
    pub evidence: Option<&'a Evidence>,
    /// Where it is noted what becomes of each approval, if anybody wants to know.
    pub heard: Option<&'a heard::Hearing>,
}

/// Findings and notes of one gate.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is missing.
    pub findings: Vec<Finding>,
    /// What was looked at and holds.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Adds a finding that something is known to be missing.
    #[allow(clippy::too_many_arguments, reason = "one argument per field that every finding must state")]
    pub fn not_met(
        &mut self,
        gate: Gate,
        reason: Reason,
        item: impl Into<String>,
        wanted: impl Into<String>,
        found: impl Into<String>,
        who: impl Into<String>,
        command: impl Into<String>,
    ) -> &mut Finding {
        self.add(finding(GateVerdict::NotMet, gate, reason, item, wanted, found, who, command))
    }

    /// Adds a finding that something is not yet known, which blocks as well.
    #[allow(clippy::too_many_arguments, reason = "one argument per field that every finding must state")]
    pub fn unknown(
        &mut self,
        gate: Gate,
        reason: Reason,
        item: impl Into<String>,
        wanted: impl Into<String>,
        found: impl Into<String>,
        who: impl Into<String>,
        command: impl Into<String>,
    ) -> &mut Finding {
        self.add(finding(GateVerdict::Unknown, gate, reason, item, wanted, found, who, command))
    }

    fn add(&mut self, finding: Finding) -> &mut Finding {
        let at = self.findings.len();
        self.findings.push(finding);
        &mut self.findings[at]
    }

    /// The same as [`Outcome::problem`] for a kind whose versions are remembered: of a spec that was changed behind the
    /// webhook's back it names the fields.
    pub fn problem_since<'a, S: 'a>(
        &mut self,
        gate: Gate,
        object: &Object<S>,
        problem: &Problem,
        former: impl IntoIterator<Item = &'a Arc<Object<S>>>,
    ) {
        self.problem(gate, object, problem);
        let fields = fields_since(object, former);
        if let Some(finding) = self.findings.last_mut().filter(|_| !fields.is_empty()) {
            finding.found.push_str(": ");
            finding.found.push_str(&fields.join(", "));
            finding.about.extend(fields);
        }
    }

    /// Adds the finding for an object that does not count because of its stamp or because it is not understood.
    pub fn problem<S>(&mut self, gate: Gate, object: &Object<S>, problem: &Problem) {
        let record = &object.record;
        let item = format!("{}/{}", record.kind.short(), record.name);
        match problem {
            Problem::NotStamped(why) => self
                .unknown(
                    gate,
                    Reason::NotStamped,
                    item,
                    "a receipt of who wrote it",
                    format!("{} {}: {why}{}", record.kind, record.name, gone(object)),
                    "its author",
                    "apply it again: kubectl apply --server-side -f FILE",
                )
                .about([format!("{why:?}")]),
            Problem::NotUnderstood(why) => self
                .unknown(
                    gate,
                    Reason::NotUnderstood,
                    item,
                    "a spec that this version understands",
                    format!("{} {}: {why}", record.kind, record.name),
                    "its author, or the platform team where Placet is older than the CRDs",
                    format!(
                        "mend the field and apply it again, or upgrade Placet (kubectl explain {})",
                        record.kind.plural()
                    ),
                )
                .about([record.digest.clone().unwrap_or_default()]),
        }
    }
}

/// Of an object whose spec was changed behind the webhook's back, the fields that differ from the version that was stamped last,
/// where that is remembered; at most five.
fn fields_since<'a, S: 'a>(
    object: &Object<S>,
    former: impl IntoIterator<Item = &'a Arc<Object<S>>>,
) -> Vec<String> {
    let changed = object.problem() == Some(Problem::NotStamped(StampProblem::SpecChanged));
    let same = former.into_iter().filter(|f| changed && !f.live && f.name() == object.name());
    let before = same.filter_map(|f| Some((f.standing()?.changed_at, f))).max_by_key(|(at, _)| *at);
    let Some((_, before)) = before else { return Vec::new() };
    changed_fields(&before.record.spec.value(), &object.record.spec.value(), 5)
}

/// Why what somebody decided does not count, where nobody is known to have: it is healed by deciding again.
fn undecided<'a, S: 'a>(object: &Object<S>, former: impl IntoIterator<Item = &'a Arc<Object<S>>>) -> String {
    let problem = object.problem();
    let fields = fields_since(object, former);
    let which = match &problem {
        _ if !fields.is_empty() => format!(": {}", fields.join(", ")),
        Some(Problem::NotStamped(StampProblem::SpecChanged)) => {
            " (what it said before is not kept, so that no field can be named)".to_owned()
        }
        _ => String::new(),
    };
    let problem = problem.map(|p| p.to_string()).unwrap_or_default();
    format!("does not count: {problem}{which}; whoever gave it gives it again, under another name")
}

/// What a finding adds of an object that does not exist any more.
pub fn gone<S>(object: &Object<S>) -> &'static str {
    if object.live { "" } else { " (deleted since, which changes nothing)" }
}

#[allow(clippy::too_many_arguments, reason = "one argument per field that every finding must state")]
fn finding(
    verdict: GateVerdict,
    gate: Gate,
    reason: Reason,
    item: impl Into<String>,
    wanted: impl Into<String>,
    found: impl Into<String>,
    who: impl Into<String>,
    command: impl Into<String>,
) -> Finding {
    Finding {
        gate,
        verdict,
        reason,
        item: item.into(),
        wanted: wanted.into(),
        found: found.into(),
        about: Vec::new(),
        who: who.into(),
        command: command.into(),
    }
}

impl Context<'_> {
    /// The class by which policies apply, where it is known.
    pub fn class(&self) -> Option<Class> {
        let derived = self.derived.and_then(|d| d.class)?;
        Some(self.minimum.map_or(derived, |(least, _)| derived.max(least)))
    }

    /// The finding of a gate that cannot be asked, because what is asked for is not known. None of its own without a
    /// release that is understood: then the gate *release* says what is missing, and all others are Unknown. Where the
    /// gates *classification* and *policy* say why, it is left out of the decision and the verdict stays.
    pub fn requirements_unknown(&self, gate: Gate) -> Outcome {
        if self.release.is_none() {
            return Outcome::default();
        }
        let mut out = Outcome::default();
        out.unknown(
            gate,
            Reason::ClassUnknown,
            "",
            "a known class and a policy for it",
            "what this gate asks for depends on the class and the policy, which are not yet known",
            "system owner or platform team",
            "see the gates classification and policy",
        );
        out
    }

    /// Appends `-n NAMESPACE` to a command.
    pub fn command(&self, text: &str) -> String {
        format!("{text} -n {}", self.snapshot.namespace)
    }

    /// The command that makes another release, since the spec of one never changes. `how`: what is different in it.
    pub fn new_release(&self, how: &str) -> String {
        self.command(&format!("create a new ModelRelease {how}: kubectl apply -f RELEASE.yaml"))
    }

    /// Names of the policies, joined, for `X wants …`.
    pub fn policy_names(&self) -> String {
        self.requirements
            .map(|r| r.policies.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "))
            .unwrap_or_default()
    }
}
