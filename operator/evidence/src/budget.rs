//! Write budgets: what one namespace, or one owner that fails again and again, may cost the log. Pure: time is passed
//! in.
//!
//! Two rules. A refusal that was recorded is not recorded again at once: repeats are counted, and the counts are
//! recorded ([`Heartbeat`](crate::Heartbeat), [`Admission::repeats`](crate::Admission)). And each namespace has a
//! budget of bytes and records, so that what one namespace does delays no other.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::hash::Digest;
use crate::record::{Count, Effect, Heartbeat, RefusalCount};

/// Limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A refusal that was just recorded is counted, not recorded, for this long at least. It doubles each time the
    /// refusal went on meanwhile, up to `window_max`: an owner that fails for months costs a few records a day.
    pub window: Duration,
    /// The longest such time.
    pub window_max: Duration,
    /// Bytes that a namespace may write at once.
    pub burst_bytes: u64,
    /// Bytes that a namespace gains a second.
    pub bytes_per_second: u64,
    /// Records that a namespace may write at once.
    pub burst_records: u64,
    /// Records that a namespace gains a second.
    pub records_per_second: u64,
    /// Bytes that a namespace may write in a day, at whatever pace: what it goes on gaining is a day's part of it each second.
    pub day_bytes: u64,
    /// Refusals that are told apart; beyond, repeats are counted per namespace only. Bounds memory: about 100 bytes
    /// each, and as many again for one that repeats.
    pub max_refusals: usize,
    /// The same of one namespace: one that fills its part leaves the others theirs.
    pub max_refusals_of_namespace: usize,
}

impl Default for Limits {
    /// A minute, doubling up to a day; 8 MiB and 4,096 records at once, then 256 KiB and 200 records a second: above
    /// what a rollout of a thousand replicas writes. In a day 1 GiB, a million pods: a volume of 10 GiB is not full before
    /// somebody has seen the condition that warns.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            window_max: Duration::from_secs(24 * 3600),
            burst_bytes: 8 << 20,
            bytes_per_second: 256 << 10,
            burst_records: 4096,
            records_per_second: 200,
            day_bytes: 1 << 30,
            max_refusals: 100_000,
            max_refusals_of_namespace: 10_000,
        }
    }
}

impl Limits {
    /// Bytes of the day's that a namespace gains a second.
    fn day_bytes_per_second(&self) -> u64 {
        self.day_bytes / (24 * 3600)
    }
}

/// What makes two refusals the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Namespace of the object.
    pub namespace: String,
    /// Uid of the controlling owner, or the name of an object without one.
    pub owner: String,
    /// What was answered.
    pub effect: Effect,
    /// Reason codes, sorted.
    pub reasons: Vec<String>,
}

impl Refusal {
    /// Stands for the whole: 4 bytes of the SHA-256 over the namespace, and 12 of the one over all of it.
    fn key(&self) -> Key {
        use std::fmt::Write as _;
        let mut text = format!("{:?}\n{}\n{}", self.effect, self.namespace, self.owner);
        for reason in &self.reasons {
            let _ = write!(text, "\n{reason}");
        }
        let mut key = Key::default();
        key[..4].copy_from_slice(&Digest::of(self.namespace.as_bytes()).as_bytes()[..4]);
        key[4..].copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..12]);
        key
    }

    /// First 16 hex digits of the SHA-256 over effect and reasons.
    pub fn code(&self) -> String {
        let text = format!("{:?}\n{}", self.effect, self.reasons.join("\n"));
        Digest::of(text.as_bytes()).hex()[..16].to_owned()
    }
}

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Write it; for a refusal, with this many repeats counted before (see [`Admission::repeats`](crate::Admission)).
    Record {
        /// Repeats since the last record or count.
        repeats: u64,
    },
    /// It is counted. Answer without a record.
    Count,
    /// The namespace has used up its budget. A refusal is counted and answered; anything else must be refused, for it
    /// may not take effect without its record.
    Exhausted,
}

type Key = [u8; 16];

/// Whose part of the table a refusal takes.
fn part(key: &Key) -> [u8; 4] {
    [key[0], key[1], key[2], key[3]]
}

/// Counts on their way into the log.
#[derive(Debug)]
pub struct Counted {
    /// The body of their record.
    pub body: Heartbeat,
    /// What each of the body's refusals is; None where they are no longer told apart.
    what: Vec<Option<Box<Refusal>>>,
}

