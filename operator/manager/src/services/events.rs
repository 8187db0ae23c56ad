//! Events for people: `events.k8s.io/v1`, so that `kubectl describe` tells what happened to an object.
//!
//! An event is a courtesy: emitting never waits, a full queue drops, a refusal is a line in our log. The same event on
//! the same object within six minutes becomes a count on the first one (a series), and an object that is talked about
//! without end is talked about less.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::call::{self, CallError, PatchKind};
use crate::infra::clock::Clock;
use crate::infra::supervisor::Shutdown;

/// Longest note in bytes. The API allows 1,024; an ellipsis and a margin are left.
pub const MAX_NOTE: usize = 1000;
/// Longest reason in bytes, by the API.
pub const MAX_REASON: usize = 128;

/// Events that may wait; more are dropped.
const QUEUE: usize = 1024;
/// The same event again within this time is counted on the first one, as client-go does.
const SERIES: Duration = Duration::from_secs(6 * 60);
/// A series is written at most this often; what happens in between is counted.
const SERIES_SPACING: Duration = Duration::from_secs(10);
/// New events that one object may have at once, and how long it takes until it may have one more.
const BURST: f64 = 10.0;
const REFILL: Duration = Duration::from_secs(30);
/// New events of all objects that are written at once, and in a second from then on: what the API server is spared when
/// thousands of objects have something to say.
const BURST_ALL: f64 = 200.0;
const PER_SECOND: f64 = 50.0;
/// Series and objects that are remembered; beyond, the oldest are forgotten.
const REMEMBERED: usize = 4096;
/// How long writing may go on after the stop signal.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How an event is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Nothing to do.
    Normal,
    /// Somebody has to do something.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

#[derive(Debug)]
struct Said {
    regarding: ObjectReference,
    type_: EventType,
    reason: String,
    note: String,
}

/// Takes events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventSink(mpsc::Sender<Said>, Arc<Mutex<Shares>>);

/// What each namespace may still have said of what others can have said without end.
type Shares = HashMap<String, Allowance>;

/// Such events of one namespace at once, and how many it gains a second: a fifth of what may be written of all.
const SHARE: f64 = 64.0;
const SHARE_PER_SECOND: f64 = PER_SECOND / 5.0;

impl EventSink {
    /// A sink, and the task that writes what it takes. `controller` and `instance` say who reports: the operator and its
    /// pod.
    pub fn new(client: Client, controller: &str, instance: &str) -> (Self, EventTask) {
        // Not the clock that decides: kubectl reckons an event's age with its own.
        Self::with_clock(client, controller, instance, Clock::system())
    }

    fn with_clock(client: Client, controller: &str, instance: &str, clock: Clock) -> (Self, EventTask) {
        let (sender, said) = mpsc::channel(QUEUE);
        let task = EventTask {
            client,
            controller: format!("placet.dev/{controller}"),
            // The API's bound.
            instance: cut(instance, 128).to_owned(),
            clock,
            said,
            series: HashMap::new(),
            allowance: HashMap::new(),
            all: Allowance { left: BURST_ALL, since: Instant::now() },
        };
        (Self(sender, Arc::default()), task)
    }

    /// Says something about an object. Never waits; an event that finds the queue full is dropped. The note is cut to
    /// [`MAX_NOTE`] bytes at a line, its last line (what to do next) is kept.
    pub fn emit(&self, regarding: ObjectReference, type_: EventType, reason: &str, note: &str) {
        let reason = cut(reason, MAX_REASON).to_owned();
        let said = Said { regarding, type_, reason, note: fit(note) };
        if let Err(error) = self.0.try_send(said) {
            debug!(%error, "an event was dropped");
        }
    }

