//! The operator's memory is the log (invariant 13): what was seen once is read back from it at every start.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use placet_api::Kind;
use placet_evidence::{
    Admission, Digest, Effect, HoldLifted, Operation, Payload, Record as LogRecord, inputs,
};
use placet_gate::Decision;
use placet_gate::circumstances::Circumstances;
use placet_gate::finding::Reason;
use placet_gate::object::{Record, Stamp};
use placet_gate::signature::Seen;
use placet_gate::world::World;

use crate::classes::ClassMemory;
use crate::cleared::ClearedMemory;
use crate::guard::GuardMemory;
use crate::ledger::Recorded;
use crate::places::{Admitted, Place, Under, Waiting};
use crate::roles::RoleMemory;

/// What the log tells.
#[derive(Debug, Default)]
pub struct Memory {
    /// Everything that a decision ever read and every stamped object that was deleted, once. What was only asked for at
    /// the webhook's door is not among it: our stores confirm what exists, and only what they held was read; only what
    /// existed was deleted.
    pub read: BTreeSet<Digest>,
    /// What a decision named alone: a list of all that it read, or all that it read.
    lists: BTreeSet<Digest>,
    /// The last decision on each release.
    pub decisions: BTreeMap<(String, String), LastDecision>,
    /// What was admitted while cleared, by owner's uid.
    pub admitted: BTreeMap<String, Admitted>,
    /// Under whom pods were admitted, by uid.
    pub under: BTreeMap<String, Under>,
    /// Held pods that wait for a place, by uid.
    pub waiting: BTreeMap<String, Waiting>,
    /// Inputs and result of the decision that each release was cleared by, unless it lost its clearance since.
    cleared: BTreeMap<(String, String), (Vec<Digest>, Digest)>,
    /// Stored forms of objects that may carry a signature, and when they were recorded.
    signed: Vec<(jiff::Timestamp, Digest)>,
    /// Stored forms of each TrustedSigner that was deleted, and when.
    signers_deleted: Vec<(jiff::Timestamp, Digest)>,
    /// Classes that systems had.
    classes: ClassMemory,
    /// Releases that were ever cleared.
    ever_cleared: ClearedMemory,
    /// Which versions of policies took effect.
    pub guard: GuardMemory,
    /// Who lost a role.
    pub roles: RoleMemory,
    /// When pods of a release were first let go: (namespace, release, time).
    pub first_use: BTreeMap<(String, String), jiff::Timestamp>,
    /// What exists in the cluster: of anything else nothing is kept that was admitted long ago. None: everything is kept.
    there: Option<There>,
}

/// Uids of the pods and of their owners that exist, listed before the log is read.
#[derive(Debug, Default)]
pub struct There {
    /// Uids.
    pub uids: HashSet<String>,
    /// What was admitted later may exist without being among them.
    pub since: jiff::Timestamp,
}

/// A decision in the log.
#[derive(Debug, Clone)]
pub struct LastDecision {
    index: u64,
    snapshot: Vec<Digest>,
    result: Option<Digest>,
    cleared: bool,
    content: Option<Digest>,
}

impl Memory {
    /// A memory that keeps nothing of workloads that are gone: it grows with the cluster, and not with the log.
    pub fn of(there: There) -> Self {
        Self { there: Some(there), ..Self::default() }
    }

    /// Whether something that was admitted for this uid may still matter.
    fn matters(&self, uid: &str, at: jiff::Timestamp) -> bool {
        self.there.as_ref().is_none_or(|there| at >= there.since || there.uids.contains(uid))
    }

