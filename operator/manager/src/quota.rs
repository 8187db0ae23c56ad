//! How much of our kinds one namespace may hold. What is live is in the operator's memory several times over, so whoever
//! may write in one namespace could otherwise take the operator from all of them.
//!
//! The stores say what there is, object by object; a request adds what it brings, which counts until the stores have seen
//! it or [`AHEAD`] is over. In between both count as the larger of the two: rather too much than too little.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use placet_api::{Kind, keys};
use serde_json::Value;

use crate::infra::room::Rooms;

/// What one namespace may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of JSON of all objects together, each as [`size`] tells it.
    pub bytes: u64,
    /// Number of objects.
    pub objects: u64,
}

impl Default for Limits {
    /// 4 MiB and 2,000 objects: some hundred releases with all that belongs to them.
    fn default() -> Self {
        Self { bytes: 4 << 20, objects: 2000 }
    }
}

/// How long what was let through counts although no store has seen it. A request that was let through becomes an object
/// within the API server's own timeout of a minute, or never.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// What setting `withdrawn` may add to an object: the field, and the editor in its stamp.
const WITHDRAWAL: u64 = 4 << 10;

/// Bytes that a Reject may have to be kept out by no quota and no budget, its stamp and receipt left out: a comment of a
/// page, a signature, and the copy of both that `kubectl apply` keeps. A larger one counts like anything else. Whoever may
/// withdraw a thousand acceptances doubles with it what the namespace holds, and not more.
pub const REJECT: u64 = 12 << 10;

/// A version of an object that somebody writes.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// As it is to be stored.
    pub object: &'a Value,
    /// What it replaces.
    pub old: Option<&'a Value>,
    /// Whether it passes if it can only stop something.
    pub exempt: bool,
}

/// Kind and name.
type Key = (Kind, String);

/// What one namespace holds.
#[derive(Debug, Default)]
struct Held {
    /// Bytes of each object, as the stores saw it last.
    seen: BTreeMap<Key, u64>,
    /// The sum of these.
    bytes: u64,
    /// Bytes of what was let through and not yet seen, and when.
    ahead: BTreeMap<Key, (u64, Timestamp)>,
}

impl Held {
    fn forget_ahead(&mut self, now: Timestamp) {
        // A clock that was set back must not make it stay.
        self.ahead.retain(|_, (_, at)| now.duration_since(*at).abs() < AHEAD);
    }

    /// Bytes of an object.
    fn of(&self, key: &Key) -> Option<u64> {
        self.seen.get(key).copied().max(self.ahead.get(key).map(|(bytes, _)| *bytes))
    }

    /// Bytes and number of all. Only what was let through within the last minute is gone through.
    fn total(&self) -> (u64, u64) {
        let (mut bytes, mut objects) = (self.bytes, count(self.seen.len()));
        for (key, (ahead, _)) in &self.ahead {
            let seen = self.seen.get(key).copied();
            bytes += ahead.saturating_sub(seen.unwrap_or(0));
            objects += u64::from(seen.is_none());
        }
        (bytes, objects)
    }
}

/// What each namespace holds of our kinds. Cluster kinds are left out: those who write them are trusted with more.
#[derive(Debug, Default)]
pub struct Quota {
    limits: Limits,
    held: Mutex<BTreeMap<String, Held>>,
    /// What statuses take. They are not counted above, since they are ours; but RBAC lets others write them.
    pub statuses: Mutex<Rooms>,
}

/// Bytes of statuses that are kept of one namespace: a thousand releases with all that may be missing. One that is not kept
/// is written anew whenever its object is looked at, with the time of then.
pub const STATUS_BYTES: usize = 8 << 20;

/// How many times the bytes of living objects may be remembered of those that are gone.
const REMEMBERED: u64 = 4;

impl Quota {
    /// With nothing held yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, held: Mutex::default(), statuses: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A store saw an object.
    pub fn seen(&self, kind: Kind, namespace: &str, name: &str, object: &Value) {
        if !kind.namespaced() {
            return;
        }
        let bytes = size(object);
        let key = (kind, name.to_owned());
        let mut all = self.held();
        let held = all.entry(namespace.to_owned()).or_default();
        // An older version may be seen after a larger one was let through.
        if held.ahead.get(&key).is_some_and(|(ahead, _)| *ahead <= bytes) {
            held.ahead.remove(&key);
        }
        held.bytes = held.bytes.saturating_sub(held.seen.insert(key, bytes).unwrap_or(0)) + bytes;
    }

    /// A store saw that an object is gone.
    pub fn gone(&self, kind: Kind, namespace: &str, name: &str) {
        let mut all = self.held();
        let Some(held) = all.get_mut(namespace) else { return };
        let bytes = held.seen.remove(&(kind, name.to_owned())).unwrap_or(0);
        held.bytes = held.bytes.saturating_sub(bytes);
        if held.seen.is_empty() && held.ahead.is_empty() {
            all.remove(namespace);
        }
    }

    /// Bytes and number of what a namespace holds, with what was let through and not yet seen.
    pub fn total(&self, namespace: &str, now: Timestamp) -> (u64, u64) {
        self.held().get_mut(namespace).map_or((0, 0), |held| {
            held.forget_ahead(now);
            held.total()
        })
    }

