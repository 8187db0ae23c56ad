//! What every part of the operator reads: the world, the people's names, the workloads, the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use placet_gate::object::Reading;
use placet_gate::world::{Clock as GateClock, Snapshot, World};
use serde_json::Value;

use crate::infra::clock::{Clock, Trust};
use crate::infra::freshness::Freshness;

/// A pod as far as holds and replacements need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Uid.
    pub uid: String,
    /// The release that its label names.
    pub release: Option<String>,
    /// Whether it carries our scheduling gate.
    pub held: bool,
    /// Uid of the controlling owner.
    pub owner: Option<String>,
    /// Not yet ended, not being deleted.
    pub live: bool,
}

/// What was admitted for one controlling owner while its release was cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Release and pod-content digest of each pod.
    pub pods: BTreeSet<(String, String)>,
    /// Highest number of replicas.
    pub replicas: i64,
}

/// Workloads in the cluster, and what the log knows of their owners.
#[derive(Debug, Default)]
pub struct Workloads {
    /// Pods by namespace and name.
    pub pods: BTreeMap<(String, String), Pod>,
    /// Controllers' objects by kind, namespace and name: the parents of Scale requests.
    pub parents: BTreeMap<(String, String, String), Arc<Value>>,
    /// What was admitted while cleared, by owner's uid.
    pub admitted: BTreeMap<String, Admitted>,
}

impl Workloads {
    /// Pods of an owner that exist and are not ending.
    pub fn live_pods(&self, namespace: &str, owner: &str) -> i64 {
        let count = self.of(namespace).filter(|p| p.live && p.owner.as_deref() == Some(owner)).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// Whether pods run that were admitted while cleared and belong to this object, or to what it controls.
    pub fn cleared_pods_run(&self, namespace: &str, uid: &str) -> bool {
        self.of(namespace).any(|pod| {
            let Some(owner) = pod.owner.as_deref().filter(|_| pod.live && !pod.held) else { return false };
            self.admitted.contains_key(owner)
                && (owner == uid || self.controller_of(namespace, owner) == Some(uid))
        })
    }

    /// Remembers what was admitted while cleared.
    pub fn admit(&mut self, owner: &str, pod: (String, String), replicas: i64) {
        let admitted = self.admitted.entry(owner.to_owned()).or_default();
        admitted.pods.insert(pod);
        admitted.replicas = admitted.replicas.max(replicas);
    }

    fn of<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Pod> + use<'a> {
        let namespace = namespace.to_owned();
        self.pods
            .range((namespace.clone(), String::new())..)
            .take_while(move |((ns, _), _)| *ns == namespace)
            .map(|(_, pod)| pod)
    }

    /// Uid of what controls a parent with this uid.
    fn controller_of(&self, namespace: &str, uid: &str) -> Option<&str> {
        self.parents
            .iter()
            .filter(|((_, ns, _), _)| ns == namespace)
            .find(|(_, o)| o.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid))
            .and_then(|(_, o)| crate::stores::controller(o)?.get("uid")?.as_str())
    }
}

/// State that all replicas' parts share.
#[derive(Debug)]
pub struct State {
    world: RwLock<World>,
    names: RwLock<BTreeMap<String, String>>,
    workloads: RwLock<Workloads>,
    /// How objects are read: cluster, receipt keys, people key.
    pub reading: Reading,
    /// The clock.
    pub clock: Clock,
    stores: RwLock<Vec<Freshness>>,
}

impl State {
    /// An empty state.
    pub fn new(reading: Reading, clock: Clock) -> Self {
        Self {
            world: RwLock::default(),
            names: RwLock::default(),
            workloads: RwLock::default(),
            reading,
            clock,
            stores: RwLock::default(),
        }
    }

    /// The world, for reading.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world, for writing.
    pub fn world_mut(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of people by token.
    pub fn names(&self) -> RwLockReadGuard<'_, BTreeMap<String, String>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Workloads, for reading.
    pub fn workloads(&self) -> RwLockReadGuard<'_, Workloads> {
        self.workloads.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Workloads, for writing.
    pub fn workloads_mut(&self) -> RwLockWriteGuard<'_, Workloads> {
        self.workloads.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the names that an object brought.
    pub fn learn(&self, names: Vec<(String, String)>) {
        let known = self.names();
        let new: Vec<_> = names.into_iter().filter(|(token, _)| !known.contains_key(token)).collect();
        drop(known);
        if !new.is_empty() {
            self.names.write().unwrap_or_else(PoisonError::into_inner).extend(new);
        }
    }

    /// A store whose freshness decisions depend on.
    pub fn add_store(&self, store: Freshness) {
        self.stores.write().unwrap_or_else(PoisonError::into_inner).push(store);
    }

    /// Stores that are not live now, with why.
    pub fn store_problems(&self) -> Vec<String> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        stores.iter().filter(|s| !s.is_live()).map(|s| s.name().to_owned()).collect()
    }

    /// The time as decisions take it.
    pub fn gate_clock(&self) -> GateClock {
        match self.clock.read() {
            (now, Trust::Trusted) => GateClock::Trusted(now),
            (now, Trust::Untrusted { why }) => GateClock::Untrusted { now, why: why.to_string() },
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What a decision on a release reads now. Reads caches only.
    pub fn snapshot(&self, namespace: &str, name: &str) -> Snapshot {
        let mut snapshot = self.world().snapshot(namespace, name, self.gate_clock());
        snapshot.not_ready.extend(self.store_problems());
        snapshot
    }
}
