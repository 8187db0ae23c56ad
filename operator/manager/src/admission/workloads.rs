//! Workloads: the mutating webhook puts the hold on pods whose release is not cleared, the validating one judges the
//! final object, records the answer, and gives it. No network I/O on this path (invariant 6).

use std::sync::Arc;

use placet_evidence::budget::Refusal;
use placet_evidence::{
    Admission as Body, AppendError, Effect, GapReason, NewRecord, Operation as Op, Payload,
    Subject as RecordSubject,
};
use placet_gate::Cleared;
use placet_gate::admission::{
    self, Effect as GateEffect, Facts, Judged, Mode, Operation, Owner, Subject, Workload,
};
use placet_gate::render::Names;

use super::Admission;
use super::review::{Answer, Request};
use crate::ledger::Repeat;
use crate::parents::Parent;
use crate::places::Place;
use crate::services::events::EventType;
use crate::state::Decided;

/// Which of the webhooks asks.
#[derive(Clone, Copy)]
struct Stage {
    /// Whether it is the entry of namespaces that warn or audit.
    watching: bool,
    /// Whether it sees the final object.
    validating: bool,
}

/// Adds the hold to a pod that may not run yet.
pub fn mutate(a: &Admission, request: &Request, watching: bool) -> Answer {
    let Some((review, subject)) = read(a, request) else { return Answer::allow() };
    let judged = judge(a, &review, &subject, Stage { watching, validating: false });
    let mut answer = Answer::allow();
    if judged.answer.effect == GateEffect::Hold {
        answer.patch = admission::hold_patch(&request.object);
    }
    answer
}

/// What was judged, and what it was judged from.
struct Outcome {
    mode: Mode,
    answer: admission::Answer,
    decided: Option<Arc<Decided>>,
}

impl Outcome {
    fn starts_as_replacement(&self) -> bool {
        self.answer.effect == GateEffect::Allow && self.answer.replacement
    }
}

/// Takes the place that a replacement was found to have.
fn take_place(a: &Admission, request: &Request, subject: &Subject) -> bool {
    let (Some(owner), Some(release)) = (&subject.owner, &subject.release) else { return false };
    let place = Place::of(&request.namespace, release, owner);
    a.state.workloads_mut().take_place(place, uid_of(subject, request), a.state.now())
}

/// The pod's uid: the API server gives it one before it asks us.
fn uid_of<'a>(subject: &'a Subject, request: &'a Request) -> &'a str {
    subject.uid.as_deref().unwrap_or(&request.uid)
}

/// Why an answer has no record.
#[derive(Debug, thiserror::Error)]
enum Unrecorded {
    /// The namespace has used up what it may write.
    #[error(
        "namespace {0} has used up what it may write to the evidence log for now, so that this has no record"
    )]
    UsedUp(String),
    /// The log cannot be written.
    #[error("the evidence log cannot be written: {0}")]
    Unwritable(#[from] AppendError),
}

impl Unrecorded {
    /// How the log tells it afterwards.
    fn gap(&self) -> GapReason {
        match self {
            Self::UsedUp(_) => GapReason::Budget,
            Self::Unwritable(_) => GapReason::Unwritable,
        }
    }
}

/// The request as the gate reads it, and its subject; None where nothing is judged.
fn read<'a>(a: &Admission, request: &'a Request) -> Option<(admission::Request<'a>, Box<Subject>)> {
    // Binding a pod changes it, also through the older resource of its own.
    let binding = request.kind.group.is_empty() && request.kind.kind == "Binding";
    let operation = match request.operation.as_str() {
        "CREATE" if !binding => Operation::Create,
        "CREATE" | "UPDATE" => Operation::Update,
        _ => return None,
    };
    let scale = request.sub_resource.as_deref() == Some("scale");
    let kind = if binding {
        Some(Workload::Pod)
    } else if scale {
        Workload::of_resource(&request.resource.group, &request.resource.resource)
    } else {
        Workload::of_kind(&request.kind.group, &request.kind.kind)
    }?;
    let review = admission::Request {
        kind,
        subresource: if binding { Some("binding") } else { request.sub_resource.as_deref() },
        operation,
        namespace: &request.namespace,
        name: &request.name,
        object: &request.object,
        old: request.old(),
        user: &request.user_info.username,
    };
    let parent = scale.then(|| {
        let workloads = a.state.workloads();
        workloads.parents.get(kind.as_str(), &request.namespace, &request.name).map(Parent::object)
    });
    match admission::subject(&review, parent.flatten().as_ref()) {
        Judged::Passes(_) => None,
        Judged::Subject(subject) => Some((review, subject)),
    }
}

