//! Whether a request is judged, and what it would run.

use placet_api::keys::RELEASE;
use serde_json::Value;

use super::content::{self, ImageUse};
use super::{Operation, Request, Workload, patch};
use crate::finding::{Finding, Gate, Reason};
use crate::gates::Outcome;

/// Whether a request is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It passes unrecorded.
    Passes(Passes),
    /// It is judged.
    Subject(Box<Subject>),
}

/// Why a request passes unrecorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// The object is being deleted.
    Deleting,
    /// Nothing changed that decides what runs: scale-down, finalizers, metadata, anything else.
    NothingRelevant,
    /// A subresource that neither starts nor names anything: eviction, resize, and whatever else there is.
    Subresource,
}

/// What makes a request one that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The object is created.
    Created,
    /// The pod template changed.
    Template,
    /// The release label changed.
    Release,
    /// Replicas or parallelism rose.
    Replicas,
    /// It was suspended or paused and no longer is.
    Resumed,
    /// A pod's images changed.
    Images,
    /// A pod's ephemeral containers changed.
    EphemeralContainers,
    /// Our scheduling gate was taken off a pod.
    GateRemoved,
}

/// The controller that owns an object, from its ownerReferences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// API group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

impl Owner {
    /// The kind, if it is one that is judged.
    pub fn workload(&self) -> Option<Workload> {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        Workload::of_kind(group, &self.kind)
    }
}

/// What a request would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Kind of the workload.
    pub kind: Workload,
    /// Name; `PREFIX*` where the API server has not made one yet.
    pub name: String,
    /// Uid, where it has one.
    pub uid: Option<String>,
    /// The release that its pods name; where they name none, the one that the object names.
    pub release: Option<String>,
    /// Every image.
    pub images: Vec<ImageUse>,
    /// How many pods are wanted at once; `i64::MAX` for a `DaemonSet`.
    pub replicas: i64,
    /// The controller that owns it.
    pub owner: Option<Owner>,
    /// How many pods were wanted before, where the request wants more, or resumes what was suspended.
    pub raised_from: Option<i64>,
    /// Pod-content digest of a pod; empty for its controllers, and where there is none, which equals no digest that was
    /// admitted.
    pub pod_content: String,
    /// What makes the request one that is judged; never empty.
    pub changes: Vec<Change>,
    /// Whether a pod carries our scheduling gate.
    pub gated: bool,
    /// Whether a pod names its node.
    pub node_name: bool,
    /// Whether its controller deletes pods before it creates their successors.
    pub deletes_first: bool,
    /// What is wrong with it whatever is approved.
    pub problems: Vec<Finding>,
}

impl Subject {
    /// Whether it is a pod.
    pub fn is_pod(&self) -> bool {
        self.kind == Workload::Pod
    }

    /// Kind and name, for texts.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Whether the request makes the controller replace pods that run.
    pub(super) fn rolls_out(&self) -> bool {
        self.deletes_first && self.changes.iter().any(|c| matches!(c, Change::Template | Change::Resumed))
    }
}

/// Reads what a request would run, or says why it is not judged. `parent` is the scaled object as the operator's stores
/// have it, for the subresource `scale` only; without it, or where it is another object of that name, the workload is
/// not known, which the judgement refuses. One without a spec is too large for the stores to remember.
pub fn subject(request: &Request<'_>, parent: Option<&Value>) -> Judged {
    match (request.kind, request.subresource.filter(|s| !s.is_empty())) {
        // Of a status the API server keeps labels, too.
        (Workload::Pod, None | Some("ephemeralcontainers" | "status")) => pod(request),
        (Workload::Pod, Some("binding")) => binding(request),
        (kind, Some("scale")) if kind.scales() => scale(request, parent),
        (_, None | Some("status")) => controller(request),
        (_, Some(_)) => Judged::Passes(Passes::Subresource),
    }
}

/// The object before an update; None for a creation. An update whose old object is not known changes everything.
fn before<'a>(request: &Request<'a>) -> Option<&'a Value> {
    request.old.filter(|_| request.operation == Operation::Update)
}

