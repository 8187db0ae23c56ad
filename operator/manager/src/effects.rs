//! The only writers to the cluster beside the services: status by server-side apply, lifted holds, events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::discovery::ApiResource;
use placet_api::{Kind, keys};
use placet_evidence::HoldLifted;
use placet_gate::admission::{self, Mode};
use placet_gate::world::Snapshot;
use placet_gate::{Cleared, evaluate};
use serde_json::{Value, json};

use crate::ledger::Recorded;
use crate::queue::Work;
use crate::reconcile::Reconciler;
use crate::state::Raw;
use crate::status;
use crate::stores::text;

/// How soon a hold that could not be lifted is tried again: the pod changed meanwhile, or the API server was busy.
const SOON: SignedDuration = SignedDuration::from_millis(500);
/// The same, where trying the same version again was refused again.
const STUCK: SignedDuration = SignedDuration::from_secs(10);

/// Whether a namespace enforces.
pub fn enforcing(labels: &BTreeMap<String, String>) -> bool {
    matches!(Mode::of(labels), Some((Mode::Deny | Mode::Hold, _)))
}

/// The kind as the API server knows it.
pub fn resource(kind: Kind) -> ApiResource {
    ApiResource {
        group: keys::GROUP.into(),
        version: keys::VERSION.into(),
        api_version: format!("{}/{}", keys::GROUP, keys::VERSION),
        kind: kind.as_str().into(),
        plural: kind.plural().into(),
    }
}

fn api(reconciler: &Reconciler, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    let client = reconciler.client.clone();
    if kind.namespaced() {
        Api::namespaced_with(client, namespace, &resource(kind))
    } else {
        Api::all_with(client, &resource(kind))
    }
}

/// Writes a status, if it differs from the one that is there.
pub async fn write_status(r: &Reconciler, kind: Kind, object: &Value, status: Value) -> anyhow::Result<()> {
    let old = object.get("status");
    let status = status::with_times(status, old, r.state.now());
    let by_others = crate::stores::status_by_others(object);
    if (old == Some(&status) && !by_others) || !r.claim.is_current() {
        return Ok(());
    }
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    let patch = json!({
        "apiVersion": format!("{}/{}", keys::GROUP, keys::VERSION),
        "kind": kind.as_str(),
        "metadata": {"name": name},
        "status": status,
    });
    if by_others {
        // Applying takes over the fields that we set; what somebody else added beside them goes with the whole status.
        let none = Patch::Merge(json!({"status": null}));
        match api(r, kind, namespace).patch_status(name, &PatchParams::default(), &none).await {
            Err(kube::Error::Api(e)) if e.is_not_found() => return Ok(()),
            other => other.map(drop)?,
        }
    }
    let params = PatchParams::apply(keys::MANAGER_STATUS).force();
    match api(r, kind, namespace).patch_status(name, &params, &Patch::Apply(&patch)).await {
        Ok(_) => Ok(()),
        // Gone meanwhile: nothing to show it on.
        Err(kube::Error::Api(e)) if e.is_not_found() => Ok(()),
        Err(e) => Err(anyhow::Error::new(e).context(format!("status of {kind} {namespace}/{name}"))),
    }
}

