//! The one reader of the wall clock.
//!
//! Decisions depend on the time, so a wrong clock is a way to get an expired approval accepted. [`Clock`] therefore
//! - never goes below the newest time in the log ([`Clock::observe_floor`]) nor below what it said before;
//! - is compared with the `Date` header of every answer of the API server ([`DateLayer`]); a difference of more than
//!   [`MAX_SKEW`] makes time untrusted until a later answer agrees again;
//! - notices by itself when the wall clock jumps against the monotonic clock, and does not trust it until an answer
//!   of the API server confirms it.
//!
//! While time is not trusted, [`Clock::now`] reports the earliest of what it has (the wall clock, the last trusted
//! reading carried on by the monotonic clock, the API server's date carried on likewise): a clock that runs ahead
//! leaves no mark in the log that would hold the floor up after it has been put right.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, header};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use tower::{Layer, Service};
use tracing::{info, warn};

use super::supervisor::Shutdown;

/// The largest difference from the API server's `Date` that is still trusted (design.md, invariant 2; issue point 6).
pub const MAX_SKEW: SignedDuration = SignedDuration::from_secs(30);

/// `Date` is cut to whole seconds, so the true time lies half a second later on average.
const DATE_CUT: SignedDuration = SignedDuration::from_millis(500);

/// An answer that took longer says too little about the time at which its `Date` was written.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);

/// How often the API server is asked when nothing else is: as rarely as an idle watch is renewed.
const PROBE_TRUSTED: Duration = Duration::from_secs(60);

/// How often it is asked while time is not trusted, so that a clock that was put right is believed soon.
const PROBE_UNTRUSTED: Duration = Duration::from_secs(5);

/// Where readings come from. Implemented by [`SystemTime`] and by tests.
pub trait TimeSource: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn wall(&self) -> Timestamp;
    /// A clock that only runs forward, at the same rate, from any origin.
    fn monotonic(&self) -> Duration;
}

/// The system's clocks, with an offset in seconds on the wall clock that is zero but in tests.
#[derive(Debug)]
pub struct SystemTime {
    origin: std::time::Instant,
    offset: Arc<AtomicI64>,
}

impl SystemTime {
    /// Without an offset.
    pub fn new() -> Self {
        Self::with_offset(Arc::new(AtomicI64::new(0)))
    }

    /// With an offset in seconds that may change at any time, see [`TestClock`].
    #[expect(clippy::disallowed_methods, reason = "this module is the one reader of the clocks")]
    pub fn with_offset(offset: Arc<AtomicI64>) -> Self {
        Self { origin: std::time::Instant::now(), offset }
    }
}

impl Default for SystemTime {
    fn default() -> Self {
        Self::new()
    }
}

impl TimeSource for SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this module is the one reader of the clocks")]
    fn wall(&self) -> Timestamp {
        let now = Timestamp::now();
        let offset = SignedDuration::from_secs(self.offset.load(Ordering::Relaxed));
        now.checked_add(offset).unwrap_or(now)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Whether the time may be decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It agrees with the API server.
    Trusted,
    /// It does not, or nobody knows: decisions are Unknown.
    Untrusted {
        /// What was wanted and what was found.
        why: Distrust,
    },
}

