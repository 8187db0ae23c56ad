//! Which version of each policy is in force: the last one that took effect, as the log says, until another takes its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::ApprovalSpec;
use placet_api::approvalrole::ApprovalRoleSpec;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::trustedsigner::TrustedSignerSpec;

use super::World;
use super::guarded::Versions;
use crate::guard::{self, Change, Ground, Heard, Policy, Proposed, Ruling};
use crate::object::{Object, Record};
use crate::people::Person;
use crate::policy::PolicySet;
use crate::signature::Trust;

/// What the log says of policies, roles and signers. Empty where there is no log: then what is there is in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// The namespace in which approvals of policies count, where changes are guarded at all.
    namespace: Option<String>,
    /// Whether the installation is being set up: no release was judged.
    open: bool,
    versions: BTreeMap<String, Policy>,
    /// Roles that are in force, or once were: somebody may hold them.
    pub(super) roles: BTreeSet<String>,
    /// Whether a release was ever cleared.
    pub(super) cleared: bool,
    pub(super) role_versions: Versions<ApprovalRoleSpec>,
    pub(super) signers: Versions<TrustedSignerSpec>,
    /// Roles in which some key ever counted.
    pub(super) signed_in: BTreeSet<String>,
}

impl World {
    /// From now on a change that loosens a policy takes effect only when somebody entitled approved it in this namespace.
    /// `open`: no release was judged yet, so that policies take effect as they come. Roles and signers do until
    /// [`World::closes`].
    pub fn guard(&mut self, namespace: &str, open: bool) {
        self.in_force.namespace = Some(namespace.to_owned());
        self.in_force.open = open;
        self.policies_changed();
        self.roles_changed();
    }

    /// Whether the installation is being set up.
    pub fn being_set_up(&self) -> bool {
        self.in_force.open
    }

    /// The first release was judged: from now on changes that loosen wait. Nothing, while a policy is there that has not
    /// taken effect.
    pub fn set_up(&mut self) {
        let known = |p: &&Policy| self.in_force.versions.contains_key(p.name()) || p.problem().is_some();
        if self.policies.live.values().filter(known).count() == self.policies.live.len() {
            self.in_force.open = false;
            self.policies_changed();
        }
    }

    /// The namespace in which approvals of policies count; None where changes are not guarded.
    pub fn guarded_in(&self) -> Option<&str> {
        self.in_force.namespace.as_deref()
    }

    /// The log says that this version of a policy, a role or a signer took effect.
    pub fn took_effect(&mut self, record: Record) {
        let name = record.name.clone();
        match record.kind {
            Kind::ReleasePolicy => {
                self.policies.remember((String::new(), name.clone()), record.clone());
                self.in_force.versions.insert(name, Arc::new(Object::new(record, false)));
                self.policies_changed();
            }
            Kind::ApprovalRole => {
                self.in_force.role_versions.took_effect(record);
                self.roles_changed();
            }
            Kind::TrustedSigner => {
                self.was_in_force(&record);
                self.in_force.signers.took_effect(record);
            }
            _ => {}
        }
    }

