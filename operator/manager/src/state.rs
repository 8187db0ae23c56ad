//! What every part of the operator reads: the world, the people's names, the workloads, the clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use placet_api::Kind;
use placet_evidence::Object as Stored;
use placet_gate::gates::heard::{Heard, hear};
use placet_gate::object::{ObjectError, Reading, Record, Stamp};
use placet_gate::render::Words;
use placet_gate::stamp::{StampProblem, StampText};
use placet_gate::world::{Clock as GateClock, Key, Snapshot, World};
use placet_gate::{Decision, evaluate};
use serde::de::DeserializeSeed as _;
use serde_json::Value;

use crate::coming::Coming;
use crate::deletions::Deletions;
use crate::infra::clock::{Clock, Trust};
use crate::infra::freshness::Freshness;
use crate::places::Workloads;
use crate::quota::{Limits, Quota};
use crate::slim;

/// An object of ours beside what decisions read of it: version and status. As JSON text: a spec as a value takes six times
/// as much, and the world has one already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    text: Arc<str>,
    /// Bytes of its status.
    status: usize,
}

impl Raw {
    /// Of an object as the API server gave it.
    pub fn new(object: &Value) -> Self {
        let status = object.get("status").map_or(0, |status| status.to_string().len());
        Self { text: slim::OWN.deserialize(object).unwrap_or_default().to_string().into(), status }
    }

    /// The object, without its spec and what else nobody asks it for.
    pub fn object(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Bytes of its status.
    pub fn status_bytes(&self) -> usize {
        self.status
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
    /// What is said of its open gates.
    pub words: Words,
}

impl Decided {
    /// Decides.
    pub fn new(snapshot: Snapshot) -> Self {
        let decision = evaluate(&snapshot);
        let digest = snapshot.digest();
        let stored = Stored::new(serde_json::to_vec(&decision).unwrap_or_default());
        let words = Words::of(&decision);
        Self { snapshot, decision, digest, stored, words }
    }

    /// Bytes of memory that it takes beside the objects that it shares with the world, about: its findings as values and as
    /// text, and what lists its objects.
    fn bytes(&self) -> usize {
        let snapshot = &self.snapshot;
        let listed = snapshot.former.len() + snapshot.former_systems.len() + snapshot.assessments.len();
        let listed = listed
            + snapshot.reports.len()
            + snapshot.datasets.len()
            + snapshot.approvals.len()
            + snapshot.acceptances.len();
        4 * self.stored.bytes().len() + 8 * listed + 2048
    }

    /// Whether the decision still stands at `now`, the world being the same.
    fn stands(&self, now: Timestamp) -> bool {
        self.snapshot.clock.now() <= now && self.decision.valid_until.is_none_or(|until| now < until)
    }
}

/// Bytes of decisions that are kept at most. Beyond, all are forgotten and made again when asked for.
const MAX_DECIDED: usize = 16 << 20;

/// Decisions on releases that somebody asked for, all made at the same number of the world's change: one that was made
/// at another is never used again, and would keep what it read from being freed.
#[derive(Debug, Default)]
struct Decisions {
    change: u64,
    bytes: usize,
    by_release: HashMap<(String, String), Arc<Decided>>,
}

impl Decisions {
    fn get(&self, key: &(String, String), change: u64) -> Option<Arc<Decided>> {
        self.by_release.get(key).filter(|_| self.change == change).cloned()
    }

    fn keep(&mut self, key: (String, String), change: u64, decided: &Arc<Decided>) {
        let bytes = decided.bytes();
        // Made before the world changed again: nobody will ask for it.
        if change < self.change || bytes > MAX_DECIDED {
            return;
        }
        if change > self.change || self.bytes + bytes > MAX_DECIDED {
            *self = Self { change, ..Self::default() };
        }
        let before = self.by_release.insert(key, Arc::clone(decided));
        self.bytes += bytes;
        self.bytes -= before.map_or(0, |before| before.bytes());
    }
}

/// What became of approvals, as a decision said at a moment and a number of the world's change.
#[derive(Debug)]
struct LastHeard {
    release: (String, String),
    change: u64,
    at: Timestamp,
    heard: Arc<Heard>,
}

/// Policy packs since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packs {
    /// They are being applied for the first time; whether a release was judged meanwhile.
    Coming { judged: bool },
    /// Each was tried, or there are none.
    Tried,
}

/// State that all replicas' parts share.
#[derive(Debug)]
pub struct State {
    world: RwLock<World>,
    /// Counts what may have changed the world.
    changes: AtomicU64,
    decided: Mutex<Decisions>,
    /// The last decision of which somebody asked what became of approvals: approvals of one release are asked about together.
    heard: Mutex<Option<LastHeard>>,
    names: RwLock<Arc<BTreeMap<String, String>>>,
    workloads: RwLock<Workloads>,
    /// How objects are read: cluster, receipt keys, people key.
    pub reading: Reading,
    /// The clock.
    pub clock: Clock,
    /// What each namespace holds, and may.
    pub quota: Quota,
    stores: RwLock<Vec<Freshness>>,
    /// Approvals and acceptances whose giver has lost the role: kind, namespace, name; and the content of each.
    roles_lost: Mutex<BTreeMap<(Kind, String, String), String>>,
    /// What the log knows to be deleted.
    pub deletions: Deletions,
    /// What was let through and is not in the stores yet.
    pub coming: Coming,
    packs: Mutex<Packs>,
    /// How often the stores were to be read anew since the clock had gone on without us.
    restarts: AtomicU64,
}

impl State {
    /// An empty state.
    pub fn new(reading: Reading, clock: Clock) -> Self {
        Self {
            world: RwLock::default(),
            changes: AtomicU64::new(0),
            decided: Mutex::default(),
            heard: Mutex::default(),
            names: RwLock::default(),
            workloads: RwLock::default(),
            reading,
            clock,
            quota: Quota::default(),
            stores: RwLock::default(),
            roles_lost: Mutex::default(),
            deletions: Deletions::default(),
            coming: Coming::default(),
            packs: Mutex::new(Packs::Tried),
            restarts: AtomicU64::new(0),
        }
    }

