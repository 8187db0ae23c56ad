//! What happened without a request that the webhooks saw: while the operator was gone, while they were off, or by an
//! account that they leave out. Found by comparing what the log knows with the stores; recorded once; clears nothing,
//! since decisions are made from the stores and the log whether or not it is recorded.
//!
//! | found | record |
//! |---|---|
//! | an object that a decision had read, or that was there with a valid stamp at an earlier look, is gone, and no record says that it was deleted | `object` (or `policy.change`), operation `DELETE`, no actor |
//! | an object is there without a valid stamp: made or changed behind the webhooks | the same, operation `RELIST`, no actor |
//! | a namespace's label is another than the log's last word | `enforcement` with `seen: false`, no actor |
//!
//! The last row includes a label that the log never heard of, such as one that a namespace was created with: so the log
//! knows every namespace that enforces, and notices when it no longer does. The record itself is what the log knows from
//! then on, so nothing is recorded twice, at a restart neither.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use placet_api::{Kind, keys};
use placet_evidence::{
    Digest, Enforcement, NewRecord, Object as Stored, ObjectSeen, Operation, Payload, PolicyChange,
    Record as LogRecord, Subject, inputs,
};
use placet_gate::circumstances::Circumstances;
use placet_gate::object::{Record, Stamp};
use placet_gate::world::{Snapshot, World};

use crate::subjects::record_of;

/// A record comes before its effect, so that the stores lag behind the log: what is found while running counts when it
/// is still found after this time.
pub const SETTLE: SignedDuration = SignedDuration::from_secs(10);
/// For as long after a deletion was recorded, a decision may still have read the object.
const DELETION: SignedDuration = SignedDuration::from_secs(60);

/// An object of ours: kind, namespace (empty for cluster kinds), name.
pub type Key = (Kind, String, String);

/// An object as a decision read it, or a look found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Content digest.
    content: Digest,
    /// Digest of the stored version, which the log holds.
    stored: Digest,
    /// Uid.
    uid: String,
    /// Whether its stamp was valid.
    stamped: bool,
    /// The object, unless a decision has read it: then the log's object store holds it.
    object: Option<Box<Record>>,
}

/// What the log knows.
#[derive(Debug, Default)]
pub struct Seen {
    /// Objects that a decision read or an earlier look found, and that no record says are gone.
    read: BTreeMap<Key, Read>,
    /// Content without a valid stamp that was recorded as found.
    unstamped: BTreeMap<Key, Digest>,
    /// Value of each namespace's label, as last recorded; None: recorded as removed.
    labels: BTreeMap<String, Option<String>>,
    /// Deletions that were recorded, with the time.
    deleted: BTreeMap<Key, Timestamp>,
    /// While the log is read: time and inputs of the last decision on each release.
    decisions: BTreeMap<(String, String), (Timestamp, Vec<Digest>)>,
    /// Digest of the snapshot of each release that was taken in last.
    taken: BTreeMap<(String, String), String>,
}

/// One thing that happened unseen.
#[derive(Debug, Clone, PartialEq)]
pub enum Unseen {
    /// An object that a decision had read, or a look had found, is gone.
    Gone(Key, Read),
    /// An object has no valid stamp.
    Unstamped(Box<Record>),
    /// A namespace's label changed.
    Enforcement {
        /// The namespace.
        namespace: String,
        /// The log's last word.
        before: Option<String>,
        /// What is there.
        after: Option<String>,
    },
}

impl Seen {
    /// Takes in one record while the log is read.
    pub fn visit(&mut self, record: &LogRecord) {
        if let Payload::Decision(body) = &record.payload {
            let key = (record.subject.namespace.clone().unwrap_or_default(), record.subject.name.clone());
            self.decisions.insert(key, (record.time.wall, body.snapshot.clone()));
        } else {
            self.take(record.time.wall, &record.subject, &record.payload);
        }
    }