    /// The log says that the deletion of one took effect.
    pub fn ended(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::ReleasePolicy => {
                self.in_force.versions.remove(name);
                self.policies_changed();
            }
            Kind::ApprovalRole => {
                self.in_force.role_versions.ended(name);
                self.roles_changed();
            }
            Kind::TrustedSigner => self.in_force.signers.ended(name),
            _ => {}
        }
    }

    /// The log says that such a role was in force.
    pub fn had_role(&mut self, name: &str) {
        self.in_force.roles.insert(name.to_owned());
    }

    /// The version of a policy that the log says is in force.
    pub fn version_in_force(&self, name: &str) -> Option<&Policy> {
        self.in_force.versions.get(name)
    }

    /// Policies that decide.
    pub fn in_force(&self) -> &Arc<PolicySet> {
        &self.policy_set
    }

    /// Every policy that decides about something: those in force, and those that a release still stands on.
    pub fn deciding(&self) -> impl Iterator<Item = &Policy> {
        let standing = self.standing.iter().filter_map(|(_, stands)| stands.as_ref());
        self.policy_set.iter().chain(standing.flat_map(|set| set.iter()))
    }

    /// What decides: of each policy the version in force, or the one that is there where that loosens nothing.
    pub(super) fn effective(&self) -> Vec<Policy> {
        let live = &self.policies.live;
        if self.in_force.namespace.is_none() {
            return live.values().cloned().collect();
        }
        let mut out: BTreeMap<&str, Policy> = BTreeMap::new();
        for (name, version) in &self.in_force.versions {
            out.insert(name, Arc::clone(version));
        }
        let specs = |out: &BTreeMap<&str, Policy>, but: &str| -> Vec<ReleasePolicySpec> {
            out.iter()
                .filter(|(n, _)| **n != but)
                .filter_map(|(_, p)| p.spec.as_ref().ok().cloned())
                .collect()
        };
        for ((_, name), policy) in live {
            let before = self.in_force.versions.get(name);
            // One that does not count or is not understood makes everything that it might apply to Unknown.
            let decides = self.in_force.open
                || policy.problem().is_some()
                || before.is_some_and(|b| b.digest() == policy.digest())
                || {
                    let others = specs(&out, name);
                    let others: Vec<&ReleasePolicySpec> = others.iter().collect();
                    let old = before.and_then(|b| b.spec.as_ref().ok());
                    (before.is_none() && others.is_empty())
                        || guard::ways(old, policy.spec.as_ref().ok(), &others).is_empty()
                };
            if decides {
                out.insert(name, Arc::clone(policy));
            }
        }
        out.into_values().collect()
    }

    /// What has not taken effect of a policy, a role or a signer: the change from the version in force to the one that is
    /// there. `deletion`: who asks for its deletion, which is then judged as if it were done.
    pub fn change(
        &self,
        kind: Kind,
        name: &str,
        now: Timestamp,
        deletion: Option<&Person>,
    ) -> Option<Change> {
        match kind {
            Kind::ReleasePolicy => {
                let live = self.policies.live.get(&(String::new(), name.to_owned()));
                self.change_of_policy(name, live.filter(|_| deletion.is_none()), now, deletion)
            }
            Kind::ApprovalRole => {
                let live = self.role(name).filter(|_| deletion.is_none());
                self.change_of(kind, name, &self.in_force.role_versions, live, now)
            }
            Kind::TrustedSigner => {
                let live = self.signer(name).filter(|_| deletion.is_none());
                self.change_of(kind, name, &self.in_force.signers, live, now)
            }
            _ => None,
        }
    }

    /// The change that a version would be if it were there: of a policy, a role or a signer that somebody writes.
    pub fn proposed(&self, version: &Record, now: Timestamp) -> Option<Change> {
        let (kind, name) = (version.kind, version.name.as_str());
        match kind {
            Kind::ReleasePolicy => {
                let after = Arc::new(Object::new(version.clone(), true));
                self.change_of_policy(name, Some(&after), now, None)
            }
            Kind::ApprovalRole => {
                let after = Arc::new(Object::new(version.clone(), true));
                self.change_of(kind, name, &self.in_force.role_versions, Some(&after), now)
            }
            Kind::TrustedSigner => {
                let after = Arc::new(Object::new(version.clone(), true));
                self.change_of(kind, name, &self.in_force.signers, Some(&after), now)
            }
            _ => None,
        }
    }

    fn change_of_policy(
        &self,
        name: &str,
        after: Option<&Policy>,
        now: Timestamp,
        deletion: Option<&Person>,
    ) -> Option<Change> {
        self.in_force.namespace.as_deref()?;
        let before = self.in_force.versions.get(name);
        if after.is_some_and(|a| a.problem().is_some()) {
            return None;
        }
        match (before, after) {
            (None, None) => return None,
            (Some(before), Some(after)) if before.digest() == after.digest() => return None,
            _ => {}
        }
        let others: Vec<&ReleasePolicySpec> = self
            .policy_set
            .iter()
            .filter(|p| p.name() != name)
            .filter_map(|p| p.spec.as_ref().ok())
            .collect();
        let spec = |p: Option<&'_ Policy>| p.and_then(|p| p.spec.as_ref().ok().cloned());
        let ways = guard::ways(spec(before).as_ref(), spec(after).as_ref(), &others);
        let proposed = Proposed::policy(name, (before, after), &ways, &others, self.in_force.open);
        let (ruling, heard) = self.ruling(&proposed, now, deletion)?;
        let record = |p: Option<&Policy>| p.map(|p| p.record.clone());
        let (before, after) = (record(before), record(after));
        Some(Change {
            kind: Kind::ReleasePolicy,
            name: name.to_owned(),
            before,
            after,
            loosens: ways,
            ruling,
            heard,
        })
    }

    /// What becomes of a change, and of the approvals of it.
    pub(super) fn ruling(
        &self,
        change: &Proposed<'_>,
        now: Timestamp,
        deleter: Option<&Person>,
    ) -> Option<(Ruling, Heard)> {
        let namespace = self.in_force.namespace.as_deref()?;
        let approvals: Vec<_> = self.approvals_of(change.kind, namespace, change.name).collect();
        let (signers, remembered) = self.trust(approvals.iter().map(|a| &a.record));
        let ground = Ground {
            roles: &self.in_force.roles,
            signed_in: &self.in_force.signed_in,
            approvals,
            trust: Trust { signers: &signers, remembered: &remembered },
            now,
            deleter,
        };
        Some((guard::rule(change, &ground), guard::heard(change, &ground)))
    }

    /// The digest by which the deletion of a policy is approved; None if none is in force.
    pub fn deletion_digest(&self, name: &str) -> Option<String> {
        let version = self.in_force.versions.get(name)?;
        guard::deletion(placet_api::Kind::ReleasePolicy, name, version.digest()).ok()
    }

    /// Approvals of versions of a policy, a role or a signer in a namespace.
    pub fn approvals_of<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Object<ApprovalSpec>>> {
        self.approvals.in_namespace(namespace).filter(move |a| {
            let subject = a.spec.as_ref().map(|s| &s.subject);
            subject.is_ok_and(|s| s.kind.kind() == kind && s.name.as_str() == name)
        })
    }

    /// Names of the policies, roles or signers of which the version in force is not the one that is there.
    pub fn unsettled_of(&self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::ApprovalRole => self.in_force.role_versions.unsettled(&self.roles.live),
            Kind::TrustedSigner => self.in_force.signers.unsettled(&self.signers.live),
            Kind::ReleasePolicy => {
                let live = self.policies.live.keys().map(|(_, name)| name);
                let mut names: BTreeSet<&String> = live.chain(self.in_force.versions.keys()).collect();
                names.retain(|name| {
                    let now = self.policies.live.get(&(String::new(), (*name).clone())).map(|p| p.digest());
                    self.in_force.versions.get(*name).map(|p| p.digest()) != now
                });
                names.into_iter().cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The change of this one, if it waits.
    pub fn waits(&self, kind: Kind, name: &str, now: Timestamp) -> Option<Change> {
        self.change(kind, name, now, None).filter(|c| matches!(c.ruling, Ruling::Waits(_)))
    }
}
