//! The policies that releases stand on: those that each was cleared under, for as long as it has not lost its clearance since.

use std::sync::Arc;

use placet_api::releasepolicy::ReleasePolicySpec;

use super::{Key, Snapshot, World, key_of};
use crate::decision::{Cleared, Decision};
use crate::object::{Object, Record};
use crate::policy::PolicySet;

impl World {
    pub(super) fn bases_changed(&mut self) {
        self.standing.clear();
        for (_, basis) in self.bases.values() {
            if self.standing.iter().any(|(of, _)| Arc::ptr_eq(of, basis)) {
                continue;
            }
            let not_live = |p: &Arc<Object<ReleasePolicySpec>>| {
                let live = self.policy_set.iter().find(|l| l.id == p.id);
                live.cloned().unwrap_or_else(|| {
                    let mut object = Object::clone(p);
                    object.live = false;
                    Arc::new(object)
                })
            };
            let stands = basis.standing(&self.policy_set);
            let stands = stands.map(|all| Arc::new(PolicySet::new(all.iter().map(not_live))));
            self.standing.push((Arc::clone(basis), stands));
        }
    }

    /// The policies that a release stands on, where they are others than those of now.
    pub(super) fn basis(&self, key: &Key) -> Option<Arc<PolicySet>> {
        let (uid, basis) = self.bases.get(key)?;
        self.releases.live.get(key).filter(|r| r.record.uid == *uid)?;
        self.standing.iter().find(|(of, _)| Arc::ptr_eq(of, basis))?.1.clone()
    }

    /// The policies that a release stands on after a decision; None if it stands on none.
    fn basis_after(
        &self,
        key: &Key,
        snapshot: &Snapshot,
        decision: &Decision,
    ) -> Option<(String, Arc<PolicySet>)> {
        let uid = &snapshot.release.as_ref()?.record.uid;
        let before = self.bases.get(key).filter(|(of, _)| of == uid);
        match decision.cleared {
            // What applied at once once has applied: the flag may go again.
            Cleared::True if decision.on_basis => Some((uid.clone(), Arc::clone(snapshot.basis.as_ref()?))),
            Cleared::True => Some((uid.clone(), Arc::clone(&snapshot.policies))),
            // Nobody took anything back: it is only not known for a while.
            _ if decision.is_blind() => before.cloned(),
            _ => None,
        }
    }

    /// Whether [`World::settle`] would change something.
    pub fn unsettled(&self, snapshot: &Snapshot, decision: &Decision) -> bool {
        if self.newly_cleared(snapshot, decision).is_some() {
            return true;
        }
        let key = (snapshot.namespace.clone(), snapshot.name.clone());
        match (self.bases.get(&key), self.basis_after(&key, snapshot, decision)) {
            (None, None) => false,
            (Some((of, a)), Some((uid, b))) => *of != uid || !a.asks_as(&b),
            _ => true,
        }
    }

    /// A decision was recorded: a release that is cleared stands on the policies that it was cleared under. Gives the releases
    /// of its system that are to be judged anew, since it was not cleared before.
    pub fn settle(&mut self, snapshot: &Snapshot, decision: &Decision) -> Vec<Key> {
        let news = self.newly_cleared(snapshot, decision);
        let after = if news.is_some() { self.releases_after(snapshot) } else { Vec::new() };
        if let Some(((namespace, system), release)) = news {
            self.was_cleared(&namespace, &system, release, snapshot.clock.now());
        }
        let key = (snapshot.namespace.clone(), snapshot.name.clone());
        match self.basis_after(&key, snapshot, decision) {
            Some(basis) => self.bases.insert(key, basis),
            None => self.bases.remove(&key),
        };
        self.bases_changed();
        after
    }

    /// The log says that this release stands on these policies.
    pub fn stands_on(&mut self, release: &Record, policies: impl IntoIterator<Item = Record>) {
        let set = PolicySet::new(policies.into_iter().map(|p| Arc::new(Object::new(p, false))));
        let known = self.bases.values().map(|(_, basis)| basis).find(|b| b.asks_as(&set));
        let basis = known.cloned().unwrap_or_else(|| Arc::new(set));
        self.bases.insert(key_of(release), (release.uid.clone(), basis));
        self.bases_changed();
    }
}
