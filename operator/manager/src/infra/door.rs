//! Who may call the webhooks: whoever knows the secret part of their paths.
//!
//! An API server shows no certificate unless it is configured to, so the path that we put into our webhook
//! configurations (`cabundle.rs`) begins with a token that only readers of those configurations know. It is made anew at
//! each start, kept in memory alone, and changed when the API server may have told it to somebody: when a call fails
//! without an answer, the error that its user gets quotes the address (Kubernetes 1.36: `failed calling webhook "…":
//! failed to call webhook: Post "https://…/<token>/…": EOF`; with a status as answer it does not). So a change follows
//!
//! * a request that was let in and was answered late, with a 5xx, or not at all: its connection closed, or we panicked;
//! * a connection that broke off after an answer was handed to it;
//! * a time in which we were not ready, since then the Service leads nowhere: half a minute after we are ready again, so
//!   that the new token is not told as well. That holds for the start, too;
//! * a caBundle that somebody overwrote.
//!
//! At most once a minute, and in the long run four times an hour: API servers before 1.36 keep a little for each address
//! that they ever called. The token before stays good until the new one is in force everywhere and half a minute more,
//! for API servers that have not heard of it, so that no request is dropped.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{StatusCode, Uri};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use super::telemetry::names;
use super::token::Token;

/// The shortest time between two changes.
const SPACING: Duration = Duration::from_secs(60);
/// In the long run, one change in this time…
const SUSTAINED: Duration = Duration::from_secs(900);
/// …but so many in a row.
const BURST: u32 = 5;
/// How long the token before stays good once the new one is in force: what an API server may take to hear of it.
const OVERLAP: Duration = Duration::from_secs(30);
/// How long after we are ready API servers know how to reach us.
const SETTLE: Duration = Duration::from_secs(30);
/// An answer that comes so shortly before the API server stops waiting counts as late: its clock began before ours.
const MARGIN: Duration = Duration::from_millis(500);
/// What an API server waits that does not say so.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// No randomness for a token.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes for the webhooks' path: {0}")]
pub struct DoorError(getrandom::Error);

/// The tokens that are good.
#[derive(Debug)]
struct Keys {
    current: Token,
    /// The one before, and until when; none: until the current one is in force.
    former: Option<(Token, Option<Instant>)>,
}

/// When to change the token next.
#[derive(Debug)]
struct Plan {
    /// As soon as may be.
    soon: bool,
    /// Not before this moment.
    settled: Option<Instant>,
    /// We are not ready.
    out: bool,
    /// When it was last changed.
    last: Instant,
    /// What the sustained rate has used up.
    spent: Instant,
}

impl Plan {
    fn due(&self) -> Option<Instant> {
        let wish = if self.soon { Some(self.last) } else { self.settled };
        let spared = self.spent.checked_sub(SUSTAINED * (BURST - 1)).unwrap_or(self.last);
        wish.map(|wish| wish.max(self.last + SPACING).max(spared))
    }
}

/// Keeps the token, lets requests in, and decides when the token changes.
pub struct Door {
    /// Paths that begin so have guards of their own.
    open: &'static [&'static str],
    keys: ArcSwap<Keys>,
    plan: Mutex<Plan>,
    wake: Notify,
    overlapping: AtomicBool,
    refused: Counter,
    changes: Counter,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Knock {
    /// Its path is none of ours: it is answered with 404.
    Stranger,
    /// Its path is guarded by what serves it.
    Unguarded,
    /// It knew the token. Goes on without it.
    Admitted(Visit, Uri),
}

/// The mark on requests that knew the token. Only the server makes it, from what the door said.
#[derive(Debug, Clone, Copy)]
pub struct Admitted(());

