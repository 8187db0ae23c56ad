//! How far a store may be believed.
//!
//! A store is a copy, and a copy whose source has gone silent looks exactly like one of which nothing changed. The
//! API server sends a bookmark about every minute on a quiet watch; a watch that brought neither event nor bookmark
//! for 90 s is therefore no longer believed (design.md, invariant 2). Reading costs two atomic loads and one reading
//! of the monotonic clock, so it can be asked on every admission.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
// Tokio's instant is the system's monotonic clock, and stands still in tests that pause it.
use tokio::time::Instant;

/// Silence after which a store is stale. Bookmarks come about every 60 s.
pub const STALE_AFTER: Duration = Duration::from_secs(90);

/// What a store is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// No complete list has been received since start.
    NotYetListed,
    /// Listed, and heard of within the limit.
    Live,
    /// Listed, but nothing was heard for longer than the limit.
    Stale {
        /// How long nothing was heard.
        quiet: Duration,
    },
    /// Nobody knows how long nothing was heard; a list is needed.
    Doubted,
    /// The API server does not know the kind: its CRD is not installed.
    Missing,
}

impl fmt::Display for StoreState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetListed => f.write_str("not yet listed"),
            Self::Live => f.write_str("live"),
            Self::Stale { quiet } => write!(f, "stale: no event or bookmark for {} s", quiet.as_secs()),
            Self::Doubted => f.write_str("to be listed again: time passed that was not counted"),
            Self::Missing => f.write_str("missing: the API server does not know this kind, install its CRD"),
        }
    }
}

#[derive(Debug)]
struct Inner {
    name: String,
    origin: Instant,
    stale_after: Duration,
    /// Milliseconds from `origin` to the last sign of life, plus one; zero means never listed.
    heard: AtomicU64,
    missing: AtomicBool,
    /// Milliseconds from `origin` to when it was doubted, plus one; zero means not.
    doubted: AtomicU64,
    doubts: watch::Sender<()>,
    problem: Mutex<Option<String>>,
    listed: watch::Sender<bool>,
}

/// The handle that readers hold and the watch writes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Freshness {
    inner: Arc<Inner>,
}