    /// Reads an object as the API server gives it. One with the stamp of an earlier life does not count.
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub fn read(&self, object: &Value) -> Result<(Record, Vec<(String, String)>), ObjectError> {
        let (mut record, names) = self.reading.read(object)?;
        if matches!(record.stamp, Stamp::Valid(_)) && self.deletions.knows(&record) {
            let annotations = object.pointer("/metadata/annotations");
            let stamp = annotations.and_then(|all| all.get(placet_api::keys::STAMP)?.as_str());
            let stamp: Option<StampText> = stamp.and_then(|text| serde_json::from_str(text).ok());
            let of_before =
                |s: &StampText| self.deletions.was_put_back(&record, s.record, s.restored.is_some());
            if stamp.as_ref().is_some_and(of_before) {
                record.stamp = Stamp::Invalid { why: StampProblem::PutBack };
            }
        }
        if let Stamp::Valid(standing) = &mut record.stamp
            && standing.holds_role == Some(true)
        {
            let place = (record.kind, record.namespace.clone().unwrap_or_default(), record.name.clone());
            let lost = self.roles_lost.lock().unwrap_or_else(PoisonError::into_inner);
            standing.role_lost = lost.get(&place).is_some_and(|of| record.digest.as_ref() == Ok(of));
        }
        Ok((record, names))
    }

    /// From now on the giver of this content has lost their role; None: nobody of this place has.
    pub fn role_lost(&self, place: (Kind, String, String), content: Option<String>) {
        let mut lost = self.roles_lost.lock().unwrap_or_else(PoisonError::into_inner);
        match content {
            Some(content) => lost.insert(place, content),
            None => lost.remove(&place),
        };
    }

