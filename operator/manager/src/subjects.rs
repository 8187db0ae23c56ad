//! What became of approvals and acceptances, what they are about, and what is wrong with a policy.

use std::sync::Arc;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, ApprovalSpec, Subject, SubjectKind};
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::riskacceptance::RiskAcceptanceSpec;
use placet_gate::gates::counted::{Cause, WhyNot};
use placet_gate::gates::heard::{Heard, Said};
use placet_gate::guard;
use placet_gate::object::{Object, Record};
use placet_gate::people::Person;
use placet_gate::policy;
use placet_gate::world::{Clock, World};

use crate::conditions::reasons;
use crate::status::Counting;

/// Releases whose decisions are asked what became of an approval of something that is not one of them, at most: the newest.
const ASKED: usize = 8;

/// What became of an approval: what the decisions said that count it. `hear` gives the decision on a release.
pub fn counting(
    world: &World,
    now: Timestamp,
    namespace: &str,
    approval: &Object<ApprovalSpec>,
    mut hear: impl FnMut(&str) -> Arc<Heard>,
) -> Counting {
    let Ok(spec) = &approval.spec else {
        return unknown(reasons::NOT_UNDERSTOOD, "its spec is not understood");
    };
    let subject = &spec.subject;
    let approves = spec.decision == ApprovalDecision::Approve;
    let releases = match subject.kind {
        SubjectKind::ModelRelease => {
            world.release(namespace, &subject.name).map(|_| vec![subject.name.to_string()])
        }
        SubjectKind::AISystem | SubjectKind::ImpactAssessment | SubjectKind::RiskAcceptance => {
            system_of(world, namespace, subject).map(|system| releases_of(world, namespace, &system))
        }
        SubjectKind::ReleasePolicy | SubjectKind::ApprovalRole | SubjectKind::TrustedSigner => {
            return of_change(world, now, namespace, approval, subject);
        }
    };
    let Some(releases) = releases else {
        return unknown(reasons::SUBJECT_NOT_FOUND, "its subject is not there");
    };
    if releases.is_empty() {
        return unknown(reasons::NOT_YET_ASKED, "there is no release yet that asks for it");
    }
    let said: Vec<Said> = releases.iter().map(|release| hear(release).of(approval)).collect();
    if said.contains(&Said::Counts) {
        return counts(approves);
    }
    let not = said.iter().find_map(|s| if let Said::Not(why) = s { Some(why) } else { None });
    if let Some(WhyNot { cause, text, .. }) = not {
        return Counting { counts: Some(false), reason: because(*cause), text: text.clone() };
    }
    if said.contains(&Said::NotKnown) {
        return unknown(reasons::NOT_YET_ASKED, "what is asked for is not known yet");
    }
    let (role, covers) = (&spec.role, subject.covers);
    let text = if approves {
        format!("no policy asks {role} for an approval of it that covers {covers}")
    } else {
        format!("no policy asks for the word of {role} on it: the Reject blocks nothing")
    };
    Counting { counts: Some(false), reason: reasons::NOT_ASKED, text }
}