#[derive(Debug)]
struct Seen {
    /// Until when repeats are counted only.
    until: Timestamp,
    window: Duration,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    /// What it is, from its first repeat on: most refusals do not repeat, and need no words.
    what: Option<Box<Refusal>>,
}

#[derive(Debug)]
struct Bucket {
    bytes: u64,
    /// Left of the day's.
    day: u64,
    records: u64,
    filled: Timestamp,
}

/// Keeps budgets and counts.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    refusals: HashMap<Key, Seen>,
    /// How many of them each namespace has.
    parts: HashMap<[u8; 4], usize>,
    /// Repeats that are no longer told apart, per namespace.
    others: HashMap<String, Seen>,
    namespaces: HashMap<String, Bucket>,
    since: Timestamp,
    /// When room was last made: it takes a walk over everything.
    tidied: Timestamp,
}

/// Between two attempts to make room.
const TIDY: Duration = Duration::from_secs(1);

/// Refusals in one heartbeat: about 250 bytes each, so that the record stays well below its cap.
const PER_HEARTBEAT: usize = 80;

/// What one of them takes of its namespace's budget, in bytes.
const COUNT_BYTES: u64 = 300;

/// A refusal that goes on is told by the record that follows its window. One whose window lasts longer is told after this time:
/// what is only counted is lost when the operator is killed.
const COUNTED_FOR: Duration = Duration::from_secs(6 * 3600);

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(wait).ok().and_then(|w| time.checked_add(w).ok()).unwrap_or(Timestamp::MAX)
}

impl Budget {
    /// Budgets that are full, at this time.
    pub fn new(limits: Limits, now: Timestamp) -> Self {
        Self {
            limits,
            refusals: HashMap::new(),
            parts: HashMap::new(),
            others: HashMap::new(),
            namespaces: HashMap::new(),
            since: now,
            tidied: Timestamp::MIN,
        }
    }

    /// Judges a refusal (or another answer that repeats without taking effect) whose record has `bytes` bytes.
    pub fn refusal(&mut self, refusal: &Refusal, bytes: u64, now: Timestamp) -> Ruling {
        let key = refusal.key();
        let what = || Some(Box::new(refusal.clone()));
        if let Some(seen) = self.refusals.get_mut(&key)
            && now < seen.until
        {
            seen.what = seen.what.take().or_else(what);
            seen.repeat(now);
            return Ruling::Count;
        }
        let known = self.refusals.contains_key(&key);
        if !known && self.is_full(&key) {
            self.forget_old(now);
        }
        if !known && self.is_full(&key) {
            self.other(&refusal.namespace, now);
            return Ruling::Count;
        }
        if !self.spend(&refusal.namespace, bytes, now) {
            match self.refusals.get_mut(&key) {
                Some(seen) => {
                    seen.what = seen.what.take().or_else(what);
                    seen.repeat(now);
                }
                None => self.other(&refusal.namespace, now),
            }
            return Ruling::Exhausted;
        }
        let limits = self.limits;
        let seen = self.seen(key, now);
        // It comes again and again, fast or slowly: the next time is longer.
        let goes_on = now < after(seen.last, limits.window_max);
        seen.window = if goes_on { (seen.window * 2).min(limits.window_max) } else { limits.window };
        seen.window = seen.window.max(limits.window);
        seen.until = after(now, seen.window);
        seen.last = now;
        Ruling::Record { repeats: std::mem::take(&mut seen.count) }
    }

    /// Whether there is no room for another refusal of a namespace.
    fn is_full(&self, key: &Key) -> bool {
        let part = self.parts.get(&part(key)).copied().unwrap_or_default();
        self.refusals.len() >= self.limits.max_refusals || part >= self.limits.max_refusals_of_namespace
    }

    fn seen(&mut self, key: Key, now: Timestamp) -> &mut Seen {
        let parts = &mut self.parts;
        self.refusals.entry(key).or_insert_with(|| {
            *parts.entry(part(&key)).or_default() += 1;
            Seen::new(now)
        })
    }

