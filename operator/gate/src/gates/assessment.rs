//! Gate *assessment*: an ImpactAssessment of the system exists, is in date, saw what is there now, and its scores can be
//! computed.

use std::sync::Arc;

use placet_api::Kind;
use placet_api::approval::{Covers, SubjectKind};
use placet_api::impactassessment::ImpactAssessmentSpec;

use super::approvals::{self, Wanted};
use super::{Context, Outcome, assessment_approved, assessment_content, authors, freshness, gone};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::people::Person;
use crate::risk::{Score, ScoreError};
use crate::time;
use crate::world::Snapshot;

const GATE: Gate = Gate::Assessment;

/// The assessments of a system of which none is superseded by another. Deleted ones take part: otherwise deleting the
/// newer assessment would bring the older one back.
pub fn current(snapshot: &Snapshot) -> Vec<&Object<ImpactAssessmentSpec>> {
    current_of(&snapshot.assessments)
}

/// The same among all assessments of a system.
pub(crate) fn current_of(
    assessments: &[Arc<Object<ImpactAssessmentSpec>>],
) -> Vec<&Object<ImpactAssessmentSpec>> {
    let all: Vec<&Object<ImpactAssessmentSpec>> = assessments
        .iter()
        .map(AsRef::as_ref)
        // An older version of an assessment that still exists is history, not a rival.
        .filter(|a| a.live || !assessments.iter().any(|l| l.live && l.name() == a.name()))
        .collect();
    let superseded = |a: &Object<ImpactAssessmentSpec>| {
        all.iter().any(|b| {
            b.name() != a.name()
                && b.standing().is_some()
                && b.spec.as_ref().is_ok_and(|s| s.supersedes.as_deref() == Some(a.name()))
        })
    };
    let mut current: Vec<_> = all.iter().copied().filter(|a| !superseded(a)).collect();
    // Several remembered versions of one deleted assessment are one assessment.
    current.sort_by(|a, b| a.name().cmp(b.name()));
    current.dedup_by(|a, b| a.name() == b.name());
    if current.is_empty() { all } else { current }
}

/// A Reject of the assessment by a holder of a role blocks.
fn rejected(cx: &Context<'_>, assessment: &Object<ImpactAssessmentSpec>, out: &mut Outcome) {
    let wanted = Wanted {
        kind: SubjectKind::ImpactAssessment,
        name: assessment.name(),
        uid: &assessment.record.uid,
        covers: Covers::Content,
        digest: assessment.digest(),
        also: &[],
        role: None,
        asks: false,
    };
    let authors: Vec<Person> = authors::wrote(cx.snapshot, assessment).collect();
    let tally = approvals::tally(cx, &wanted, &authors, None);
    if !tally.rejects.is_empty() {
        authors::known(cx, GATE, &[Kind::ImpactAssessment], out);
    }
    if let Some((found, about)) = tally.rejected("the assessment as it is") {
        out.not_met(
            GATE,
            Reason::Rejected,
            assessment.name(),
            format!("{} without a Reject", assessment.name()),
            found,
            "system owner",
            cx.command(&format!("mend what was criticised: kubectl edit ia/{}", assessment.name())),
        )
        .about(about);
    }
}

/// Judges the assessment. `current` is as [`current`] gives it, and `scored` holds the scores of the one that counts.
pub fn evaluate(
    cx: &Context<'_>,
    current: &[&Object<ImpactAssessmentSpec>],
    scored: Option<&[Result<Score, ScoreError>]>,
) -> Outcome {
    let Some(requirements) = cx.requirements else { return cx.requirements_unknown(GATE) };
    let mut out = Outcome::default();
    let Some((_, release)) = cx.release else { return cx.requirements_unknown(GATE) };
    let concern = freshness::concern(cx, &mut out);
    assessment_content::left_out(cx, requirements, &mut out);
    let assessment = match current {
        [] => {
            if requirements.assessment {
                out.not_met(
                    GATE,
                    Reason::AssessmentMissing,
                    release.system.to_string(),
                    format!(
                        "an ImpactAssessment of {}, which {} asks for",
                        release.system,
                        cx.policy_names()
                    ),
                    "there is none",
                    "system owner",
                    cx.command("kubectl apply -f ASSESSMENT.yaml"),
                );
            }
            return out;
        }
        [one] => *one,
        several => {
            let names: Vec<&str> = several.iter().map(|a| a.name()).collect();
            let said: Vec<String> = several.iter().map(|a| format!("{}{}", a.name(), gone(a))).collect();
            let mend = several.iter().rev().find(|a| a.live).map_or_else(
                || "apply one of them again, with spec.supersedes: the other".to_owned(),
                |a| cx.command(&format!("kubectl edit ia/{}", a.name())),
            );
            out.unknown(
                GATE,
                Reason::AssessmentsConflict,
                release.system.to_string(),
                "one current assessment; a newer one names the older in spec.supersedes",
                format!("{}, of which none supersedes the other", said.join(" and ")),
                "system owner",
                mend,
            )
            .about(names.iter().copied());
            return out;
        }
    };
    if !assessment.live {
        out.not_met(
            GATE,
            Reason::AssessmentDeleted,
            assessment.name(),
            "the current assessment, or one that supersedes it",
            format!("{} was deleted", assessment.name()),
            "system owner",
            format!("apply it again, or a new one with spec.supersedes: {}", assessment.name()),
        );
        return out;
    }
    if let Some(problem) = assessment.problem() {
        out.problem_since(GATE, assessment, &problem, &cx.snapshot.assessments);
    }
    rejected(cx, assessment, &mut out);
    let Ok(spec) = &assessment.spec else { return out };
    in_date(cx, assessment, spec, requirements.assessment_max_age_days, &mut out);
    freshness::evaluate(cx, (assessment, spec), concern.as_ref(), &mut out);
    for score in scored.into_iter().flatten() {
        match score {
            Ok(score) => {
                let warns = if score.raised.is_some() { "warning: " } else { "" };
                out.notes.push(format!("{warns}{} {}: {}", score.id, score.residual, score.arithmetic));
            }
            Err(error) => not_computable(cx, assessment.name(), error, &mut out),
        }
    }
    assessment_content::evaluate(cx, (assessment, spec), scored, &mut out);
    assessment_approved::evaluate(cx, assessment, &mut out);
    out
}

