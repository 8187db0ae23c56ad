//! What a decision reads beside objects, as the evidence log stores it: one object per snapshot, written by the operator
//! and read by replay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::modelrelease::ModelReleaseSpec;
use placet_api::releasepolicy::ReleasePolicySpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::{Object, Record};
use crate::policy::PolicySet;
use crate::signature::Remembered;
use crate::world::{Clock, HadClass, Reassess, Snapshot, WasCleared, World};

/// The field that tells these from stored objects of ours, with the version of the form as its value.
const MARK: &str = "placet.dev/snapshot";
/// The only version.
const VERSION: &str = "v1";

/// Which release was judged, and all that is no object of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Circumstances {
    #[serde(rename = "placet.dev/snapshot")]
    version: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Name of the release that was asked about.
    pub name: String,
    /// Labels of the namespace.
    pub labels: BTreeMap<String, String>,
    /// Names of all roles.
    pub roles: BTreeSet<String>,
    /// When the first pod of this content was admitted.
    pub first_use: Option<Timestamp>,
    /// Kinds that were not yet read or no longer heard of.
    pub not_ready: Vec<String>,
    /// Why the clock could not be trusted, if so.
    pub clock_untrusted: Option<String>,
    /// Digests of the stored objects that existed; the others were remembered.
    pub live: BTreeSet<String>,
    /// Digests of the stored policies that the release stood on, where they were others than those that existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<BTreeSet<String>>,
    /// Digests of the stored policies that decided, where one of them is not the version that existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<BTreeSet<String>>,
    /// Classes above that of now, which the system or another one with its artefacts had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub had: Vec<HadClass>,
    /// What asked for a new assessment of the system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reassess: Vec<Reassess>,
    /// Releases that the release names and that were not there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub absent: BTreeSet<String>,
    /// Digests of the stored releases that it names and that changes are compared with.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub named: BTreeSet<String>,
    /// Other releases of the system that were cleared before it, where a policy asks about changes and the log says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_before: Option<BTreeSet<WasCleared>>,
    /// What the log remembered of the signatures among them.
    #[serde(default, skip_serializing_if = "Remembered::is_empty")]
    pub signatures: Remembered,
}

/// A stored object that says it is one of these and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CircumstancesError {
    /// Of another version.
    #[error("wanted a snapshot of version {VERSION}, found {found}; a newer placet reads it")]
    Version {
        /// What its mark says.
        found: String,
    },
    /// A field is missing or not known here.
    #[error("wanted a snapshot of version {VERSION}, found one that does not parse: {0}")]
    Unreadable(String),
}