/// What became of an acceptance: what the decisions said that count it, for each risk that it names. `hear` gives the decision on
/// a release.
pub fn accepting(
    world: &World,
    namespace: &str,
    acceptance: &Object<RiskAcceptanceSpec>,
    hear: impl FnMut(&str) -> Arc<Heard>,
) -> Counting {
    let Ok(spec) = &acceptance.spec else {
        return unknown(reasons::NOT_UNDERSTOOD, "its spec is not understood");
    };
    let Some(system) = system_of_assessment(world, namespace, &spec.assessment.name) else {
        return unknown(reasons::SUBJECT_NOT_FOUND, "its assessment is not there");
    };
    let releases = releases_of(world, namespace, &system);
    if releases.is_empty() {
        return unknown(reasons::NOT_YET_ASKED, "there is no release yet that asks for it");
    }
    let heard: Vec<Arc<Heard>> = releases.iter().map(String::as_str).map(hear).collect();
    let (mut accepted, mut void, mut known, mut reason) = (Vec::new(), Vec::new(), true, None);
    for risk in spec.risks.iter().map(|r| r.id.as_str()) {
        let said: Vec<Said> = heard.iter().map(|heard| heard.of_risk(acceptance, risk)).collect();
        let not = said.iter().find_map(|s| if let Said::Not(why) = s { Some(why) } else { None });
        if said.contains(&Said::Counts) {
            accepted.push(risk);
        } else if let Some(why) = not {
            reason = reason.or(Some(because(why.cause)));
            void.push(format!("{risk}: {}", why.text));
        } else {
            known &= !said.contains(&Said::NotKnown);
        }
    }
    let counts_for = format!("counts for {}", accepted.join(", "));
    match reason {
        Some(reason) => {
            let also = (!accepted.is_empty()).then_some(counts_for);
            let text = void.into_iter().chain(also).collect::<Vec<_>>().join("; ");
            Counting { counts: Some(false), reason, text }
        }
        None if !accepted.is_empty() => {
            Counting { counts: Some(true), reason: reasons::IN_DATE, text: counts_for }
        }
        None if !known => unknown(reasons::NOT_YET_ASKED, "what is asked for is not known yet"),
        None => Counting {
            counts: Some(false),
            reason: reasons::NOT_ASKED,
            text: "no policy asks for it: none of its risks is above an appetite after controls".to_owned(),
        },
    }
}

/// Why something does not count, as a reason of a condition.
fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::Changed => reasons::CONTENT_CHANGED,
        Cause::Ended => reasons::ENDED,
        Cause::Author => reasons::BY_AUTHOR,
        Cause::Role => reasons::ROLE_NOT_HELD,
        Cause::Signature => reasons::NOT_SIGNED,
        Cause::Answered => reasons::ANSWERED,
        Cause::Other => reasons::DOES_NOT_COUNT,
    }
}

fn unknown(reason: &'static str, text: &str) -> Counting {
    Counting { counts: None, reason, text: text.to_owned() }
}

fn counts(approves: bool) -> Counting {
    let text = if approves { "bound to its subject's content" } else { "it blocks its subject" };
    Counting { counts: Some(true), reason: reasons::BOUND, text: text.to_owned() }
}

/// The system of an assessment that is there.
fn system_of_assessment(world: &World, namespace: &str, name: &str) -> Option<String> {
    let assessment = world.assessment(namespace, name)?;
    Some(assessment.spec.as_ref().ok()?.system.to_string())
}

/// The system that a subject, which is there, belongs to.
fn system_of(world: &World, namespace: &str, subject: &Subject) -> Option<String> {
    let name = subject.name.as_str();
    let of_assessment = |name: &str| system_of_assessment(world, namespace, name);
    match subject.kind {
        SubjectKind::AISystem => world.system(namespace, name).map(|_| name.to_owned()),
        SubjectKind::ImpactAssessment => of_assessment(name),
        SubjectKind::RiskAcceptance => {
            let acceptance = world.acceptance(namespace, name)?;
            of_assessment(&acceptance.spec.as_ref().ok()?.assessment.name)
        }
        _ => None,
    }
}

/// Releases of a system that are not withdrawn, the newest first.
fn releases_of(world: &World, namespace: &str, system: &str) -> Vec<String> {
    let names = world.names(Kind::ModelRelease).into_iter().filter(|(ns, _)| ns == namespace);
    let mut all: Vec<_> = names
        .filter_map(|(ns, name)| {
            let release = world.release(&ns, &name)?;
            let spec = release.spec.as_ref().ok()?;
            let its = spec.system.as_str() == system && spec.withdrawn != Some(true);
            its.then(|| (release.standing().map(|s| s.created_at), name))
        })
        .collect();
    all.sort();
    all.into_iter().rev().map(|(_, name)| name).take(ASKED).collect()
}

