//! The one worker: takes what waits, decides, records, and lets effects follow, in this order: evidence, holds, status,
//! event. It also keeps the timers at which a decision must be taken again although nothing changed, and looks for what
//! happened unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use placet_api::Kind;
use placet_api::scalar::Name;
use placet_gate::gates::heard::Heard;
use placet_gate::render;
use placet_gate::world::{Clock, World};
use placet_gate::{Cleared, decision, evaluate};
use serde_json::Value;

use crate::conditions::Installation;
use crate::effects;
use crate::infra::clock::Trust;
use crate::infra::lease::Claim;
use crate::infra::supervisor::Shutdown;
use crate::ledger::Ledger;
use crate::lift;
use crate::queue::{Queue, Work};
use crate::retry::{Failure, Retries, said};
use crate::services::events::{EventSink, EventType};
use crate::state::State;
use crate::status;
use crate::stores::RawObjects;
use crate::unseen::Looks;

/// Releases that are worked on at once. Each waits for the API server most of the time.
const AT_ONCE: usize = 8;
/// How long new work is taken up before everything else that is due is looked at again.
const TURN: Duration = Duration::from_secs(1);
/// How long one piece of work may take before it is given up and tried again.
const PATIENCE: Duration = Duration::from_secs(20);
/// When a decision that its namespace's write budget has no room for is looked at again.
const POSTPONED: SignedDuration = SignedDuration::from_secs(5);
/// How often it is told which answers have no record, if there are any.
const GAPS: SignedDuration = SignedDuration::from_mins(1);
/// How often counts are written, if there are any: more often costs bytes.
const HEARTBEAT: SignedDuration = SignedDuration::from_hours(1);

/// Decides on releases and keeps status up to date.
pub struct Reconciler {
    /// What decisions read.
    pub state: Arc<State>,
    /// Our objects as last seen.
    pub raw: Arc<RawObjects>,
    /// What waits.
    pub queue: Arc<Queue>,
    /// Where decisions are recorded.
    pub ledger: Arc<Ledger>,
    /// The API server.
    pub client: Client,
    /// Where events go.
    pub events: EventSink,
    /// Whether effects are ours to make.
    pub claim: Claim,
    /// When to look again.
    pub timers: Mutex<BTreeMap<Work, Timestamp>>,
    /// What failed, and how long it waits.
    pub(crate) retries: Mutex<Retries>,
    /// How the installation is, as the policies' conditions tell it.
    pub installation: Mutex<Installation>,
    /// Whether each release was last told to be cleared, by an event and on its system.
    pub told: Mutex<BTreeMap<(String, String), bool>>,
    /// Holds whose lifting is recorded and not yet done, by the pod's uid: its version, and the decision.
    pub lifts: Mutex<BTreeMap<String, (String, Option<u64>)>>,
    /// What was said on each pod that stays held for its own sake, by its uid.
    pub unfit: Mutex<BTreeMap<String, String>>,
}

/// What the worker keeps from one turn to the next.
#[derive(Debug)]
pub(crate) struct Kept {
    /// When counts were last written.
    beat: Timestamp,
    /// When it was last told which answers have no record.
    gaps: Timestamp,
    /// Whether time was trusted.
    trusted: bool,
    /// When to look for what happened unseen.
    looks: Looks,
}

impl Kept {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { beat: now, gaps: now, trusted: true, looks: Looks::default() }
    }
}

impl std::fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconciler").field("timers", &self.timers).finish_non_exhaustive()
    }
}

