//! Which releases of a system were cleared, from the log's memory: what a release follows, and may go back to, whatever was
//! deleted since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::modelrelease::ModelReleaseSpec;
use placet_api::scalar::Name;
use serde::{Deserialize, Serialize};

use super::{Key, Snapshot, World};
use crate::decision::{Cleared, Decision};
use crate::object::Object;
use crate::policy::PolicySet;

/// Of those that a release does not name, how many of the newest a snapshot holds: one shows that there is one, and findings
/// name some.
const NEWEST: usize = 5;
/// Bytes that one of them takes, about.
const ENTRY: u64 = 256;

/// A release that was cleared, in the content that it had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WasCleared {
    /// Its name.
    pub name: String,
    /// Digest of its content.
    pub content: String,
}

/// When each release was cleared first, by system.
#[derive(Debug, Default)]
pub(super) struct ClearedFirst {
    of_systems: BTreeMap<Key, BTreeMap<WasCleared, Timestamp>>,
    /// Whether that is all: a log was read.
    all: bool,
}

impl ClearedFirst {
    /// Bytes of what is remembered of a namespace, about.
    pub(super) fn bytes(&self, namespace: &str) -> u64 {
        let systems = self.of_systems.iter().filter(|((of, _), _)| of == namespace);
        let entries: usize = systems.map(|(_, all)| all.len()).sum();
        u64::try_from(entries).unwrap_or(u64::MAX).saturating_mul(ENTRY)
    }
}

impl World {
    /// What was cleared is known: all of it is told here. Without it nothing is known of what was cleared.
    pub fn knows_what_was_cleared(&mut self) {
        self.cleared.all = true;
    }

    /// A release was cleared. Whether that is news.
    pub fn was_cleared(&mut self, namespace: &str, system: &str, release: WasCleared, at: Timestamp) -> bool {
        let all = self.cleared.of_systems.entry((namespace.to_owned(), system.to_owned())).or_default();
        match all.get(&release) {
            Some(first) if *first <= at => false,
            _ => {
                all.insert(release, at);
                true
            }
        }
    }

    /// What a decision clears, with the system of the release, where it was not yet known to have been cleared.
    pub(super) fn newly_cleared(
        &self,
        snapshot: &Snapshot,
        decision: &Decision,
    ) -> Option<(Key, WasCleared)> {
        let release = snapshot.release.as_ref().filter(|_| decision.cleared == Cleared::True)?;
        let system = release.spec.as_ref().ok()?.system.to_string();
        let key = (snapshot.namespace.clone(), system);
        let this = WasCleared { name: release.name().to_owned(), content: release.digest().to_owned() };
        let known = self.cleared.of_systems.get(&key).and_then(|all| all.get(&this));
        known.is_none_or(|first| *first > snapshot.clock.now()).then_some((key, this))
    }

    /// Live releases of a system but this one, where a policy asks about changes: what is cleared is what they follow.
    pub fn releases_after(&self, snapshot: &Snapshot) -> Vec<Key> {
        let system = snapshot.release.as_ref().and_then(|r| Some(r.spec.as_ref().ok()?.system.clone()));
        let Some(system) = system.filter(|_| asks(&self.policy_set)) else { return Vec::new() };
        let here = self.releases.in_namespace(&snapshot.namespace).filter(|r| r.live);
        here.filter(|r| r.name() != snapshot.name && r.spec.as_ref().is_ok_and(|s| s.system == system))
            .map(|r| (snapshot.namespace.clone(), r.name().to_owned()))
            .collect()
    }

    /// Other releases of the system that were cleared, and before this one if this one was: those that it names, and the newest
    /// of the others. None where no policy asks about changes, so that nothing else is decided anew because of them.
    pub(super) fn cleared_before(
        &self,
        namespace: &str,
        release: Option<&Object<ModelReleaseSpec>>,
        basis: Option<&PolicySet>,
    ) -> Option<BTreeSet<WasCleared>> {
        if !self.cleared.all || !(asks(&self.policy_set) || basis.is_some_and(asks)) {
            return None;
        }
        let release = release?;
        let spec = release.spec.as_ref().ok()?;
        let Some(all) = self.cleared.of_systems.get(&(namespace.to_owned(), spec.system.to_string())) else {
            return Some(BTreeSet::new());
        };
        let this = WasCleared { name: release.name().to_owned(), content: release.digest().to_owned() };
        let own = all.get(&this);
        let before = all.iter().filter(|(other, at)| **other != this && own.is_none_or(|own| *at < own));
        let is_named = |other: &WasCleared| {
            spec.previous.iter().chain(&spec.rollback_target).any(|name| name.as_str() == other.name)
        };
        let (named, mut others): (Vec<_>, Vec<_>) = before.partition(|(other, _)| is_named(other));
        others.sort_by_key(|(_, at)| std::cmp::Reverse(**at));
        Some(
            named
                .into_iter()
                .chain(others.into_iter().take(NEWEST))
                .map(|(other, _)| other.clone())
                .collect(),
        )
    }

    /// Releases that a release names as the one before and the one to go back to: those that are there, and the versions that
    /// were cleared before where these are others. Itself is none of them.
    pub(super) fn named(
        &self,
        (namespace, own): (&str, &str),
        spec: Option<&ModelReleaseSpec>,
        before: Option<&BTreeSet<WasCleared>>,
        basis: Option<&PolicySet>,
    ) -> Vec<Arc<Object<ModelReleaseSpec>>> {
        if !asks(&self.policy_set) && !basis.is_some_and(asks) {
            return Vec::new();
        }
        let names: BTreeSet<&str> = spec
            .into_iter()
            .flat_map(|s| s.previous.iter().chain(&s.rollback_target))
            .map(Name::as_str)
            .filter(|name| *name != own)
            .collect();
        let mut out = Vec::new();
        for name in names {
            let key = (namespace.to_owned(), name.to_owned());
            let was = |r: &Arc<Object<ModelReleaseSpec>>| {
                before.into_iter().flatten().any(|b| b.name == r.name() && b.content == r.digest())
            };
            let live = self.releases.live.get(&key);
            out.extend(live.cloned());
            // What was created again under the name is no other past.
            if live.is_none_or(|live| !was(live)) {
                out.extend(self.releases.versions(&key).filter(|r| !r.live && was(r)).cloned());
            }
        }
        out
    }
}

/// Whether a policy asks about changes.
fn asks(policies: &PolicySet) -> bool {
    policies.iter().any(|p| p.spec.as_ref().is_ok_and(|s| s.change.is_some()))
}