/// What became of an approval of a change of a policy, a role or a signer.
fn of_change(
    world: &World,
    now: Timestamp,
    namespace: &str,
    approval: &Object<ApprovalSpec>,
    subject: &Subject,
) -> Counting {
    let (kind, name) = (subject.kind.kind(), subject.name.as_str());
    let Some(current) = crate::guard::digest(world, namespace, subject) else {
        return match crate::guard::counts_here(world, namespace, subject) {
            Err(why) => Counting { counts: Some(false), reason: reasons::DOES_NOT_COUNT, text: why },
            Ok(()) => unknown(reasons::SUBJECT_NOT_FOUND, "its subject is not there"),
        };
    };
    let typed = subject.digest.as_str();
    if current != typed {
        let text = format!("it names {typed}, the content is {current}");
        return Counting { counts: Some(false), reason: reasons::CONTENT_CHANGED, text };
    }
    // Who deletes it is not known before they do: then they are told that they may not have approved it.
    let nobody = Person::from_token("");
    let deletion = crate::guard::deletion(world, subject).map(|_| &nobody);
    let approves = approval.spec.as_ref().is_ok_and(|s| s.decision == ApprovalDecision::Approve);
    let Some(change) = world.change(kind, name, now, deletion) else { return counts(approves) };
    match change.heard.get(&approval.id) {
        Some(Ok(())) => counts(approves),
        Some(Err(why)) => {
            Counting { counts: Some(false), reason: reasons::DOES_NOT_COUNT, text: why.clone() }
        }
        None => Counting {
            counts: Some(false),
            reason: reasons::NOT_ASKED,
            text: "its role has no say in this change".to_owned(),
        },
    }
}

/// Whether a Reject in this role blocks anything: of a release, if the policies that apply ask for the role's approval; of
/// anything else, if any policy names the role. What applies not being known, it may.
pub fn may_reject(world: &World, clock: &Clock, namespace: &str, subject: &Subject, role: &str) -> bool {
    if subject.kind == SubjectKind::ModelRelease {
        let snapshot = world.snapshot(namespace, subject.name.as_str(), clock.clone());
        let class = snapshot.class();
        // What was approved in a role that nobody asks any more is taken back in it while the release stands on that.
        let mut before = snapshot.basis.iter().flat_map(|basis| basis.iter());
        let names = |p: &ReleasePolicySpec| {
            let mut asked = p.approvals.iter().map(|a| &a.role).chain(p.validation.iter().map(|v| &v.role));
            asked.any(|r| r.as_str() == role)
        };
        if before.any(|p| p.spec.as_ref().is_ok_and(names)) {
            return true;
        }
        let matched = snapshot.policies.matching(class, &snapshot.namespace_labels);
        return match &matched.joined.requirements {
            Ok(asked) if class.is_some() && !matched.policies.is_empty() => {
                // A gate of a policy's author counts approvals in whatever role it likes.
                asked.approvals.keys().any(|(asks, _)| asks == role)
                    || asked.custom.values().any(|gate| gate.program.reads("approvals"))
            }
            _ => true,
        };
    }
    let mut all = world.policies().chain(world.in_force().iter());
    let reads = |spec: &ReleasePolicySpec| {
        spec.custom_gates.iter().flatten().any(|gate| gate.expression.contains("approvals"))
    };
    all.any(|p| p.spec.as_ref().is_ok_and(|spec| guard::names(spec).contains(role) || reads(spec)))
}

