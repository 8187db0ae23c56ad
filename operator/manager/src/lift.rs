//! Lifting holds: of pods whose release was cleared, of those that replace one that was admitted while it was, and of all
//! where nothing enforces.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use jiff::SignedDuration;
use kube::api::ListParams;
use placet_api::{Kind, keys};
use placet_evidence::HoldLifted;
use placet_gate::admission::{self, CONTROLLER_MANAGER, Mode, OwnerHistory, Subject};
use placet_gate::world::Snapshot;
use placet_gate::{Cleared, evaluate};
use serde_json::Value;

use crate::effects::{api, enforcing, reference};
use crate::ledger::Recorded;
use crate::places::Place;
use crate::queue::Work;
use crate::reconcile::Reconciler;
use crate::services::events::EventType;
use crate::state::Raw;
use crate::stores::text;

/// How soon a hold that could not be lifted is tried again: the pod changed meanwhile, or the API server was busy.
const SOON: SignedDuration = SignedDuration::from_millis(500);
/// The same, where trying the same version again was refused again.
const STUCK: SignedDuration = SignedDuration::from_secs(10);

/// Why holds are lifted.
#[derive(Debug, Clone, Copy)]
enum Why<'a> {
    /// The release is cleared, as this record says.
    Cleared(&'a Recorded),
    /// The pod replaces one that was admitted while the release was cleared. It no longer is, as this record says.
    Replaces(&'a Recorded),
    /// The pod names no release, and has images of the platform list only.
    PlatformImages,
    /// Nothing enforces in the namespace.
    NotEnforced,
}

impl<'a> Why<'a> {
    fn recorded(self) -> Option<&'a Recorded> {
        match self {
            Self::Cleared(recorded) | Self::Replaces(recorded) => Some(recorded),
            Self::PlatformImages | Self::NotEnforced => None,
        }
    }
}

/// Lifts the holds of a release's pods; with an empty name, of the namespace's pods that name no release. Before,
/// everything that the decision reads is listed again consistently: if the caches are behind, nothing is lifted and the
/// release is looked at again. In a namespace that does not enforce, all holds are lifted. A pod that cannot be let go
/// keeps no other waiting: gives after how long to try again, where there are such.
pub async fn lift_holds(
    r: &Reconciler,
    snapshot: &Snapshot,
    recorded: Option<&Recorded>,
) -> anyhow::Result<Option<SignedDuration>> {
    let why = match recorded {
        // Where nothing enforces no decision lifts them.
        _ if !enforcing(&snapshot.namespace_labels) => Why::NotEnforced,
        Some(recorded) => Why::Cleared(recorded),
        None => Why::PlatformImages,
    };
    let all = matches!(why, Why::NotEnforced);
    let held: Vec<(String, String)> = r
        .state
        .workloads()
        .pods
        .iter()
        .filter(|((ns, _), pod)| {
            ns == &snapshot.namespace
                && pod.held
                && pod.live
                && (all || pod.release.as_deref().unwrap_or_default() == snapshot.name)
        })
        .map(|((_, name), pod)| (name.clone(), pod.uid.clone()))
        .collect();
    if held.is_empty() || !r.claim.is_current() {
        return Ok(None);
    }
    if !all {
        if snapshot.name.is_empty() && !any_fits(r, snapshot, &held).await? {
            return Ok(None);
        }
        up_to_date(r, &snapshot.namespace).await?;
        let again = r.state.snapshot(&snapshot.namespace, &snapshot.name);
        if !snapshot.name.is_empty() && evaluate(&again).cleared != Cleared::True {
            anyhow::bail!("the decision changed while it was acted on");
        }
    }
    Ok(lift_each(r, snapshot, why, held).await)
}

/// Lets go the held pods of a release that is no longer cleared for which there is a place now: when they were created, the
/// stores had not heard yet that another had given it up, or replacements did not start then. Caches as for [`lift_holds`].
pub async fn lift_replacements(
    r: &Reconciler,
    snapshot: &Snapshot,
    recorded: &Recorded,
) -> anyhow::Result<Option<SignedDuration>> {
    let now = r.state.now();
    let (ready, coming) = {
        let workloads = r.state.workloads();
        if !workloads.waits(&snapshot.namespace, &snapshot.name) {
            return Ok(None);
        }
        (workloads.waiting_for(&snapshot.namespace, &snapshot.name, now), workloads.places_are_coming(now))
    };
    // A place that was given to a pod that never came to be is free again without anybody's saying so.
    let later = coming.then_some(STUCK);
    if ready.is_empty() || !r.claim.is_current() {
        return Ok(later);
    }
    up_to_date(r, &snapshot.namespace).await?;
    let again = r.state.snapshot(&snapshot.namespace, &snapshot.name);
    if !evaluate(&again).replacements_start() {
        anyhow::bail!("the decision changed while it was acted on");
    }
    Ok(lift_each(r, &again, Why::Replaces(recorded), ready).await.or(later))
}