    /// Takes one record in.
    pub fn visit(&mut self, index: u64, record: &LogRecord) {
        let namespace = || record.subject.namespace.clone().unwrap_or_default();
        self.guard.visit(record);
        self.classes.visit(record);
        self.ever_cleared.visit(record);
        self.roles.visit(record);
        match &record.payload {
            Payload::Decision(body) => {
                match body.snapshot.as_slice() {
                    [one] => {
                        self.lists.insert(*one);
                    }
                    all => self.read.extend(all),
                }
                let last = LastDecision {
                    index,
                    snapshot: body.snapshot.clone(),
                    result: body.result,
                    cleared: body.verdict == placet_evidence::Verdict::Met,
                    content: record.subject.digest,
                };
                let key = (namespace(), record.subject.name.clone());
                let blind = [Reason::ClockUntrusted, Reason::StoreNotReady];
                let blind =
                    body.gates.iter().flat_map(|g| &g.reasons).any(|r| blind.iter().any(|b| b.as_str() == r));
                match body.result.filter(|_| last.cleared) {
                    Some(result) => {
                        self.cleared.insert(key.clone(), (body.snapshot.clone(), result));
                    }
                    None if blind => {}
                    None => {
                        self.cleared.remove(&key);
                    }
                }
                self.decisions.insert(key, last);
            }
            Payload::Object(body) if body.op == Operation::Delete && body.stamped => {
                self.read.extend(body.stored);
            }
            Payload::Object(body)
                if body.stamped
                    && Kind::parse(&body.kind).is_some_and(|kind| {
                        kind.authored() || matches!(kind, Kind::Approval | Kind::RiskAcceptance)
                    }) =>
            {
                self.signed.extend(body.stored.map(|stored| (record.time.wall, stored)));
            }
            // What any version of a TrustedSigner revoked stays revoked.
            Payload::PolicyChange(body) if record.subject.kind == "TrustedSigner" => {
                self.read.extend(body.stored);
                if body.op == Operation::Delete {
                    self.signers_deleted.extend(body.stored.map(|stored| (record.time.wall, stored)));
                }
            }
            Payload::PolicyChange(body) if body.op == Operation::Delete => self.read.extend(body.stored),
            Payload::Admission(body) if body.cleared && body.effect == Effect::Allow => {
                let Some(release) = &body.release else { return };
                let pod = body.kind == "Pod";
                self.admitted_under(body, record.time.wall);
                if pod {
                    self.used(&body.namespace, release, record.time.wall);
                }
                // Of pods their owner is remembered, and of controllers how many they wanted.
                let owner = body.owner_uid.as_ref().filter(|_| pod).or(body.uid.as_ref());
                let content = body.pod_content.filter(|_| pod).map(|c| (release.clone(), c.to_string()));
                if let Some(owner) = owner.filter(|owner| self.matters(owner, record.time.wall)) {
                    let admitted = self.admitted.entry(owner.clone()).or_default();
                    admitted.admit(content, body.replicas.unwrap_or(1), record.time.wall);
                }
            }
            Payload::Admission(body) if body.effect == Effect::Allow => {
                self.admitted_under(body, record.time.wall);
                let known = body.uid.as_ref().and_then(|uid| self.admitted.get_mut(uid));
                if let (Some(admitted), Some(from)) = (known, body.raised_from) {
                    admitted.raise(from);
                }
            }
            Payload::Admission(body) if body.effect == Effect::Hold && body.replacement => {
                if let (Some(uid), Some(release), Some(kind), Some(owner)) =
                    (&body.uid, &body.release, &body.owner_kind, &body.owner_uid)
                    && self.matters(uid, record.time.wall)
                {
                    let [namespace, release, kind, owner] =
                        [&body.namespace, release, kind, owner].map(Clone::clone);
                    let place = Place { namespace, release, kind, owner };
                    self.waiting.insert(uid.clone(), Waiting { place, since: record.time.wall });
                }
            }
            // What replaces another takes the place that there was.
            Payload::HoldLifted(body) if body.replacement => {
                self.waiting.remove(&body.uid);
                self.under(&body.uid, body.owner_uid.as_ref(), record.time.wall);
            }
            // Without a decision it was lifted because the namespace no longer enforced.
            Payload::HoldLifted(body) if body.decision.is_some() => self.lifted(body, record.time.wall),
            _ => {}
        }
    }

    /// The hold of a pod was lifted since its release is cleared.
    fn lifted(&mut self, body: &HoldLifted, at: jiff::Timestamp) {
        self.waiting.remove(&body.uid);
        self.under(&body.uid, body.owner_uid.as_ref(), at);
        let (Some(release), Some(content)) = (&body.release, body.pod_content) else { return };
        self.used(&body.namespace, release, at);
        let owner = body.owner_uid.as_ref().unwrap_or(&body.uid);
        if self.matters(owner, at) {
            let admitted = self.admitted.entry(owner.clone()).or_default();
            admitted.admit(Some((release.clone(), content.to_string())), body.replicas.unwrap_or(1), at);
        }
    }

    /// A pod was let through because its release was cleared, or because it replaces one.
    fn admitted_under(&mut self, body: &Admission, at: jiff::Timestamp) {
        if let (Some(uid), true) = (&body.uid, body.kind == "Pod" && (body.cleared || body.replacement)) {
            self.under(uid, body.owner_uid.as_ref(), at);
        }
    }

    fn under(&mut self, uid: &str, owner: Option<&String>, at: jiff::Timestamp) {
        if !self.matters(uid, at) {
            return;
        }
        let owner = owner.map_or(uid, String::as_str).to_owned();
        self.under.insert(uid.to_owned(), Under { owner, at });
    }