/// Uid of an approval's subject.
pub fn uid(world: &World, namespace: &str, subject: &Subject) -> Option<String> {
    let name = subject.name.as_str();
    let uid = match subject.kind {
        SubjectKind::ModelRelease => &world.release(namespace, name)?.record.uid,
        SubjectKind::AISystem => &world.system(namespace, name)?.record.uid,
        SubjectKind::ImpactAssessment => &world.assessment(namespace, name)?.record.uid,
        SubjectKind::RiskAcceptance => &world.acceptance(namespace, name)?.record.uid,
        SubjectKind::ReleasePolicy | SubjectKind::ApprovalRole | SubjectKind::TrustedSigner => {
            &crate::guard::subject(world, subject.kind.kind(), name)?.0.uid
        }
    };
    Some(uid.clone()).filter(|u| !u.is_empty())
}

/// A live object of ours as it was read; the namespace of cluster kinds is empty.
pub fn record_of<'a>(world: &'a World, kind: Kind, namespace: &str, name: &str) -> Option<&'a Record> {
    Some(match kind {
        Kind::AISystem => &world.system(namespace, name)?.record,
        Kind::ImpactAssessment => &world.assessment(namespace, name)?.record,
        Kind::ModelRelease => &world.release(namespace, name)?.record,
        Kind::TestReport => &world.report(namespace, name)?.record,
        Kind::Dataset => &world.dataset(namespace, name)?.record,
        Kind::Approval => &world.approval(namespace, name)?.record,
        Kind::RiskAcceptance => &world.acceptance(namespace, name)?.record,
        Kind::ReleasePolicy => &world.policies().find(|p| p.name() == name)?.record,
        Kind::ApprovalRole => &world.role(name)?.record,
        Kind::TrustedSigner => &world.signer(name)?.record,
    })
}

/// Days before the end of a risk acceptance at which it is told, where no policy says another number.
const WARN_DAYS: i32 = 30;

/// Days before the end of a risk acceptance at which it is told: the most that any policy of its namespace says.
pub fn warn_days(world: &World, namespace: &str) -> i32 {
    let said = of_namespace(world, namespace).filter_map(|p| p.validity.as_ref()?.warn_days);
    said.max().unwrap_or(WARN_DAYS)
}

/// Policies in force that select a namespace, whichever classes they are for.
fn of_namespace<'w>(world: &'w World, namespace: &str) -> impl Iterator<Item = &'w ReleasePolicySpec> {
    let labels = world.namespace_labels(namespace);
    let all = world.in_force().iter().filter_map(|p| p.spec.as_ref().ok());
    all.filter(move |p| policy::selects(p.applies_to.namespace_selector.as_ref(), &labels))
}

/// When an acceptance ends: when it says, or after the days that a policy in force in its namespace gives its role at most for a
/// level that it accepts.
pub fn ends(world: &World, acceptance: &Object<RiskAcceptanceSpec>) -> Option<Timestamp> {
    let spec = acceptance.spec.as_ref().ok()?;
    let typed = placet_gate::time::date_time(&spec.expires_at)?;
    let Some(given) = acceptance.standing().map(|s| s.created_at) else { return Some(typed) };
    let policies = of_namespace(world, acceptance.record.namespace.as_deref().unwrap_or_default());
    let authorities = policies.flat_map(|p| p.acceptance_authority.iter().flatten());
    let of_role = authorities.filter(|a| a.level <= spec.level && a.roles.contains(&spec.role));
    let days = of_role.filter_map(|a| a.max_days).min();
    Some(days.map_or(typed, |days| typed.min(placet_gate::time::days_after(given, days))))
}

/// Roles that a policy names and that do not exist, and ways in which it contradicts itself.
pub fn policy_problems(world: &World, object: &Object<ReleasePolicySpec>) -> (Vec<String>, Vec<String>) {
    let Ok(spec) = &object.spec else { return (Vec::new(), Vec::new()) };
    let unknown = guard::names(spec).into_iter().filter(|role| !world.has_role(role));
    (unknown.map(str::to_owned).collect(), policy::join(&[object]).err().unwrap_or_default())
}

#[cfg(test)]
#[path = "subjects_tests.rs"]
mod tests;