    /// Approvals and acceptances whose giver has lost the role, and the content of each.
    pub fn roles_lost(&self) -> BTreeMap<(Kind, String, String), String> {
        self.roles_lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// With what the log knows to be deleted.
    #[must_use]
    pub fn with_deletions(mut self, deletions: Deletions) -> Self {
        self.deletions = deletions;
        self
    }

    /// With other limits on what a namespace may hold.
    #[must_use]
    pub fn with_quota(mut self, limits: Limits) -> Self {
        self.quota = Quota::new(limits);
        self
    }

    /// Policy packs are going to be applied: an installation is being set up until [`State::packs_tried`].
    #[must_use]
    pub fn with_packs(self) -> Self {
        Self { packs: Mutex::new(Packs::Coming { judged: false }), ..self }
    }

    /// A release was judged: from now on a change that loosens a policy waits. Where packs are being applied, once that is
    /// done: else all but the first would wait for a second person wherever there are releases before them.
    pub fn judged(&self) {
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        match *packs {
            Packs::Coming { .. } => *packs = Packs::Coming { judged: true },
            Packs::Tried => self.world_mut().set_up(),
        }
    }

    /// What packs bring was applied, or cannot be for now.
    pub fn packs_tried(&self) {
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *packs, Packs::Tried);
        if before == (Packs::Coming { judged: true }) {
            self.world_mut().set_up();
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

    /// Names of people by token. A copy of what it gives shares them.
    pub fn names(&self) -> RwLockReadGuard<'_, Arc<BTreeMap<String, String>>> {
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

    /// Remembers what was admitted while cleared.
    pub fn admit(&self, owner: &str, pod: Option<(String, String)>, replicas: i64, at: Timestamp) {
        // Nearly always the next pod of an owner that has some.
        if !self.workloads().knows(owner, pod.as_ref(), replicas) {
            self.workloads_mut().admit(owner, pod, replicas, at);
        }
    }

    /// Remembers that more pods were wanted than so many, and let through without being cleared.
    pub fn raise(&self, owner: &str, from: i64) {
        // Of an owner for which nothing was admitted nothing is a replacement.
        if let Some(admitted) = self.workloads_mut().admitted.get_mut(owner) {
            admitted.raise(from);
        }
    }

    /// Forgets what was admitted before `since` for owners of which nothing is left, if all stores are live.
    pub fn forget(&self, since: Timestamp) -> usize {
        if self.store_problems().is_empty() { self.workloads_mut().forget(since) } else { 0 }
    }

    /// Remembers the names that an object brought.
    pub fn learn(&self, names: Vec<(String, String)>) {
        let known = self.names();
        let new: Vec<_> = names.into_iter().filter(|(token, _)| !known.contains_key(token)).collect();
        drop(known);
        if !new.is_empty() {
            Arc::make_mut(&mut *self.names.write().unwrap_or_else(PoisonError::into_inner)).extend(new);
        }
    }

    /// A store whose freshness decisions depend on.
    pub fn add_store(&self, store: Freshness) {
        self.stores.write().unwrap_or_else(PoisonError::into_inner).push(store);
    }

    /// Stores that are not live now, with why.
    pub fn store_problems(&self) -> Vec<String> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        let restarts = self.clock.restarts();
        if self.restarts.load(Ordering::Acquire) != restarts {
            stores.iter().for_each(Freshness::doubt);
            self.restarts.store(restarts, Ordering::Release);
        }
        stores.iter().filter(|s| !s.is_live()).map(|s| s.name().to_owned()).collect()
    }

    /// What a decision on a release does not know: stores that are not live, and what was let through and is in none yet.
    fn unknown(&self, namespace: &str, name: &str) -> Vec<String> {
        let mut unknown = self.store_problems();
        unknown.extend(self.coming.about(namespace, name));
        unknown
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

    /// A decision was recorded. Gives the releases that are to be judged anew because of it.
    pub fn settle(&self, snapshot: &Snapshot, decision: &Decision) -> Vec<Key> {
        // Nearly always the same as before, and everybody else would have to decide anew.
        if !self.world().unsettled(snapshot, decision) {
            return Vec::new();
        }
        self.world_mut().settle(snapshot, decision)
    }

    /// What a decision on a release reads now. Reads caches only.
    pub fn snapshot(&self, namespace: &str, name: &str) -> Snapshot {
        let mut snapshot = self.world().snapshot(namespace, name, self.gate_clock());
        snapshot.not_ready.extend(self.unknown(namespace, name));
        snapshot
    }

    /// What the decision on a release says of each approval that it reads. `world` is this state's.
    pub fn heard(&self, world: &World, namespace: &str, name: &str) -> Arc<Heard> {
        let (clock, problems) = (self.gate_clock(), self.unknown(namespace, name));
        let trusted = matches!(clock, GateClock::Trusted(_)) && problems.is_empty();
        let (now, change) = (clock.now(), self.changes.load(Ordering::Acquire));
        let release = (namespace.to_owned(), name.to_owned());
        let mut last = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = |known: &&LastHeard| {
            let until = known.heard.decision.valid_until;
            known.release == release
                && known.change == change
                && known.at <= now
                && until.is_none_or(|until| now < until)
        };
        if let Some(known) = last.as_ref().filter(|_| trusted).filter(stands) {
            return Arc::clone(&known.heard);
        }
        let mut snapshot = world.snapshot(namespace, name, clock);
        snapshot.not_ready.extend(problems);
        let heard = Arc::new(hear(&snapshot));
        *last = trusted.then(|| LastHeard { release, change, at: now, heard: Arc::clone(&heard) });
        heard
    }

    /// The decision on a release now. The same one as before while nothing has changed, time and all stores can be
    /// trusted, and it has not run out: a gate is a function of its snapshot, so a second evaluation would say the same.
    pub fn decided(&self, namespace: &str, name: &str) -> Arc<Decided> {
        let (clock, problems) = (self.gate_clock(), self.unknown(namespace, name));
        let trusted = match &clock {
            GateClock::Trusted(now) if problems.is_empty() => Some(*now),
            _ => None,
        };
        let key = (namespace.to_owned(), name.to_owned());
        let world = self.world();
        let change = self.changes.load(Ordering::Acquire);
        if let Some(now) = trusted {
            let known = self.decided.lock().unwrap_or_else(PoisonError::into_inner).get(&key, change);
            if let Some(known) = known.filter(|known| known.stands(now)) {
                return known;
            }
        }
        let mut snapshot = world.snapshot(namespace, name, clock);
        drop(world);
        snapshot.not_ready.extend(problems);
        let decided = Arc::new(Decided::new(snapshot));
        // Anybody can name releases that do not exist; they are not worth keeping.
        if trusted.is_some() && decided.snapshot.release.is_some() {
            self.decided.lock().unwrap_or_else(PoisonError::into_inner).keep(key, change, &decided);
        }
        decided
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
