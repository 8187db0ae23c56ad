//! Whose word counts: the rules on people that approvals and acceptances share, and what policies ask of a role.

use placet_api::approval::{ApprovalSpec, Covers, SubjectKind};
use placet_api::releasepolicy::Proof;

use super::Context;
use crate::object::Standing;
use crate::policy::{Requirements, covers_key};
use crate::signature::proven;
use crate::time;

/// Whether somebody held the role that they decided in, or why that does not count.
///
/// # Errors
/// Why it does not count, in words.
pub fn entitled(cx: &Context<'_>, standing: &Standing, role: &str) -> Result<(), String> {
    let who = &standing.creator;
    if standing.holds_role != Some(true) {
        return Err(format!("{who} does not hold the role {role}"));
    }
    if standing.by_wildcard && !cx.requirements.is_some_and(|r| r.wildcards_count) {
        return Err(format!(
            "{who} holds the role {role} only by a wildcard that covers every role, and nobody gave it to them by name"
        ));
    }
    Ok(())
}

/// Whether somebody is one whose word counts, whatever their role, or why not: the rules on people that approvals and
/// acceptances share.
///
/// # Errors
/// Why it does not count, in words.
pub fn eligible(cx: &Context<'_>, standing: &Standing) -> Result<(), String> {
    let who = &standing.creator;
    if let Some(doubt) = standing.doubtful_name {
        return Err(format!("the name of {who} {doubt}, so it may be taken for another's"));
    }
    let Some(requirements) = cx.requirements else { return Ok(()) };
    if standing.role_lost && requirements.void_on_role_loss {
        return Err(format!("{who} does not hold the role any more"));
    }
    if standing.service_account && !requirements.service_accounts.contains(who) {
        return Err(format!("{who} is a service account"));
    }
    if let Some(group) = standing.groups.iter().find(|g| requirements.barred_groups.contains(*g)) {
        return Err(format!("{who} is in the group {group}, which neither approves nor accepts"));
    }
    let days = requirements.policy_change_days;
    let changed = requirements.policy_authors.iter().any(|(author, at)| {
        let barred = days.is_some_and(|d| standing.created_at < time::days_after(*at, d));
        barred && *at <= standing.created_at && requirements.same(author) == requirements.same(who)
    });
    if let Some(days) = days.filter(|_| changed) {
        return Err(format!("{who} changed a policy that applies less than {days} days before"));
    }
    Ok(())
}

/// Whether an approval is given as the policies ask it of its role: by nobody in a group that does not count, and proven.
///
/// # Errors
/// What is wrong, in words.
pub fn as_asked(
    cx: &Context<'_>,
    standing: &Standing,
    (spec, covers): (&ApprovalSpec, Covers),
    about: SubjectKind,
    (term, proof): (Option<&Requirements>, Option<Proof>),
) -> Result<(), String> {
    let (all, key) = (term.or(cx.requirements), covers_key(covers));
    let of_role = || {
        let rules = all.into_iter().flat_map(|r| &r.approvals);
        rules.filter(|((role, _), _)| role == spec.role.as_str())
    };
    // What answers a Reject of another part than the role is asked for is held to the same, and what is said beside a release
    // to all that is asked of the role.
    let exact = about == SubjectKind::ModelRelease && of_role().any(|((_, asked), _)| *asked == key);
    let rules = || of_role().filter(|((_, asked), _)| !exact || *asked == key).map(|(_, rule)| rule);
    let out = |g: &&String| rules().any(|rule| rule.not_in_groups.contains(*g));
    if let Some(group) = standing.groups.iter().find(out) {
        let who = &standing.creator;
        return Err(format!("{who} is in the group {group}, which does not count as {}", spec.role));
    }
    // What is said beside a release (on the system, an assessment, an acceptance) decides which policies ask and what is left
    // to ask: it is proven as any policy of the namespace has the role prove itself.
    let beside = || cx.policies.proof(spec.role.as_str(), &cx.snapshot.namespace_labels);
    let beside = if about == SubjectKind::ModelRelease { None } else { beside() };
    let proof = rules().filter_map(|rule| rule.proof).max().max(proof).max(beside);
    proven(proof, standing, spec.into(), ("approval", "placet approve"))
}
