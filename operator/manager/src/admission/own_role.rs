//! The role that somebody decides in: the API server is asked, and its answer says whether they may.

use jiff::Timestamp;
use placet_api::keys;
use placet_api::releasepolicy::{ReleasePolicySpec, WildcardGrants};
use placet_gate::stamp::{RoleAnswer, StampText};
use placet_gate::world::World;
use serde_json::Value;

use super::Admission;
use super::review::{Answer, Request, UserInfo};

/// Asks whether the sender, or whoever signed it, holds the role that a spec names.
///
/// # Errors
/// The API server did not answer.
pub async fn ask(
    a: &Admission,
    request: &Request,
    signer: Option<&UserInfo>,
    spec: &Value,
    now: Timestamp,
) -> Result<RoleAnswer, Answer> {
    let name = spec.get("role").and_then(Value::as_str).unwrap_or_default();
    let user = signer.unwrap_or(&request.user_info);
    let asked_in = crate::access::asked_in(&a.state.world(), name, &request.namespace);
    let asked = (keys::VERB_APPROVE, name);
    let held = crate::access::holds_role(&a.client, &a.state, user, asked, asked_in).await;
    let (allowed, wildcard) = held.map_err(|error| unanswered(user, name, &error))?;
    let signed_by = signer.map(|s| s.username.clone());
    Ok(RoleAnswer { name: name.to_owned(), user: signed_by, allowed, wildcard, at: now })
}

/// The answer where the API server does not say who holds a role.
pub(super) fn unanswered(user: &UserInfo, role: &str, error: &anyhow::Error) -> Answer {
    let user = &user.username;
    let text = format!("the API server did not say whether {user} holds the role {role}: {error}; try again");
    Answer::deny(503, "ServiceUnavailable", text)
}

/// Whether there is such a role.
///
/// # Errors
/// There is none, or it waits for a second person: in words.
pub fn exists(world: &World, role: &str) -> Result<(), String> {
    if world.has_role(role) {
        return Ok(());
    }
    if world.role(role).is_some() {
        return Err(format!(
            "spec.role: wanted an ApprovalRole that is in force, found {role}, which a second person has not approved yet: \
             placet why approle/{role}"
        ));
    }
    Err(format!("spec.role: wanted an ApprovalRole that exists, found {role}; see kubectl get approvalroles"))
}

/// Whether what was stamped lets them decide.
///
/// # Errors
/// They may not: in words, which are about the role alone.
pub fn stamped(a: &Admission, world: &World, stamp: &StampText, signed: bool) -> Result<(), String> {
    // What was stamped is what is stored: another webhook may have changed neither the signature nor whose it is.
    if signed != stamp.role.as_ref().is_some_and(|r| r.user.is_some()) {
        return Err(
            "spec.signed: the role was asked of somebody else than who signed it; apply it again".into()
        );
    }
    may_decide(a, world, stamp.decider(), stamp.role.as_ref())
}

/// Whether somebody of whom the API server said this may decide.
///
/// # Errors
/// They may not: in words, which are about the role alone.
pub fn may_decide(
    a: &Admission,
    world: &World,
    user: &str,
    answer: Option<&RoleAnswer>,
) -> Result<(), String> {
    let role = answer.map(|r| r.name.as_str()).unwrap_or_default();
    if *user == *a.operator_user {
        return Err(format!("{user} is the operator's own account, which decides nothing in a role"));
    }
    if let Some(answer) = answer.filter(|r| r.allowed) {
        let counts = |p: &ReleasePolicySpec| {
            let duties = p.separation_of_duties.as_ref();
            duties.and_then(|d| d.wildcard_grants) == Some(WildcardGrants::Count)
        };
        if !answer.wildcard || world.in_force().iter().any(|p| p.spec.as_ref().is_ok_and(counts)) {
            return Ok(());
        }
        return Err(format!(
            "wanted somebody who was given the role {role} by name, found {user}, who holds every role by a wildcard or \
             as a member of system:masters; have the platform team bind the role, or say wildcardGrants: Count in a policy"
        ));
    }
    Err(format!(
        "wanted a holder of the role {role}, found {user}, who may not approve approvalroles.placet.dev/{role}; \
         ask the platform team to bind you to it, or let a holder decide: \
         kubectl auth can-i -A approve approvalroles.placet.dev/{role}"
    ))
}
