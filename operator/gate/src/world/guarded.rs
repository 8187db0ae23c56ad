//! Which version of each role and each signer is in force. As with policies, that is the log's word; what differs is that one
//! that is gone decides nothing, and that a new one which waits is as if it were not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approvalrole::ApprovalRoleSpec;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::trustedsigner::TrustedSignerSpec;
use serde::de::DeserializeOwned;

use super::{Key, World};
use crate::guard::{self, Change, Guarded, Proposed};
use crate::object::{Object, Record};

/// What the log says of one kind.
#[derive(Debug)]
pub(super) struct Versions<S> {
    /// Whether changes wait: the log says that the kind was set up.
    closed: bool,
    versions: BTreeMap<String, Arc<Object<S>>>,
}

impl<S> Default for Versions<S> {
    fn default() -> Self {
        Self { closed: false, versions: BTreeMap::new() }
    }
}

impl<S: DeserializeOwned + Guarded> Versions<S> {
    pub(super) fn took_effect(&mut self, record: Record) {
        self.versions.insert(record.name.clone(), Arc::new(Object::new(record, false)));
    }

    pub(super) fn ended(&mut self, name: &str) {
        self.versions.remove(name);
    }

    /// The version in force of an object, and not of an earlier one of its name.
    fn before(&self, live: &Object<S>) -> Option<&Arc<Object<S>>> {
        self.versions.get(live.name()).filter(|before| S::continues(&before.record, &live.record))
    }

    /// The version of an object that decides: the one that is there, or the one before; None if none does.
    fn decides<'a>(&'a self, live: &'a Arc<Object<S>>) -> Option<&'a Arc<Object<S>>> {
        if !self.closed || (S::BROKEN_COUNTS_FOR_NOTHING && live.problem().is_some()) {
            return Some(live);
        }
        let before = self.before(live);
        let Ok(spec) = &live.spec else { return before.or(Some(live)) };
        if before.is_some_and(|b| b.digest() == live.digest()) {
            return Some(live);
        }
        let old = before.and_then(|b| b.spec.as_ref().ok());
        if S::ways(old, spec).is_empty() { Some(live) } else { before }
    }

    /// Names of those of which the version in force is not the one that is there.
    pub(super) fn unsettled(&self, live: &BTreeMap<Key, Arc<Object<S>>>) -> Vec<String> {
        let same = |o: &Object<S>| self.before(o).is_some_and(|b| b.digest() == o.digest());
        let changed = live.values().filter(|o| !same(o)).map(|o| o.name());
        let gone = self.versions.keys().filter(|name| !live.contains_key(&(String::new(), (*name).clone())));
        let all: BTreeSet<&str> = changed.chain(gone.map(String::as_str)).collect();
        all.into_iter().map(str::to_owned).collect()
    }
}

impl World {
    /// A release was cleared: roles and signers that are there are those that the installation was set up with.
    pub fn in_use(&mut self) {
        self.in_force.cleared = true;
    }

    /// Whether a release was ever cleared.
    pub fn is_in_use(&self) -> bool {
        self.in_force.cleared
    }

    /// Whether the log is to say now that from now on changes of a kind wait: everything that is there took effect, and some
    /// release was cleared.
    pub fn may_close(&self, kind: Kind) -> bool {
        let open = match kind {
            Kind::ApprovalRole => !self.in_force.role_versions.closed,
            Kind::TrustedSigner => !self.in_force.signers.closed,
            _ => false,
        };
        let known = |name: &String| {
            // What does not count cannot take effect.
            let broken = match kind {
                Kind::ApprovalRole => self.role(name).and_then(|o| o.problem()),
                _ => self.signer(name).and_then(|o| o.problem()),
            };
            broken.is_some()
        };
        open && self.in_force.cleared
            && self.guarded_in().is_some()
            && self.unsettled_of(kind).iter().all(known)
    }

    /// The log says that from now on changes of a kind that loosen wait.
    pub fn closes(&mut self, kind: Kind) {
        match kind {
            Kind::ApprovalRole => self.in_force.role_versions.closed = true,
            Kind::TrustedSigner => self.in_force.signers.closed = true,
            _ => {}
        }
        self.roles_changed();
    }

