//! Policies guard themselves: lets versions take effect, record first, and tells which one waits for whom.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::Kind;
use placet_api::approval::{Subject, SubjectKind};
use placet_evidence::{
    Digest, NewRecord, Object as Stored, Payload, PolicyEffect, Record as LogRecord, Subject as About,
};
use placet_gate::guard::{Asked, Because, Change, Ruling};
use placet_gate::object::Record;
use placet_gate::people::with_names;
use placet_gate::render::Names;
use placet_gate::visible;
use placet_gate::world::{Clock, World};
use serde_json::{Value, json};

use crate::admission::Admission;
use crate::admission::own_subject::Live;
use crate::conditions::{condition, reasons, types};
use crate::queue::Work;
use crate::reconcile::Reconciler;

/// Ways in which a change loosens that are told at most; the number of all is told.
const MAX_WAYS: usize = 5;
/// Ways that the status lists at most, and characters of each.
const MAX_LISTED: usize = 20;
const MAX_LINE: usize = 256;
/// Roles that the status lists.
const MAX_ROLES: usize = 64;
/// Approvals that the record of an effect names at most.
const MAX_APPROVALS: usize = 16;

/// What the log says of policies in force.
#[derive(Debug, Default)]
pub struct GuardMemory {
    /// Stored form of the version of each policy that took effect last; None: its deletion did.
    in_force: BTreeMap<String, Option<Digest>>,
    /// Roles that there ever were.
    roles: BTreeSet<String>,
    /// Whether a release was judged.
    judged: bool,
}

impl GuardMemory {
    /// Takes one record in.
    pub fn visit(&mut self, record: &LogRecord) {
        let name = || record.subject.name.clone();
        match &record.payload {
            Payload::PolicyEffect(effect) => {
                self.in_force.insert(name(), effect.stored);
            }
            Payload::PolicyChange(_) if record.subject.kind == Kind::ApprovalRole.as_str() => {
                self.roles.insert(name());
            }
            Payload::Decision(_) => self.judged = true,
            _ => {}
        }
    }

    /// Tells a world.
    ///
    /// # Errors
    /// A stored version is missing or is none of ours.
    pub fn recall(
        &self,
        world: &mut World,
        read: &dyn Fn(&Digest) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<()> {
        for role in &self.roles {
            world.had_role(role);
        }
        for stored in self.in_force.values().flatten() {
            let record: Record = serde_json::from_slice(&read(stored)?)?;
            world.took_effect(record);
        }
        Ok(())
    }

    /// Whether the installation is being set up: no release was judged, or nothing is known of policies in force, as in a log
    /// of an earlier version.
    pub fn is_open(&self) -> bool {
        !self.judged || self.in_force.is_empty()
    }
}

impl Reconciler {
    /// Lets deletions of policies take effect that nobody heard of, if they may.
    pub(crate) async fn settle_gone(&self) {
        let gone = {
            let world = self.state.world();
            let mut names = world.unsettled_policies();
            names.retain(|name| world.policies().all(|p| p.name() != name));
            names
        };
        for name in gone {
            if let Err(error) = self.settle_policy(&name).await {
                tracing::warn!(%error, policy = name, "the deletion of a policy was not recorded; it will be tried again");
            }
        }
    }

    /// Lets the version of a policy that is there take effect, if it may. The record is durable before.
    pub(crate) async fn settle_policy(&self, name: &str) -> anyhow::Result<()> {
        let Clock::Trusted(now) = self.state.gate_clock() else { return Ok(()) };
        let Some(change) = self.state.world().change(name, now, None) else { return Ok(()) };
        let Ruling::Takes(because) = change.ruling else { return Ok(()) };
        let record = effect(&change, because, &self.state.world(), now);
        self.ledger.append(record).await?;
        {
            let mut world = self.state.world_mut();
            match &change.after {
                Some(after) => world.took_effect(after.record.clone()),
                None => world.ended(name),
            }
        }
        let world = self.state.world();
        let releases = world.names(Kind::ModelRelease).into_iter().map(|(ns, name)| Work::Release(ns, name));
        let policies = world.names(Kind::ReleasePolicy).into_iter();
        let policies = policies.map(|(ns, name)| Work::Object(Kind::ReleasePolicy, ns, name));
        self.queue.push(releases.chain(policies));
        tracing::info!(policy = name, because = because.as_str(), "a version of a policy took effect");
        Ok(())
    }

    /// A release was judged: from now on a change that loosens a policy waits.
    pub(crate) fn set_up(&self) {
        if self.state.world().being_set_up() {
            self.state.world_mut().set_up();
        }
    }