async fn lift_each(
    r: &Reconciler,
    snapshot: &Snapshot,
    why: Why<'_>,
    held: Vec<(String, String)>,
) -> Option<SignedDuration> {
    {
        let workloads = r.state.workloads();
        let held: BTreeSet<&str> =
            workloads.pods.values().filter(|pod| pod.held).map(|pod| pod.uid.as_str()).collect();
        r.lifts().retain(|uid, _| held.contains(uid.as_str()));
        r.unfit().retain(|uid, _| held.contains(uid.as_str()));
    }
    let mut again = None;
    for (name, uid) in held {
        let before = r.lifts().get(&uid).cloned();
        let Err(error) = lift(r, snapshot, why, &name, &uid).await else { continue };
        // The same version in vain a second time: somebody else refuses it, and asking often changes nothing.
        let stuck = before.is_some() && r.lifts().get(&uid) == before.as_ref();
        let wait = if stuck { STUCK } else { SOON };
        again = Some(again.map_or(wait, |known: SignedDuration| known.min(wait)));
        let error = format!("{error:#}");
        tracing::warn!(namespace = snapshot.namespace, pod = name, error, "the hold is not lifted");
        if !stuck {
            let regarding = reference("v1", "Pod", &snapshot.namespace, &name, &uid);
            let note = format!("the hold could not be lifted, which is tried again: {error}");
            r.events.emit(regarding, EventType::Warning, "HoldNotLifted", &note);
        }
    }
    again
}