    /// As [`EventSink::emit`], for what others can have said without end about objects of a namespace: takes half of the queue
    /// at most and no more than the namespace's share, and the words are made only if there is room.
    pub fn emit_if_room(
        &self,
        namespace: &str,
        type_: EventType,
        reason: &str,
        words: impl FnOnce() -> (ObjectReference, String),
    ) {
        if self.0.capacity() * 2 < self.0.max_capacity() {
            debug!(reason, "an event was left out: too many wait");
            return;
        }
        if !self.has_share(namespace, Instant::now()) {
            debug!(reason, namespace, "an event was left out: too many of this namespace");
            return;
        }
        let (regarding, note) = words();
        self.emit(regarding, type_, reason, &note);
    }
}

impl EventSink {
    fn has_share(&self, namespace: &str, now: Instant) -> bool {
        let mut shares = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= REMEMBERED {
            // A full share says nothing.
            shares.retain(|_, share| (now - share.since).as_secs_f64() * SHARE_PER_SECOND < SHARE);
        }
        let share = shares.entry(namespace.to_owned()).or_insert(Allowance { left: SHARE, since: now });
        let left = (share.left + (now - share.since).as_secs_f64() * SHARE_PER_SECOND).min(SHARE);
        *share = Allowance { left: if left < 1.0 { left } else { left - 1.0 }, since: now };
        left >= 1.0
    }
}

/// What makes two events the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    object: String,
    type_: EventType,
    reason: String,
    note: String,
}

#[derive(Debug)]
struct Series {
    /// Path of the first event.
    path: String,
    count: u64,
    last: Instant,
    written: Instant,
}

#[derive(Debug)]
struct Allowance {
    left: f64,
    since: Instant,
}

/// Writes events. Run it as a task.
pub struct EventTask {
    client: Client,
    controller: String,
    instance: String,
    clock: Clock,
    said: mpsc::Receiver<Said>,
    series: HashMap<Key, Series>,
    allowance: HashMap<String, Allowance>,
    /// Of all objects together.
    all: Allowance,
}

impl std::fmt::Debug for EventTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventTask").field("series", &self.series.len()).finish_non_exhaustive()
    }
}

