//! Gate *riskAcceptance*: every residual risk above the policy's appetite is covered by an acceptance in date, by a role
//! that is entitled to its level.

use placet_api::approval::{ApprovalDecision, SubjectKind};
use placet_api::common::Level;
use placet_api::riskacceptance::RiskAcceptanceSpec;

use super::approvals::{authors, eligible, entitled};
use super::{Context, Outcome};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::people::Person;
use crate::risk::Score;
use crate::time;

const GATE: Gate = Gate::RiskAcceptance;

/// Judges the residual risks.
pub fn evaluate(cx: &Context<'_>) -> Outcome {
    let Some(requirements) = cx.requirements else { return cx.requirements_unknown(GATE) };
    let mut out = Outcome::default();
    let Some(appetite) = requirements.appetite else { return out };
    let (Some((assessment, _)), Some(scores)) = (cx.assessment, cx.scores) else {
        if requirements.assessment {
            out.unknown(
                GATE,
                Reason::ScoreNotComputable,
                "",
                "residual risks, from an assessment that counts",
                "the assessment is missing or its scores cannot be computed",
                "system owner",
                "see the gate assessment",
            );
        }
        return out;
    };
    for score in scores.iter().filter(|s| s.residual > appetite) {
        judge(cx, assessment, score, appetite, &mut out);
    }
    out
}

fn judge(
    cx: &Context<'_>,
    assessment: &Object<placet_api::impactassessment::ImpactAssessmentSpec>,
    score: &Score,
    appetite: Level,
    out: &mut Outcome,
) {
    let Some(requirements) = cx.requirements else { return };
    let level = score.residual;
    let found =
        format!("{} is {level} after controls ({}); the appetite is {appetite}", score.id, score.arithmetic);
    if level == Level::VeryHigh {
        out.not_met(
            GATE,
            Reason::RiskNotAcceptable,
            score.id.clone(),
            format!("{} at most High after controls", score.id),
            found,
            "system owner",
            "treat the risk or withdraw the release; nobody may accept VeryHigh",
        )
        .about([level.to_string()]);
        return;
    }
    let roles = requirements.authority.get(&level).filter(|roles| !roles.is_empty());
    let Some(roles) = roles else {
        out.unknown(
            GATE,
            Reason::AuthorityMissing,
            score.id.clone(),
            format!("a policy that says who may accept {level} (spec.acceptanceAuthority)"),
            format!("{} names nobody; {found}", cx.policy_names()),
            "platform team",
            "kubectl edit releasepolicies",
        )
        .about([level.to_string()]);
        return;
    };
    let mut why_not = Vec::new();
    let mut about = vec![level.to_string()];
    about.extend(roles.iter().cloned());
    let mut expired = false;
    for acceptance in &cx.snapshot.acceptances {
        let Ok(spec) = &acceptance.spec else { continue };
        if !spec.risks.iter().any(|r| r.as_str() == score.id)
            || spec.assessment.name.as_str() != assessment.name()
        {
            continue;
        }
        match accepts(cx, acceptance, spec, assessment.digest(), level, roles.contains(spec.role.as_str())) {
            Ok(until) => {
                out.notes.push(format!(
                    "{} {level} accepted by {} until {until}",
                    score.id,
                    acceptance.name()
                ));
                return;
            }
            Err((ended, why)) => {
                expired |= ended;
                why_not.push(format!("{}: {why}", acceptance.name()));
                about.push(acceptance.name().to_owned());
                about.extend(acceptance.standing().map(|s| s.creator.to_string()));
                about.extend(rejected(cx, acceptance));
                if ended {
                    about.push(spec.expires_at.to_string());
                }
            }
        }
    }
    let who = roles.iter().cloned().collect::<Vec<_>>().join(" or ");
    let role = roles.first().cloned().unwrap_or_default();
    let found = if why_not.is_empty() { found } else { format!("{found}; {}", why_not.join("; ")) };
    out.not_met(
        GATE,
        if expired { Reason::AcceptanceExpired } else { Reason::RiskNotAccepted },
        score.id.clone(),
        format!("{} accepted at {level} by {who}", score.id),
        found,
        who,
        cx.command(&format!(
            "placet accept-risk ia/{} {} --role {role} --until DATE",
            assessment.name(),
            score.id
        )),
    )
    .about(about);
}