/// Whether one of these pods could be let go, so that it is worth listing everything again. No decision says so for pods
/// without a release: it depends on their images and on the policies.
async fn any_fits(r: &Reconciler, snapshot: &Snapshot, held: &[(String, String)]) -> anyhow::Result<bool> {
    for (name, _) in held {
        if let Some(pod) = read_pod(r, &snapshot.namespace, name).await?
            && fits(r, snapshot, &pod).is_ok()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn lift(
    r: &Reconciler,
    snapshot: &Snapshot,
    why: Why<'_>,
    name: &str,
    uid: &str,
) -> anyhow::Result<()> {
    let Some(pod) = read_pod(r, &snapshot.namespace, name).await? else { return Ok(()) };
    let release = snapshot.name.as_str();
    let named = pod.pointer("/metadata/labels").and_then(|l| l.get(keys::RELEASE)).and_then(Value::as_str);
    let of_release = matches!(why, Why::NotEnforced) || named.unwrap_or_default() == release;
    if text(&pod, "/metadata/uid") != uid || !of_release {
        return Ok(());
    }
    let Some(patch) = admission::unhold_patch(&pod) else { return Ok(()) };
    match why {
        Why::Cleared(_) | Why::PlatformImages => {
            if let Err(unfit) = fits(r, snapshot, &pod) {
                tell_unfit(r, &snapshot.namespace, name, uid, unfit);
                return Ok(());
            }
        }
        Why::Replaces(_) => {
            let now = r.state.now();
            let place = replaces(r, snapshot, &pod);
            if !place.is_some_and(|place| r.state.workloads_mut().take_place(place, uid, now)) {
                return Ok(());
            }
        }
        Why::NotEnforced => {}
    }
    let content = pod_content(&snapshot.namespace, &pod);
    let owner = crate::stores::controller(&pod).map(|o| text(o, "/uid").to_owned());
    // All that the owner has are let go with it.
    let replicas =
        owner.as_ref().map_or(1, |uid| r.state.workloads().live_pods(&snapshot.namespace, uid).0.max(1));
    let body = HoldLifted {
        namespace: snapshot.namespace.clone(),
        pod: name.to_owned(),
        uid: uid.to_owned(),
        resource_version: text(&pod, "/metadata/resourceVersion").to_owned(),
        owner_uid: owner.clone(),
        release: named.map(str::to_owned),
        pod_content: content.parse().ok(),
        replicas: Some(replicas),
        decision: why.recorded().map(|r| r.index),
        replacement: matches!(why, Why::Replaces(_)),
    };
    let attempt = (body.resource_version.clone(), body.decision);
    if r.lifts().get(uid) != Some(&attempt) {
        r.ledger.hold_lifted(r.state.now(), release, body).await?;
        r.lifts().insert(uid.to_owned(), attempt);
    }
    if matches!(why, Why::Cleared(_)) {
        r.state.world_mut().used(
            &snapshot.release.as_ref().map(|o| o.digest().to_owned()).unwrap_or_default(),
            r.state.now(),
        );
        if snapshot.first_use.is_none() {
            // Approvals of a release that is in use stand longer.
            r.queue.push([Work::Release(snapshot.namespace.clone(), release.to_owned())]);
        }
        let pod = Some((release.to_owned(), content));
        r.state.admit(owner.as_deref().unwrap_or(uid), pod, replicas, r.state.now());
    }
    if !matches!(why, Why::NotEnforced) {
        r.state.workloads_mut().admit_under(uid, owner.as_deref(), r.state.now());
    }
    match patch_pod(r, &snapshot.namespace, name, &patch).await {
        Ok(_) => {
            r.lifts().remove(uid);
            let regarding = reference("v1", "Pod", &snapshot.namespace, name, uid);
            r.events.emit(regarding, EventType::Normal, "HoldLifted", &lifted(snapshot, why));
            Ok(())
        }
        Err(kube::Error::Api(e)) if e.is_not_found() => {
            r.lifts().remove(uid);
            Ok(())
        }
        Err(e) => {
            Err(anyhow::Error::new(e)
                .context(format!("lifting the hold of pod {}/{name}", snapshot.namespace)))
        }
    }
}

/// What the pod's event says.
fn lifted(snapshot: &Snapshot, why: Why<'_>) -> String {
    let release = &snapshot.name;
    match why {
        Why::Cleared(recorded) => {
            format!("{release} is cleared (decision {}); the hold is lifted", recorded.index)
        }
        Why::Replaces(recorded) => format!(
            "{release} is not cleared (decision {}); the pod starts as the replacement of one that was admitted before",
            recorded.index
        ),
        Why::PlatformImages => "its images are on the platform list now; the hold is lifted".to_owned(),
        // Its label may be gone, or somebody typed the gate where there never was one.
        Why::NotEnforced => format!(
            "Placet holds no pods in namespace {}, whose label {} is neither deny nor hold; the scheduling gate {} is \
             taken off",
            snapshot.namespace,
            keys::ENFORCE,
            keys::HOLD_GATE
        ),
    }
}

/// A held pod as if this user created it now.
fn as_created<'a>(namespace: &'a str, pod: &'a Value, user: &'a str) -> admission::Request<'a> {
    admission::Request {
        kind: admission::Workload::Pod,
        subresource: None,
        operation: admission::Operation::Create,
        namespace,
        name: text(pod, "/metadata/name"),
        object: pod,
        old: None,
        user,
    }
}

/// What admission would answer, if the pod were created now by the same sender.
fn judged(
    r: &Reconciler,
    snapshot: &Snapshot,
    request: &admission::Request<'_>,
    subject: &Subject,
    history: Option<&(OwnerHistory, i64)>,
) -> admission::Answer {
    let policies = Arc::clone(r.state.world().in_force());
    let decision = evaluate(snapshot);
    let facts = admission::Facts {
        mode: Mode::Hold,
        mode_note: None,
        namespace_labels: &snapshot.namespace_labels,
        release: snapshot.release.as_deref(),
        decision: Some(&decision),
        words: None,
        policies: &policies,
        history: history.map(|(history, _)| history),
        live_pods: history.map_or(0, |(_, live)| *live),
        pods_running: false,
        operator_user: "",
    };
    admission::judge(request, subject, &facts)
}

/// Whether the pod itself may run, as admission judges it, or why not: with its release cleared, a pod is held, too, for an
/// image that the release does not list; without a release it may run platform images only.
fn fits(r: &Reconciler, snapshot: &Snapshot, pod: &Value) -> Result<(), String> {
    let request = as_created(&snapshot.namespace, pod, "");
    let admission::Judged::Subject(subject) = admission::subject(&request, None) else {
        return Err(String::new());
    };
    let answer = judged(r, snapshot, &request, &subject, None);
    if answer.cleared { Ok(()) } else { Err(answer.event_for(&r.state.names())) }
}

