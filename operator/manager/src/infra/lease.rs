//! Leader election over a `Lease`.
//!
//! What to do next is a pure function ([`next_step`]); acquiring and renewing is a `replace` with the resourceVersion
//! that was read, so that of two candidates one loses with 409. Whether another holder has expired is measured by our
//! own monotonic clock from the moment at which we last saw the lease change, never by comparing clocks of two nodes.
//!
//! A lease is not a fence: a holder that was asleep still believes in its claim when it wakes. [`Claim::is_current`]
//! therefore ends before others may take over, effects ask it right before each write, and the evidence log has a
//! fence of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::backoff::jitter;
use super::client::explain;
use super::clock::Clock;
use super::supervisor::Shutdown;

/// Times of the election. The defaults are those of Kubernetes' own controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// Others may take over when the lease has not changed for so long.
    pub duration: Duration,
    /// A claim ends by itself so long after the last renewal was *sent*; shorter than `duration`, so that two claims
    /// never overlap.
    pub claim: Duration,
    /// How often the holder renews and others look.
    pub every: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            claim: Duration::from_secs(10),
            every: Duration::from_secs(2),
        }
    }
}

/// A lease as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Who holds it; `None` when it was released.
    pub holder: Option<String>,
    /// How long its holder asked others to wait.
    pub duration: Duration,
    /// Its resourceVersion, which changes with every renewal.
    pub version: String,
    /// Our monotonic clock when we first saw this version.
    pub seen: Duration,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Create the lease, or replace the version that was seen, with us as holder.
    Acquire,
    /// We hold it: replace it with a new renewal time.
    Renew,
    /// Somebody else holds it; look again after this.
    Wait(Duration),
}

/// What `me` should do about `lease` (`None`: it does not exist) at `now`, by the clock of [`Observed::seen`].
pub fn next_step(lease: Option<&Observed>, me: &str, now: Duration, every: Duration) -> Step {
    let Some(lease) = lease else { return Step::Acquire };
    match &lease.holder {
        None => Step::Acquire,
        Some(holder) if holder == me => Step::Renew,
        Some(_) => match (lease.seen + lease.duration).checked_sub(now) {
            Some(left) if !left.is_zero() => Step::Wait(left.min(every)),
            _ => Step::Acquire,
        },
    }
}

#[derive(Debug)]
struct Inner {
    origin: Instant,
    /// Milliseconds from `origin` until which the claim holds; zero: not held; `u64::MAX`: for ever.
    until: AtomicU64,
    held: watch::Sender<bool>,
}

/// Whether we may act. Cheap to clone and to ask.
#[derive(Debug, Clone)]
pub struct Claim {
    inner: Arc<Inner>,
}

impl Claim {
    fn with(until: u64) -> Self {
        let held = watch::channel(until > 0).0;
        Self { inner: Arc::new(Inner { origin: Instant::now(), until: AtomicU64::new(until), held }) }
    }

    /// The claim of an installation with one replica, which has nobody to share with: no lease, no idle writes.
    pub fn sole() -> Self {
        Self::with(u64::MAX)
    }

    /// Whether the claim holds at this instant. Ask right before each write.
    pub fn is_current(&self) -> bool {
        let now = u64::try_from(self.inner.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        now < self.inner.until.load(Ordering::Acquire)
    }

    /// A notice whenever the claim is won or lost. A claim that ran out without an answer of the API server is
    /// noticed here late; [`Claim::is_current`] is what counts.
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.inner.held.subscribe()
    }

    fn hold(&self, sent: Instant, length: Duration) {
        let until = (sent + length).saturating_duration_since(self.inner.origin).as_millis();
        self.inner.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
        self.inner.held.send_if_modified(|held| !std::mem::replace(held, true));
    }

    fn drop_it(&self) {
        self.inner.until.store(0, Ordering::Release);
        self.inner.held.send_if_modified(|held| std::mem::replace(held, false));
    }
}

/// A candidate. Run it as a task of the last phase, so that the lease is released after the effects have ended.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    me: String,
    times: LeaseTimes,
    clock: Clock,
    claim: Claim,
    origin: Instant,
    /// The lease as last read or written, and what it says.
    stored: Option<Lease>,
    seen: Option<Observed>,
}