/// Only the API server sets a deletionTimestamp, so the stored object is asked: on creation a sender could type one.
fn deleting(stored: &Value) -> bool {
    meta(stored, "deletionTimestamp").is_some_and(|v| !v.is_null())
}

fn pod(request: &Request<'_>) -> Judged {
    let new = request.object;
    let mut changes = Vec::new();
    match before(request) {
        Some(old) if deleting(old) => return Judged::Passes(Passes::Deleting),
        Some(old) => {
            if content::images(new) != content::images(old) {
                changes.push(Change::Images);
            }
            let ephemeral = |pod: &Value| {
                let list = pod.get("spec").and_then(|s| s.get("ephemeralContainers")).cloned();
                list.filter(|l| !l.is_null())
            };
            if ephemeral(new) != ephemeral(old) {
                changes.push(Change::EphemeralContainers);
            }
            if label(new) != label(old) {
                changes.push(Change::Release);
            }
            if patch::hold_index(old).is_some() && patch::hold_index(new).is_none() {
                changes.push(Change::GateRemoved);
            }
        }
        None if request.operation == Operation::Create => changes.push(Change::Created),
        None => changes.extend([Change::Images, Change::EphemeralContainers, Change::Release]),
    }
    judged(changes, |changes| build(request.kind, new, request.name, changes))
}

fn controller(request: &Request<'_>) -> Judged {
    let (kind, new) = (request.kind, request.object);
    let mut changes = Vec::new();
    match before(request) {
        Some(old) if deleting(old) => return Judged::Passes(Passes::Deleting),
        Some(old) => {
            if kind.template(new) != kind.template(old) {
                changes.push(Change::Template);
            }
            if labels(kind, new) != labels(kind, old) {
                changes.push(Change::Release);
            }
            if rises(kind.replicas(old), kind.replicas(new)) {
                changes.push(Change::Replicas);
            }
            if kind.suspended(old) && !kind.suspended(new) {
                changes.push(Change::Resumed);
            }
        }
        None if request.operation == Operation::Create => changes.push(Change::Created),
        None => changes.extend([Change::Template, Change::Release, Change::Replicas]),
    }
    let resumed = changes.contains(&Change::Resumed);
    let wanted = before(request).and_then(|old| kind.replicas(old)).filter(|_| !resumed);
    let raised = resumed || changes.contains(&Change::Replicas);
    judged(changes, |changes| {
        let mut subject = build(kind, new, request.name, changes);
        subject.raised_from = raised.then(|| wanted.unwrap_or(0));
        subject
    })
}

