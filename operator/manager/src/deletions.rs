//! Which objects of ours the log knows to be deleted, by the index of the record: a stamp stands for one life of its
//! object. What was deleted and is there again with the stamp of before was put back behind the webhooks; what somebody
//! restores through them is stamped anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use placet_api::Kind;
use placet_evidence::{Digest, Operation, Payload};
use placet_gate::object::Record;

/// Lives of one object that are told apart at most: the newest.
const MAX_LIVES: usize = 8;

/// The end of one life of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    /// Index of the last record of its deletion.
    index: u64,
    /// Its uid, where the log knows it.
    uid: Option<Box<str>>,
    /// Index of the last record by which somebody deleted that very object, and not the namespace around it.
    by_somebody: Option<u64>,
}

/// What was deleted. Copies share what they know.
#[derive(Debug, Clone, Default)]
pub struct Deletions(Arc<Mutex<BTreeMap<[u8; 16], Vec<End>>>>);

impl Deletions {
    fn ends(&self) -> MutexGuard<'_, BTreeMap<[u8; 16], Vec<End>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Deletions::take`] learns something from such a record.
    pub fn concerns(payload: &Payload) -> bool {
        matches!(payload, Payload::Object(body) if body.op == Operation::Delete)
    }

    /// Takes in a record that is durable; `seen` is whether it names who did it.
    pub fn take(&self, index: u64, payload: &Payload, seen: bool) {
        let Payload::Object(body) = payload else { return };
        let Some(kind) = Kind::parse(&body.kind).filter(|_| body.op == Operation::Delete) else { return };
        let key = key(kind, body.namespace.as_deref().unwrap_or_default(), &body.name);
        let mut all = self.ends();
        let ends = all.entry(key).or_default();
        let uid = body.uid.as_deref().map(Box::from);
        // A deletion that the API server did not carry out is asked for again, and what is restored keeps its first uid.
        match ends.last_mut().filter(|last| last.uid == uid) {
            Some(last) => {
                last.index = index;
                last.by_somebody = seen.then_some(index).or(last.by_somebody);
            }
            None => ends.push(End { index, uid, by_somebody: seen.then_some(index) }),
        }
        if ends.len() > MAX_LIVES {
            ends.remove(0);
        }
    }

    /// Whether an object of this name was ever deleted.
    pub fn knows(&self, record: &Record) -> bool {
        self.ends().contains_key(&key_of(record))
    }

    /// Whether an object that exists, with this uid, bears the stamp of an earlier life. `record` is the index that its
    /// stamp names; `restored` whether that stamp was given at a restoration: then its uid is that of an earlier life.
    pub fn was_put_back(&self, object: &Record, record: Option<u64>, restored: bool) -> bool {
        let Some(stamped) = record.filter(|_| object.kind.namespaced()) else { return false };
        let all = self.ends();
        let ends = all.get(&key_of(object)).into_iter().flatten().filter(|end| end.index > stamped);
        let mut others =
            ends.filter(|end| end.uid.as_deref().is_some_and(|uid| restored || uid != object.uid));
        others.next().is_some()
    }

    /// Uid of the life that a stamp was given in, once it has ended.
    pub fn uid_of(&self, kind: Kind, namespace: &str, name: &str, record: u64) -> Option<String> {
        let all = self.ends();
        let end = all.get(&key(kind, namespace, name))?.iter().find(|end| end.index > record)?;
        end.uid.as_deref().map(str::to_owned)
    }

    /// The record by which somebody deleted an object itself after it was stamped.
    pub fn by_somebody(&self, kind: Kind, namespace: &str, name: &str, record: u64) -> Option<u64> {
        let all = self.ends();
        let ends = all.get(&key(kind, namespace, name))?.iter();
        ends.filter_map(|end| end.by_somebody).filter(|index| *index > record).max()
    }
}

fn key_of(record: &Record) -> [u8; 16] {
    key(record.kind, record.namespace.as_deref().unwrap_or_default(), &record.name)
}

/// Names are as long as their authors like, and no name is forgotten: 16 bytes of a digest stand for one.
fn key(kind: Kind, namespace: &str, name: &str) -> [u8; 16] {
    let digest = Digest::of(format!("{kind}\n{namespace}\n{name}").as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.as_bytes()[..16]);
    key
}
