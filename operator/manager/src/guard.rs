//! Policies, roles and signers guard themselves: lets versions take effect, record first, and tells which one waits for whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use placet_api::Kind;
use placet_api::approval::Subject;
use placet_evidence::{
    Digest, NewRecord, Object as Stored, Payload, PolicyEffect, Record as LogRecord, Subject as About,
    Verdict,
};
use placet_gate::guard::{self as gate, Asked, Because, Change, Ruling};
use placet_gate::object::Record;
use placet_gate::people::with_names;
use placet_gate::render::Names;
use placet_gate::stamp::StampText;
use placet_gate::visible;
use placet_gate::world::{Clock, World};
use serde_json::{Value, json};

use crate::admission::Admission;
use crate::admission::own_subject::Live;
use crate::conditions::{condition, reasons, types};
use crate::queue::Work;
use crate::reconcile::Reconciler;
use crate::services::events::EventType;
use crate::state::State;

/// Ways in which a change loosens that are told at most; the number of all is told.
const MAX_WAYS: usize = 5;
/// Ways that the status lists at most, and characters of each.
const MAX_LISTED: usize = 20;
const MAX_LINE: usize = 256;
/// Roles that the status lists.
const MAX_ROLES: usize = 64;
/// Approvals that the record of an effect names at most.
const MAX_APPROVALS: usize = 16;

/// Kinds that guard themselves.
pub const GUARDED: [Kind; 3] = [Kind::ReleasePolicy, Kind::ApprovalRole, Kind::TrustedSigner];
/// Name in the record that says of a whole kind that from now on its changes wait.
const ALL: &str = "*";
/// Why that is.
const SET_UP: &str = "SetUp";

/// For so long policies that packs brought may take until they are in force.
const BROUGHT: Duration = Duration::from_secs(30);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What the log says of policies, roles and signers in force.
#[derive(Debug, Default)]
pub struct GuardMemory {
    /// Stored form of the version of each that took effect last; None: its deletion did.
    in_force: BTreeMap<(Kind, String), Option<Digest>>,
    /// Stored forms of all versions of signers that ever took effect.
    signers: BTreeSet<Digest>,
    /// Kinds of which changes wait.
    closed: BTreeSet<Kind>,
    /// Roles that were ever in force.
    roles: BTreeSet<String>,
    /// Whether a release was judged.
    judged: bool,
    /// Whether a release was cleared.
    cleared: bool,
}

impl GuardMemory {
    /// Takes one record in.
    pub fn visit(&mut self, record: &LogRecord) {
        let name = || record.subject.name.clone();
        match &record.payload {
            Payload::PolicyEffect(effect) => {
                let Some(kind) = Kind::parse(&record.subject.kind) else { return };
                if name() == ALL {
                    self.closed.insert(kind);
                    return;
                }
                if kind == Kind::TrustedSigner {
                    self.signers.extend(effect.stored);
                }
                if kind == Kind::ApprovalRole {
                    self.roles.insert(name());
                }
                self.in_force.insert((kind, name()), effect.stored);
            }
            // Until the kind is closed, what is there is in force.
            Payload::PolicyChange(_)
                if record.subject.kind == Kind::ApprovalRole.as_str()
                    && !self.closed.contains(&Kind::ApprovalRole) =>
            {
                self.roles.insert(name());
            }
            Payload::Decision(decision) => {
                self.judged = true;
                self.cleared |= decision.verdict == Verdict::Met;
            }
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
        for stored in &self.signers {
            world.was_in_force(&serde_json::from_slice::<Record>(&read(stored)?)?);
        }
        for stored in self.in_force.values().flatten() {
            let record: Record = serde_json::from_slice(&read(stored)?)?;
            world.took_effect(record);
        }
        for kind in &self.closed {
            world.closes(*kind);
        }
        if self.cleared {
            world.in_use();
        }
        Ok(())
    }

    /// Whether the installation is being set up: no release was judged, or nothing is known of policies in force, as in a log
    /// of an earlier version.
    pub fn is_open(&self) -> bool {
        !self.judged || !self.in_force.keys().any(|(kind, _)| *kind == Kind::ReleasePolicy)
    }
}

impl Reconciler {
    /// Lets deletions take effect that nobody heard of, if they may, and has the log say once that a kind is set up.
    pub(crate) async fn settle_gone(&self) {
        for kind in GUARDED {
            let gone = {
                let world = self.state.world();
                let mut names = world.unsettled_of(kind);
                names.retain(|name| subject(&world, kind, name).is_none_or(|(_, live)| !live));
                names
            };
            for name in gone {
                if let Err(error) = self.settle(kind, &name).await {
                    tracing::warn!(%error, %kind, name, "a deletion was not recorded; it will be tried again");
                }
            }
            let closes = self.state.world().may_close(kind);
            if closes && let Err(error) = self.close(kind).await {
                tracing::warn!(%error, %kind, "that it is set up was not recorded; it will be tried again");
            }
        }
    }

