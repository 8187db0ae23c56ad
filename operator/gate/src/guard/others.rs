//! In which ways a version of a role or a signer lets more in than the one before it. As with policies, each field is taken
//! apart by name.

use std::collections::BTreeSet;

use placet_api::approvalrole::{ApprovalRoleSpec, RoleScope};
use placet_api::scalar::DateTime;
use placet_api::trustedsigner::{Revoked, TrustedSignerSpec};

use super::loosens::{Found, set};
use crate::object::Record;
use crate::people::Person;
use crate::time;

/// A spec that guards itself, as policies do, by those who guard the policies that name its roles.
pub trait Guarded: Clone {
    /// In which ways a version lets more in than the one before; without one, than none. Empty if in none.
    fn ways(before: Option<&Self>, after: &Self) -> Vec<String>;

    /// Roles in which it lets somebody approve.
    fn roles(&self, name: &str) -> BTreeSet<String>;

    /// Whether a version is one of the same object, and not of another that took its name.
    fn continues(before: &Record, after: &Record) -> bool;

    /// Whether what is there and is not understood or not stamped stands for itself: it counts for nothing.
    const BROKEN_COUNTS_FOR_NOTHING: bool;
}

impl Guarded for TrustedSignerSpec {
    fn ways(before: Option<&Self>, after: &Self) -> Vec<String> {
        let mut out = Found::default();
        let Some(before) = before else {
            let person = Person::from_token(&after.user);
            out.say(format!("user: {person} could sign as {}", listed(&set(&after.roles))));
            return out.0;
        };
        let Self { key, user, roles, groups, expires_at, revoked } = before;
        out.differs("key", key, &after.key);
        out.differs("user", user, &after.user);
        let more: BTreeSet<_> = set(&after.roles).difference(&set(roles)).cloned().collect();
        if !more.is_empty() {
            out.say(format!("roles: {} added", listed(&more)));
        }
        // One more may be that by which they hold a role, one less that which a policy bars.
        let of = |groups: &Option<Vec<_>>| set(groups.as_deref().unwrap_or_default());
        out.differs("groups", &of(groups), &of(&after.groups));
        if later(expires_at.as_ref(), after.expires_at.as_ref()) {
            out.add("expiresAt", said(expires_at.as_ref()), said(after.expires_at.as_ref()));
        }
        let ends = |r: &Option<Revoked>| {
            r.clone().map_or((None, None), |Revoked { at, compromised_since, reason: _ }| {
                (Some(at), compromised_since)
            })
        };
        let ((at, since), (at_now, since_now)) = (ends(revoked), ends(&after.revoked));
        for (field, before, now) in
            [("revoked.at", at, at_now), ("revoked.compromisedSince", since, since_now)]
        {
            if later(before.as_ref(), now.as_ref()) {
                out.add(field, said(before.as_ref()), said(now.as_ref()));
            }
        }
        out.0
    }

    fn roles(&self, _name: &str) -> BTreeSet<String> {
        self.roles.iter().map(ToString::to_string).collect()
    }

    /// Deleting one ends it: one of the same name is another, though it says the same.
    fn continues(before: &Record, after: &Record) -> bool {
        before.uid == after.uid
    }

    const BROKEN_COUNTS_FOR_NOTHING: bool = true;
}

impl Guarded for ApprovalRoleSpec {
    fn ways(before: Option<&Self>, after: &Self) -> Vec<String> {
        let mut out = Found::default();
        // Title and what a holder answers for are read by people and by no rule.
        let Self { title: _, answers_for: _, scope } = after;
        let scope_before = before.and_then(|b| b.scope).unwrap_or(RoleScope::Cluster);
        if *scope == Some(RoleScope::Namespace) && scope_before == RoleScope::Cluster {
            let before = if before.is_some() { "Cluster before" } else { "no such role before" };
            out.say(format!(
                "scope: {before}, Namespace now, so that whoever binds roles in a namespace gives it out there"
            ));
        }
        out.0
    }

    fn roles(&self, name: &str) -> BTreeSet<String> {
        [name.to_owned()].into()
    }

    fn continues(_before: &Record, _after: &Record) -> bool {
        true
    }

    const BROKEN_COUNTS_FOR_NOTHING: bool = false;
}

/// Whether something ends later, or no more. Of what is not understood any change counts.
fn later(before: Option<&DateTime>, now: Option<&DateTime>) -> bool {
    match (before, now) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(before), Some(now)) => match (time::date_time(before), time::date_time(now)) {
            (Some(before), Some(now)) => now > before,
            _ => before != now,
        },
    }
}

fn said(at: Option<&DateTime>) -> String {
    at.map_or_else(|| "none".to_owned(), ToString::to_string)
}

fn listed<T: ToString>(all: &BTreeSet<T>) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