/// Gathers the facts and judges.
fn judge(a: &Admission, review: &admission::Request<'_>, subject: &Subject, stage: Stage) -> Outcome {
    let decided = subject.release.as_ref().map(|release| a.state.decided(review.namespace, release));
    let decision = decided.as_ref().map(|d| &d.decision);
    let world = a.state.world();
    let labels = world.namespace_labels(review.namespace);
    let policies = Arc::clone(world.in_force());
    drop(world);
    // The API server matched the entry by the labels that it knows, which our store may not have heard of yet. Whether it is
    // enforced is what the entry says; of how, the strictest mode holds, or the mildest where nothing is enforced.
    let of_entry = if stage.watching { Mode::Warn } else { Mode::Deny };
    let known = Mode::of(&labels).filter(|(mode, _)| mode.enforces() != stage.watching);
    let (mode, note) = known.unwrap_or((of_entry, None));
    let workloads = a.state.workloads();
    // Whether a pod is a replacement is asked only where its release is not cleared. It takes a walk over the namespace's pods.
    let owner = subject.owner.as_ref().filter(|_| decision.is_none_or(|d| d.cleared != Cleared::True));
    let release = subject.release.as_deref().unwrap_or_default();
    let history = owner.and_then(|owner| {
        let place = Place::of(review.namespace, release, owner);
        workloads.history(&place, subject.uid.as_deref(), a.state.now())
    });
    let pods_running = !subject.is_pod()
        && subject.uid.as_deref().is_some_and(|uid| workloads.pods_run(review.namespace, uid));
    drop(workloads);
    let facts = Facts {
        mode,
        mode_note: note.as_deref(),
        namespace_labels: &labels,
        release: decided.as_ref().and_then(|d| d.snapshot.release.as_deref()),
        decision,
        words: decided.as_ref().map(|d| &d.words),
        policies: &policies,
        history: history.as_ref().map(|(history, _)| history),
        live_pods: history.as_ref().map_or(0, |(_, live)| *live),
        pods_running,
        operator_user: &a.operator_user,
    };
    let mut answer = admission::judge(review, subject, &facts);
    if stage.validating {
        answer = answer.in_validation(review, subject, &facts);
    }
    Outcome { mode, answer, decided }
}

/// Judges the final object, records the answer, gives it.
pub async fn validate(a: &Admission, request: &Request, watching: bool) -> Answer {
    let Some((review, subject)) = read(a, request) else { return Answer::allow() };
    let stage = Stage { watching, validating: true };
    let mut outcome = judge(a, &review, &subject, stage);
    if request.dry() {
        return respond(&outcome, None, &a.state.names());
    }
    if outcome.starts_as_replacement() && !take_place(a, request, &subject) {
        // Another took it meanwhile, and is counted now.
        outcome = judge(a, &review, &subject, stage);
    }
    let answer = match record(a, request, &subject, &outcome).await {
        Ok(index) => {
            let mut answer = respond(&outcome, index, &a.state.names());
            answer.audit.extend(index.map(|index| ("record", index.to_string())));
            answer
        }
        // In namespaces that warn or audit what cannot be recorded passes all the same, and leaves a gap.
        Err(why) if watching => {
            a.ledger.missed(why.gap(), &why);
            let mut answer = respond(&outcome, None, &a.state.names());
            answer.warnings.insert(0, why.to_string());
            answer
        }
        Err(why) => {
            // It takes no place, since it does not come.
            a.state.workloads_mut().give_back(uid_of(&subject, request));
            return match why {
                Unrecorded::UsedUp(namespace) => super::used_up(&namespace),
                Unrecorded::Unwritable(error) => super::unwritable(&error),
            };
        }
    };
    notify(a, request, &subject, &outcome);
    answer
}

