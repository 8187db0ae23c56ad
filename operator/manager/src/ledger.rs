//! Recording: the one place that appends to the evidence log. Evidence comes before effect (invariant 5): every
//! function here returns once its record is durable.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_api::modelrelease::GateVerdict;
use placet_evidence::budget::{Budget, Limits, Refusal, Ruling};
use placet_evidence::{
    ACTOR, AppendError, Appended, Count, Decision as DecisionBody, Digest, Gap, GapReason, GateOutcome,
    HoldLifted, Log, NewRecord, Object, ObjectSeen, Operation, Payload, PolicyChange, PolicyRef, Subject,
    Verdict, Withdrawal,
};
use placet_gate::circumstances::Circumstances;
use placet_gate::object::Record;
use placet_gate::world::Snapshot;
use placet_gate::{Cleared, Decision};

use crate::conditions::WARN_PERCENT;
use crate::deletions::Deletions;
use crate::state::Decided;
use crate::unseen::Seen;

/// A recorded decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Index of the record.
    pub index: u64,
    /// Digest of the snapshot that was judged; empty when the record is only known from the log.
    pub snapshot: String,
    /// Digest over the stored inputs, as the record lists them.
    pub inputs: Digest,
    /// Digest of the stored decision.
    pub result: Digest,
    /// Whether it was cleared.
    pub cleared: bool,
}

/// Bytes of a record without the objects that it stores, about.
const RECORD_BYTES: u64 = 700;
/// Bytes of an input's digest where a decision names it.
const NAMED_BYTES: u64 = 75;
/// Subjects whose records are too large that are told apart.
const MAX_TOLD: usize = 100;
/// For how long it is told that something was too large: longer than until it is tried again.
const TOLD: SignedDuration = SignedDuration::from_mins(15);

/// Appends records and knows the last decision on each release.
#[derive(Debug)]
pub struct Ledger {
    log: Arc<Log>,
    decisions: Mutex<BTreeMap<(String, String), Recorded>>,
    /// One decision per release is recorded at a time, so that two do not record the same change twice, and the last one in
    /// the log is the last one here. Each release has one of these by its hash.
    turns: [tokio::sync::Mutex<()>; 64],
    budget: Mutex<Budget>,
    seen: Mutex<Seen>,
    deletions: Deletions,
    unchanged: Mutex<u64>,
    /// Answers without a record, by why.
    missed: Mutex<Vec<(GapReason, u64)>>,
    /// What could not be recorded for its size and has not been since, with the time of the last attempt.
    too_large: Mutex<BTreeMap<String, Timestamp>>,
}

/// How an answer that may repeat is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// With a record.
    Record,
    /// As a count: no record.
    Counted,
    /// The namespace's budget is used up and the answer would take effect: refuse.
    Exhausted,
}

impl Ledger {
    /// A ledger over an open log. `decisions` are the last ones that the log holds.
    pub fn new(log: Arc<Log>, decisions: BTreeMap<(String, String), Recorded>, now: Timestamp) -> Self {
        Self {
            log,
            decisions: Mutex::new(decisions),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            budget: Mutex::new(Budget::new(Limits::default(), now)),
            seen: Mutex::default(),
            deletions: Deletions::default(),
            unchanged: Mutex::new(0),
            missed: Mutex::default(),
            too_large: Mutex::default(),
        }
    }

    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    fn turn(&self, release: &(String, String)) -> &tokio::sync::Mutex<()> {
        let mut hasher = DefaultHasher::new();
        release.hash(&mut hasher);
        &self.turns[usize::try_from(hasher.finish() % 64).unwrap_or_default()]
    }

    fn decisions(&self) -> MutexGuard<'_, BTreeMap<(String, String), Recorded>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With other limits on what a namespace may write.
    #[must_use]
    pub fn with_budget(mut self, limits: Limits, now: Timestamp) -> Self {
        self.budget = Mutex::new(Budget::new(limits, now));
        self
    }