    /// From now on changes of a kind wait. The record is durable before.
    async fn close(&self, kind: Kind) -> anyhow::Result<()> {
        let Clock::Trusted(now) = self.state.gate_clock() else { return Ok(()) };
        let body = PolicyEffect {
            before: None,
            after: None,
            stored: None,
            loosens: false,
            because: SET_UP.to_owned(),
            approvals: Vec::new(),
        };
        let subject = About::new(kind.as_str(), None, ALL);
        self.ledger.append(NewRecord::new(now, subject, Payload::PolicyEffect(body))).await?;
        self.state.world_mut().closes(kind);
        Ok(())
    }

    /// Lets the version that is there take effect, if it may. The record is durable before.
    pub(crate) async fn settle(&self, kind: Kind, name: &str) -> anyhow::Result<()> {
        let Clock::Trusted(now) = self.state.gate_clock() else { return Ok(()) };
        let Some(change) = self.state.world().change(kind, name, now, None) else { return Ok(()) };
        let Ruling::Takes(because) = change.ruling else { return Ok(()) };
        let record = effect(&change, because, &self.state.world(), now);
        self.ledger.append(record).await?;
        {
            let mut world = self.state.world_mut();
            match change.after {
                Some(after) => world.took_effect(after),
                None => world.ended(kind, name),
            }
        }
        let world = self.state.world();
        let releases = world.names(Kind::ModelRelease).into_iter().map(|(ns, name)| Work::Release(ns, name));
        // Who has a say in one is said by the others; whose signature counts shows on approvals.
        let shown = GUARDED.into_iter().chain([Kind::Approval]);
        let shown = shown.flat_map(|kind| {
            world.names(kind).into_iter().map(move |(ns, name)| Work::Object(kind, ns, name))
        });
        self.queue.push(releases.chain(shown));
        tracing::info!(%kind, name, because = because.as_str(), "a version took effect");
        Ok(())
    }

    /// A release was judged: from now on a change that loosens a policy waits, and once it was cleared, also one of a role or
    /// a signer. The log says so before anybody is told that it was cleared.
    pub(crate) async fn set_up(&self, cleared: bool) {
        let (open, used) = {
            let world = self.state.world();
            (world.being_set_up(), world.is_in_use())
        };
        if open {
            self.state.judged();
        }
        if cleared && !used {
            self.state.world_mut().in_use();
            self.settle_gone().await;
        }
    }

    /// What an approval is about, to be looked at, where that guards itself.
    pub(crate) fn approves_change(&self, namespace: &str, name: &str) -> Option<Work> {
        let world = self.state.world();
        let spec = world.approval(namespace, name)?.spec.as_ref().ok()?;
        let kind = spec.subject.kind.kind();
        GUARDED.contains(&kind).then(|| Work::Object(kind, String::new(), spec.subject.name.to_string()))
    }