fn respond(outcome: &Outcome, record: Option<u64>, names: &Names) -> Answer {
    let mut answer = match outcome.answer.effect {
        GateEffect::Deny => Answer::forbid(outcome.answer.message_for(record, names)),
        _ => Answer::allow(),
    };
    if outcome.mode != Mode::Audit {
        answer.warnings = outcome.answer.warnings_for(names);
    }
    answer
}

/// Records an answer, with the decision that it rests on. The same refusal of the same owner again within a minute is a
/// count. Returns the record's index.
async fn record(
    a: &Admission,
    request: &Request,
    subject: &Subject,
    outcome: &Outcome,
) -> Result<Option<u64>, Unrecorded> {
    let now = a.state.now();
    let effect = match outcome.answer.effect {
        GateEffect::Allow => Effect::Allow,
        GateEffect::Deny => Effect::Deny,
        GateEffect::Hold => Effect::Hold,
        GateEffect::Warn => Effect::Warn,
        GateEffect::Audit => Effect::Audit,
    };
    let mut reasons: Vec<String> = outcome.answer.reasons.iter().map(ToString::to_string).collect();
    reasons.sort();
    reasons.dedup();
    if effect == Effect::Deny {
        // Pods of one owner are one refusal. What people send themselves is theirs: each of them is recorded once.
        let who = subject.owner.as_ref().map_or_else(
            || {
                let person = a.state.reading.people.person(&request.user_info.username);
                format!("{} {} by {}", subject.kind.as_str(), subject.name, person.token())
            },
            |o| o.uid.clone(),
        );
        let refusal =
            Refusal { namespace: request.namespace.clone(), owner: who, effect, reasons: reasons.clone() };
        let (Repeat::Record, repeats) = a.ledger.refusal(&refusal, now) else { return Ok(None) };
        let recorded = append(a, request, subject, outcome, Said { effect, reasons, repeats, now }).await;
        if recorded.is_err() {
            a.ledger.unrecorded(&refusal, repeats, now);
        }
        return recorded.map(Some);
    }
    if a.ledger.effective(&request.namespace, now) == Repeat::Exhausted {
        return Err(Unrecorded::UsedUp(request.namespace.clone()));
    }
    append(a, request, subject, outcome, Said { effect, reasons, repeats: 0, now }).await.map(Some)
}

/// What is said of an answer in its record.
struct Said {
    effect: Effect,
    reasons: Vec<String>,
    repeats: u64,
    now: jiff::Timestamp,
}

