//! The risk register: what the risks of an assessment come to now, by the rules of the policies that its system falls under,
//! whatever release is asked about. Status and command line show it; a release is judged by the same levels.

use std::collections::BTreeSet;

use jiff::Timestamp;
use placet_api::common::{Class, Level};
use placet_api::impactassessment::{ControlStatus, ImpactAssessmentSpec, RiskDomain, Threat};

use crate::gates::{self, Context};
use crate::object::Object;
use crate::policy::Requirements;
use crate::risk::{self, Doubt, Matrix, Place, Score, ScoreError};
use crate::time::Now;
use crate::world::Snapshot;

/// The risks of one assessment.
#[derive(Debug, Clone)]
pub struct Register {
    /// Name of the assessment.
    pub assessment: String,
    /// Its content digest; empty if it has none.
    pub digest: String,
    /// The system that it is of.
    pub system: String,
    /// The system's class, where known.
    pub class: Option<Class>,
    /// Names of the policies by which levels are looked up; none: the class or the policies are not known, and the matrix is
    /// that of ISO/IEC 27005 practice.
    pub policies: Vec<String>,
    /// The matrix.
    pub matrix: Matrix,
    /// The highest level that needs no acceptance.
    pub appetite: Option<Level>,
    /// Each risk, in the order in which they are written, or why it has no level.
    pub entries: Vec<Result<Entry, ScoreError>>,
    /// Until when the same inputs give the same levels; None: for ever.
    pub valid_until: Option<Timestamp>,
}

/// A risk.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its levels.
    pub score: Score,
    /// Its domain.
    pub domain: RiskDomain,
    /// What it is.
    pub description: String,
    /// The threat that it comes from.
    pub threat: Option<Threat>,
    /// Where it stands without controls.
    pub inherent: Place,
    /// Where it stands now: after controls, or without where none that counts lowers it.
    pub residual: Place,
    /// Where the assessment says that it stands after controls.
    pub claimed: Place,
    /// Controls that it cites.
    pub controls: Vec<Cited>,
}

impl Entry {
    /// Whether the stakeholder impact lifts its level above that of the matrix.
    pub fn lifted(&self, matrix: &Matrix) -> bool {
        self.residual.level > risk::at(matrix, self.residual)
    }
}

/// A control that a risk cites.
#[derive(Debug, Clone)]
pub struct Cited {
    /// As it is cited.
    pub control: String,
    /// Its title, where it is one of Annex A of ISO/IEC 42001 or 27001.
    pub title: Option<&'static str>,
    /// What the assessment says of it.
    pub status: ControlStatus,
    /// Whether it lowers the risk now, or why not.
    pub counts: Result<(), Doubt>,
}

impl Register {
    /// The levels of all risks, where every risk has them.
    pub fn scores(&self) -> Option<Vec<Score>> {
        self.entries.iter().map(|e| e.as_ref().ok().map(|e| e.score.clone())).collect()
    }

    /// The highest residual level, where every risk has one.
    pub fn level(&self) -> Option<Level> {
        let levels: Option<Vec<Level>> =
            self.entries.iter().map(|e| e.as_ref().ok().map(|e| e.score.residual)).collect();
        levels?.into_iter().max()
    }

    /// Whether a risk needs an acceptance.
    pub fn above_appetite(&self, entry: &Entry) -> bool {
        self.appetite.is_some_and(|appetite| entry.score.residual > appetite)
    }
}

/// The register of an assessment, from what [`crate::world::World::around`] gives for it. None if the assessment is not there
/// or not understood.
pub fn of(snapshot: &Snapshot, assessment: &str) -> Option<Register> {
    let now = Now::new(snapshot.clock.now());
    let policies = &snapshot.policies;
    let object = snapshot.assessments.iter().find(|a| a.live && a.name() == assessment)?.as_ref();
    let spec = object.spec.as_ref().ok()?;
    let system = snapshot.system.as_deref().and_then(|s| Some((s, s.spec.as_ref().ok()?)));
    let classified = system.map(|(object, spec)| {
        let later = policies.not_yet_prohibited(spec, &snapshot.namespace_labels, &now);
        object.classified_before(spec, &later)
    });
    let derived = classified.as_deref().map(|c| &c.derived);
    let class = policies.class_in(derived.and_then(|d| d.class), &snapshot.namespace_labels);
    let matched = policies.matching(class, &snapshot.namespace_labels);
    let requirements: Option<&Requirements> = match &matched.joined.requirements {
        Ok(r) if !matched.policies.is_empty() && class.is_some() => Some(r),
        _ => None,
    };
    let cx = Context {
        snapshot,
        policies,
        now: &now,
        release: None,
        system,
        derived,
        minimum: policies.minimum(&snapshot.namespace_labels),
        requirements,
        assessment: Some((object, spec)),
        scores: None,
        assessed_since: None,
        evidence: None,
        answered: &BTreeSet::new(),
        heard: None,
    };
    let matrix = requirements.map_or(risk::ISO_27005, |r| r.matrix);
    let entries = entries(&cx, object, spec, &matrix);
    let named = requirements.into_iter().flat_map(|r| &r.policies).map(|(name, _)| name.clone());
    Some(Register {
        assessment: object.name().to_owned(),
        digest: object.digest().to_owned(),
        system: spec.system.to_string(),
        class,
        policies: named.collect(),
        matrix,
        appetite: requirements.and_then(|r| r.appetite),
        entries,
        valid_until: now.horizon(),
    })
}

fn entries(
    cx: &Context<'_>,
    object: &Object<ImpactAssessmentSpec>,
    spec: &ImpactAssessmentSpec,
    matrix: &Matrix,
) -> Vec<Result<Entry, ScoreError>> {
    let numbers = object.scored(spec, matrix);
    let controls = gates::controls::Controls::new(cx);
    let levels = controls.settle(spec, &numbers.rated);
    let both = numbers.rated.iter().zip(levels).zip(&spec.risks);
    both.map(|((rated, score), risk)| {
        let (rated, score) = (rated.as_ref().map_err(Clone::clone)?, score?);
        let cited = risk.controls.iter().flatten().map(|control| Cited {
            control: control.control.to_string(),
            title: crate::controls::find(&control.control).map(|c| c.title),
            status: control.status,
            counts: controls.counts(risk.domain, control),
        });
        Ok(Entry {
            domain: risk.domain,
            description: risk.description.as_ref().map(ToString::to_string).unwrap_or_default(),
            threat: risk.threat,
            inherent: rated.inherent,
            residual: if score.raised.is_some() { rated.inherent } else { rated.claimed },
            claimed: rated.claimed,
            controls: cited.collect(),
            score,
        })
    })
    .collect()
}