impl Candidate {
    /// For Lease `namespace`/`name`. `me` must differ between processes, also between two lives of one pod: the pod's
    /// name with something random.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        me: String,
        times: LeaseTimes,
        clock: Clock,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            me,
            times,
            clock,
            claim: Claim::with(0),
            origin: Instant::now(),
            stored: None,
            seen: None,
        }
    }

    /// The handle for effects.
    pub fn claim(&self) -> Claim {
        self.claim.clone()
    }

    /// Takes part until `shutdown`, then releases the lease if it is ours. Failing calls are logged and tried again;
    /// the claim meanwhile runs out by itself.
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn run(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        loop {
            let pause = match self.turn().await {
                Ok(pause) => pause,
                Err(problem) => {
                    warn!(%problem, lease = %self.name, "leader election");
                    self.times.every
                }
            };
            tokio::select! {
                () = shutdown.wait() => break,
                () = tokio::time::sleep(pause + jitter(pause / 5)) => {}
            }
        }
        if self.claim.is_current() {
            self.claim.drop_it();
            if let Err(problem) = self.write(None).await {
                warn!(%problem, lease = %self.name, "not released; others wait until it expires");
            }
        }
        Ok(())
    }

    /// One look and what follows from it. Gives the time until the next.
    async fn turn(&mut self) -> Result<Duration, String> {
        let read = self.call(self.api.get_opt(&self.name)).await?.flatten();
        self.observe(read);
        match next_step(self.seen.as_ref(), &self.me, self.origin.elapsed(), self.times.every) {
            Step::Wait(pause) => {
                self.claim.drop_it();
                Ok(pause)
            }
            step => {
                let sent = Instant::now();
                let me = self.me.clone();
                if self.write(Some(me)).await? {
                    if step == Step::Acquire {
                        info!(lease = %self.name, me = %self.me, "leading");
                    }
                    self.claim.hold(sent, self.times.claim);
                } else {
                    self.claim.drop_it();
                }
                Ok(self.times.every)
            }
        }
    }

    fn observe(&mut self, lease: Option<Lease>) {
        let now = self.origin.elapsed();
        self.stored = lease;
        self.seen = self.stored.as_ref().map(|lease| {
            let version = lease.resource_version().unwrap_or_default();
            let seen = match &self.seen {
                Some(before) if before.version == version => before.seen,
                _ => now,
            };
            let spec = lease.spec.as_ref();
            let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
            let duration = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
            let holder =
                spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty());
            Observed { holder, duration: duration.unwrap_or(self.times.duration), version, seen }
        });
    }

    /// Replaces the lease as it was last seen with one held by `holder` (`None` releases). `false` when somebody else
    /// wrote in between.
    async fn write(&mut self, holder: Option<String>) -> Result<bool, String> {
        let time = MicroTime(self.clock.now());
        let taking_over = self.seen.as_ref().is_some_and(|seen| seen.holder != holder) && holder.is_some();
        let stored = self.stored.clone();
        let spec = stored.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let before = spec.lease_transitions.unwrap_or(0);
        let seconds = i32::try_from(self.times.duration.as_secs()).unwrap_or(i32::MAX);
        let spec = LeaseSpec {
            acquire_time: if taking_over || stored.is_none() {
                Some(time.clone())
            } else {
                spec.acquire_time
            },
            lease_duration_seconds: Some(if holder.is_some() { seconds } else { 1 }),
            lease_transitions: Some(if taking_over { before.saturating_add(1) } else { before }),
            holder_identity: Some(holder.unwrap_or_default()),
            renew_time: Some(time),
            ..spec
        };
        let params = PostParams::default();
        let written = if let Some(mut lease) = stored {
            lease.spec = Some(spec);
            self.call(self.api.replace(&self.name, &params, &lease)).await?
        } else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(spec) };
            self.call(self.api.create(&params, &lease)).await?
        };
        let done = written.is_some();
        if done {
            self.observe(written);
        }
        Ok(done)
    }

    /// One call with its deadline; `None` when it was a lost race.
    async fn call<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<Option<T>, String> {
        match timeout(self.times.every, call).await {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(None),
            Ok(Err(error)) => Err(explain(&error)),
            Err(_) => Err(format!("no answer within {} s", self.times.every.as_secs_f32())),
        }
    }
}

/// An identity for [`Candidate::new`]: the pod's name and when this process began.
pub fn identity(pod: &str, begun: Timestamp) -> String {
    let mut salt = [0; 4];
    // Without randomness the time alone tells two lives of a pod apart.
    let _ = getrandom::fill(&mut salt);
    format!("{pod}_{}_{:08x}", begun.as_second(), u32::from_be_bytes(salt))
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