/// Until when an acceptance covers a level, or whether it ended and why it does not count.
fn accepts(
    cx: &Context<'_>,
    acceptance: &Object<RiskAcceptanceSpec>,
    spec: &RiskAcceptanceSpec,
    digest: &str,
    level: Level,
    may: bool,
) -> Result<String, (bool, String)> {
    counts(cx, acceptance, spec, digest, level, may).map_err(|why| (false, why))?;
    let until = time::date_time(&spec.expires_at)
        .ok_or_else(|| (false, format!("there is no day {}", spec.expires_at)))?;
    if cx.now.reached(until) {
        return Err((true, format!("ended {}", spec.expires_at)));
    }
    Ok(spec.expires_at.to_string())
}

/// Whether an acceptance counts, its term left aside, or why not.
fn counts(
    cx: &Context<'_>,
    acceptance: &Object<RiskAcceptanceSpec>,
    spec: &RiskAcceptanceSpec,
    digest: &str,
    level: Level,
    may: bool,
) -> Result<(), String> {
    let standing = acceptance
        .standing()
        .ok_or_else(|| acceptance.problem().map_or_else(String::new, |p| format!("does not count: {p}")))?;
    if spec.assessment.digest.as_str() != digest {
        return Err("is for another content of the assessment".into());
    }
    if !may {
        return Err(format!("{} may not accept {level}", spec.role));
    }
    entitled(cx, standing, spec.role.as_str())?;
    eligible(cx, standing)?;
    if spec.level < level {
        return Err(format!("accepts {} only", spec.level));
    }
    let same = |a: &Person, b: &Person| cx.requirements.is_some_and(|r| r.same(a) == r.same(b));
    if authors(cx.snapshot).iter().any(|a| same(a, &standing.creator)) {
        return Err(format!(
            "{} wrote or developed the release, its system or its assessment and cannot accept its risks",
            standing.creator
        ));
    }
    if let Some(role) = approved_as(cx, |p| same(p, &standing.creator)) {
        return Err(format!(
            "{} approved the release as {role} and cannot accept its risks",
            standing.creator
        ));
    }
    if let Some(reject) = rejected(cx, acceptance) {
        return Err(format!("withdrawn by {reject}"));
    }
    Ok(())
}

/// The role in which somebody approved the release, of those whose approvers cannot accept its risks.
fn approved_as(cx: &Context<'_>, who: impl Fn(&Person) -> bool) -> Option<String> {
    let roles = &cx.requirements?.acceptor_not_approver_as;
    let (release, _) = cx.release?;
    cx.snapshot.approvals.iter().filter(|a| a.live).find_map(|a| {
        let spec = a.spec.as_ref().ok()?;
        let about = spec.decision == ApprovalDecision::Approve
            && spec.subject.kind == SubjectKind::ModelRelease
            && spec.subject.name.as_str() == release.name()
            && roles.contains(spec.role.as_str());
        (about && who(&a.standing()?.creator)).then(|| spec.role.to_string())
    })
}

/// The name of a Reject whose subject an acceptance is, by somebody who holds the role that it names.
fn rejected(cx: &Context<'_>, acceptance: &Object<RiskAcceptanceSpec>) -> Option<String> {
    cx.snapshot
        .approvals
        .iter()
        .find(|a| {
            a.spec.as_ref().is_ok_and(|s| {
                s.decision == ApprovalDecision::Reject
                    && s.subject.kind == SubjectKind::RiskAcceptance
                    && s.subject.name.as_str() == acceptance.name()
                    && s.subject.digest.as_str() == acceptance.digest()
            }) && a.standing().is_some_and(|s| entitled(cx, s, "").is_ok())
        })
        .map(|a| a.name().to_owned())
}