impl Door {
    /// With a new token. Paths that begin with one of `open` are let through.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new(open: &'static [&'static str]) -> Result<Arc<Self>, DoorError> {
        let current = Token::random_hex().map_err(DoorError)?;
        let now = Instant::now();
        Ok(Arc::new(Self {
            open,
            keys: ArcSwap::from_pointee(Keys { current, former: None }),
            plan: Mutex::new(Plan { soon: false, settled: None, out: true, last: now, spent: now }),
            wake: Notify::new(),
            overlapping: AtomicBool::new(false),
            refused: Counter::default(),
            changes: Counter::default(),
        }))
    }

    /// Shows what happens at the door.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Requests on the webhook port whose path did not hold the token";
        registry.register(names::REQUESTS_REFUSED, help, self.refused.clone());
        let help = "Changes of the token because the API server may have told it";
        registry.register(names::PATH_CHANGES, help, self.changes.clone());
    }

    /// The path that leads to `endpoint` now.
    pub fn path(&self, endpoint: &str) -> String {
        format!("/{}{endpoint}", self.keys.load().current.text())
    }

    /// Whether `path` leads to `endpoint`, with any token that is good.
    pub fn leads(&self, path: &str, endpoint: &str) -> bool {
        split(path).is_some_and(|(shown, rest)| self.opens(shown) && rest == endpoint)
    }

    /// Whether `path` leads to `endpoint` with the current token.
    pub fn is_current(&self, path: &str, endpoint: &str) -> bool {
        split(path).is_some_and(|(shown, rest)| {
            self.keys.load().current.matches(shown.as_bytes()) && rest == endpoint
        })
    }

    fn opens(&self, shown: &str) -> bool {
        let keys = self.keys.load();
        let current = keys.current.matches(shown.as_bytes());
        // Both are compared always, so that time tells nothing.
        let former = keys.former.as_ref().is_some_and(|(token, until)| {
            token.matches(shown.as_bytes()) & until.is_none_or(|until| Instant::now() < until)
        });
        current | former
    }

    /// A request arrives. Looks at nothing but its address.
    pub fn knock(self: &Arc<Self>, uri: &Uri) -> Knock {
        if self.open.iter().any(|open| uri.path().starts_with(open)) {
            return Knock::Unguarded;
        }
        let inside = split(uri.path()).filter(|(shown, _)| self.opens(shown));
        let Some(inside) = inside.and_then(|(_, rest)| rest.parse::<Uri>().ok()) else {
            self.refused.inc();
            return Knock::Stranger;
        };
        let wait = uri.query().and_then(wait_of).unwrap_or(DEFAULT_WAIT);
        let late = Instant::now() + wait.saturating_sub(MARGIN);
        Knock::Admitted(Visit { door: Arc::clone(self), late, answered: false }, inside)
    }

    /// The API server may have told the current token to somebody.
    pub fn doubt(&self, why: &'static str) {
        let mut plan = self.plan();
        if !plan.soon {
            plan.soon = true;
            drop(plan);
            info!(why, "the webhooks' path may have been told, it will be changed");
            self.wake.notify_one();
        }
    }

    /// A readiness probe was answered.
    pub fn probed(&self, ready: bool) {
        let mut plan = self.plan();
        if !ready {
            plan.out = true;
        } else if plan.out {
            plan.out = false;
            plan.settled = Some(Instant::now() + SETTLE);
            drop(plan);
            self.wake.notify_one();
        }
    }

    /// When the token should change, if it should.
    pub fn due(&self) -> Option<Instant> {
        self.plan().due()
    }

    /// Changes the token if that is due. For whoever puts it in force.
    pub fn change(&self) -> bool {
        let mut plan = self.plan();
        let now = Instant::now();
        if plan.due().is_none_or(|due| due > now) {
            return false;
        }
        plan.last = now;
        let current = match Token::random_hex() {
            Ok(token) => token,
            Err(problem) => {
                warn!(%problem, "no random bytes for a new path of the webhooks, trying again in a minute");
                return false;
            }
        };
        plan.spent = plan.spent.max(now) + SUSTAINED;
        plan.soon = false;
        plan.settled = plan.settled.filter(|settled| *settled > now);
        drop(plan);
        let former = self.keys.load().current.clone();
        self.keys.store(Arc::new(Keys { current, former: Some((former, None)) }));
        self.overlapping.store(true, Ordering::Relaxed);
        self.changes.inc();
        true
    }

    /// The current token is in force everywhere: the one before ends soon.
    pub fn settled(&self) {
        if self.overlapping.swap(false, Ordering::Relaxed) {
            let keys = self.keys.load();
            let former =
                keys.former.as_ref().map(|(token, _)| (token.clone(), Some(Instant::now() + OVERLAP)));
            self.keys.store(Arc::new(Keys { current: keys.current.clone(), former }));
        }
    }

    /// Returns when something about [`Door::due`] may have changed. For one waiter.
    pub async fn doubted(&self) {
        self.wake.notified().await;
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that was let in. Dropped without [`Visit::answered`], it was not answered.
#[derive(Debug)]
pub struct Visit {
    door: Arc<Door>,
    late: Instant,
    answered: bool,
}

impl Visit {
    /// The mark that its request carries from here on.
    pub fn mark(&self) -> Admitted {
        Admitted(())
    }

    /// The answer is there.
    pub fn answered(mut self, status: StatusCode) {
        self.answered = true;
        if Instant::now() >= self.late {
            self.door.doubt("a request was answered later than the API server waits");
        } else if status.is_server_error() {
            self.door.doubt("a request was answered with a failure");
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.answered {
            self.door.doubt("a request was not answered");
        }
    }
}

/// The first part of a path, and the rest with its slash.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    path.find('/').map(|at| path.split_at(at))
}

/// What the API server says that it waits: `timeout=5s`, the text of a Go duration, in whole seconds.
fn wait_of(query: &str) -> Option<Duration> {
    let text = query.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    let (minutes, seconds) =
        text.strip_suffix('s')?.split_once('m').unwrap_or(("0", text.strip_suffix('s')?));
    let (minutes, seconds): (u64, u64) = (minutes.parse().ok()?, seconds.parse().ok()?);
    minutes.checked_mul(60)?.checked_add(seconds).map(Duration::from_secs)
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
