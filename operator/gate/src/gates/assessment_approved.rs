//! Whether the assessment itself is approved by the roles that policies ask for it, by nobody who wrote it; and since when,
//! since who approves a release rests on an assessment that others approved before.

use placet_api::Kind;
use placet_api::approval::{Covers, SubjectKind};
use placet_api::impactassessment::ImpactAssessmentSpec;

use super::approvals::{self, Tally, Wanted};
use super::counted::{Cause, WhyNot};
use super::rejects::When;
use super::{Context, Outcome, authors};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::people::Person;

const GATE: Gate = Gate::Assessment;

/// Since when each role that is asked has approved the assessment as it is; None if none is, or one has not.
pub fn since(cx: &Context<'_>) -> Option<When> {
    let roles = &cx.requirements?.register.approved_by;
    let (assessment, _) = cx.assessment?;
    let firsts: Option<Vec<When>> = roles.iter().map(|role| tally(cx, assessment, role).first).collect();
    firsts?.into_iter().reduce(|one, other| if other.after(one) { other } else { one })
}

/// Approvals of the assessment in a role, without those of who wrote it or the system.
fn tally(cx: &Context<'_>, assessment: &Object<ImpactAssessmentSpec>, role: &str) -> Tally {
    let wanted = Wanted {
        kind: SubjectKind::ImpactAssessment,
        name: assessment.name(),
        uid: &assessment.record.uid,
        covers: Covers::Content,
        digest: assessment.digest(),
        also: &[],
        role: Some(role),
        asks: true,
    };
    approvals::tally(cx, &wanted, &authors::assessment_authors(cx.snapshot, assessment), None)
}

/// Why an approval of the release does not count that was given before the assessment was approved.
pub(super) fn too_early(name: &str, who: &Person, since: When) -> WhyNot {
    let since = since.moment();
    let text = format!(
        "{who} approved before the assessment was approved ({}): approve again",
        since.strftime("%Y-%m-%dT%H:%M:%SZ")
    );
    WhyNot { cause: Cause::Other, text, about: vec![name.to_owned(), who.to_string(), since.to_string()] }
}

/// Asks for the approvals of the assessment.
pub fn evaluate(cx: &Context<'_>, assessment: &Object<ImpactAssessmentSpec>, out: &mut Outcome) {
    let Some(requirements) = cx.requirements else { return };
    if !requirements.register.approved_by.is_empty() {
        authors::known(cx, GATE, &[Kind::AISystem, Kind::ImpactAssessment], out);
    }
    for role in &requirements.register.approved_by {
        let tally = tally(cx, assessment, role);
        if !tally.counted.is_empty() {
            continue;
        }
        out.not_met(
            GATE,
            if tally.why_not.iter().any(|why| why.cause == Cause::Ended) {
                Reason::ApprovalExpired
            } else {
                Reason::AssessmentNotApproved
            },
            role.clone(),
            format!("{} approved by {role}, by nobody who wrote it or the system", assessment.name()),
            tally.found_or(&format!("nobody of {role} approved it as it is")),
            role.clone(),
            cx.command(&format!("placet approve ia/{} --role {role}", assessment.name())),
        )
        .about(
            [assessment.name().to_owned(), assessment.digest().to_owned()].into_iter().chain(tally.about()),
        );
    }
}