    /// Says on an object that its version begins to wait, or that it decides now, where its status changes from one to the
    /// other.
    pub(crate) fn say_waiting(&self, kind: Kind, object: &Value, status: &Value) {
        let waiting = |status: &Value| status.pointer("/waiting/digest").cloned();
        let before = waiting(object.get("status").unwrap_or(&Value::Null));
        let now = waiting(status);
        if before == now || !GUARDED.contains(&kind) {
            return;
        }
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let conditions = status.get("conditions").and_then(Value::as_array);
        let told = conditions.into_iter().flatten().find(|c| c["type"] == types::IN_FORCE);
        let note = told.and_then(|c| c["message"].as_str()).unwrap_or_default();
        let (type_, reason) = if now.is_some() {
            (EventType::Warning, reasons::WAITS_FOR_APPROVAL)
        } else {
            (EventType::Normal, reasons::DECIDES)
        };
        let (name, uid) = (text("/metadata/name"), text("/metadata/uid"));
        let regarding = crate::effects::reference("placet.dev/v1alpha1", kind.as_str(), "", name, uid);
        self.events.emit(regarding, type_, reason, note);
    }
}

/// Packs were applied since the start: what they brought of policies ends the setting up of an installation once it is in force,
/// or did not come to be in time.
pub async fn packs_brought(state: Arc<State>, policies: Vec<String>) {
    // Not by what decides now: while an installation is being set up that is what is there, be it one of an earlier installation
    // whose new stamp was not heard of yet.
    let in_force = || {
        let world = state.world();
        let unsettled = world.unsettled_of(Kind::ReleasePolicy);
        let there = |name: &str| world.policies().any(|p| p.name() == name);
        policies.iter().all(|name| there(name) && !unsettled.contains(name))
    };
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < BROUGHT && !in_force() {
        tokio::time::sleep(LOOK).await;
    }
    state.packs_tried();
}

/// The record of an effect.
fn effect(change: &Change, because: Because, world: &World, now: jiff::Timestamp) -> NewRecord {
    let digest = |p: &Record| p.digest.as_ref().ok()?.parse::<Digest>().ok();
    let stored = |record: &Record| Stored::new(serde_json::to_vec(record).unwrap_or_default());
    let after = change.after.as_ref().map(stored);
    let named = match &change.after {
        Some(after) => after.digest.clone().ok(),
        None => world.deletion_digest(&change.name),
    };
    let approvals: Vec<Stored> = world
        .guarded_in()
        .filter(|_| because == Because::Approved)
        .into_iter()
        .flat_map(|namespace| world.approvals_of(change.kind, namespace, &change.name))
        .filter(|a| a.spec.as_ref().is_ok_and(|s| Some(s.subject.digest.to_string()) == named))
        .take(MAX_APPROVALS)
        .map(|a| stored(&a.record))
        .collect();
    let mut subject = About::new(change.kind.as_str(), None, &change.name);
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

/// What guards itself: the version that is there, or of a policy the one in force; and whether it is there.
pub fn subject<'a>(world: &'a World, kind: Kind, name: &str) -> Option<(&'a Record, bool)> {
    let live = match kind {
        Kind::ReleasePolicy => world.policies().find(|p| p.name() == name).map(|p| &p.record),
        Kind::ApprovalRole => world.role(name).map(|r| &r.record),
        Kind::TrustedSigner => world.signer(name).map(|s| &s.record),
        _ => None,
    };
    let gone = || world.version_in_force(name).filter(|_| kind == Kind::ReleasePolicy).map(|p| &p.record);
    live.map(|l| (l, true)).or_else(|| gone().map(|g| (g, false)))
}

/// Whether an approval is of the deletion of a policy: then what it is held against.
pub fn deletion(world: &World, subject: &Subject) -> Option<Live> {
    let (kind, name) = (subject.kind.kind(), subject.name.as_str());
    let digest = world.deletion_digest(name).filter(|_| kind == Kind::ReleasePolicy)?;
    let uid = self::subject(world, kind, name).map(|(p, _)| p.uid.clone()).filter(|uid| !uid.is_empty());
    (digest == subject.digest.as_str()).then_some(Live { digest: Some(digest), uid, evidence: None })
}

/// The digest that an approval of a policy, a role or a signer must name now.
pub fn digest(world: &World, namespace: &str, subject: &Subject) -> Option<String> {
    counts_here(world, namespace, subject).ok()?;
    let live = || {
        let (record, live) = self::subject(world, subject.kind.kind(), subject.name.as_str())?;
        record.digest.clone().ok().filter(|_| live)
    };
    deletion(world, subject).and_then(|d| d.digest).or_else(live)
}

/// Approvals of cluster-scoped objects count in the operator's namespace alone.
///
/// # Errors
/// This is another one.
pub fn counts_here(world: &World, namespace: &str, subject: &Subject) -> Result<(), String> {
    let Some(here) = world.guarded_in() else { return Ok(()) };
    let kind = subject.kind.kind();
    if !GUARDED.contains(&kind) || here == namespace {
        return Ok(());
    }
    Err(format!(
        "metadata.namespace: wanted {here}, where alone approvals of policies, roles and signers count, found {namespace}; \
         placet approve {}/{} writes it there",
        kind.short(),
        subject.name
    ))
}

/// Why a policy may not be deleted now, if so: its deletion waits for somebody's approval.
pub fn keeps(a: &Admission, name: &str, user: &str) -> Option<String> {
    let person = a.state.reading.people.person(user);
    let world = a.state.world();
    let change = world.change(Kind::ReleasePolicy, name, a.state.now(), Some(&person))?;
    let Ruling::Waits(asked) = &change.ruling else { return None };
    let namespace = world.guarded_in().unwrap_or_default();
    let names = a.state.names().clone();
    Some(format!(
        "ReleasePolicy {name} is in force, and to delete it asks for less: wanted the approval of its deletion by {}, other than \
         {user}; found {}. Let them run: {} --deletion; then delete it again",
        asked.roles.iter().cloned().collect::<Vec<_>>().join(" or "),
        found(asked, &names),
        command(Kind::ReleasePolicy, name, asked, namespace),
    ))
}

fn found(asked: &Asked, names: &Names) -> String {
    if asked.why_not.is_empty() {
        return "none".to_owned();
    }
    with_names(&asked.why_not.join("; "), names)
}

fn command(kind: Kind, name: &str, asked: &Asked, namespace: &str) -> String {
    let role = asked.roles.iter().next().map(String::as_str).unwrap_or_default();
    format!("placet approve {}/{name} --role {role} -n {namespace}", kind.short())
}

/// The status of a role or a signer, but for whether it is in force.
pub fn status(object: &Record, generation: Option<i64>) -> Value {
    let ready = condition(types::READY, "True", reasons::JUDGED, "judged at this generation", generation);
    let mut out = json!({"observedGeneration": generation, "conditions": [ready]});
    if let Ok(digest) = &object.digest {
        out["digest"] = digest.clone().into();
    }
    out
}

/// The digest of the version that decides.
fn in_force(world: &World, kind: Kind, name: &str) -> Option<String> {
    match kind {
        Kind::ReleasePolicy => {
            world.in_force().iter().find(|p| p.name() == name).map(|p| p.digest().to_owned())
        }
        Kind::ApprovalRole => world.role_in_force(name).map(|r| r.digest().to_owned()),
        Kind::TrustedSigner => world.signer_in_force(name).map(|s| s.digest().to_owned()),
        _ => None,
    }
}

/// Ways in which a change loosens, as they are shown.
fn listed(change: &Change, names: &Names) -> Vec<String> {
    let ways = change.loosens.iter().take(MAX_LISTED);
    ways.map(|w| crate::status::cut(&visible::line(&with_names(w, names)), MAX_LINE)).collect()
}

/// That a change waits: in which ways it loosens, what decides until when, who approves it by which command.
fn waits_for(world: &World, change: &Change, asked: &Asked, names: &Names, namespace: &str) -> String {
    let (kind, name) = (change.kind, change.name.as_str());
    let ways: Vec<String> = listed(change, names).into_iter().take(MAX_WAYS).collect();
    let more = change.loosens.len().saturating_sub(MAX_WAYS);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let before = change.before.as_ref().and_then(|b| b.digest.as_ref().ok());
    let decides = match (before.filter(|_| in_force(world, kind, name).is_some()), kind) {
        (Some(before), _) => format!("the version {before} decides"),
        (None, Kind::ReleasePolicy) => "the other policies decide".to_owned(),
        (None, _) => format!("this {} does not count", gate::said(kind)),
    };
    let less = if kind == Kind::ReleasePolicy { "asks for less" } else { "lets more in" };
    format!(
        "it {less} ({}{more}): {decides} until this one, {}, is approved by a holder of {} who did not edit it; \
         found {}: {}",
        ways.join("; "),
        asked.digest,
        asked.roles.iter().cloned().collect::<Vec<_>>().join(" or "),
        found(asked, names),
        command(kind, name, asked, namespace),
    )
}

/// What somebody is told who writes a version that will wait, in the words of its status; `stamp`: who wrote it.
pub fn warning(a: &Admission, object: &Value, stamp: &StampText) -> Option<String> {
    // As it will be read once it is stored: a dry run carries no receipt.
    let (version, new) = a.state.reading.read_assuming(object, stamp).ok()?;
    let world = a.state.world();
    let namespace = world.guarded_in()?;
    let change = world.proposed(&version, a.state.now())?;
    let Ruling::Waits(asked) = &change.ruling else { return None };
    let mut names = (**a.state.names()).clone();
    names.extend(new);
    let said = waits_for(&world, &change, asked, &names, namespace);
    Some(format!("{} {} is stored and waits: {said}", change.kind, change.name))
}

/// Tells on a policy, a role or a signer whether the version that is there decides.
pub fn tell(
    status: &mut Value,
    world: &World,
    (kind, name): (Kind, &str),
    (now, generation): (jiff::Timestamp, Option<i64>),
    names: &Names,
    problem: Option<(&str, String)>,
) {
    let Some(namespace) = world.guarded_in() else { return };
    if let Some(decides) = in_force(world, kind, name) {
        status["inForce"] = decides.into();
    }
    let waits = world.waits(kind, name, now);
    let told = match waits {
        None if problem.is_some() => {
            let (reason, why) = problem.unwrap_or_default();
            condition(types::IN_FORCE, "False", reason, &why, generation)
        }
        None => condition(types::IN_FORCE, "True", reasons::DECIDES, "this version decides", generation),
        Some(change) => {
            let Ruling::Waits(asked) = &change.ruling else { return };
            let listed = listed(&change, names);
            let roles: Vec<&String> = asked.roles.iter().take(MAX_ROLES).collect();
            let message = waits_for(world, &change, asked, names, namespace);
            status["waiting"] = json!({"digest": asked.digest, "roles": roles, "loosens": listed});
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