impl Reconciler {
    /// Works until `shutdown`.
    ///
    /// # Errors
    /// The log takes no more records: the process must end and start again.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut kept = Kept::new(self.state.now());
        loop {
            let pause = self.pause();
            tokio::select! {
                () = shutdown.wait() => {
                    self.ledger.gaps(self.state.now()).await?;
                    self.ledger.heartbeat(true, self.state.now()).await?;
                    return Ok(());
                }
                () = self.queue.ring() => {}
                () = tokio::time::sleep(pause) => {}
            }
            self.turn(&mut kept).await?;
        }
    }

    /// One turn: counts that are due, what happened unseen, and all work that waits or whose time has come.
    pub(crate) async fn turn(&self, kept: &mut Kept) -> anyhow::Result<()> {
        let log = self.ledger.log().health();
        if let Some(why) = &log.poisoned {
            anyhow::bail!("the evidence log takes no more records: {why}");
        }
        let (now, trust) = self.state.clock.read();
        if now.duration_since(kept.gaps) >= GAPS {
            kept.gaps = now;
            if let Err(error) = self.ledger.gaps(now).await {
                tracing::warn!(%error, "answers without a record were not told; they are kept for the next time");
            }
        }
        if now.duration_since(kept.beat) >= HEARTBEAT {
            kept.beat = now;
            if let Err(error) = self.ledger.heartbeat(false, now).await {
                tracing::warn!(%error, "counts were not recorded; they are kept for the next time");
            }
        }
        // Without every store live a decision would be Unknown; it is taken once they are.
        if !self.claim.is_current() || !self.state.store_problems().is_empty() {
            return Ok(());
        }
        self.queue.push(self.due(now));
        // A clock that is no longer trusted, or is again, changes every decision.
        let trusts = trust == Trust::Trusted;
        if std::mem::replace(&mut kept.trusted, trusts) != trusts {
            let releases = self.state.world().names(Kind::ModelRelease);
            self.queue.push(releases.into_iter().map(|(namespace, name)| Work::Release(namespace, name)));
        }
        let nearly_used = self.ledger.nearly_used(now);
        let too_large = self.installation().too_large(self.ledger.too_large(now));
        if self.installation().observe(now, &trust, &log, nearly_used) || too_large {
            let policies = self.state.world().names(Kind::ReleasePolicy);
            self.queue.push(policies.into_iter().map(|(_, name)| policy(name)));
        }
        if !self.queue.is_empty() {
            kept.looks.changed(now);
        }
        if kept.looks.due(now) {
            self.look(&mut kept.looks, now).await;
        }
        self.settle_gone().await;
        self.work_all().await;
        Ok(())
    }

    fn installation(&self) -> MutexGuard<'_, Installation> {
        self.installation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a pod of a namespace is held.
    fn holds(&self, namespace: &str) -> bool {
        let workloads = self.state.workloads();
        workloads.pods.iter().any(|((ns, _), pod)| ns == namespace && pod.held && pod.live)
    }

    /// Namespaces in which pods are held that name no release: whether they may run is up to the policies alone.
    fn held_without_release(&self) -> BTreeSet<Work> {
        let workloads = self.state.workloads();
        let held = workloads.pods.iter().filter(|(_, pod)| pod.held && pod.live && pod.release.is_none());
        held.map(|((namespace, _), _)| Work::Release(namespace.clone(), String::new())).collect()
    }

    /// Looks for what happened unseen, and records it.
    async fn look(&self, looks: &mut Looks, now: Timestamp) {
        let found = {
            let world = self.state.world();
            self.ledger.seen().compare(now, &world)
        };
        let believed = looks.looked(now, found);
        for (index, one) in believed.iter().enumerate() {
            if let Err(error) = self.ledger.append(one.record(now)).await {
                tracing::warn!(%error, "what happened unseen was not recorded; it will be tried again");
                looks.again(now, believed.get(index..).unwrap_or_default());
                return;
            }
        }
        if !believed.is_empty() {
            tracing::warn!(count = believed.len(), "recorded what happened without a request that was seen");
        }
    }

    /// How long to sleep: until the next timer, at most a second, so that a clock that is set shows soon.
    fn pause(&self) -> Duration {
        let timers = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = !self.queue.is_empty() || !timers.is_empty();
        let next = timers.values().min().copied();
        drop(timers);
        let until = next.map(|t| t.duration_since(self.state.now()));
        let second = Duration::from_secs(1);
        match until {
            Some(until) => {
                Duration::try_from(until).unwrap_or(Duration::ZERO).clamp(Duration::from_millis(20), second)
            }
            None if waiting => Duration::from_millis(200),
            None => second,
        }
    }

    /// Work whose time has come.
    fn due(&self, now: Timestamp) -> Vec<Work> {
        let mut timers = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<Work> = timers.iter().filter(|(_, at)| **at <= now).map(|(w, _)| w.clone()).collect();
        for work in &due {
            timers.remove(work);
        }
        due
    }

    /// What became of approvals and acceptances by the decision on a release; when that is to be asked again is added to `next`.
    fn heard(
        &self,
        world: &World,
        (namespace, release): (&str, &str),
        next: &mut Vec<Option<Timestamp>>,
    ) -> Arc<Heard> {
        let heard = self.state.heard(world, namespace, release);
        next.push(heard.decision.valid_until);
        heard
    }

    /// Looks at an object again at the first of these times that is to come.
    fn at_the_first(&self, work: Work, now: Timestamp, times: Vec<Option<Timestamp>>) {
        if let Some(at) = times.into_iter().flatten().filter(|at| *at > now).min() {
            self.again(work, at);
        }
    }

    fn again(&self, work: Work, at: Timestamp) {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner).insert(work, at);
    }

    /// Does what waits, and what comes meanwhile, until the turn is over: who waits for a hold to be lifted does not
    /// wait for the status of a hundred other objects. The same work is never done twice at once.
    async fn work_all(&self) {
        let until = tokio::time::Instant::now() + TURN;
        let (mut busy, mut running) = (BTreeSet::new(), FuturesUnordered::new());
        loop {
            let over = tokio::time::Instant::now() >= until;
            // What comes while a store is not live waits for the next turn, which knows what to do then.
            while !over
                && running.len() < AT_ONCE
                && self.state.store_problems().is_empty()
                && let Some(next) = self.queue.next(&busy)
            {
                busy.insert(next.clone());
                running.push(async move {
                    self.work(next.clone()).await;
                    next
                });
            }
            if running.is_empty() {
                if !self.queue.is_empty() {
                    self.queue.wake();
                }
                return;
            }
            tokio::select! {
                Some(done) = running.next() => {
                    busy.remove(&done);
                }
                () = self.queue.ring(), if !over => {}
            }
        }
    }

    async fn work(&self, work: Work) {
        let result = match &work {
            Work::Release(namespace, name) => {
                tokio::time::timeout(PATIENCE, self.release(namespace, name)).await
            }
            Work::Object(kind, namespace, name) => {
                tokio::time::timeout(PATIENCE, self.object(*kind, namespace, name)).await
            }
        };
        let error = match result {
            Ok(Ok(())) => {
                self.retries().done(&work);
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs()),
        };
        let object = match &work {
            Work::Release(namespace, name) => self.raw(Kind::ModelRelease, namespace, name),
            Work::Object(kind, namespace, name) => self.raw(*kind, namespace, name),
        };
        let version = object.as_ref().map(version).unwrap_or_default();
        let wait = self.retries().failed(&work, version, Failure::of(&error));
        let seconds = wait.as_secs_f64();
        tracing::warn!(?work, error = said(&error), seconds, "will be tried again");
        self.try_again(work, Some(wait));
    }

    fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on a release: record, lift holds, status, event.
    async fn release(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let work = Work::Release(namespace.to_owned(), name.to_owned());
        let snapshot = self.state.snapshot(namespace, name);
        if name.is_empty() {
            let again = lift::lift_holds(self, &snapshot, None).await?;
            self.try_again(work, again);
            return Ok(());
        }
        if !effects::enforcing(&snapshot.namespace_labels) && self.holds(namespace) {
            // One piece of work for all of the namespace: two at once would both record each pod.
            self.queue.push([Work::Release(namespace.to_owned(), String::new())]);
        }
        let key = (namespace.to_owned(), name.to_owned());
        let Some(release) = snapshot.release.clone() else {
            self.told().remove(&key);
            return Ok(());
        };
        let decision = evaluate(&snapshot);
        if self.ledger.postpones(&snapshot, &decision) {
            self.again(work, self.state.now() + POSTPONED);
            return Ok(());
        }
        let (recorded, before) = self.ledger.decision(&snapshot, &decision).await?;
        let follow = self.state.settle(&snapshot, &decision).into_iter();
        let touched = self.state.note_class(&snapshot, &decision).into_iter().chain(follow);
        self.queue.push(touched.map(|(namespace, name)| Work::Release(namespace, name)));
        self.set_up(decision.cleared == Cleared::True).await;
        let digest = snapshot.digest();
        self.ledger.seen().decided(&snapshot, &digest);
        if before.as_ref().is_none_or(|b| b.index != recorded.index) {
            // What became of each approval and acceptance is shown on it, and on assessments by which matrix levels are looked up.
            let show = |kind, name: &str| Work::Object(kind, namespace.to_owned(), name.to_owned());
            let live = snapshot.approvals.iter().filter(|a| a.live);
            self.queue.push(live.map(|a| show(Kind::Approval, a.name())));
            self.queue.push(snapshot.acceptances.iter().map(|a| show(Kind::RiskAcceptance, a.name())));
            let live = snapshot.assessments.iter().filter(|a| a.live);
            self.queue.push(live.map(|a| show(Kind::ImpactAssessment, a.name())));
        }
        // An admission may have recorded the decision before; what was told is what counts.
        let told = self.told().get(&key).copied().or(before.map(|b| b.cleared));
        let changed = told != Some(recorded.cleared);
        if let Some(spec) = release.spec.as_ref().ok().filter(|_| changed) {
            // It shows how many releases are pending.
            let system = spec.system.as_str().to_owned();
            self.queue.push([Work::Object(Kind::AISystem, namespace.to_owned(), system)]);
        }
        match decision.valid_until {
            Some(at) => self.again(work.clone(), at),
            None => {
                self.timers.lock().unwrap_or_else(PoisonError::into_inner).remove(&work);
            }
        }
        if decision.cleared == Cleared::True {
            let again = lift::lift_holds(self, &snapshot, Some(&recorded)).await?;
            self.try_again(work, again);
        } else if decision.replacements_start() && effects::enforcing(&snapshot.namespace_labels) {
            let again = lift::lift_replacements(self, &snapshot, &recorded).await?;
            self.try_again(work, again);
        }
        let until = decision::cleared_until(&snapshot, &decision);
        let Some(object) = self.raw(Kind::ModelRelease, namespace, name) else { return Ok(()) };
        let generation = generation(&object);
        let names = self.state.names().clone();
        let untrusted = match &snapshot.clock {
            Clock::Trusted(_) => None,
            Clock::Untrusted { why, .. } => Some(why.as_str()),
        };
        let status =
            status::release(name, generation, &decision, &recorded, until, &digest, untrusted, &names);
        effects::write_status(self, Kind::ModelRelease, &object, status).await?;
        if changed && (told.is_some() || recorded.cleared) {
            let uid = release.record.uid.clone();
            let regarding = effects::reference("placet.dev/v1alpha1", "ModelRelease", namespace, name, &uid);
            let (type_, reason, note) = if recorded.cleared {
                (EventType::Normal, "Cleared", render::headline(name, &decision))
            } else {
                (EventType::Warning, "NotCleared", render::event_note(namespace, name, &decision, &names))
            };
            self.events.emit(regarding, type_, reason, &note);
        }
        self.told().insert(key, recorded.cleared);
        Ok(())
    }

    /// Looks at work again after this time, if not sooner.
    fn try_again(&self, work: Work, after: Option<SignedDuration>) {
        let Some(after) = after else { return };
        let at = self.state.now() + after;
        let mut timers = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
        timers.entry(work).and_modify(|known| *known = at.min(*known)).or_insert(at);
    }

    pub(crate) fn lifts(&self) -> MutexGuard<'_, BTreeMap<String, (String, Option<u64>)>> {
        self.lifts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unfit(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.unfit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<(String, String), bool>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Status of another object of ours.
    async fn object(&self, kind: Kind, namespace: &str, name: &str) -> anyhow::Result<()> {
        if kind == Kind::Approval {
            self.queue.push(self.approves_change(namespace, name));
        }
        if crate::guard::GUARDED.contains(&kind) {
            self.settle(kind, name).await?;
        }
        if kind == Kind::ReleasePolicy {
            self.queue.push(self.held_without_release());
        }
        let Some(object) = self.raw(kind, namespace, name) else { return Ok(()) };
        let generation = generation(&object);
        let status = self.status_of(kind, namespace, name, generation);
        if let Some(status) = status {
            effects::write_status(self, kind, &object, status.clone()).await?;
            self.say_waiting(kind, &object, &status);
        }
        Ok(())
    }

    fn status_of(&self, kind: Kind, namespace: &str, name: &str, generation: Option<i64>) -> Option<Value> {
        let names = self.state.names().clone();
        let now = self.state.now();
        let own = || Work::Object(kind, namespace.to_owned(), name.to_owned());
        let world = self.state.world();
        match kind {
            Kind::AISystem => {
                let object = world.system(namespace, name)?;
                let overview = world.overview(namespace, name, now);
                self.at_the_first(own(), now, vec![overview.as_ref().and_then(|o| o.until)]);
                let mut cleared: Option<(u64, String)> = None;
                let mut pending = 0;
                for (ns, release) in
                    world.names(Kind::ModelRelease).into_iter().filter(|(ns, _)| ns == namespace)
                {
                    let Some(spec) = world.release(&ns, &release).and_then(|r| r.spec.as_ref().ok()) else {
                        continue;
                    };
                    if spec.system.as_str() != name || spec.withdrawn == Some(true) {
                        continue;
                    }
                    match self.ledger.last(&ns, &release) {
                        Some(last) if last.cleared => {
                            if cleared.as_ref().is_none_or(|(index, _)| *index < last.index) {
                                cleared = Some((last.index, release));
                            }
                        }
                        _ => pending += 1,
                    }
                }
                Some(status::system(
                    object,
                    generation,
                    overview.as_ref(),
                    cleared.as_ref().map(|(_, n)| n.as_str()),
                    pending,
                ))
            }
            Kind::ImpactAssessment => {
                let object = world.assessment(namespace, name)?;
                // By the policies of its system, as a release is judged.
                let clock = placet_gate::world::Clock::Trusted(now);
                let register = world
                    .around(namespace, name, clock)
                    .and_then(|around| placet_gate::register::of(&around, name));
                self.at_the_first(own(), now, vec![register.as_ref().and_then(|r| r.valid_until)]);
                Some(status::assessment(object, generation, register.as_ref(), &names))
            }
            Kind::TestReport => Some(status::report(world.report(namespace, name)?, generation)),
            Kind::Dataset => Some(status::dataset(world.dataset(namespace, name)?, generation)),
            Kind::Approval => {
                let object = world.approval(namespace, name)?;
                let spec = object.spec.as_ref().ok();
                let mut next = vec![spec.and_then(|s| placet_gate::time::date_time(s.expires_at.as_ref()?))];
                let hear = |release: &str| self.heard(&world, (namespace, release), &mut next);
                let counting = crate::subjects::counting(&world, now, namespace, object, hear);
                self.at_the_first(own(), now, next);
                Some(status::approval(object, generation, &counting, &names))
            }
            Kind::RiskAcceptance => {
                let object = world.acceptance(namespace, name)?;
                let warn = crate::subjects::warn_days(&world, namespace);
                let ends = crate::subjects::ends(&world, object);
                let mut next = vec![ends, ends.map(|ends| placet_gate::time::days_after(ends, -warn))];
                let hear = |release: &str| self.heard(&world, (namespace, release), &mut next);
                let counting = crate::subjects::accepting(&world, namespace, object, hear);
                self.at_the_first(own(), now, next);
                Some(status::acceptance(object, generation, &counting, (now, warn, ends), &names))
            }
            Kind::ReleasePolicy => {
                let object = world.policies().find(|p| p.name() == name)?;
                let (missing, conflicts) = crate::subjects::policy_problems(&world, object);
                let mut status =
                    status::policy(object, generation, &missing, &conflicts, &self.installation());
                crate::guard::tell(&mut status, &world, (kind, name), (now, generation), &names, None);
                Some(status)
            }
            Kind::ApprovalRole | Kind::TrustedSigner => {
                let problem = match kind {
                    Kind::ApprovalRole => status::problem(world.role(name)?),
                    _ => status::problem(world.signer(name)?),
                };
                let record = crate::subjects::record_of(&world, kind, namespace, name)?;
                let mut status = crate::guard::status(record, generation);
                if kind == Kind::TrustedSigner
                    && let Ok(spec) = &world.signer(name)?.spec
                {
                    let roles: Vec<&str> = spec.roles.iter().map(Name::as_str).collect();
                    status["roles"] = status::line(&roles.join(", ")).into();
                }
                crate::guard::tell(&mut status, &world, (kind, name), (now, generation), &names, problem);
                Some(status)
            }
            Kind::ModelRelease => None,
        }
    }

    /// An object of ours as last seen, without its spec.
    pub fn raw(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = raw.get(&(kind, namespace.to_owned(), name.to_owned())).cloned()?;
        Some(raw.object())
    }
}

fn policy(name: String) -> Work {
    Work::Object(Kind::ReleasePolicy, String::new(), name)
}

/// What of an object changes when somebody changes it, and not when its status is written.
fn version(object: &Value) -> String {
    let kept = ["uid", "generation", "annotations"];
    kept.map(|field| object["metadata"][field].to_string()).join(" ")
}

fn generation(object: &Value) -> Option<i64> {
    object.pointer("/metadata/generation").and_then(Value::as_i64)
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
