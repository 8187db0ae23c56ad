//! Which version of each policy is in force: the last one that took effect, as the log says, until another takes its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::approval::{ApprovalSpec, SubjectKind};
use placet_api::releasepolicy::ReleasePolicySpec;

use super::World;
use crate::guard::{self, Change, Ground, Policy, Ruling};
use crate::object::{Object, Record};
use crate::people::Person;
use crate::policy::PolicySet;
use crate::signature::Trust;

/// What the log says of policies. Empty where there is no log: then what is there is in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// The namespace in which approvals of policies count, where changes are guarded at all.
    namespace: Option<String>,
    /// Whether the installation is being set up: no release was judged.
    open: bool,
    versions: BTreeMap<String, Policy>,
    /// Roles that exist, or once did.
    pub(super) roles: BTreeSet<String>,
}

impl World {
    /// From now on a change that loosens a policy takes effect only when somebody entitled approved it in this namespace.
    /// `open`: no release was judged yet, so that policies take effect as they come.
    pub fn guard(&mut self, namespace: &str, open: bool) {
        self.in_force.namespace = Some(namespace.to_owned());
        self.in_force.open = open;
        self.policies_changed();
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

    /// The log says that this version of a policy took effect.
    pub fn took_effect(&mut self, record: Record) {
        let name = record.name.clone();
        self.policies.remember((String::new(), name.clone()), record.clone());
        self.in_force.versions.insert(name, Arc::new(Object::new(record, false)));
        self.policies_changed();
    }

    /// The log says that the deletion of a policy took effect.
    pub fn ended(&mut self, name: &str) {
        self.in_force.versions.remove(name);
        self.policies_changed();
    }

    /// The log says that there was such a role.
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

    /// What has not taken effect of a policy: the change from the version in force to the one that is there. `deleter`: who
    /// asks for its deletion, which is then judged as if it were done.
    pub fn change(&self, name: &str, now: Timestamp, deletion: Option<&Person>) -> Option<Change> {
        let namespace = self.in_force.namespace.as_deref()?;
        let before = self.in_force.versions.get(name);
        let live = self.policies.live.get(&(String::new(), name.to_owned()));
        let after = live.filter(|_| deletion.is_none());
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
        let approvals: Vec<_> = self.approvals_of_policy(namespace, name).collect();
        let (signers, remembered) = self.trust(approvals.iter().map(|a| &a.record));
        let ground = Ground {
            open: self.in_force.open,
            others,
            roles: &self.in_force.roles,
            approvals,
            trust: Trust { signers: &signers, remembered: &remembered },
            now,
            deleter: deletion,
        };
        let (loosens, ruling) = guard::rule(name, before, after, &ground);
        Some(Change {
            name: name.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
            loosens,
            ruling,
        })
    }

    /// The digest by which the deletion of a policy is approved; None if none is in force.
    pub fn deletion_digest(&self, name: &str) -> Option<String> {
        let version = self.in_force.versions.get(name)?;
        guard::deletion(placet_api::Kind::ReleasePolicy, name, version.digest()).ok()
    }

    /// Approvals of versions of a policy in a namespace.
    pub fn approvals_of_policy<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Object<ApprovalSpec>>> {
        self.approvals.in_namespace(namespace).filter(move |a| {
            let subject = a.spec.as_ref().map(|s| &s.subject);
            subject.is_ok_and(|s| s.kind == SubjectKind::ReleasePolicy && s.name.as_str() == name)
        })
    }

    /// Names of policies of which the version in force is not the one that is there.
    pub fn unsettled_policies(&self) -> Vec<String> {
        let live = self.policies.live.keys().map(|(_, name)| name);
        let mut names: BTreeSet<&String> = live.chain(self.in_force.versions.keys()).collect();
        names.retain(|name| {
            let now = self.policies.live.get(&(String::new(), (*name).clone())).map(|p| p.digest());
            self.in_force.versions.get(*name).map(|p| p.digest()) != now
        });
        names.into_iter().cloned().collect()
    }

    /// Whether a change of this kind waits.
    pub fn waits(&self, name: &str, now: Timestamp) -> Option<Change> {
        self.change(name, now, None).filter(|c| matches!(c.ruling, Ruling::Waits(_)))
    }
}