impl EventTask {
    /// Writes until `shutdown`, then what waits, for at most two seconds.
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn run(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = shutdown.wait() => break,
                said = self.said.recv() => {
                    let Some(said) = said else { shutdown.wait().await; break };
                    self.write(said).await;
                }
            }
        }
        let rest = async {
            while let Ok(said) = self.said.try_recv() {
                self.write(said).await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, rest).await.is_err() {
            debug!("events were left when the operator stopped");
        }
        Ok(())
    }

    async fn write(&mut self, said: Said) {
        let object = object_of(&said.regarding);
        let key = Key {
            object: object.clone(),
            type_: said.type_,
            reason: said.reason.clone(),
            note: said.note.clone(),
        };
        let now = Instant::now();
        match self.repeat(&key, now).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => return failed(&object, &said.reason, &error),
        }
        if !self.may_say(&object, now) {
            debug!(object, reason = said.reason, "an event was left out: too many about this object");
            return;
        }
        self.pace(now).await;
        let (path, event) = self.event(&said);
        match call::create(&self.client, &path, &event).await {
            Ok(_) => {
                let name = event["metadata"]["name"].as_str().unwrap_or_default();
                self.forget(now);
                self.series.insert(
                    key,
                    Series { path: format!("{path}/{name}"), count: 1, last: now, written: now },
                );
            }
            Err(error) => failed(&object, &said.reason, &error),
        }
    }

    /// Counts a repeated event. Whether it is dealt with.
    async fn repeat(&mut self, key: &Key, now: Instant) -> Result<bool, CallError> {
        let Some(series) = self.series.get_mut(key) else { return Ok(false) };
        if now - series.last >= SERIES {
            self.series.remove(key);
            return Ok(false);
        }
        series.last = now;
        series.count += 1;
        // The second one is told at once: that it repeats is news.
        if series.count > 2 && now - series.written < SERIES_SPACING {
            return Ok(true);
        }
        series.written = now;
        let last = micro(self.clock.now());
        let patch = json!({"series": {"count": series.count, "lastObservedTime": last}});
        match call::patch(&self.client, &series.path, PatchKind::Merge, &patch).await {
            Ok(_) => Ok(true),
            // The API server forgets events after an hour, and people may delete them.
            Err(error) if error.code() == Some(404) => {
                self.series.remove(key);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the object may have one more event; a bucket that fills again.
    fn may_say(&mut self, object: &str, now: Instant) -> bool {
        let bucket = self.allowance.entry(object.to_owned()).or_insert(Allowance { left: BURST, since: now });
        let gained = (now - bucket.since).as_secs_f64() / REFILL.as_secs_f64();
        bucket.left = (bucket.left + gained).min(BURST);
        bucket.since = now;
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }

    /// Waits until one more event of all may be written.
    async fn pace(&mut self, now: Instant) {
        let gained = (now - self.all.since).as_secs_f64() * PER_SECOND;
        self.all = Allowance { left: (self.all.left + gained).min(BURST_ALL) - 1.0, since: now };
        if self.all.left < 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(-self.all.left / PER_SECOND)).await;
        }
    }

    /// Keeps what is remembered bounded.
    fn forget(&mut self, now: Instant) {
        if self.series.len() >= REMEMBERED {
            self.series.retain(|_, series| now - series.last < SERIES);
        }
        if self.series.len() >= REMEMBERED {
            self.series.clear();
        }
        if self.allowance.len() >= REMEMBERED {
            // A full bucket says nothing.
            let full = REFILL.mul_f64(BURST);
            self.allowance.retain(|_, bucket| now - bucket.since < full);
        }
        if self.allowance.len() >= REMEMBERED {
            self.allowance.clear();
        }
    }

    fn event(&self, said: &Said) -> (String, Value) {
        let now = self.clock.now();
        // Objects without a namespace have their events in `default`, where kubectl looks for them.
        let namespace = said.regarding.namespace.as_deref().unwrap_or("default");
        let about = said.regarding.name.as_deref().unwrap_or("placet");
        let random = getrandom::u64().unwrap_or_default();
        // Names have at most 253 characters; the API server's own names of events end alike.
        let name = format!("{}.{random:016x}", cut(about, 200).trim_end_matches(['.', '-']));
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": micro(now),
            "reportingController": self.controller,
            "reportingInstance": self.instance,
            "action": said.reason,
            "reason": said.reason,
            "type": said.type_.as_str(),
            "note": said.note,
            "regarding": said.regarding,
        });
        (format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"), event)
    }
}

fn failed(object: &str, reason: &str, error: &CallError) {
    // A namespace that ends takes no new objects: nothing is lost that would stay.
    let ending = error.code() == Some(403) && error.to_string().contains("being terminated");
    if ending {
        debug!(object, reason, %error, "an event could not be written");
    } else {
        warn!(object, reason, %error, "an event could not be written");
    }
}

fn object_of(regarding: &ObjectReference) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (kind, namespace, name) = (text(&regarding.kind), text(&regarding.namespace), text(&regarding.name));
    format!("{kind} {namespace}/{name} {}", text(&regarding.uid))
}

/// RFC 3339 with microseconds, as the API's `MicroTime` wants it.
fn micro(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// At most `max` bytes of `text`, whole characters.
fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// At most [`MAX_NOTE`] bytes: the first lines that fit and the last one, which says what to do next.
fn fit(note: &str) -> String {
    const CUT: &str = "…";
    if note.len() <= MAX_NOTE {
        return note.to_owned();
    }
    let (body, last) = note.rsplit_once('\n').unwrap_or((note, ""));
    // A last line that would leave no room for the rest is no closing line.
    let last = if last.len() <= MAX_NOTE / 2 { last } else { "" };
    let room = MAX_NOTE - last.len() - CUT.len() - 2;
    let mut kept = cut(body, room);
    if kept.len() < body.len()
        && !body[kept.len()..].starts_with('\n')
        && let Some((whole, _)) = kept.rsplit_once('\n')
    {
        kept = whole;
    }
    if last.is_empty() { format!("{kept}\n{CUT}") } else { format!("{kept}\n{CUT}\n{last}") }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