    /// Reads what the last decisions had read, once the log was visited.
    ///
    /// # Errors
    /// A stored object is missing or damaged.
    pub fn recall(&mut self, read: &dyn Fn(&Digest) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<()> {
        for (at, snapshot) in std::mem::take(&mut self.decisions).into_values() {
            let mut records: BTreeMap<Digest, Record> = BTreeMap::new();
            let mut live: BTreeSet<Digest> = BTreeSet::new();
            for digest in inputs::expand(&snapshot, read)? {
                let bytes = read(&digest)?;
                if let Ok(record) = serde_json::from_slice::<Record>(&bytes) {
                    records.insert(digest, record);
                    continue;
                }
                // Beside objects, a decision stores what is none, with the list of those that existed.
                let Some(rest) = Circumstances::read(&serde_json::from_slice(&bytes)?)? else { continue };
                // The label that it was taken under, where no record of its own tells it.
                if let Some(label) = rest.labels.get(keys::ENFORCE) {
                    self.labels.entry(rest.namespace).or_insert_with(|| Some(label.clone()));
                }
                live.extend(rest.live.iter().filter_map(|d| d.parse::<Digest>().ok()));
            }
            for (stored, record) in records.iter().filter(|(digest, _)| live.contains(digest)) {
                self.read(at, record, *stored, true);
            }
        }
        Ok(())
    }

    /// Whether [`Seen::take`] learns something from such a record.
    pub fn concerns(payload: &Payload) -> bool {
        matches!(
            payload,
            Payload::Object(_) | Payload::PolicyChange(_) | Payload::Withdrawal(_) | Payload::Enforcement(_)
        )
    }

    /// Takes in a record that is durable.
    pub fn take(&mut self, at: Timestamp, subject: &Subject, payload: &Payload) {
        let key = |kind: &str| {
            let namespace = subject.namespace.clone().unwrap_or_default();
            Some((Kind::parse(kind)?, namespace, subject.name.clone()))
        };
        match payload {
            Payload::Object(o) => {
                self.written(at, key(&o.kind), o.op, Some(o.content).filter(|_| !o.stamped));
            }
            Payload::PolicyChange(p) => {
                // No webhook lets a policy without a stamp through; one that was found has none.
                let found = p.after.filter(|_| p.op == Operation::Relist);
                self.written(at, key(&subject.kind), p.op, found);
            }
            Payload::Withdrawal(_) => self.written(at, key(&subject.kind), Operation::Update, None),
            Payload::Enforcement(e) => {
                self.labels.insert(subject.name.clone(), e.after.clone());
            }
            _ => {}
        }
    }

    fn written(&mut self, at: Timestamp, key: Option<Key>, op: Operation, unstamped: Option<Digest>) {
        let Some(key) = key else { return };
        match unstamped {
            Some(content) if op != Operation::Delete => self.unstamped.insert(key.clone(), content),
            _ => self.unstamped.remove(&key),
        };
        if op == Operation::Delete {
            self.read.remove(&key);
            self.deleted.insert(key, at);
        }
    }

    fn read(&mut self, at: Timestamp, record: &Record, stored: Digest, in_log: bool) {
        let key = key_of(record);
        if self.deleted.get(&key).is_some_and(|deleted| at < *deleted + DELETION) {
            return;
        }
        let content = content_of(record).unwrap_or(stored);
        let stamped = matches!(record.stamp, Stamp::Valid(_));
        let object = (!in_log).then(|| Box::new(record.clone()));
        self.read.insert(key, Read { content, stored, uid: record.uid.clone(), stamped, object });
    }

    /// Takes in what a recorded decision read; `digest` is the snapshot's.
    pub fn decided(&mut self, snapshot: &Snapshot, digest: &str) {
        let key = (snapshot.namespace.clone(), snapshot.name.clone());
        if self.taken.get(&key).is_some_and(|taken| taken == digest) {
            return;
        }
        self.taken.insert(key, digest.to_owned());
        for (record, _) in snapshot.records().into_iter().filter(|(_, live)| *live) {
            self.read(snapshot.clock.now(), record, stored(record).digest(), true);
        }
    }

    /// What the stores hold otherwise than the log knows, in the order of names. To be asked only while every store is
    /// live.
    pub fn compare(&mut self, now: Timestamp, world: &World) -> Vec<Unseen> {
        self.deleted.retain(|_, at| now < *at + DELETION);
        let mut found = Vec::new();
        for (namespace, labels) in world.namespaces() {
            let after = labels.get(keys::ENFORCE).cloned();
            let before = self.labels.get(namespace).cloned().flatten();
            if before != after {
                found.push(Unseen::Enforcement { namespace: namespace.clone(), before, after });
            }
        }
        for ((kind, namespace, name), read) in &self.read {
            if record_of(world, *kind, namespace, name).is_none() {
                found.push(Unseen::Gone((*kind, namespace.clone(), name.clone()), read.clone()));
            }
        }
        for kind in Kind::ALL {
            for (namespace, name) in world.names(kind) {
                let Some(record) = record_of(world, kind, &namespace, &name) else { continue };
                if matches!(record.stamp, Stamp::Valid(_)) {
                    let known = self.read.get(&(kind, namespace, name));
                    if known.is_none_or(|k| k.uid != record.uid || Some(k.content) != content_of(record)) {
                        self.read(now, record, stored(record).digest(), false);
                    }
                    continue;
                }
                let content = content_of(record).unwrap_or_else(|| stored(record).digest());
                if self.unstamped.get(&(kind, namespace, name)) != Some(&content) {
                    found.push(Unseen::Unstamped(Box::new(record.clone())));
                }
            }
        }
        found
    }
}

impl Unseen {
    /// The record of it.
    pub fn record(&self, now: Timestamp) -> NewRecord {
        match self {
            Self::Gone((kind, namespace, name), read) => {
                let namespace = Some(namespace.as_str()).filter(|n| !n.is_empty());
                let mut subject = Subject::new(kind.as_str(), namespace, name);
                subject.digest = Some(read.content);
                let payload = if is_policy(*kind) {
                    Payload::PolicyChange(PolicyChange {
                        op: Operation::Delete,
                        before: Some(read.content),
                        after: None,
                        stored: Some(read.stored),
                    })
                } else {
                    Payload::Object(ObjectSeen {
                        op: Operation::Delete,
                        kind: kind.to_string(),
                        namespace: namespace.map(str::to_owned),
                        name: name.clone(),
                        uid: Some(read.uid.clone()).filter(|u| !u.is_empty()),
                        content: read.content,
                        stored: Some(read.stored),
                        stamped: read.stamped,
                    })
                };
                let new = NewRecord::new(now, subject, payload);
                match &read.object {
                    Some(object) => new.with_object(stored(object)),
                    None => new,
                }
            }
            Self::Unstamped(record) => {
                let object = stored(record);
                let content = content_of(record).unwrap_or_else(|| object.digest());
                let mut subject =
                    Subject::new(record.kind.as_str(), record.namespace.as_deref(), &record.name);
                subject.digest = Some(content);
                let payload = if is_policy(record.kind) {
                    Payload::PolicyChange(PolicyChange {
                        op: Operation::Relist,
                        before: None,
                        after: Some(content),
                        stored: Some(object.digest()),
                    })
                } else {
                    Payload::Object(ObjectSeen {
                        op: Operation::Relist,
                        kind: record.kind.to_string(),
                        namespace: record.namespace.clone(),
                        name: record.name.clone(),
                        uid: Some(record.uid.clone()).filter(|u| !u.is_empty()),
                        content,
                        stored: Some(object.digest()),
                        stamped: false,
                    })
                };
                NewRecord::new(now, subject, payload).with_object(object)
            }
            Self::Enforcement { namespace, before, after } => {
                let body = Enforcement { before: before.clone(), after: after.clone(), seen: false };
                NewRecord::new(now, Subject::new("Namespace", None, namespace), Payload::Enforcement(body))
            }
        }
    }
}

/// When to compare: at once the first time, afterwards when something changed, and then what is still so after
/// [`SETTLE`]. While nothing changes nothing is compared.
#[derive(Debug, Default)]
pub struct Looks {
    /// Whether the first look was taken.
    begun: bool,
    /// When to look again.
    next: Option<Timestamp>,
    /// What the last look found and did not believe yet.
    before: Vec<Unseen>,
}

impl Looks {
    /// Something changed in the stores.
    pub fn changed(&mut self, now: Timestamp) {
        self.next.get_or_insert(now + SETTLE);
    }