/// Writes the record of an answer, and remembers what was let through. Returns its index.
async fn append(
    a: &Admission,
    request: &Request,
    subject: &Subject,
    outcome: &Outcome,
    said: Said,
) -> Result<u64, Unrecorded> {
    let Said { effect, reasons, repeats, now } = said;
    let owner = subject.owner.as_ref();
    let decision = match &outcome.decided {
        Some(decided) if decided.snapshot.release.is_some() => {
            Some(a.ledger.decided(now, decided).await?.0.index)
        }
        _ => None,
    };
    let pod_content = subject.pod_content.parse().ok();
    let held_beyond = effect == Effect::Allow && !outcome.answer.cleared;
    let raised_from = subject.raised_from.filter(|_| held_beyond);
    let body = Body {
        effect,
        mode: outcome.mode.as_str().to_owned(),
        op: if request.operation == "CREATE" { Op::Create } else { Op::Update },
        group: request.kind.group.clone(),
        version: request.kind.version.clone(),
        kind: subject.kind.as_str().to_owned(),
        subresource: request.sub_resource.clone().filter(|s| !s.is_empty()),
        namespace: request.namespace.clone(),
        name: subject.name.clone(),
        request: request.uid.clone(),
        uid: subject.uid.clone(),
        owner_uid: owner.map(|o| o.uid.clone()),
        owner_kind: owner.map(|o| o.kind.clone()),
        release: subject.release.clone(),
        decision,
        cleared: outcome.answer.cleared,
        pod_content,
        replicas: Some(subject.replicas),
        raised_from,
        replacement: outcome.answer.replacement,
        reasons,
        repeats,
    };
    let about = owner.map_or_else(
        || RecordSubject::new(subject.kind.as_str(), Some(&request.namespace), &subject.name),
        |o| RecordSubject::new(&o.kind, Some(&request.namespace), &o.name),
    );
    let record = NewRecord::new(now, about, Payload::Admission(body)).with_actor(&request.user_info.username);
    let appended = a.ledger.append(record).await?;
    if effect == Effect::Allow && outcome.answer.cleared {
        admitted(a, subject, outcome, now);
    }
    if let (Effect::Allow, true, Some(uid)) = (effect, subject.is_pod(), &subject.uid)
        && (outcome.answer.cleared || outcome.answer.replacement)
    {
        let owner = owner.map(|o| o.uid.as_str());
        a.state.workloads_mut().admit_under(uid, owner, now);
    }
    if let (Some(from), Some(uid)) = (raised_from, &subject.uid) {
        a.state.raise(uid, from);
    }
    if let (Effect::Hold, true, Some(uid), Some(release), Some(owner)) =
        (effect, outcome.answer.replacement, &subject.uid, &subject.release, owner)
    {
        let place = Place::of(&request.namespace, release, owner);
        a.state.workloads_mut().wait(uid, place, now);
    }
    Ok(appended.index)
}

/// Remembers what was admitted while cleared: it may be replaced later.
fn admitted(a: &Admission, subject: &Subject, outcome: &Outcome, now: jiff::Timestamp) {
    let Some(release) = &subject.release else { return };
    if subject.is_pod()
        && let Some(decided) = outcome.decided.as_ref().filter(|d| d.decision.cleared == Cleared::True)
        // The world changes for the first pod only.
        && decided.snapshot.first_use.is_none_or(|first| now < first)
    {
        a.state.world_mut().used(&decided.decision.content, now);
    }
    let owner = subject.owner.as_ref().filter(|_| subject.is_pod()).map(|o| o.uid.clone());
    // A pod without an owner is remembered by itself.
    if let Some(owner) = owner.or_else(|| subject.uid.clone()) {
        let pod = subject.is_pod().then(|| (release.clone(), subject.pod_content.clone()));
        a.state.admit(&owner, pod, subject.replicas, now);
    }
}

/// Tells the object that people look at: when a controller's object was admitted and its pods are not, the top owner.
fn notify(a: &Admission, request: &Request, subject: &Subject, outcome: &Outcome) {
    let stopped = matches!(outcome.answer.effect, GateEffect::Deny | GateEffect::Hold);
    if !subject.is_pod() || request.operation != "CREATE" || !stopped {
        return;
    }
    let Some(owner) = subject.owner.as_ref() else { return };
    let reason = if outcome.answer.effect == GateEffect::Hold { "PodHeld" } else { "PodRefused" };
    a.events.emit_if_room(&request.namespace, EventType::Warning, reason, || {
        let Owner { api_version, kind, name, uid } = top_owner(a, &request.namespace, owner);
        let regarding = crate::effects::reference(&api_version, &kind, &request.namespace, &name, &uid);
        (regarding, outcome.answer.event_for(&a.state.names()))
    });
}

/// Follows owners from a ReplicaSet to its Deployment, as far as our stores know them.
fn top_owner(a: &Admission, namespace: &str, owner: &Owner) -> Owner {
    let workloads = a.state.workloads();
    let parent = workloads.parents.get(&owner.kind, namespace, &owner.name);
    parent.and_then(|p| p.controller.clone()).unwrap_or_else(|| owner.clone())
}

#[cfg(test)]
#[path = "workloads_tests.rs"]
mod tests;