/// The place of a pod that may start as a replacement now. Only of pods that admission found to be made by the controller of
/// their owner: that is remembered, and not to be seen on the pod.
fn replaces(r: &Reconciler, snapshot: &Snapshot, pod: &Value) -> Option<Place> {
    let request = as_created(&snapshot.namespace, pod, CONTROLLER_MANAGER);
    let admission::Judged::Subject(subject) = admission::subject(&request, None) else { return None };
    let place = Place::of(&snapshot.namespace, subject.release.as_deref()?, subject.owner.as_ref()?);
    let history = r.state.workloads().history(&place, Some(text(pod, "/metadata/uid")), r.state.now());
    let answer = judged(r, snapshot, &request, &subject, history.as_ref());
    (answer.effect == admission::Effect::Allow && answer.replacement).then_some(place)
}

/// Says once on a pod why it stays held though nothing else is in its way: whoever looks at it later did not see the
/// warnings that its creator got.
fn tell_unfit(r: &Reconciler, namespace: &str, name: &str, uid: &str, why: String) {
    let told = r.unfit().insert(uid.to_owned(), why.clone());
    if told.as_ref() != Some(&why) && !why.is_empty() {
        let regarding = reference("v1", "Pod", namespace, name, uid);
        r.events.emit_if_room(namespace, EventType::Warning, "Held", || (regarding, why));
    }
}

/// The digest of what makes pods equal, as admission computes it.
fn pod_content(namespace: &str, pod: &Value) -> String {
    match admission::subject(&as_created(namespace, pod, ""), None) {
        admission::Judged::Subject(subject) => subject.pod_content,
        admission::Judged::Passes(_) => String::new(),
    }
}

/// A pod as the API server has it, with fields that our version of its type does not know: they are part of its content.
async fn read_pod(r: &Reconciler, namespace: &str, name: &str) -> Result<Option<Value>, kube::Error> {
    let request = http::Request::get(format!("/api/v1/namespaces/{namespace}/pods/{name}"))
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    match r.client.request(request).await {
        Err(kube::Error::Api(e)) if e.is_not_found() => Ok(None),
        other => other.map(Some),
    }
}

/// Sends a JSON patch of a pod.
async fn patch_pod(
    r: &Reconciler,
    namespace: &str,
    name: &str,
    patch: &[Value],
) -> Result<Value, kube::Error> {
    let request = http::Request::patch(format!("/api/v1/namespaces/{namespace}/pods/{name}"))
        .header(http::header::CONTENT_TYPE, "application/json-patch+json")
        .body(serde_json::to_vec(patch).map_err(kube::Error::SerdeError)?)
        .map_err(kube::Error::HttpError)?;
    r.client.request(request).await
}

/// What makes a version of an object of ours: uid, generation, stamp and receipt.
fn version(metadata: &Value) -> (String, i64, String, String) {
    let annotation = |key: &str| {
        metadata.get("annotations").and_then(|a| a.get(key)?.as_str()).unwrap_or_default().to_owned()
    };
    (
        text(metadata, "/uid").to_owned(),
        metadata.get("generation").and_then(Value::as_i64).unwrap_or_default(),
        annotation(keys::STAMP),
        annotation(keys::RECEIPT),
    )
}

/// Compares the caches with consistent lists of everything that a decision in a namespace reads.
///
/// # Errors
/// The caches are behind, or the API server did not answer.
async fn up_to_date(r: &Reconciler, namespace: &str) -> anyhow::Result<()> {
    let lists = Kind::ALL.map(|kind| async move {
        let listed = api(r, kind, namespace).list_metadata(&ListParams::default()).await?;
        Ok::<_, kube::Error>((kind, listed))
    });
    for (kind, listed) in futures::future::try_join_all(lists).await? {
        let fresh: BTreeSet<_> = listed
            .items
            .iter()
            .map(|item| {
                Ok((
                    item.metadata.name.clone().unwrap_or_default(),
                    version(&serde_json::to_value(&item.metadata)?),
                ))
            })
            .collect::<anyhow::Result<_>>()?;
        let raw: Vec<(String, Raw)> = {
            let raw = r.raw.lock().unwrap_or_else(PoisonError::into_inner);
            raw.iter()
                .filter(|((k, ns, _), _)| *k == kind && (ns == namespace || !kind.namespaced()))
                .map(|((_, _, name), object)| (name.clone(), object.clone()))
                .collect()
        };
        let cached: BTreeSet<_> = raw
            .into_iter()
            .map(|(name, raw)| (name, version(raw.object().get("metadata").unwrap_or(&Value::Null))))
            .collect();
        if fresh != cached {
            anyhow::bail!("the cache of {kind} is behind; nothing is lifted before it has caught up");
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "lift_tests.rs"]
mod tests;