/// An object reference for events.
pub fn reference(api_version: &str, kind: &str, namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(namespace.to_owned()).filter(|n| !n.is_empty()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()).filter(|u| !u.is_empty()),
        ..ObjectReference::default()
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
    let enforcing = enforcing(&snapshot.namespace_labels);
    // Where nothing enforces no decision lifts them.
    let recorded = recorded.filter(|_| enforcing);
    let held: Vec<(String, String)> = r
        .state
        .workloads()
        .pods
        .iter()
        .filter(|((ns, _), pod)| {
            ns == &snapshot.namespace
                && pod.held
                && pod.live
                && (!enforcing || pod.release.as_deref().unwrap_or_default() == snapshot.name)
        })
        .map(|((_, name), pod)| (name.clone(), pod.uid.clone()))
        .collect();
    if held.is_empty() || !r.claim.is_current() {
        return Ok(None);
    }
    if enforcing {
        if snapshot.name.is_empty() && !any_fits(r, snapshot, &held).await? {
            return Ok(None);
        }
        up_to_date(r, &snapshot.namespace).await?;
        let again = r.state.snapshot(&snapshot.namespace, &snapshot.name);
        if !snapshot.name.is_empty() && evaluate(&again).cleared != Cleared::True {
            anyhow::bail!("the decision changed while it was acted on");
        }
    }
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
        let Err(error) = lift(r, snapshot, recorded, &name, &uid, enforcing).await else { continue };
        // The same version in vain a second time: somebody else refuses it, and asking often changes nothing.
        let stuck = before.is_some() && r.lifts().get(&uid) == before.as_ref();
        let wait = if stuck { STUCK } else { SOON };
        again = Some(again.map_or(wait, |known: SignedDuration| known.min(wait)));
        let why = format!("{error:#}");
        tracing::warn!(namespace = snapshot.namespace, pod = name, error = why, "the hold is not lifted");
        if !stuck {
            let regarding = reference("v1", "Pod", &snapshot.namespace, &name, &uid);
            let note = format!("the hold could not be lifted, which is tried again: {why}");
            r.events.emit(regarding, crate::services::events::EventType::Warning, "HoldNotLifted", &note);
        }
    }
    Ok(again)
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
    recorded: Option<&Recorded>,
    name: &str,
    uid: &str,
    enforcing: bool,
) -> anyhow::Result<()> {
    let Some(pod) = read_pod(r, &snapshot.namespace, name).await? else { return Ok(()) };
    let release = snapshot.name.as_str();
    let named = pod.pointer("/metadata/labels").and_then(|l| l.get(keys::RELEASE)).and_then(Value::as_str);
    if text(&pod, "/metadata/uid") != uid || (enforcing && named.unwrap_or_default() != release) {
        return Ok(());
    }
    let Some(patch) = admission::unhold_patch(&pod) else { return Ok(()) };
    if enforcing && let Err(why) = fits(r, snapshot, &pod) {
        tell_unfit(r, &snapshot.namespace, name, uid, why);
        return Ok(());
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
        decision: recorded.map(|r| r.index),
    };
    let attempt = (body.resource_version.clone(), body.decision);
    if r.lifts().get(uid) != Some(&attempt) {
        r.ledger.hold_lifted(r.state.now(), release, body).await?;
        r.lifts().insert(uid.to_owned(), attempt);
    }
    if enforcing && !release.is_empty() {
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
    match patch_pod(r, &snapshot.namespace, name, &patch).await {
        Ok(_) => {
            r.lifts().remove(uid);
            let regarding = reference("v1", "Pod", &snapshot.namespace, name, uid);
            let note = match recorded {
                Some(recorded) => {
                    format!("{release} is cleared (decision {}); the hold is lifted", recorded.index)
                }
                None if enforcing => "its images are on the platform list now; the hold is lifted".to_owned(),
                // Its label may be gone, or somebody typed the gate where there never was one.
                None => format!(
                    "Placet holds no pods in namespace {}, whose label {} is neither deny nor hold; the scheduling gate \
                     {} is taken off",
                    snapshot.namespace,
                    keys::ENFORCE,
                    keys::HOLD_GATE
                ),
            };
            r.events.emit(regarding, crate::services::events::EventType::Normal, "HoldLifted", &note);
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

/// A held pod as if it were created now.
fn as_created<'a>(namespace: &'a str, pod: &'a Value) -> admission::Request<'a> {
    admission::Request {
        kind: admission::Workload::Pod,
        subresource: None,
        operation: admission::Operation::Create,
        namespace,
        name: text(pod, "/metadata/name"),
        object: pod,
        old: None,
        user: "",
    }
}

/// Whether the pod itself may run, as admission judges it, or why not: with its release cleared, a pod is held, too, for an
/// image that the release does not list; without a release it may run platform images only.
fn fits(r: &Reconciler, snapshot: &Snapshot, pod: &Value) -> Result<(), String> {
    let request = as_created(&snapshot.namespace, pod);
    let admission::Judged::Subject(subject) = admission::subject(&request, None) else {
        return Err(String::new());
    };
    let policies: Vec<_> = r.state.world().policies().cloned().collect();
    let decision = evaluate(snapshot);
    let facts = admission::Facts {
        mode: Mode::Hold,
        mode_note: None,
        namespace_labels: &snapshot.namespace_labels,
        release: snapshot.release.as_deref(),
        decision: Some(&decision),
        words: None,
        policies: &policies,
        history: None,
        live_pods: 0,
        cleared_pods_running: false,
        operator_user: "",
    };
    let answer = admission::judge(&request, &subject, &facts);
    if answer.cleared { Ok(()) } else { Err(answer.event_for(&r.state.names())) }
}

/// Says once on a pod why it stays held though nothing else is in its way: whoever looks at it later did not see the
/// warnings that its creator got.
fn tell_unfit(r: &Reconciler, namespace: &str, name: &str, uid: &str, why: String) {
    let told = r.unfit().insert(uid.to_owned(), why.clone());
    if told.as_ref() != Some(&why) && !why.is_empty() {
        let regarding = reference("v1", "Pod", namespace, name, uid);
        r.events.emit_if_room(crate::services::events::EventType::Warning, "Held", || (regarding, why));
    }
}

/// The digest of what makes pods equal, as admission computes it.
fn pod_content(namespace: &str, pod: &Value) -> String {
    match admission::subject(&as_created(namespace, pod), None) {
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
#[path = "effects_tests.rs"]
mod tests;