impl Freshness {
    /// Of a store called `name` (for messages) that is stale after `stale_after` of silence.
    pub fn new(name: impl Into<String>, stale_after: Duration) -> Self {
        let inner = Inner {
            name: name.into(),
            origin: Instant::now(),
            stale_after,
            heard: AtomicU64::new(0),
            missing: AtomicBool::new(false),
            doubted: AtomicU64::new(0),
            doubts: watch::channel(()).0,
            problem: Mutex::new(None),
            listed: watch::channel(false).0,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The store's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What the store is worth now.
    pub fn state(&self) -> StoreState {
        if self.inner.missing.load(Ordering::Acquire) {
            return StoreState::Missing;
        }
        match self.quiet() {
            None => StoreState::NotYetListed,
            Some(_) if self.is_doubted() => StoreState::Doubted,
            Some(quiet) if quiet > self.inner.stale_after => StoreState::Stale { quiet },
            Some(_) => StoreState::Live,
        }
    }

    /// Whether the store may be decided by.
    pub fn is_live(&self) -> bool {
        self.state() == StoreState::Live
    }

    /// The last thing that went wrong, until something goes right again. For people and logs.
    pub fn problem(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Returns once the first complete list is in the store.
    pub async fn listed(&self) {
        let mut listed = self.inner.listed.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = listed.wait_for(|listed| *listed).await;
    }

    /// Time since the last sign of life; `None` before the first list.
    pub fn quiet(&self) -> Option<Duration> {
        let heard = self.inner.heard.load(Ordering::Acquire).checked_sub(1)?;
        Some((Instant::now() - self.inner.origin).saturating_sub(Duration::from_millis(heard)))
    }

    /// Silence after which this store is stale.
    pub fn stale_after(&self) -> Duration {
        self.inner.stale_after
    }

    /// From now on only a list that is asked for later makes the store live: what was heard may be older than it seems.
    pub(crate) fn doubt(&self) {
        self.inner.doubted.store(self.since_origin(Instant::now()) + 1, Ordering::Release);
        self.inner.doubts.send_replace(());
    }

    /// Whether a list is needed.
    pub(crate) fn is_doubted(&self) -> bool {
        self.inner.doubted.load(Ordering::Acquire) != 0
    }

    /// Hears of doubts from now on.
    pub(crate) fn doubts(&self) -> watch::Receiver<()> {
        self.inner.doubts.subscribe()
    }

    /// A complete list that was asked for at `asked` is in the store.
    pub(crate) fn mark_listed(&self, asked: Instant) {
        self.hear(asked);
        let doubted = self.inner.doubted.load(Ordering::Acquire);
        if doubted != 0 && self.since_origin(asked) + 1 >= doubted {
            // Unless it was doubted again meanwhile.
            let _ = self.inner.doubted.compare_exchange(doubted, 0, Ordering::AcqRel, Ordering::Acquire);
        }
        self.inner.missing.store(false, Ordering::Release);
        self.inner.listed.send_replace(true);
    }

    /// An event was applied to the store, or a bookmark came that is newer than what was heard before.
    pub(crate) fn mark_heard(&self) {
        self.hear(Instant::now());
    }

    /// The API server does not know the kind.
    pub(crate) fn mark_missing(&self) {
        self.inner.missing.store(true, Ordering::Release);
    }

    /// Something went wrong. Changes nothing but what [`Freshness::problem`] says.
    pub(crate) fn mark_problem(&self, problem: String) {
        *self.lock() = Some(problem);
    }

    fn hear(&self, at: Instant) {
        self.inner.heard.fetch_max(self.since_origin(at) + 1, Ordering::AcqRel);
        *self.lock() = None;
    }

    /// In milliseconds.
    fn since_origin(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.inner.origin).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX - 1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.inner.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_makes_a_store_stale_and_a_bookmark_heals_it() {
        let fresh = Freshness::new("pods", STALE_AFTER);
        assert_eq!(fresh.state(), StoreState::NotYetListed);
        fresh.mark_listed(Instant::now());
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(fresh.state(), StoreState::Live);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(fresh.state(), StoreState::Stale { quiet: Duration::from_secs(91) });
        assert_eq!(fresh.state().to_string(), "stale: no event or bookmark for 91 s");
        fresh.mark_heard();
        assert!(fresh.is_live());
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_as_old_as_its_question() {
        let fresh = Freshness::new("pods", STALE_AFTER);
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(91)).await;
        fresh.mark_listed(asked);
        assert!(matches!(fresh.state(), StoreState::Stale { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_list_asked_for_later_ends_a_doubt() {
        let fresh = Freshness::new("pods", STALE_AFTER);
        let before = Instant::now();
        fresh.mark_listed(before);
        tokio::time::advance(Duration::from_secs(1)).await;
        fresh.doubt();
        assert_eq!(fresh.state(), StoreState::Doubted);
        fresh.mark_heard();
        fresh.mark_listed(before);
        assert!(!fresh.is_live());
        fresh.mark_listed(Instant::now());
        assert!(fresh.is_live());
    }

    #[tokio::test(start_paused = true)]
    async fn missing_wins_until_the_kind_is_listed() {
        let fresh = Freshness::new("modelreleases", STALE_AFTER);
        fresh.mark_missing();
        assert_eq!(fresh.state(), StoreState::Missing);
        fresh.mark_problem("not found".to_owned());
        assert_eq!(fresh.problem().as_deref(), Some("not found"));
        fresh.mark_listed(Instant::now());
        assert_eq!(fresh.state(), StoreState::Live);
        assert_eq!(fresh.problem(), None);
        tokio::time::timeout(Duration::from_secs(1), fresh.listed()).await.unwrap();
    }
}