    /// With what else the log knows.
    #[must_use]
    pub fn with_seen(mut self, seen: Seen) -> Self {
        self.seen = Mutex::new(seen);
        self
    }

    /// With what the log knows to be deleted; what is recorded from now on is added.
    #[must_use]
    pub fn with_deletions(mut self, deletions: Deletions) -> Self {
        self.deletions = deletions;
        self
    }

    /// What the log knows, for finding what happened unseen.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record and waits until it is durable.
    pub async fn append(&self, record: NewRecord) -> Result<Appended, AppendError> {
        let told = Seen::concerns(&record.payload)
            .then(|| (record.wall, record.subject.clone(), record.payload.clone()));
        let deleted = Deletions::concerns(&record.payload)
            .then(|| (record.payload.clone(), record.personal.iter().any(|p| p.field == ACTOR)));
        let (at, subject) = (record.wall, record.subject.to_string());
        let appended = self.log.append(record).await;
        self.note(at, subject, appended.as_ref().err());
        let appended = appended?;
        if let Some((payload, somebody)) = deleted {
            self.deletions.take(appended.index, &payload, somebody);
        }
        if let Some((at, subject, payload)) = told {
            self.seen().take(at, &subject, &payload);
        }
        Ok(appended)
    }

    /// Keeps what is too large to be recorded, until it is recorded.
    fn note(&self, at: Timestamp, subject: String, error: Option<&AppendError>) {
        let mut too_large = self.too_large.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => {
                too_large.remove(&subject);
            }
            Some(error) if error.is_permanent() => {
                tracing::error!(%error, subject, "what cannot be recorded for its size has no effect");
                if too_large.len() < MAX_TOLD || too_large.contains_key(&subject) {
                    too_large.insert(subject, at);
                }
            }
            Some(_) => {}
        }
    }

    /// What could not be recorded for its size when it was last tried, lately, in words.
    pub fn too_large(&self, now: Timestamp) -> Vec<String> {
        let mut too_large = self.too_large.lock().unwrap_or_else(PoisonError::into_inner);
        too_large.retain(|_, at| now.duration_since(*at) < TOLD);
        too_large.keys().cloned().collect()
    }

    /// Whether a decision is better recorded later: its namespace has used up what it may write, and whether the release
    /// is cleared does not change by it. One that gives or takes back a clearance waits for nothing.
    pub fn postpones(&self, snapshot: &Snapshot, decision: &Decision) -> bool {
        let last = self.last(&snapshot.namespace, &snapshot.name);
        if (decision.cleared == Cleared::True) != last.as_ref().is_some_and(|l| l.cleared) {
            return false;
        }
        let records = u64::try_from(snapshot.records().len()).unwrap_or(u64::MAX);
        let bytes = RECORD_BYTES.saturating_add(records.saturating_mul(NAMED_BYTES));
        let now = snapshot.clock.now();
        if self.budget.lock().unwrap_or_else(PoisonError::into_inner).has_room(
            &snapshot.namespace,
            bytes,
            now,
        ) {
            return false;
        }
        // One that is recorded already costs nothing.
        let stored = Object::new(serde_json::to_vec(decision).unwrap_or_default());
        let listed: Vec<Digest> = inputs(snapshot).iter().map(Object::digest).collect();
        last.is_none_or(|l| l.result != stored.digest() || l.inputs != digest_of(&listed))
    }

    /// Namespaces that have used [`WARN_PERCENT`] of their write budget or more.
    pub fn nearly_used(&self, now: Timestamp) -> Vec<String> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).nearly_used(WARN_PERCENT, now)
    }

    /// The last recorded decision on a release.
    pub fn last(&self, namespace: &str, name: &str) -> Option<Recorded> {
        self.decisions().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Records a decision if its inputs or its result differ from the last one recorded; gives the record that holds it
    /// and the one before.
    pub async fn decision(
        &self,
        snapshot: &Snapshot,
        decision: &Decision,
    ) -> Result<(Recorded, Option<Recorded>), AppendError> {
        let stored = Object::new(serde_json::to_vec(decision).unwrap_or_default());
        self.record(snapshot.clock.now(), snapshot, decision, snapshot.digest(), stored).await
    }

    /// The same for a decision that was taken earlier, still stands, and whose stored form is at hand.
    pub async fn decided(
        &self,
        now: Timestamp,
        decided: &Decided,
    ) -> Result<(Recorded, Option<Recorded>), AppendError> {
        let Decided { snapshot, decision, digest, stored, .. } = decided;
        self.record(now, snapshot, decision, digest.clone(), stored.clone()).await
    }

    async fn record(
        &self,
        now: Timestamp,
        snapshot: &Snapshot,
        decision: &Decision,
        digest: String,
        result: Object,
    ) -> Result<(Recorded, Option<Recorded>), AppendError> {
        let key = (snapshot.namespace.clone(), snapshot.name.clone());
        let same = |k: &Recorded| k.snapshot == digest && k.result == result.digest();
        let unchanged = |before: &Recorded| {
            *self.unchanged.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            Ok((before.clone(), Some(before.clone())))
        };
        if let Some(before) = self.decisions().get(&key).filter(|k| same(k)) {
            return unchanged(before);
        }
        let _turn = self.turn(&key).lock().await;
        let before = self.decisions().get(&key).cloned();
        if let Some(before) = before.as_ref().filter(|k| same(k)) {
            return unchanged(before);
        }
        let objects: Vec<Object> = inputs(snapshot);
        let listed: Vec<Digest> = objects.iter().map(Object::digest).collect();
        let inputs = digest_of(&listed);
        if let Some(mut known) = before.clone().filter(|k| k.inputs == inputs && k.result == result.digest())
        {
            known.snapshot = digest;
            self.decisions().insert(key, known.clone());
            return Ok((known, before));
        }
        let mut subject = Subject::new("ModelRelease", Some(&snapshot.namespace), &snapshot.name);
        subject.digest = decision.content.parse().ok();
        let body = DecisionBody {
            verdict: match decision.cleared {
                Cleared::True => Verdict::Met,
                Cleared::False => Verdict::NotMet,
                Cleared::Unknown => Verdict::Unknown,
            },
            class: decision.class.map(|c| c.to_string()),
            derived: decision.derived.map(|c| c.to_string()),
            gates: decision
                .gates
                .iter()
                .map(|g| GateOutcome {
                    gate: g.gate.to_string(),
                    verdict: verdict(g.verdict),
                    reasons: g.reasons(),
                })
                .collect(),
            snapshot: listed,
            result: Some(result.digest()),
            policies: decision
                .policies
                .iter()
                .filter_map(|(name, digest)| {
                    Some(PolicyRef { name: name.clone(), digest: digest.parse().ok()? })
                })
                .collect(),
            now: snapshot.clock.now(),
            valid_until: decision.valid_until,
            engine: placet_gate::ENGINE.to_owned(),
        };
        let result_digest = result.digest();
        let named = u64::try_from(objects.len()).unwrap_or(u64::MAX).saturating_mul(NAMED_BYTES);
        let new = objects.iter().chain([&result]).filter(|o| !self.log.has_object(&o.digest()));
        let new: usize = new.map(|o| o.bytes().len()).sum();
        let mut record = NewRecord::new(now, subject, Payload::Decision(body)).with_object(result);
        record.objects.extend(objects);
        let appended = self.append(record).await?;
        let bytes = RECORD_BYTES.saturating_add(named).saturating_add(u64::try_from(new).unwrap_or(u64::MAX));
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).written(&key.0, bytes, now);
        let recorded = Recorded {
            index: appended.index,
            snapshot: digest,
            inputs,
            result: result_digest,
            cleared: decision.cleared == Cleared::True,
        };
        self.decisions().insert(key, recorded.clone());
        Ok((recorded, before))
    }

    /// Records that an object of ours was written. `record` holds tokens in place of people; `actor` is the user
    /// name of who wrote it.
    pub async fn object(
        &self,
        now: Timestamp,
        op: Operation,
        record: &Record,
        actor: Option<&str>,
        before: Option<&Record>,
    ) -> Result<Appended, AppendError> {
        let people: Vec<_> = actor.map(|user| (ACTOR, user)).into_iter().collect();
        self.object_of(now, op, record, &people, before).await
    }

    /// The same with everybody who had a part in it, each in a field of the record: who sent it, who signed it, who had
    /// created what is restored.
    pub async fn object_of(
        &self,
        now: Timestamp,
        op: Operation,
        record: &Record,
        people: &[(&'static str, &str)],
        before: Option<&Record>,
    ) -> Result<Appended, AppendError> {
        let stored = Object::new(serde_json::to_vec(record).unwrap_or_default());
        let mut subject = Subject::new(record.kind.as_str(), record.namespace.as_deref(), &record.name);
        subject.digest = record.digest.as_ref().ok().and_then(|d| d.parse().ok());
        let content = subject.digest.unwrap_or_else(|| stored.digest());
        let withdrawn =
            |r: &Record| r.spec.value().get("withdrawn").and_then(serde_json::Value::as_bool) == Some(true);
        let payload =
            if record.kind == Kind::ModelRelease && withdrawn(record) && !before.is_some_and(withdrawn) {
                Payload::Withdrawal(Withdrawal { digest: content, stored: Some(stored.digest()) })
            } else if matches!(record.kind, Kind::ReleasePolicy | Kind::ApprovalRole | Kind::TrustedSigner) {
                let digest = |r: &Record| r.digest.as_ref().ok().and_then(|d| d.parse().ok());
                Payload::PolicyChange(PolicyChange {
                    op,
                    before: before.and_then(digest),
                    after: (op != Operation::Delete).then_some(content),
                    stored: Some(stored.digest()),
                })
            } else {
                Payload::Object(ObjectSeen {
                    op,
                    kind: record.kind.to_string(),
                    namespace: record.namespace.clone(),
                    name: record.name.clone(),
                    uid: Some(record.uid.clone()).filter(|u| !u.is_empty()),
                    content,
                    stored: Some(stored.digest()),
                    stamped: matches!(record.stamp, placet_gate::object::Stamp::Valid(_)),
                })
            };
        let mut new = NewRecord::new(now, subject, payload).with_object(stored);
        for (field, user) in people {
            new = new.with_personal(field, user);
        }
        self.append(new).await
    }

    /// Records that a hold is lifted. Before the patch, as all evidence. `release` is empty for a pod that names none.
    pub async fn hold_lifted(
        &self,
        now: Timestamp,
        release: &str,
        body: HoldLifted,
    ) -> Result<Appended, AppendError> {
        let (kind, name) =
            if release.is_empty() { ("Pod", body.pod.as_str()) } else { ("ModelRelease", release) };
        let subject = Subject::new(kind, Some(&body.namespace), name);
        self.append(NewRecord::new(now, subject, Payload::HoldLifted(body))).await
    }

    /// Whether a refusal is to be recorded, with how many repeats of it, or counted as a repetition of one that was.
    pub fn refusal(&self, refusal: &Refusal, now: Timestamp) -> (Repeat, u64) {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        match budget.refusal(refusal, RECORD_BYTES, now) {
            Ruling::Record { repeats } => (Repeat::Record, repeats),
            Ruling::Count | Ruling::Exhausted => (Repeat::Counted, 0),
        }
    }

    /// Whether a version of an object of ours may be recorded within its namespace's budget. Cluster kinds share one.
    pub fn may_write(&self, record: &Record, now: Timestamp) -> bool {
        let bytes = serde_json::to_vec(record).map_or(0, |b| b.len());
        let bytes = RECORD_BYTES + u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.record(record.namespace.as_deref().unwrap_or_default(), bytes, now) != Ruling::Exhausted
    }

    /// Whether an answer that takes effect may be recorded within the namespace's budget.
    pub fn effective(&self, namespace: &str, now: Timestamp) -> Repeat {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        match budget.record(namespace, RECORD_BYTES, now) {
            Ruling::Exhausted => Repeat::Exhausted,
            _ => Repeat::Record,
        }
    }

    /// An answer was given without a record, in a namespace that only watches.
    pub fn missed(&self, reason: GapReason, why: &dyn std::fmt::Display) {
        tracing::error!(%why, "an answer was given without a record, in a namespace that only warns or audits");
        self.add_missed(reason, 1);
    }

    fn add_missed(&self, reason: GapReason, count: u64) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        match missed.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, before)) => *before += count,
            None => missed.push((reason, count)),
        }
    }

    /// A refusal's record could not be written: it is counted, with the repeats that it was to tell, and the next is recorded.
    pub fn unrecorded(&self, refusal: &Refusal, repeats: u64, now: Timestamp) {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).unrecorded(refusal, repeats, now);
    }

    /// Writes which answers have no record, if any.
    pub async fn gaps(&self, now: Timestamp) -> Result<(), AppendError> {
        let missed = std::mem::take(&mut *self.missed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut missed = missed.into_iter();
        while let Some((reason, count)) = missed.next() {
            let body = Gap {
                reason,
                from: None,
                to: Some(now),
                count: Some(count),
                detail: "answers in namespaces that warn or audit".into(),
            };
            if let Err(error) = self.append(NewRecord::new(now, Subject::log(), Payload::Gap(body))).await {
                for (reason, count) in [(reason, count)].into_iter().chain(missed) {
                    self.add_missed(reason, count);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes what was only counted and whose time has come; all of it when the operator stops.
    pub async fn heartbeat(&self, stopping: bool, now: Timestamp) -> Result<(), AppendError> {
        let counted = {
            let unchanged =
                std::mem::take(&mut *self.unchanged.lock().unwrap_or_else(PoisonError::into_inner));
            let counts: Vec<Count> = (unchanged > 0)
                .then(|| Count { what: "reconciles.unchanged".into(), count: unchanged })
                .into_iter()
                .collect();
            self.budget.lock().unwrap_or_else(PoisonError::into_inner).flush(counts, stopping, now)
        };
        let mut counted = counted.into_iter();
        while let Some(one) = counted.next() {
            let record = NewRecord::new(now, Subject::log(), Payload::Heartbeat(one.body.clone()));
            if let Err(error) = self.append(record).await {
                let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
                for lost in std::iter::once(one).chain(counted) {
                    let unchanged: u64 = lost.body.counts.iter().map(|c| c.count).sum();
                    *self.unchanged.lock().unwrap_or_else(PoisonError::into_inner) += unchanged;
                    budget.give_back(lost, now);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Digest over a list of digests, in order.
pub fn digest_of(list: &[Digest]) -> Digest {
    let mut text = String::new();
    for digest in list {
        text.push_str(&digest.to_string());
        text.push('\n');
    }
    Digest::of(text.as_bytes())
}

fn verdict(verdict: GateVerdict) -> Verdict {
    match verdict {
        GateVerdict::Met => Verdict::Met,
        GateVerdict::NotMet => Verdict::NotMet,
        GateVerdict::Unknown => Verdict::Unknown,
    }
}

/// Everything that a decision read, as objects to be stored: each version of each object once, and one more for what is
/// no object (labels, roles, first use, stores that were not ready), so that replay has all of it.
fn inputs(snapshot: &Snapshot) -> Vec<Object> {
    let records = snapshot.records();
    let mut objects: Vec<Object> = records
        .iter()
        .map(|(record, _)| Object::new(serde_json::to_vec(record).unwrap_or_default()))
        .collect();
    let circumstances = serde_json::to_vec(&Circumstances::of(snapshot)).unwrap_or_default();
    objects.push(Object::new(circumstances));
    objects.sort_by_key(Object::digest);
    objects.dedup_by_key(|o| o.digest());
    objects
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