    /// The policy that an approval is about, to be looked at.
    pub(crate) fn approves_policy(&self, namespace: &str, name: &str) -> Option<Work> {
        let world = self.state.world();
        let spec = world.approval(namespace, name)?.spec.as_ref().ok()?;
        let about = spec.subject.kind == SubjectKind::ReleasePolicy;
        about.then(|| Work::Object(Kind::ReleasePolicy, String::new(), spec.subject.name.to_string()))
    }
}

/// The record of an effect.
fn effect(change: &Change, because: Because, world: &World, now: jiff::Timestamp) -> NewRecord {
    let digest = |p: &placet_gate::guard::Policy| p.digest().parse::<Digest>().ok();
    let stored = |record: &Record| Stored::new(serde_json::to_vec(record).unwrap_or_default());
    let after = change.after.as_ref().map(|a| stored(&a.record));
    let named = match &change.after {
        Some(after) => Some(after.digest().to_owned()),
        None => world.deletion_digest(&change.name),
    };
    let approvals: Vec<Stored> = world
        .guarded_in()
        .filter(|_| because == Because::Approved)
        .into_iter()
        .flat_map(|namespace| world.approvals_of_policy(namespace, &change.name))
        .filter(|a| a.spec.as_ref().is_ok_and(|s| Some(s.subject.digest.to_string()) == named))
        .take(MAX_APPROVALS)
        .map(|a| stored(&a.record))
        .collect();
    let mut subject = About::new(Kind::ReleasePolicy.as_str(), None, &change.name);
    subject.digest = change.after.as_ref().or(change.before.as_ref()).and_then(digest);
    let body = PolicyEffect {
        before: change.before.as_ref().and_then(digest),
        after: change.after.as_ref().and_then(digest),
        stored: after.as_ref().map(Stored::digest),
        loosens: !change.loosens.is_empty(),
        because: because.as_str().to_owned(),
        approvals: approvals.iter().map(Stored::digest).collect(),
    };
    let mut record = NewRecord::new(now, subject, Payload::PolicyEffect(body));
    record.objects.extend(after);
    record.objects.extend(approvals);
    record
}

/// The policy that an approval of this name is about: the one that is there, or the version in force.
pub fn subject<'a>(world: &'a World, name: &str) -> Option<&'a placet_gate::guard::Policy> {
    world.policies().find(|p| p.name() == name).or_else(|| world.version_in_force(name))
}

/// Whether an approval is of the deletion of a policy: then what it is held against.
pub fn deletion(world: &World, subject: &Subject) -> Option<Live> {
    let name = subject.name.as_str();
    let digest = world.deletion_digest(name).filter(|_| subject.kind == SubjectKind::ReleasePolicy)?;
    let uid = self::subject(world, name).map(|p| p.record.uid.clone()).filter(|uid| !uid.is_empty());
    (digest == subject.digest.as_str()).then_some(Live { digest: Some(digest), uid, evidence: None })
}

/// The digest that an approval of a policy must name now.
pub fn digest(world: &World, namespace: &str, subject: &Subject) -> Option<String> {
    counts_here(world, namespace, subject).ok()?;
    let live = || world.policies().find(|p| p.name() == subject.name.as_str()).map(|p| p.digest().to_owned());
    deletion(world, subject).and_then(|d| d.digest).or_else(live)
}

/// Approvals of cluster-scoped objects count in the operator's namespace alone.
///
/// # Errors
/// This is another one.
pub fn counts_here(world: &World, namespace: &str, subject: &Subject) -> Result<(), String> {
    let Some(here) = world.guarded_in() else { return Ok(()) };
    if subject.kind != SubjectKind::ReleasePolicy || here == namespace {
        return Ok(());
    }
    Err(format!(
        "metadata.namespace: wanted {here}, where alone approvals of policies count, found {namespace}; \
         placet approve rp/{} writes it there",
        subject.name
    ))
}

/// Why a policy may not be deleted now, if so: its deletion waits for somebody's approval.
pub fn keeps(a: &Admission, name: &str, user: &str) -> Option<String> {
    let person = a.state.reading.people.person(user);
    let world = a.state.world();
    let change = world.change(name, a.state.now(), Some(&person))?;
    let Ruling::Waits(asked) = &change.ruling else { return None };
    let namespace = world.guarded_in().unwrap_or_default();
    let names = a.state.names().clone();
    Some(format!(
        "ReleasePolicy {name} is in force, and to delete it asks for less: wanted the approval of its deletion by {}, other than \
         {user}; found {}. Let them run: {} --deletion; then delete it again",
        asked.roles.iter().cloned().collect::<Vec<_>>().join(" or "),
        found(asked, &names),
        command(name, asked, namespace),
    ))
}

fn found(asked: &Asked, names: &Names) -> String {
    if asked.why_not.is_empty() {
        return "none".to_owned();
    }
    with_names(&asked.why_not.join("; "), names)
}

fn command(name: &str, asked: &Asked, namespace: &str) -> String {
    let role = asked.roles.iter().next().map(String::as_str).unwrap_or_default();
    format!("placet approve rp/{name} --role {role} -n {namespace}")
}

/// Tells on a policy whether the version that is there decides.
pub fn tell(
    status: &mut Value,
    world: &World,
    name: &str,
    now: jiff::Timestamp,
    generation: Option<i64>,
    names: &Names,
) {
    let Some(namespace) = world.guarded_in() else { return };
    if let Some(decides) = world.in_force().iter().find(|p| p.name() == name) {
        status["inForce"] = decides.digest().into();
    }
    let told = match world.waits(name, now) {
        None => condition(types::IN_FORCE, "True", reasons::DECIDES, "this version decides", generation),
        Some(change) => {
            let Ruling::Waits(asked) = &change.ruling else { return };
            let listed: Vec<String> = change
                .loosens
                .iter()
                .take(MAX_LISTED)
                .map(|w| crate::status::cut(&visible::line(w), MAX_LINE))
                .collect();
            let roles: Vec<&String> = asked.roles.iter().take(MAX_ROLES).collect();
            status["waiting"] = json!({"digest": asked.digest, "roles": roles, "loosens": listed});
            let ways: Vec<&str> = change.loosens.iter().take(MAX_WAYS).map(String::as_str).collect();
            let more = change.loosens.len().saturating_sub(MAX_WAYS);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let decides = match &change.before {
                Some(before) => format!("the version {} decides", before.digest()),
                None => "the other policies decide".to_owned(),
            };
            let message = format!(
                "it asks for less ({}{more}): {decides} until this one, {}, is approved by a holder of {} who did not edit it; \
                 found {}: {}",
                ways.join("; "),
                asked.digest,
                asked.roles.iter().cloned().collect::<Vec<_>>().join(" or "),
                found(asked, names),
                command(name, asked, namespace),
            );
            condition(types::IN_FORCE, "False", reasons::WAITS_FOR_APPROVAL, &message, generation)
        }
    };
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.push(told);
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