fn scale(request: &Request<'_>, parent: Option<&Value>) -> Judged {
    // A Scale leaves out zero, where the scaled object means one by it.
    let wanted = |scale: &Value| match scale.get("spec").and_then(|s| s.get("replicas")) {
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_i64(),
    };
    let after = wanted(request.object);
    if request.old.is_some_and(|old| !rises(wanted(old), after)) {
        return Judged::Passes(Passes::NothingRelevant);
    }
    let same = |parent: &&Value| match (uid(parent), uid(request.object)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    match parent.filter(same) {
        Some(parent) if deleting(parent) => Judged::Passes(Passes::Deleting),
        Some(parent) if parent.get("spec").is_none() => judged(vec![Change::Replicas], |changes| {
            let mut subject = unremembered_parent(request, after, changes);
            subject.uid = uid(parent).map(str::to_owned);
            subject.raised_from = Some(request.old.and_then(wanted).unwrap_or(0));
            subject
        }),
        Some(parent) => judged(vec![Change::Replicas], |changes| {
            let mut subject = build(request.kind, parent, request.name, changes);
            subject.replicas = after.unwrap_or(i64::MAX);
            subject.raised_from = Some(request.old.and_then(wanted).unwrap_or(0));
            subject
        }),
        None => judged(vec![Change::Replicas], |changes| unknown_parent(request, after, changes)),
    }
}

/// A Binding of a pod to a node: the API server puts its labels over those of the pod.
fn binding(request: &Request<'_>) -> Judged {
    if meta(request.object, "labels").is_none_or(|labels| labels.get(RELEASE).is_none()) {
        return Judged::Passes(Passes::Subresource);
    }
    judged(vec![Change::Release], |changes| {
        let name = name(request.object, request.name);
        let mut out = Outcome::default();
        out.not_met(
            Gate::Workload,
            Reason::ReleaseLabelsDiffer,
            format!("Pod {name}"),
            format!("a Binding without the label {RELEASE}: the pod names its release itself"),
            format!("the Binding's label {RELEASE} would take the place of the pod's"),
            "data scientist",
            format!("leave {RELEASE} out of the Binding's metadata.labels"),
        );
        not_looked_at(request, name, 1, changes, out)
    })
}

/// A scaled workload that the stores do not have.
fn unknown_parent(request: &Request<'_>, replicas: Option<i64>, changes: Vec<Change>) -> Subject {
    let name = name(request.object, request.name);
    let mut out = Outcome::default();
    out.unknown(
        Gate::Workload,
        Reason::WorkloadNotFound,
        format!("{} {name}", request.kind),
        format!("the {} that is scaled, as Placet knows it", request.kind),
        "Placet has not heard of it yet",
        "data scientist",
        "try again in a moment; if it stays, the platform team sees the operator's log",
    );
    not_looked_at(request, name, replicas.unwrap_or(i64::MAX), changes, out)
}

/// A scaled workload of which the stores have no more than that it exists.
fn unremembered_parent(request: &Request<'_>, replicas: Option<i64>, changes: Vec<Change>) -> Subject {
    let (kind, name) = (request.kind, name(request.object, request.name));
    let mut out = Outcome::default();
    out.unknown(
        Gate::Workload,
        Reason::WorkloadNotFound,
        format!("{kind} {name}"),
        format!("a {kind} small enough for Placet to remember what it runs"),
        format!(
            "its images, or those of all workloads of namespace {} together, take more than is remembered",
            request.namespace
        ),
        "data scientist",
        format!(
            "give it fewer containers with shorter names, delete workloads that are no longer used, or set spec.replicas in \
             the {kind} itself (kubectl edit {}/{name}), which is judged by what is sent",
            kind.resource()
        ),
    );
    not_looked_at(request, name, replicas.unwrap_or(i64::MAX), changes, out)
}

/// A subject of which only what is wrong is known.
fn not_looked_at(
    request: &Request<'_>,
    name: String,
    replicas: i64,
    changes: Vec<Change>,
    out: Outcome,
) -> Subject {
    Subject {
        kind: request.kind,
        name,
        uid: None,
        release: None,
        images: Vec::new(),
        replicas,
        owner: None,
        raised_from: None,
        pod_content: String::new(),
        changes,
        gated: false,
        node_name: false,
        deletes_first: false,
        problems: out.findings,
    }
}

fn judged(changes: Vec<Change>, build: impl FnOnce(Vec<Change>) -> Subject) -> Judged {
    if changes.is_empty() {
        return Judged::Passes(Passes::NothingRelevant);
    }
    Judged::Subject(Box::new(build(changes)))
}

/// Whether a number rises; what is no number does, unless nothing changed.
fn rises(old: Option<i64>, new: Option<i64>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => new > old,
        (old, new) => old != new,
    }
}

