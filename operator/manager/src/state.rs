//! What every part of the operator reads: the world, the people's names, the workloads, the clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use placet_evidence::Object as Stored;
use placet_gate::object::Reading;
use placet_gate::world::{Clock as GateClock, Snapshot, World};
use placet_gate::{Decision, evaluate};
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

/// A decision with what it was made from and what its record needs.
#[derive(Debug)]
pub struct Decided {
    /// What was judged.
    pub snapshot: Snapshot,
    /// The decision.
    pub decision: Decision,
    /// Digest of the snapshot.
    pub digest: String,
    /// The decision as the log stores it.
    pub stored: Stored,
}

impl Decided {
    /// Decides.
    pub fn new(snapshot: Snapshot) -> Self {
        let decision = evaluate(&snapshot);
        let digest = snapshot.digest();
        let stored = Stored::new(serde_json::to_vec(&decision).unwrap_or_default());
        Self { snapshot, decision, digest, stored }
    }

    /// Whether the decision still stands at `now`, the world being the same.
    fn stands(&self, now: Timestamp) -> bool {
        self.snapshot.clock.now() <= now && self.decision.valid_until.is_none_or(|until| now < until)
    }
}

/// Decisions that are kept at most. Beyond, all are forgotten and made again when asked for.
const MAX_DECIDED: usize = 10_000;

/// Decisions by namespace and release, with the number of the world's change that they were made at.
type Decisions = HashMap<(String, String), (u64, Arc<Decided>)>;

/// State that all replicas' parts share.
#[derive(Debug)]
pub struct State {
    world: RwLock<World>,
    /// Counts what may have changed the world.
    changes: AtomicU64,
    decided: Mutex<Decisions>,
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
            changes: AtomicU64::new(0),
            decided: Mutex::default(),
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

    /// The world, for writing. Decisions that were made before are made again.
    pub fn world_mut(&self) -> RwLockWriteGuard<'_, World> {
        let world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: whoever reads the number under it reads that of the world that they see.
        self.changes.fetch_add(1, Ordering::AcqRel);
        world
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

    /// The decision on a release now. The same one as before while nothing has changed, time and all stores can be
    /// trusted, and it has not run out: a gate is a function of its snapshot, so a second evaluation would say the same.
    pub fn decided(&self, namespace: &str, name: &str) -> Arc<Decided> {
        let (clock, problems) = (self.gate_clock(), self.store_problems());
        let trusted = match &clock {
            GateClock::Trusted(now) if problems.is_empty() => Some(*now),
            _ => None,
        };
        let key = (namespace.to_owned(), name.to_owned());
        let world = self.world();
        let change = self.changes.load(Ordering::Acquire);
        if let Some(now) = trusted {
            let known = self.decided.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            if let Some((_, known)) = known.filter(|(at, known)| *at == change && known.stands(now)) {
                return known;
            }
        }
        let mut snapshot = world.snapshot(namespace, name, clock);
        drop(world);
        snapshot.not_ready.extend(problems);
        let decided = Arc::new(Decided::new(snapshot));
        // Anybody can name releases that do not exist; they are not worth keeping.
        if trusted.is_some() && decided.snapshot.release.is_some() {
            let mut all = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= MAX_DECIDED {
                all.clear();
            }
            all.insert(key, (change, Arc::clone(&decided)));
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;
    use placet_gate::people::PeopleKey;
    use placet_gate::stamp::ReceiptKeys;

    use super::*;

    fn state(trusted: bool) -> State {
        let clock = Clock::system();
        if trusted {
            let now = (clock.now(), Duration::ZERO);
            clock.record_date(now.0, now, now);
        }
        let people = PeopleKey::new(*b"state");
        let state = State::new(Reading { cluster: "c".into(), keys: ReceiptKeys::new(), people }, clock);
        let release = serde_json::json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "ModelRelease",
            "metadata": {"name": "v1", "namespace": "credit"}, "spec": {"system": "scoring"},
        });
        let record = state.reading.read(&release).unwrap().0;
        state.world_mut().apply(record);
        state
    }

    #[test]
    fn a_decision_is_taken_again_when_the_world_may_have_changed() {
        let state = state(true);
        let first = state.decided("credit", "v1");
        assert_eq!(first.decision, evaluate(&state.snapshot("credit", "v1")));
        assert!(Arc::ptr_eq(&first, &state.decided("credit", "v1")));
        state.world_mut().set_namespace("credit", [("tier".to_owned(), "prod".to_owned())].into());
        let second = state.decided("credit", "v1");
        assert!(!Arc::ptr_eq(&first, &second));
        assert_ne!(first.digest, second.digest);
    }

    #[test]
    fn a_store_that_is_not_heard_of_is_in_the_decision_at_once() {
        let state = state(true);
        let before = state.decided("credit", "v1");
        state.add_store(Freshness::new("approvals", Duration::from_secs(1)));
        let after = state.decided("credit", "v1");
        assert_eq!(after.snapshot.not_ready, ["approvals"]);
        assert!(before.snapshot.not_ready.is_empty());
    }

    #[test]
    fn nothing_is_kept_that_time_or_a_stranger_could_make_wrong() {
        let untrusted = state(false);
        assert!(!Arc::ptr_eq(&untrusted.decided("credit", "v1"), &untrusted.decided("credit", "v1")));
        let state = state(true);
        assert!(!Arc::ptr_eq(&state.decided("credit", "v2"), &state.decided("credit", "v2")));
        let mut decided = Decided::new(state.snapshot("credit", "v1"));
        let made = decided.snapshot.clock.now();
        let second = SignedDuration::from_secs(1);
        decided.decision.valid_until = None;
        assert!(decided.stands(made) && decided.stands(made + second) && !decided.stands(made - second));
        decided.decision.valid_until = Some(made + second);
        assert!(decided.stands(made) && !decided.stands(made + second));
    }
}