    fn used(&mut self, namespace: &str, release: &str, at: jiff::Timestamp) {
        self.first_use.entry((namespace.to_owned(), release.to_owned())).or_insert(at);
    }

    /// Fills a world with what is remembered, reading stored objects with `read`. Returns the last decisions.
    ///
    /// # Errors
    /// A stored object is missing or is none of ours: the log was damaged.
    pub fn recall(
        &self,
        world: &mut World,
        read: &dyn Fn(&Digest) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<BTreeMap<(String, String), Recorded>> {
        let mut all = self.read.clone();
        for one in &self.lists {
            all.extend(inputs::expand(&[*one], read)?);
        }
        let (mut classes, mut ever_cleared) = (self.classes.clone(), self.ever_cleared.clone());
        for digest in &all {
            let bytes = read(digest)?;
            match serde_json::from_slice::<Record>(&bytes) {
                Ok(record) => {
                    classes.read(&record);
                    ever_cleared.read(&record);
                    world.remember(record);
                }
                // Beside objects, a decision stores what is none.
                Err(_) => anyhow::ensure!(
                    Circumstances::read(&serde_json::from_slice(&bytes)?)?.is_some(),
                    "the log's object {digest} is neither an object of ours nor the rest of a snapshot"
                ),
            }
        }
        for (at, stored) in &self.signed {
            let record: Record = serde_json::from_slice(&read(stored)?)?;
            if let Some(envelope) = record.envelope() {
                let subject_uid = match &record.stamp {
                    Stamp::Valid(standing) => standing.subject_uid.clone(),
                    Stamp::Invalid { .. } => None,
                };
                let namespace = record.namespace.clone().unwrap_or_default();
                let seen = Seen { at: *at, namespace, name: record.name.clone(), subject_uid };
                world.saw(envelope, seen);
            }
        }
        classes.recall(world);
        ever_cleared.recall(world);
        self.guard.recall(world, read)?;
        for (at, stored) in &self.signers_deleted {
            let record: Record = serde_json::from_slice(&read(stored)?)?;
            if let Some(key) = record.key() {
                world.key_deleted(key, *at);
            }
        }
        for ((namespace, name), (inputs, result)) in &self.cleared {
            let (release, policies) = basis((namespace, name), inputs, result, read)?;
            if let Some(release) = release {
                world.stands_on(&release, policies);
            }
        }
        for (release, at) in &self.first_use {
            let content = self.decisions.get(release).and_then(|d| d.content);
            if let Some(content) = content {
                world.used(&content.to_string(), *at);
            }
        }
        let mut decisions = BTreeMap::new();
        for (key, last) in &self.decisions {
            let Some(result) = last.result else { continue };
            let recorded = Recorded {
                index: last.index,
                snapshot: String::new(),
                inputs: crate::ledger::digest_of(&inputs::expand(&last.snapshot, read)?),
                result,
                cleared: last.cleared,
            };
            decisions.insert(key.clone(), recorded);
        }
        Ok(decisions)
    }
}

/// The release that a decision cleared, and the policies that it was made under.
fn basis(
    (namespace, name): (&str, &str),
    inputs: &[Digest],
    result: &Digest,
    read: &dyn Fn(&Digest) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<(Option<Record>, Vec<Record>)> {
    let decision: Decision = serde_json::from_slice(&read(result)?)?;
    let (mut releases, mut policies) = (Vec::new(), Vec::new());
    let (mut live, mut under) = (BTreeSet::new(), BTreeSet::new());
    for digest in &inputs::expand(inputs, read)? {
        let bytes = read(digest)?;
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) if record.kind == Kind::ReleasePolicy => policies.push((digest.to_string(), record)),
            Ok(record)
                if record.kind == Kind::ModelRelease
                    && record.name == name
                    && record.namespace.as_deref() == Some(namespace) =>
            {
                releases.push((digest.to_string(), record));
            }
            Ok(_) => {}
            Err(_) => {
                if let Some(rest) = Circumstances::read(&serde_json::from_slice(&bytes)?)? {
                    let decided = rest.in_force.unwrap_or_else(|| rest.live.clone());
                    under = rest.basis.filter(|_| decision.on_basis).unwrap_or(decided);
                    live = rest.live;
                }
            }
        }
    }
    let release = releases.into_iter().find(|(digest, _)| live.contains(digest)).map(|(_, record)| record);
    policies.retain(|(digest, _)| under.contains(digest));
    Ok((release, policies.into_iter().map(|(_, record)| record).collect()))
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