fn build(kind: Workload, object: &Value, requested: &str, changes: Vec<Change>) -> Subject {
    let name = name(object, requested);
    let owner = owner(object);
    let mut out = Outcome::default();
    let labels = labels(kind, object);
    let release = labels.pods.or(labels.object).map(str::to_owned);
    let named = |label: Option<&str>| label.map_or("none".to_owned(), |l| format!("{l:?}"));
    // What a controller made carries the labels that its own controller gave it; only another release is wrong then.
    let object_differs = labels.object != labels.pods && !(owner.is_some() && labels.object.is_none());
    let job_differs = labels.jobs.is_some() && labels.jobs != labels.pods;
    if object_differs || job_differs {
        let path = kind.template_path();
        let jobs =
            labels.jobs.map(|j| format!(", spec.jobTemplate.metadata.labels {j:?}")).unwrap_or_default();
        out.not_met(
            Gate::Workload,
            Reason::ReleaseLabelsDiffer,
            format!("{kind} {name}"),
            format!("the same label {RELEASE} on the {kind} and on its pod template"),
            format!(
                "metadata.labels {}{jobs}, {path}metadata.labels {}",
                named(labels.object),
                named(labels.pods)
            ),
            "data scientist",
            format!("set {RELEASE} to the same release in metadata.labels and {path}metadata.labels"),
        );
    }
    let template = kind.template(object).unwrap_or(&Value::Null);
    let replicas = kind.replicas(object);
    let is_pod = kind == Workload::Pod;
    let pod_content = is_pod.then(|| content::pod_content(release.as_deref(), object)).flatten();
    let malformed = content::malformed(template)
        .or_else(|| replicas.is_none().then(|| "replicas or parallelism is not a number".into()))
        .or_else(|| (is_pod && pod_content.is_none()).then(|| "its content has no canonical form".into()));
    if let Some(why) = malformed {
        out.unknown(
            Gate::Workload,
            Reason::NotUnderstood,
            format!("{kind} {name}"),
            format!("a {kind} that this version understands"),
            why,
            "data scientist",
            format!("kubectl explain {}", kind.resource()),
        );
    }
    let pod_spec = Some(object).filter(|_| is_pod).and_then(|pod| pod.get("spec"));
    Subject {
        kind,
        name,
        uid: uid(object).map(str::to_owned),
        release,
        images: content::images(template),
        replicas: replicas.unwrap_or(i64::MAX),
        owner,
        raised_from: None,
        pod_content: pod_content.unwrap_or_default(),
        changes,
        gated: pod_spec.is_some() && patch::hold_index(object).is_some(),
        node_name: pod_spec
            .and_then(|s| s.get("nodeName"))
            .is_some_and(|n| !n.is_null() && n.as_str() != Some("")),
        deletes_first: kind.deletes_first(object),
        problems: out.findings,
    }
}

fn meta<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(field)
}

fn uid(object: &Value) -> Option<&str> {
    meta(object, "uid")?.as_str().filter(|u| !u.is_empty())
}

/// The release label; an empty one names nothing.
fn label(object: &Value) -> Option<&str> {
    meta(object, "labels")?.get(RELEASE)?.as_str().filter(|l| !l.is_empty())
}

/// Release labels of a workload.
#[derive(PartialEq, Eq)]
struct Labels<'a> {
    /// On the object.
    object: Option<&'a str>,
    /// On the Jobs that a `CronJob` makes.
    jobs: Option<&'a str>,
    /// On its pods.
    pods: Option<&'a str>,
}

fn labels(kind: Workload, object: &Value) -> Labels<'_> {
    let jobs = (kind == Workload::CronJob).then(|| object.get("spec")?.get("jobTemplate")).flatten();
    Labels { object: label(object), jobs: jobs.and_then(label), pods: kind.template(object).and_then(label) }
}

fn name(object: &Value, requested: &str) -> String {
    let text = |field| meta(object, field).and_then(Value::as_str).filter(|t| !t.is_empty());
    match (requested, text("name"), text("generateName")) {
        ("", Some(name), _) => name.to_owned(),
        ("", None, Some(prefix)) => format!("{prefix}*"),
        ("", None, None) => "without a name".to_owned(),
        (requested, ..) => requested.to_owned(),
    }
}

fn owner(object: &Value) -> Option<Owner> {
    let owners = meta(object, "ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|o| o.get("controller").and_then(Value::as_bool) == Some(true))?;
    let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Owner { api_version: text("apiVersion"), kind: text("kind"), name: text("name"), uid: text("uid") })
}