    /// The record of a refusal could not be written: it and the repeats that it was to tell are counted, and the next one is
    /// recorded.
    pub fn unrecorded(&mut self, refusal: &Refusal, repeats: u64, now: Timestamp) {
        let seen = self.seen(refusal.key(), now);
        seen.until = now;
        seen.what.get_or_insert_with(|| Box::new(refusal.clone()));
        seen.repeat(now);
        seen.count += repeats;
    }

    /// Judges any other record of a namespace: [`Ruling::Record`] or [`Ruling::Exhausted`].
    pub fn record(&mut self, namespace: &str, bytes: u64, now: Timestamp) -> Ruling {
        if self.spend(namespace, bytes, now) { Ruling::Record { repeats: 0 } } else { Ruling::Exhausted }
    }

    /// Whether a record of so many bytes has room in a namespace's budget. Spends nothing.
    pub fn has_room(&mut self, namespace: &str, bytes: u64, now: Timestamp) -> bool {
        let bucket = self.bucket(namespace, now);
        bucket.bytes.min(bucket.day) >= bytes && bucket.records > 0
    }

    /// A record was written whether or not it had room: what there was is used up.
    pub fn written(&mut self, namespace: &str, bytes: u64, now: Timestamp) {
        let bucket = self.bucket(namespace, now);
        bucket.bytes = bucket.bytes.saturating_sub(bytes);
        bucket.day = bucket.day.saturating_sub(bytes);
        bucket.records = bucket.records.saturating_sub(1);
    }

    /// Takes a record out of a namespace's budget; `false` when it is used up.
    fn spend(&mut self, namespace: &str, bytes: u64, now: Timestamp) -> bool {
        let room = self.has_room(namespace, bytes, now);
        if room {
            self.written(namespace, bytes, now);
        }
        room
    }

    /// A namespace's budget, with what it gained until now.
    fn bucket(&mut self, namespace: &str, now: Timestamp) -> &mut Bucket {
        let limits = self.limits;
        let full = || Bucket {
            bytes: limits.burst_bytes,
            day: limits.day_bytes,
            records: limits.burst_records,
            filled: now,
        };
        let bucket = self.namespaces.entry(namespace.to_owned()).or_insert_with(full);
        // Whole seconds only: the rest stays for the next time. A clock that went back gives nothing.
        let seconds = u64::try_from(now.duration_since(bucket.filled).as_secs()).unwrap_or(0);
        if seconds > 0 {
            let gain =
                |have: u64, rate: u64, most: u64| have.saturating_add(rate.saturating_mul(seconds)).min(most);
            bucket.bytes = gain(bucket.bytes, limits.bytes_per_second, limits.burst_bytes);
            bucket.day = gain(bucket.day, limits.day_bytes_per_second(), limits.day_bytes);
            bucket.records = gain(bucket.records, limits.records_per_second, limits.burst_records);
            bucket.filled = after(bucket.filled, Duration::from_secs(seconds));
        }
        bucket
    }

    /// Namespaces that have used `percent` or more of what they may write at once or in a day, sorted.
    pub fn nearly_used(&self, percent: u8, now: Timestamp) -> Vec<String> {
        let limits = self.limits;
        let left = 100 - u64::from(percent.min(100));
        let mut names: Vec<String> = self
            .namespaces
            .iter()
            .filter(|(_, bucket)| {
                let seconds = u64::try_from(now.duration_since(bucket.filled).as_secs()).unwrap_or(0);
                let nearly = |have: u64, rate: u64, most: u64| {
                    let have = have.saturating_add(rate.saturating_mul(seconds)).min(most);
                    u128::from(have) * 100 <= u128::from(most) * u128::from(left)
                };
                nearly(bucket.bytes, limits.bytes_per_second, limits.burst_bytes)
                    || nearly(bucket.day, limits.day_bytes_per_second(), limits.day_bytes)
                    || nearly(bucket.records, limits.records_per_second, limits.burst_records)
            })
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }

    fn other(&mut self, namespace: &str, now: Timestamp) {
        self.others.entry(namespace.to_owned()).or_insert_with(|| Seen::new(now)).repeat(now);
    }