fn in_date(
    cx: &Context<'_>,
    assessment: &Object<ImpactAssessmentSpec>,
    spec: &ImpactAssessmentSpec,
    max_age_days: Option<i32>,
    out: &mut Outcome,
) {
    let name = assessment.name();
    let edit = cx.command(&format!("kubectl edit ia/{name}"));
    let Some(typed) = spec.assessed_at.as_ref().and_then(time::moment) else {
        let found =
            spec.assessed_at.as_ref().map_or("no date".to_owned(), |t| format!("{t}, which is no day"));
        out.not_met(GATE, Reason::AssessmentUndated, name, "spec.assessedAt", found, "system owner", edit)
            .about(spec.assessed_at.as_ref().map(ToString::to_string));
        return;
    };
    if let Some(at) = spec.assessed_at.as_ref().filter(|at| cx.now.has_come(at) == Some(false)) {
        out.not_met(
            GATE,
            Reason::AssessmentUndated,
            name,
            "spec.assessedAt on a day that has come",
            format!("{at}, which is still to come"),
            "system owner",
            edit.clone(),
        )
        .about([at.to_string()]);
    }
    let Some(standing) = assessment.standing() else { return };
    let start = typed.min(standing.changed_at);
    if let Some(days) = max_age_days
        && cx.now.reached(time::days_after(start, days))
    {
        out.not_met(
            GATE,
            Reason::AssessmentStale,
            name,
            format!("an assessment of at most {days} days, which {} asks for", cx.policy_names()),
            format!("{name} is of {}", start.strftime("%Y-%m-%d")),
            "system owner",
            edit,
        )
        .about([days.to_string(), start.to_string()]);
    }
}

fn not_computable(cx: &Context<'_>, name: &str, error: &ScoreError, out: &mut Outcome) {
    let edit = cx.command(&format!("kubectl edit ia/{name}"));
    let who = "system owner";
    match error {
        ScoreError::UnknownHarm { risk, harm } => out
            .not_met(
                GATE,
                Reason::ScoreNotComputable,
                risk.clone(),
                "harms that are in spec.harms",
                format!("{risk} names {harm}, which is not there"),
                who,
                edit,
            )
            .about([harm]),
        ScoreError::OutOfRange { risk, value } => out
            .not_met(
                GATE,
                Reason::ScoreNotComputable,
                risk.clone(),
                "values from 1 to 5",
                format!("{risk} has {value}"),
                who,
                edit,
            )
            .about([value]),
        ScoreError::Incomplete { risk, wanted } => {
            out.not_met(
                GATE,
                Reason::ScoreNotComputable,
                risk.clone(),
                *wanted,
                format!("{risk} has none"),
                who,
                edit,
            );
        }
        ScoreError::ResidualAboveInherent { risk, found } => {
            out.not_met(
                GATE,
                Reason::ResidualAboveInherent,
                risk.clone(),
                "residual values that are not above the inherent ones",
                format!("{risk}: {found}"),
                who,
                edit,
            );
        }
    }
}

/// A digest cut for a line of text.
pub(crate) fn short(digest: &str) -> String {
    if digest.len() > 19 { format!("{}…", &digest[..19]) } else { digest.to_owned() }
}