impl Circumstances {
    /// Those of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let live = snapshot.objects().into_iter().filter(|(_, _, live)| *live);
        Self {
            version: VERSION.to_owned(),
            namespace: snapshot.namespace.clone(),
            name: snapshot.name.clone(),
            labels: (*snapshot.namespace_labels).clone(),
            roles: (*snapshot.roles).clone(),
            first_use: snapshot.first_use,
            not_ready: snapshot.not_ready.clone(),
            clock_untrusted: match &snapshot.clock {
                Clock::Untrusted { why, .. } => Some(why.clone()),
                Clock::Trusted(_) => None,
            },
            live: live.map(|(id, _, _)| id.to_owned()).collect(),
            basis: snapshot.basis.as_ref().map(|b| b.iter().map(|p| p.id.clone()).collect()),
            in_force: in_force(snapshot),
            had: snapshot.had.clone(),
            reassess: snapshot.reassess.clone(),
            absent: snapshot.absent.clone(),
            named: snapshot.named.iter().map(|r| r.id.clone()).collect(),
            cleared_before: snapshot.cleared_before.clone(),
            signatures: snapshot.signatures.clone(),
        }
    }

    /// Reads a stored object; None if it is something else.
    ///
    /// # Errors
    /// It is of another version, or does not parse.
    pub fn read(stored: &Value) -> Result<Option<Self>, CircumstancesError> {
        let Some(mark) = stored.get(MARK) else { return Ok(None) };
        if mark != VERSION {
            let found = mark.as_str().map_or_else(|| mark.to_string(), str::to_owned);
            return Err(CircumstancesError::Version { found });
        }
        Self::deserialize(stored).map(Some).map_err(|e| CircumstancesError::Unreadable(e.to_string()))
    }

    /// The snapshot again, from the objects that were stored with it, each under the digest of its stored form.
    pub fn snapshot(self, objects: impl IntoIterator<Item = (String, Record)>, now: Timestamp) -> Snapshot {
        let mut world = World::new();
        let mut basis: Vec<Arc<Object<ReleasePolicySpec>>> = Vec::new();
        let mut in_force: Vec<Arc<Object<ReleasePolicySpec>>> = Vec::new();
        let mut named: Vec<Arc<Object<ModelReleaseSpec>>> = Vec::new();
        for (digest, record) in objects {
            if self.named.contains(&digest) {
                named.push(Arc::new(Object::new(record.clone(), self.live.contains(&digest))));
            }
            if self.basis.as_ref().is_some_and(|b| b.contains(&digest)) {
                basis.push(Arc::new(Object::new(record.clone(), self.live.contains(&digest))));
            }
            if self.in_force.as_ref().is_some_and(|f| f.contains(&digest)) {
                in_force.push(Arc::new(Object::new(record.clone(), self.live.contains(&digest))));
            }
            if self.live.contains(&digest) { world.apply(record) } else { world.remember(record) }
        }
        let clock = match self.clock_untrusted {
            Some(why) => Clock::Untrusted { now, why },
            None => Clock::Trusted(now),
        };
        let mut snapshot = world.snapshot(&self.namespace, &self.name, clock);
        snapshot.namespace_labels = self.labels.into();
        snapshot.roles = self.roles.into();
        snapshot.first_use = self.first_use;
        snapshot.not_ready = self.not_ready;
        snapshot.signatures = self.signatures;
        snapshot.had = self.had;
        snapshot.reassess = self.reassess;
        snapshot.absent = self.absent;
        named.sort_by(|a, b| (a.name(), &a.id).cmp(&(b.name(), &b.id)));
        snapshot.named = named;
        snapshot.cleared_before = self.cleared_before;
        if self.in_force.is_some() {
            in_force.sort_by(|a, b| a.name().cmp(b.name()));
            snapshot.policies = Arc::new(PolicySet::new(in_force.into_iter()));
        }
        basis.sort_by(|a, b| a.name().cmp(b.name()));
        snapshot.basis = self.basis.map(|_| Arc::new(PolicySet::new(basis.into_iter())));
        snapshot
    }
}

/// Ids of the policies that decide, unless they are those that exist.
fn in_force(snapshot: &Snapshot) -> Option<BTreeSet<String>> {
    let policies = &snapshot.policies;
    policies.iter().any(|p| !p.live).then(|| policies.iter().map(|p| p.id.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As this version writes it. Logs hold this form for ever: a change of it is a new version.
    const STORED: &str = r#"{"placet.dev/snapshot":"v1","namespace":"lending","name":"scoring-2","labels":{"placet.dev/enforce":"deny"},"roles":["executive","risk-officer"],"firstUse":"2026-11-05T00:00:00Z","notReady":["approvals"],"clockUntrusted":"differs by 45 s","live":["sha256:01"]}"#;

    #[test]
    fn the_stored_form_stays() {
        let value: Value = serde_json::from_str(STORED).unwrap();
        let read = Circumstances::read(&value).unwrap().unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), STORED);
        assert_eq!(read.roles.len(), 2);
        assert_eq!(read.first_use, Some("2026-11-05T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn other_objects_versions_and_fields_are_told_apart() {
        assert_eq!(Circumstances::read(&json!({"kind": "ModelRelease"})), Ok(None));
        let newer = Circumstances::read(&json!({"placet.dev/snapshot": "v2", "more": 1})).unwrap_err();
        assert_eq!(newer, CircumstancesError::Version { found: "v2".into() });
        let mut more: Value = serde_json::from_str(STORED).unwrap();
        more["more"] = 1.into();
        assert!(Circumstances::read(&more).unwrap_err().to_string().contains("more"));
    }
}