    /// Makes room: forgets refusals that may be recorded again and have nothing left to count.
    fn forget_old(&mut self, now: Timestamp) {
        if now < after(self.tidied, TIDY) && now >= self.tidied {
            return;
        }
        self.tidied = now;
        self.keep(|seen| seen.count > 0 || now < seen.until);
        let limits = self.limits;
        self.namespaces.retain(|_, bucket| {
            let idle = u64::try_from(now.duration_since(bucket.filled).as_secs()).unwrap_or(0);
            let day = bucket.day.saturating_add(idle.saturating_mul(limits.day_bytes_per_second()));
            idle.saturating_mul(limits.bytes_per_second) < limits.burst_bytes || day < limits.day_bytes
        });
    }

    /// Forgets all other refusals.
    fn keep(&mut self, one: impl Fn(&Seen) -> bool) {
        let parts = &mut self.parts;
        parts.clear();
        self.refusals.retain(|key, seen| {
            let kept = one(seen);
            if kept {
                *parts.entry(part(key)).or_default() += 1;
            }
            kept
        });
    }

    /// Takes the counts whose time has come, with the counts of unchanged reconciles, as heartbeats to be recorded; none when
    /// there is nothing to tell. Call it once an hour: more often costs bytes. `stopping`: all counts, whatever their time.
    /// What could not be written goes back by [`Budget::give_back`].
    pub fn flush(&mut self, counts: Vec<Count>, stopping: bool, now: Timestamp) -> Vec<Counted> {
        let since = std::mem::replace(&mut self.since, now);
        let mut told: Vec<(RefusalCount, Option<Box<Refusal>>)> = Vec::new();
        for seen in self.refusals.values_mut() {
            if seen.count == 0 {
                // What does not repeat needs no words.
                seen.what = None;
                continue;
            }
            if !stopping && now < seen.until && now < after(seen.first, COUNTED_FOR) {
                continue;
            }
            if let Some(refusal) = seen.what.take() {
                told.push((seen.take(&refusal.namespace, &refusal.owner, refusal.code()), Some(refusal)));
            }
        }
        for (namespace, mut seen) in self.others.drain() {
            told.push((seen.take(&namespace, "*", "*".to_owned()), None));
        }
        told.sort_by(|(a, _), (b, _)| {
            (&a.namespace, &a.owner, &a.refusal).cmp(&(&b.namespace, &b.owner, &b.refusal))
        });
        for (count, _) in &told {
            self.written(&count.namespace, COUNT_BYTES, now);
        }
        let window_max = self.limits.window_max;
        self.keep(|seen| seen.count > 0 || now < after(seen.last, window_max));
        self.refusals.shrink_to(2 * self.refusals.len());
        let mut out: Vec<Counted> = Vec::new();
        let mut told = told.into_iter().peekable();
        while told.peek().is_some() {
            let (refusals, what) = told.by_ref().take(PER_HEARTBEAT).unzip();
            out.push(Counted { body: Heartbeat { since, counts: Vec::new(), refusals }, what });
        }
        match out.first_mut() {
            Some(first) => first.body.counts = counts,
            None if counts.iter().any(|c| c.count > 0) => {
                out.push(Counted {
                    body: Heartbeat { since, counts, refusals: Vec::new() },
                    what: Vec::new(),
                });
            }
            None => {}
        }
        out
    }

    /// Takes back counts that were not written; they are told the next time.
    pub fn give_back(&mut self, counted: Counted, now: Timestamp) {
        self.since = self.since.min(counted.body.since);
        for (told, what) in counted.body.refusals.into_iter().zip(counted.what) {
            let seen = match what {
                Some(refusal) => {
                    let seen = self.seen(refusal.key(), now);
                    seen.what.get_or_insert(refusal);
                    seen
                }
                None => self.others.entry(told.namespace).or_insert_with(|| Seen::new(now)),
            };
            seen.first = told.first;
            if seen.count == 0 {
                seen.last = told.last;
            }
            seen.count += told.count;
        }
    }
}

impl Seen {
    fn new(now: Timestamp) -> Self {
        Self { until: now, window: Duration::ZERO, count: 0, first: now, last: now, what: None }
    }

    fn repeat(&mut self, now: Timestamp) {
        if self.count == 0 {
            self.first = now;
        }
        self.count += 1;
        self.last = now;
    }

    fn take(&mut self, namespace: &str, owner: &str, refusal: String) -> RefusalCount {
        let count = std::mem::take(&mut self.count);
        let (first, last) = (self.first, self.last);
        RefusalCount { namespace: namespace.to_owned(), owner: owner.to_owned(), refusal, count, first, last }
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
