//! What approvals are about: the digest that one must name now, and what is wrong with a policy.

use placet_api::Kind;
use placet_api::approval::{Covers, Subject, SubjectKind};
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_gate::gates::approvals;
use placet_gate::object::{Object, Record};
use placet_gate::people::Person;
use placet_gate::signature::{Decided, Trust};
use placet_gate::world::{Clock, World};
use placet_gate::{evaluate, policy};

use crate::status::Approved;

/// The digest that an approval of this subject must name now, unless it covers the evidence of a release; None if the
/// subject is not there.
fn current_digest(world: &World, namespace: &str, subject: &Subject) -> Option<String> {
    let name = subject.name.as_str();
    let digest = match (subject.kind, subject.covers) {
        (SubjectKind::ModelRelease, _) => world.release(namespace, name)?.digest().to_owned(),
        (SubjectKind::AISystem, Covers::Classification) => {
            world.system(namespace, name)?.classification.clone()?
        }
        (SubjectKind::AISystem, _) => world.system(namespace, name)?.digest().to_owned(),
        (SubjectKind::ImpactAssessment, _) => world.assessment(namespace, name)?.digest().to_owned(),
        (SubjectKind::RiskAcceptance, _) => world.acceptance(namespace, name)?.digest().to_owned(),
        (SubjectKind::ReleasePolicy | SubjectKind::ApprovalRole | SubjectKind::TrustedSigner, _) => {
            crate::guard::digest(world, namespace, subject)?
        }
    };
    Some(digest).filter(|d| !d.is_empty())
}

/// What an approval of this subject is held against.
pub fn approved(world: &World, clock: &Clock, namespace: &str, subject: &Subject) -> Approved {
    let release = subject.kind == SubjectKind::ModelRelease && subject.covers == Covers::Evidence;
    let decision =
        release.then(|| evaluate(&world.snapshot(namespace, subject.name.as_str(), clock.clone())));
    let (digest, stands_on) = match decision {
        Some(decision) => (decision.evidence, decision.shown.stands_on),
        None => (current_digest(world, namespace, subject), None),
    };
    Approved {
        digest,
        stands_on,
        uid: uid(world, namespace, subject),
        authors: authors(world, clock, namespace, subject),
        void: None,
    }
}

/// Why the signature of an approval or an acceptance does not count, if it carries one that does not; people stand in it as
/// tokens.
pub fn void<'o, S>(world: &World, object: &'o Object<S>) -> Option<String>
where
    Decided<'o>: From<&'o S>,
{
    let (spec, standing) = (object.spec.as_ref().ok()?, object.standing()?);
    let (signers, remembered) = world.trust([&object.record]);
    let trust = Trust { signers: &signers, remembered: &remembered };
    trust.decider(&object.record, spec, standing).err().map(|void| void.text)
}

/// Whether a Reject in this role blocks anything: of a release, if the policies that apply ask for the role's approval; of
/// anything else, if any policy names the role. What applies not being known, it may.
pub fn may_reject(world: &World, clock: &Clock, namespace: &str, subject: &Subject, role: &str) -> bool {
    if subject.kind == SubjectKind::ModelRelease {
        let snapshot = world.snapshot(namespace, subject.name.as_str(), clock.clone());
        let class = snapshot.class();
        let matched = snapshot.policies.matching(class, &snapshot.namespace_labels);
        return match &matched.joined.requirements {
            Ok(asked) if class.is_some() && !matched.policies.is_empty() => {
                asked.approvals.keys().any(|(asks, _)| asks == role)
            }
            _ => true,
        };
    }
    let mut all = world.policies().chain(world.in_force().iter());
    all.any(|p| p.spec.as_ref().is_ok_and(|spec| roles_of(spec).iter().any(|r| r == role)))
}

/// Roles that a policy names.
fn roles_of(spec: &ReleasePolicySpec) -> Vec<String> {
    let mut roles: Vec<String> = spec.approvals.iter().map(|a| a.role.to_string()).collect();
    let class = spec.classification.iter();
    roles.extend(
        class.flat_map(|c| [&c.approved_by].into_iter().chain(&c.lowered_by)).map(ToString::to_string),
    );
    roles.extend(spec.guard.iter().filter_map(|g| g.role.as_ref()).map(ToString::to_string));
    let authority = spec.acceptance_authority.iter().flatten();
    roles.extend(
        authority.flat_map(|a| a.roles.iter().chain(a.consulted.iter().flatten()).map(ToString::to_string)),
    );
    roles
}

/// Whose approval of a subject does not count, since they wrote it: of a release unless every policy that applies lets
/// authors approve, of a system always.
fn authors(world: &World, clock: &Clock, namespace: &str, subject: &Subject) -> Vec<Person> {
    let name = subject.name.as_str();
    match subject.kind {
        SubjectKind::ModelRelease => {
            let snapshot = world.snapshot(namespace, name, clock.clone());
            let class = snapshot.class();
            let matched = snapshot.policies.matching(class, &snapshot.namespace_labels);
            let known = class.is_some() && !matched.policies.is_empty();
            let may = matched.joined.requirements.as_ref().is_ok_and(|r| r.author_may_approve);
            if known && may { Vec::new() } else { approvals::authors(&snapshot) }
        }
        SubjectKind::AISystem => {
            let standing = world.system(namespace, name).and_then(|s| s.standing());
            standing.map(|s| s.authors.clone()).unwrap_or_default()
        }
        // Who edited a policy, a role or a signer is told on it.
        SubjectKind::ImpactAssessment
        | SubjectKind::RiskAcceptance
        | SubjectKind::ReleasePolicy
        | SubjectKind::ApprovalRole
        | SubjectKind::TrustedSigner => Vec::new(),
    }
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
        Kind::Approval => &world.approval(namespace, name)?.record,
        Kind::RiskAcceptance => &world.acceptance(namespace, name)?.record,
        Kind::ReleasePolicy => &world.policies().find(|p| p.name() == name)?.record,
        Kind::ApprovalRole => &world.role(name)?.record,
        Kind::TrustedSigner => &world.signer(name)?.record,
    })
}

/// Days before the end of a risk acceptance at which it is told, where no policy says another number.
const WARN_DAYS: i32 = 30;

/// Days before the end of a risk acceptance at which it is told: the most that any policy says.
pub fn warn_days(world: &World) -> i32 {
    let said = world.policies().filter_map(|p| p.spec.as_ref().ok()?.validity.as_ref()?.warn_days);
    said.max().unwrap_or(WARN_DAYS)
}

/// Roles that a policy names and that do not exist, and ways in which it contradicts itself.
pub fn policy_problems(world: &World, object: &Object<ReleasePolicySpec>) -> (Vec<String>, Vec<String>) {
    let Ok(spec) = &object.spec else { return (Vec::new(), Vec::new()) };
    let mut roles = roles_of(spec);
    roles.retain(|role| !world.has_role(role));
    roles.sort();
    roles.dedup();
    (roles, policy::join(&[object]).err().unwrap_or_default())
}