    /// Whether an object may be written, in this version. What may is counted at once, unless it is a dry run.
    ///
    /// # Errors
    /// It grows, and the namespace would hold more than it may: what was found, wanted, and how to mend it.
    pub fn admit(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        Version { object, old, exempt }: Version<'_>,
        now: Timestamp,
        dry: bool,
    ) -> Result<(), String> {
        if !kind.namespaced() {
            return Ok(());
        }
        let (bytes, before) = (size(object), old.map_or(0, size));
        let key = (kind, name.to_owned());
        let mut all = self.held();
        let held = all.entry(namespace.to_owned()).or_default();
        held.forget_ahead(now);
        let known = held.of(&key);
        let (total, objects) = held.total();
        let total = total.saturating_sub(known.unwrap_or(0)) + bytes.max(known.unwrap_or(0));
        let objects = objects + u64::from(known.is_none());
        let grows = old.is_none() || bytes > before;
        let passes = !grows || exempt && only_stops(kind, object, old, bytes.saturating_sub(before));
        if !passes && (total > self.limits.bytes || objects > self.limits.objects) {
            if held.seen.is_empty() && held.ahead.is_empty() {
                all.remove(namespace);
            }
            let mut why = self.refusal(namespace, total, objects);
            why.extend(too_large(object));
            return Err(why);
        }
        if !dry && known.is_none_or(|known| known < bytes) {
            held.ahead.insert(key, (bytes, now));
        } else if held.seen.is_empty() && held.ahead.is_empty() {
            all.remove(namespace);
        }
        Ok(())
    }

    /// Whether a namespace may still write, of whose objects that are gone `bytes` bytes are remembered: deleting makes
    /// room for living objects only, or who creates and deletes would fill the operator's memory.
    ///
    /// # Errors
    /// More is remembered than may be: what was found, wanted, and how to mend it.
    pub fn remembering(&self, namespace: &str, bytes: u64) -> Result<(), String> {
        let most = self.limits.bytes.saturating_mul(REMEMBERED);
        if bytes <= most {
            return Ok(());
        }
        Err(format!(
            "namespace {namespace}: wanted at most {most} bytes of objects of placet.dev that were deleted or replaced, \
             which are remembered for good, found {bytes}; ask the platform team to raise the chart's value \
             quota.namespaceBytes ({REMEMBERED} times that may be remembered), or go on in another namespace. A Reject of \
             at most {REJECT} bytes, withdrawing and deleting are never refused for it"
        ))
    }

    fn refusal(&self, namespace: &str, bytes: u64, objects: u64) -> String {
        let Limits { bytes: most_bytes, objects: most_objects } = self.limits;
        let (wanted, value, found) = if bytes > most_bytes {
            (
                format!(
                    "at most {most_bytes} bytes of metadata and spec in all objects of placet.dev together"
                ),
                "quota.namespaceBytes",
                format!("{bytes} in {objects} objects"),
            )
        } else {
            (
                format!("at most {most_objects} objects of placet.dev"),
                "quota.namespaceObjects",
                objects.to_string(),
            )
        };
        format!(
            "namespace {namespace}: wanted {wanted}, found {found} with this one; withdraw releases that are no longer \
             used and delete what is old (what is deleted makes room at once), or ask the platform team to raise the \
             chart's value {value}. A Reject of at most {REJECT} bytes, withdrawing and deleting are never refused for it"
        )
    }
}

/// Whether a version can only stop something and adds no more than that takes. A release that is created withdrawn stops
/// nothing.
fn only_stops(kind: Kind, object: &Value, old: Option<&Value>, growth: u64) -> bool {
    let withdrawn = |o: &Value| o.pointer("/spec/withdrawn").and_then(Value::as_bool) == Some(true);
    match (kind, old) {
        (Kind::Approval, None) => is_reject(object) && is_small(object),
        (Kind::ModelRelease, Some(old)) => withdrawn(object) && !withdrawn(old) && growth <= WITHDRAWAL,
        _ => false,
    }
}

fn is_reject(object: &Value) -> bool {
    object.pointer("/spec/decision").and_then(Value::as_str) == Some("Reject")
}

/// Whether an object is no larger than what a Reject takes.
pub fn is_small(object: &Value) -> bool {
    written(object) <= REJECT
}

/// Of a Reject that is too large to be exempt, that this is why it counts.
pub fn too_large(object: &Value) -> Option<String> {
    let found = written(object);
    (is_reject(object) && found > REJECT).then(|| {
        format!(
            "; it counts, since it is too large: wanted a Reject of at most {REJECT} bytes, found {found}; leave out labels and \
             annotations"
        )
    })
}

/// Bytes of an object without what the webhook writes.
fn written(object: &Value) -> u64 {
    let ours = object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
    let ours = ours.filter(|(key, _)| [keys::STAMP, keys::RECEIPT].contains(&key.as_str()));
    let ours: u64 = ours.map(|(_, value)| length(value)).sum();
    size(object).saturating_sub(ours)
}

/// Bytes of an object: JSON of its spec and of its metadata without `managedFields`. The status is ours.
pub fn size(object: &Value) -> u64 {
    let metadata = object.get("metadata").and_then(Value::as_object).into_iter().flatten();
    let metadata: u64 = metadata
        .filter(|(key, _)| *key != "managedFields")
        // Quotes, colon and comma.
        .map(|(key, value)| count(key.len()) + 4 + length(value))
        .sum();
    metadata + object.get("spec").map_or(0, length)
}

fn length(value: &Value) -> u64 {
    let mut counter = Counter(0);
    // Counting does not fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Counts what is written to it.
struct Counter(u64);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += count(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