    /// The log says that this version of a signer was in force once: a key counted in its roles.
    pub fn was_in_force(&mut self, signer: &Record) {
        if let Ok(spec) = serde_json::from_value::<TrustedSignerSpec>(signer.spec.value()) {
            self.in_force.signed_in.extend(spec.roles.iter().map(ToString::to_string));
        }
    }

    /// The version of a role that decides; None if there is no such role, or it waits.
    pub fn role_in_force(&self, name: &str) -> Option<&Arc<Object<ApprovalRoleSpec>>> {
        let live = self.role(name)?;
        if self.guarded_in().is_none() { Some(live) } else { self.in_force.role_versions.decides(live) }
    }

    /// The version of a signer that decides; None if there is none of this name, or it waits.
    pub fn signer_in_force(&self, name: &str) -> Option<&Arc<Object<TrustedSignerSpec>>> {
        let live = self.signer(name)?;
        if self.guarded_in().is_none() { Some(live) } else { self.in_force.signers.decides(live) }
    }

    /// Signers of some keys as decisions read them: those that stand behind signatures are live, whichever version it is,
    /// and all others are not.
    pub(super) fn signers_of(&self, keys: &BTreeSet<&str>) -> Vec<Arc<Object<TrustedSignerSpec>>> {
        let of = |s: &Object<TrustedSignerSpec>| s.record.key().is_some_and(|k| keys.contains(k));
        let mut out: Vec<Arc<Object<TrustedSignerSpec>>> = Vec::new();
        for live in self.signers.live.values() {
            let stands = self.signer_in_force(live.name());
            if of(live) && stands.is_none_or(|s| s.id != live.id) {
                out.push(with_life(live, false));
            }
            let stands = stands.filter(|s| of(s));
            out.extend(stands.map(|s| if s.live { Arc::clone(s) } else { with_life(s, true) }));
        }
        let gone = self.signers.gone.values().flat_map(BTreeMap::values).filter(|s| of(s));
        let gone: Vec<_> = gone.filter(|g| !out.iter().any(|o| o.id == g.id)).cloned().collect();
        out.extend(gone);
        out
    }

    pub(super) fn change_of<S: DeserializeOwned + Guarded>(
        &self,
        kind: Kind,
        name: &str,
        versions: &Versions<S>,
        after: Option<&Arc<Object<S>>>,
        now: Timestamp,
    ) -> Option<Change> {
        let before = versions.versions.get(name);
        let same_life = after.and_then(|a| versions.before(a));
        let (ways, roles) = match after {
            None => {
                before?;
                // One signer less, one role less: nothing that was not let in before is.
                (Vec::new(), BTreeSet::new())
            }
            Some(after) => {
                if after.problem().is_some() || same_life.is_some_and(|b| b.digest() == after.digest()) {
                    return None;
                }
                let spec = after.spec.as_ref().ok()?;
                (S::ways(same_life.and_then(|b| b.spec.as_ref().ok()), spec), spec.roles(name))
            }
        };
        let policies: Vec<&ReleasePolicySpec> =
            self.policy_set.iter().filter_map(|p| p.spec.as_ref().ok()).collect();
        let judges: Vec<Vec<&ReleasePolicySpec>> =
            guard::concerned(&roles, &policies, &self.in_force.roles).into_iter().map(|p| vec![p]).collect();
        let changed = after.or(same_life).and_then(|a| Some(a.standing()?.changed_at));
        // Who approved it before it was deleted did not approve that it comes back.
        let deleted = after.and_then(|a| self.signatures.deleted.get(a.record.key()?)).copied();
        let record = |o: Option<&Arc<Object<S>>>| o.map(|o| o.record.clone());
        let (from, to) = (record(same_life), record(after));
        let proposed = Proposed {
            kind,
            name,
            before: from.as_ref(),
            after: to.as_ref(),
            ways: &ways,
            first: !versions.closed || judges.is_empty(),
            since: changed.max(deleted),
            judges,
        };
        let (ruling, heard) = self.ruling(&proposed, now, None)?;
        let (name, before) = (name.to_owned(), record(before));
        Some(Change { kind, name, before, after: to, loosens: ways, ruling, heard })
    }
}

/// A version that decides though another one is there, or is there and does not decide.
fn with_life(version: &Object<TrustedSignerSpec>, live: bool) -> Arc<Object<TrustedSignerSpec>> {
    let mut out = version.clone();
    out.live = live;
    Arc::new(out)
}