/// Why time is not trusted. `Display` is one sentence for a condition's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// No answer of the API server has been seen yet.
    #[error("the clock has not yet been compared with the API server's Date")]
    NotCompared,
    /// The API server says otherwise. Positive: its clock is ahead of ours.
    #[error(
        "the clock differs from the API server's Date by {seconds} s, more than the 30 s allowed: check NTP on this \
         node and on the control plane"
    )]
    Differs {
        /// API server minus ours, in seconds.
        seconds: i64,
    },
    /// The wall clock moved against the monotonic clock, and no answer of the API server has confirmed it since.
    #[error(
        "the clock was set by {seconds} s while running and no answer of the API server has confirmed it yet"
    )]
    Jumped {
        /// How far, in seconds; positive is ahead.
        seconds: i64,
    },
    /// The log holds a later time than the clock shows.
    #[error(
        "the clock is {seconds} s behind the newest record of the evidence log: time stands still until it is reached. If the clock was \
         ahead when that was written, `placet evidence begin --because ...` begins a log whose time is now"
    )]
    BehindFloor {
        /// How far, in seconds.
        seconds: i64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Comparison {
    /// The API server's time at `at`, the cut half second added.
    date: Timestamp,
    /// The monotonic clock at the middle of the round trip.
    at: Duration,
    /// API server minus wall clock.
    skew: SignedDuration,
    agrees: bool,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    wall: Timestamp,
    at: Duration,
}

#[derive(Debug)]
struct State {
    floor: Option<Timestamp>,
    last: Option<Comparison>,
    anchor: Option<Anchor>,
    /// How often time went on without the monotonic clock.
    restarts: u64,
}

#[derive(Debug)]
struct Inner {
    source: Arc<dyn TimeSource>,
    state: Mutex<State>,
}

/// The operator's clock. Cheap to clone; all clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

impl Clock {
    /// A clock over the system's time.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemTime::new()))
    }

    /// A clock over any source.
    pub fn new(source: Arc<dyn TimeSource>) -> Self {
        let state = Mutex::new(State { floor: None, last: None, anchor: None, restarts: 0 });
        Self { inner: Arc::new(Inner { source, state }) }
    }

    /// The time. See the module's text for what it promises. Before the first comparison it is the floor, or with an
    /// empty log the wall clock, and holds nothing up afterwards.
    pub fn now(&self) -> Timestamp {
        self.read().0
    }

    /// Whether [`Clock::now`] may be decided by.
    pub fn trust(&self) -> Trust {
        self.read().1
    }

    /// Time and trust of one and the same instant.
    pub fn read(&self) -> (Timestamp, Trust) {
        let (wall, at) = (self.inner.source.wall(), self.inner.source.monotonic());
        let mut state = self.lock();
        let trust = judge(&state, wall, at);
        let reading = match &trust {
            Trust::Trusted => Some(wall),
            Trust::Untrusted { why: Distrust::NotCompared } => None,
            Trust::Untrusted { .. } => {
                let carried = state.anchor.map(|anchor| carry(anchor.wall, anchor.at, at));
                let dated = state.last.map(|last| carry(last.date, last.at, at));
                [Some(wall), carried, dated].into_iter().flatten().min()
            }
        };
        if reading > state.floor {
            state.floor = reading;
        }
        (state.floor.unwrap_or(wall), trust)
    }

    /// Takes note of a time that must not be gone below: the newest in the log.
    pub fn observe_floor(&self, newest: Timestamp) {
        let mut state = self.lock();
        if Some(newest) > state.floor {
            state.floor = Some(newest);
        }
    }

    /// API server minus wall clock at the last comparison, good to about a second plus half the round trip.
    pub fn skew(&self) -> Option<SignedDuration> {
        self.lock().last.map(|last| last.skew)
    }

    /// How often the API server confirmed that more than [`MAX_SKEW`] passed which the monotonic clock did not count, as
    /// while a machine is suspended. What is as old as that clock says was older then.
    pub fn restarts(&self) -> u64 {
        self.lock().restarts
    }

    /// The layer for the Kubernetes client that feeds this clock.
    pub fn date_layer(&self) -> DateLayer {
        DateLayer { clock: self.clone() }
    }

    /// Records one answer: the `Date` it carried, and our wall and monotonic clocks when the request left and when
    /// the answer came.
    pub fn record_date(&self, date: Timestamp, sent: (Timestamp, Duration), came: (Timestamp, Duration)) {
        let round_trip = came.1.saturating_sub(sent.1);
        if round_trip > MAX_ROUND_TRIP {
            return;
        }
        let half = SignedDuration::try_from(round_trip / 2).unwrap_or(SignedDuration::ZERO);
        // The wall clock may have been set in between: count back from the end, which is compared again later.
        let middle = came.0.checked_sub(half).unwrap_or(came.0);
        let date = date.checked_add(DATE_CUT).unwrap_or(date);
        let skew = date.duration_since(middle);
        // The API server wrote it at some time of the round trip: what that leaves open is not in our favour.
        let agrees = skew.abs() + half <= MAX_SKEW;
        let at = sent.1 + round_trip / 2;
        let mut state = self.lock();
        if state.last.is_some_and(|last| last.at > at) {
            return; // answers may overtake each other
        }
        state.last = Some(Comparison { date, at, skew, agrees });
        if agrees {
            // The machine was suspended: the monotonic clock stood still, and nobody was heard meanwhile.
            let slept = state
                .anchor
                .is_some_and(|before| middle.duration_since(carry(before.wall, before.at, at)) > MAX_SKEW);
            state.restarts += u64::from(slept);
            state.anchor = Some(Anchor { wall: middle, at });
        }
    }

    /// Asks the API server for its `Date` when no other answer brought one, and logs when trust is lost and regained.
    /// Runs until `shutdown`; a request that fails is only a missing comparison.
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn run_probe(self, client: Client, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut before = Trust::Trusted;
        loop {
            let trust = self.trust();
            if trust != before {
                match &trust {
                    Trust::Trusted => info!("the clock agrees with the API server again"),
                    Trust::Untrusted { why } => warn!(%why, "time is not trusted: decisions are Unknown"),
                }
            }
            let pause = if trust == Trust::Trusted { PROBE_TRUSTED } else { PROBE_UNTRUSTED };
            let age = self.lock().last.map(|last| self.inner.source.monotonic().saturating_sub(last.at));
            if trust != Trust::Trusted || age.is_none_or(|age| age >= PROBE_TRUSTED) {
                let request = tokio::time::timeout(MAX_ROUND_TRIP, client.apiserver_version());
                if let Ok(Err(problem)) = request.await {
                    tracing::debug!(%problem, "asking the API server for its Date");
                }
            }
            before = trust;
            tokio::select! {
                () = shutdown.wait() => return Ok(()),
                // Short steps: a jump must be noticed, and logged, long before the next probe is due.
                () = tokio::time::sleep(pause.min(PROBE_UNTRUSTED)) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held left no half-made state: every update is one assignment.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn carry(from: Timestamp, at: Duration, now: Duration) -> Timestamp {
    let passed = SignedDuration::try_from(now.saturating_sub(at)).unwrap_or(SignedDuration::ZERO);
    from.checked_add(passed).unwrap_or(from)
}

fn judge(state: &State, wall: Timestamp, at: Duration) -> Trust {
    let why = match (&state.last, &state.anchor) {
        (Some(last), _) if !last.agrees => Distrust::Differs { seconds: last.skew.as_secs() },
        (Some(_), Some(anchor)) => {
            let jump = wall.duration_since(carry(anchor.wall, anchor.at, at));
            let behind = state.floor.map_or(SignedDuration::ZERO, |floor| floor.duration_since(wall));
            if jump.abs() > MAX_SKEW {
                Distrust::Jumped { seconds: jump.as_secs() }
            } else if behind > MAX_SKEW {
                Distrust::BehindFloor { seconds: behind.as_secs() }
            } else {
                return Trust::Trusted;
            }
        }
        // An agreeing comparison always sets the anchor, so this is: nothing compared yet.
        (None, _) | (Some(_), None) => Distrust::NotCompared,
    };
    Trust::Untrusted { why }
}

/// A tower layer that reads the `Date` of every answer into a [`Clock`].
#[derive(Debug, Clone)]
pub struct DateLayer {
    clock: Clock,
}

impl<S> Layer<S> for DateLayer {
    type Service = DateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DateService { inner, clock: self.clock.clone() }
    }
}

/// The service that [`DateLayer`] makes.
#[derive(Debug, Clone)]
pub struct DateService<S> {
    inner: S,
    clock: Clock,
}

impl<S, B> Service<Request<Body>> for DateService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clock = self.clock.clone();
        let source = Arc::clone(&clock.inner.source);
        let sent = (source.wall(), source.monotonic());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(date) = date_of(answer.headers()) {
                clock.record_date(date, sent, (source.wall(), source.monotonic()));
            }
            Ok(answer)
        })
    }
}

fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    static PARSER: jiff::fmt::rfc2822::DateTimeParser = jiff::fmt::rfc2822::DateTimeParser::new();
    PARSER.parse_timestamp(headers.get(header::DATE)?.as_bytes()).ok()
}

/// The tests' clock: a file with a signed number of seconds that are added to the wall clock, read every second. A
/// missing file means zero; content that is not a number changes nothing and is logged.
#[derive(Debug)]
pub struct TestClock {
    path: PathBuf,
    offset: Arc<AtomicI64>,
}

/// A test clock was named without being allowed.
#[derive(Debug, thiserror::Error)]
#[error(
    "PLACET_TEST_CLOCK_FILE names {path}, but --allow-test-clock is not given: a clock that a file can set must not run \
     in production. Unset the variable, or pass the flag in a test"
)]
pub struct TestClockRefused {
    path: String,
}

impl TestClock {
    /// The clock to use, and the test clock to run when one is asked for and allowed.
    ///
    /// # Errors
    /// [`TestClockRefused`] when a file is named without `allowed`.
    pub fn choose(path: Option<PathBuf>, allowed: bool) -> Result<(Clock, Option<Self>), TestClockRefused> {
        let Some(path) = path else { return Ok((Clock::system(), None)) };
        if !allowed {
            return Err(TestClockRefused { path: path.display().to_string() });
        }
        warn!(path = %path.display(), "the clock follows a test file: decisions of this process prove nothing");
        let offset = Arc::new(AtomicI64::new(0));
        let clock = Clock::new(Arc::new(SystemTime::with_offset(Arc::clone(&offset))));
        Ok((clock, Some(Self { path, offset })))
    }

    /// Reads the file once. Call it before anything else reads the clock.
    pub async fn read(&self) {
        match tokio::fs::read_to_string(&self.path).await {
            Ok(text) => match text.trim().parse::<i64>() {
                Ok(seconds) => {
                    if self.offset.swap(seconds, Ordering::Relaxed) != seconds {
                        warn!(seconds, "test clock set");
                    }
                }
                Err(problem) => {
                    warn!(%problem, path = %self.path.display(), "wanted a number of seconds, ignored");
                }
            },
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => {
                self.offset.store(0, Ordering::Relaxed);
            }
            Err(problem) => {
                warn!(%problem, path = %self.path.display(), "test clock not readable, unchanged");
            }
        }
    }

    /// Reads the file every second until `shutdown`.
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        loop {
            self.read().await;
            tokio::select! {
                () = shutdown.wait() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