    /// Whether it is time to look.
    pub fn due(&self, now: Timestamp) -> bool {
        !self.begun || self.next.is_some_and(|at| at <= now)
    }

    /// Takes what a look found; gives what is to be recorded.
    pub fn looked(&mut self, now: Timestamp, found: Vec<Unseen>) -> Vec<Unseen> {
        if !std::mem::replace(&mut self.begun, true) {
            return found;
        }
        let (believed, new): (Vec<_>, Vec<_>) = found.into_iter().partition(|f| self.before.contains(f));
        self.next = (!new.is_empty()).then(|| now + SETTLE);
        self.before = new;
        believed
    }

    /// Something could not be recorded: look again.
    pub fn again(&mut self, now: Timestamp, rest: &[Unseen]) {
        self.before.extend_from_slice(rest);
        self.next = Some(now + SETTLE);
    }
}

fn is_policy(kind: Kind) -> bool {
    matches!(kind, Kind::ReleasePolicy | Kind::ApprovalRole | Kind::TrustedSigner)
}

fn key_of(record: &Record) -> Key {
    (record.kind, record.namespace.clone().unwrap_or_default(), record.name.clone())
}

fn content_of(record: &Record) -> Option<Digest> {
    record.digest.as_ref().ok()?.parse().ok()
}

fn stored(record: &Record) -> Stored {
    Stored::new(serde_json::to_vec(record).unwrap_or_default())
}

#[cfg(test)]
#[path = "unseen_tests.rs"]
mod tests;
