//! Feeding the state from watches: our kinds, namespaces, pods, and the controllers that Scale requests name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use kube::discovery::ApiResource;
use placet_api::Kind;
use placet_api::keys;
use serde_json::Value;
use tokio::sync::Notify;

use crate::infra::freshness::Freshness;
use crate::infra::supervisor::{Phase, Supervisor};
use crate::infra::watch::{Event, Watch, WatchConfig};
use crate::state::{Pod, State};

/// What a change makes necessary to look at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A release, by namespace and name.
    Release(String, String),
    /// The status of another object of ours.
    Object(Kind, String, String),
}

/// Work that waits; the same work waits once.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<BTreeSet<Work>>,
    bell: Notify,
}

impl Queue {
    /// Adds work.
    pub fn push(&self, work: impl IntoIterator<Item = Work>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(work);
        self.bell.notify_one();
    }

    /// Everything that waits, taken.
    pub fn take(&self) -> BTreeSet<Work> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Waits until there may be work.
    pub async fn ring(&self) {
        self.bell.notified().await;
    }
}

/// Raw objects of ours as last seen, for status (generation, old status): by kind, namespace, name.
pub type RawObjects = Mutex<BTreeMap<(Kind, String, String), Arc<Value>>>;

/// Starts all watches.
pub fn start(
    client: &Client,
    state: &Arc<State>,
    raw: &Arc<RawObjects>,
    queue: &Arc<Queue>,
    supervisor: &mut Supervisor,
) -> Vec<Freshness> {
    let mut stores = Vec::new();
    for kind in Kind::ALL {
        let resource = ApiResource {
            group: keys::GROUP.into(),
            version: keys::VERSION.into(),
            api_version: format!("{}/{}", keys::GROUP, keys::VERSION),
            kind: kind.as_str().into(),
            plural: kind.plural().into(),
        };
        let sink = own_kind(kind, Arc::clone(state), Arc::clone(raw), Arc::clone(queue));
        let mut config = WatchConfig::all(resource);
        // They say who wrote a status; the sink drops them.
        config.drop_managed_fields = false;
        stores.push(run(client, config, state, supervisor, sink));
    }
    let mut namespaces = WatchConfig::all(core("", "v1", "Namespace", "namespaces"));
    namespaces.metadata_only = true;
    let sink = namespace_sink(Arc::clone(state), Arc::clone(queue));
    stores.push(run(client, namespaces, state, supervisor, sink));
    let pods = WatchConfig::all(core("", "v1", "Pod", "pods"));
    stores.push(run(client, pods, state, supervisor, pod_sink(Arc::clone(state), Arc::clone(queue))));
    for (group, kind, plural) in [
        ("apps", "Deployment", "deployments"),
        ("apps", "StatefulSet", "statefulsets"),
        ("apps", "ReplicaSet", "replicasets"),
        ("", "ReplicationController", "replicationcontrollers"),
    ] {
        let sink = parent_sink(kind, Arc::clone(state));
        stores.push(run(client, WatchConfig::all(core(group, "v1", kind, plural)), state, supervisor, sink));
    }
    stores
}

fn run<S>(
    client: &Client,
    config: WatchConfig,
    state: &Arc<State>,
    supervisor: &mut Supervisor,
    sink: S,
) -> Freshness
where
    S: FnMut(Event) + Send + Sync + 'static,
{
    let name = format!("watch {}", config.resource.plural);
    let watch = Watch::new(client.clone(), config, sink);
    let freshness = watch.freshness();
    state.add_store(freshness.clone());
    let shutdown = supervisor.shutdown(Phase::Work);
    supervisor.spawn(Phase::Work, name, watch.run(shutdown));
    freshness
}

fn core(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version,
        kind: kind.into(),
        plural: plural.into(),
    }
}

/// Text at a JSON pointer, or nothing.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn own_kind(
    kind: Kind,
    state: Arc<State>,
    raw: Arc<RawObjects>,
    queue: Arc<Queue>,
) -> impl FnMut(Event) + Send + Sync + 'static {
    let mut versions: BTreeMap<(String, String), String> = BTreeMap::new();
    move |event| {
        let mut touched: BTreeSet<Work> = BTreeSet::new();
        let mut apply = |mut object: Value, touched: &mut BTreeSet<Work>| {
            // Items of a list carry neither.
            object["apiVersion"] = format!("{}/{}", keys::GROUP, keys::VERSION).into();
            object["kind"] = kind.as_str().into();
            let key =
                (text(&object, "/metadata/namespace").to_owned(), text(&object, "/metadata/name").to_owned());
            // A status that somebody else wrote decides nothing either, but it misleads: it is written anew.
            if status_by_others(&object) {
                touched.insert(own(kind, key.clone()));
            } else if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
            // A change of status or of a label decides nothing; reading it again would cost a verification.
            let version = format!(
                "{} {} {} {}",
                text(&object, "/metadata/uid"),
                object.pointer("/metadata/generation").map(Value::to_string).unwrap_or_default(),
                annotation(&object, keys::STAMP),
                annotation(&object, keys::RECEIPT),
            );
            let same = versions.get(&key) == Some(&version);
            if !same {
                if let Ok((record, names)) = state.reading.read(&object) {
                    state.learn(names);
                    state.world_mut().apply(record);
                }
                versions.insert(key.clone(), version);
                touched.extend(affected(&state, kind, &key.0, &key.1));
            }
            raw.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert((kind, key.0.clone(), key.1.clone()), Arc::new(object));
            key
        };
        match event {
            Event::Applied(object) => {
                apply(object, &mut touched);
            }
            Event::Restarted(objects) => {
                let now: BTreeSet<_> = objects.into_iter().map(|o| apply(o, &mut touched)).collect();
                let gone: Vec<_> = versions.keys().filter(|k| !now.contains(*k)).cloned().collect();
                for key in gone {
                    versions.remove(&key);
                    forget(kind, &key, &state, &raw, &mut touched);
                }
            }
            Event::Deleted(object) => {
                let key = (
                    text(&object, "/metadata/namespace").to_owned(),
                    text(&object, "/metadata/name").to_owned(),
                );
                versions.remove(&key);
                forget(kind, &key, &state, &raw, &mut touched);
            }
        }
        if !touched.is_empty() {
            queue.push(touched);
        }
    }
}

fn forget(kind: Kind, key: &(String, String), state: &State, raw: &RawObjects, touched: &mut BTreeSet<Work>) {
    touched.extend(affected(state, kind, &key.0, &key.1));
    raw.lock().unwrap_or_else(PoisonError::into_inner).remove(&(kind, key.0.clone(), key.1.clone()));
    state.world_mut().remove(kind, Some(&key.0), &key.1);
}

fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get("annotations")?.get(key)?.as_str()).unwrap_or_default()
}

/// Whether the status holds fields that somebody else than the operator wrote.
pub fn status_by_others(object: &Value) -> bool {
    let managers = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    managers
        .into_iter()
        .flatten()
        .any(|m| m["subresource"] == "status" && m["manager"] != keys::MANAGER_STATUS)
}

fn own(kind: Kind, key: (String, String)) -> Work {
    match kind {
        Kind::ModelRelease => Work::Release(key.0, key.1),
        _ => Work::Object(kind, key.0, key.1),
    }
}

/// What depends on an object: releases of its namespace (all, for cluster kinds), itself, and what shows it in status.
fn affected(state: &State, kind: Kind, namespace: &str, name: &str) -> Vec<Work> {
    let world = state.world();
    let mut work: Vec<Work> = world
        .releases_touched(kind, Some(namespace))
        .into_iter()
        .map(|(ns, n)| Work::Release(ns, n))
        .collect();
    work.push(own(kind, (namespace.to_owned(), name.to_owned())));
    let shown: &[Kind] = match kind {
        Kind::ModelRelease => &[Kind::AISystem, Kind::Approval],
        Kind::AISystem | Kind::RiskAcceptance => &[Kind::Approval],
        Kind::ImpactAssessment => &[Kind::Approval, Kind::RiskAcceptance],
        Kind::ApprovalRole => &[Kind::ReleasePolicy],
        _ => &[],
    };
    for other in shown {
        work.extend(
            world
                .names(*other)
                .into_iter()
                .filter(|(ns, _)| kind == Kind::ApprovalRole || ns == namespace)
                .map(|key| own(*other, key)),
        );
    }
    work
}

fn namespace_sink(state: Arc<State>, queue: Arc<Queue>) -> impl FnMut(Event) + Send + Sync + 'static {
    move |event| {
        let (objects, deleted) = match event {
            Event::Applied(object) => (vec![object], None),
            Event::Restarted(objects) => (objects, None),
            Event::Deleted(object) => (vec![], Some(object)),
        };
        let mut world = state.world_mut();
        let mut touched = Vec::new();
        for object in objects {
            let name = text(&object, "/metadata/name").to_owned();
            let labels = labels(&object, "/metadata/labels");
            if *world.namespace_labels(&name) != labels {
                world.set_namespace(&name, labels);
                // Looked at even without a release: holds are lifted when a namespace no longer enforces.
                touched.push((name.clone(), String::new()));
                touched.extend(world.releases_touched(Kind::ModelRelease, Some(&name)));
            }
        }
        if let Some(object) = deleted {
            world.remove_namespace(text(&object, "/metadata/name"));
        }
        drop(world);
        queue.push(touched.into_iter().map(|(ns, name)| Work::Release(ns, name)));
    }
}

/// Labels at a JSON pointer.
pub fn labels(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    object
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

/// A pod as far as we keep it.
pub fn pod(object: &Value) -> Pod {
    let gates = object.pointer("/spec/schedulingGates").and_then(Value::as_array);
    let phase = text(object, "/status/phase");
    Pod {
        uid: text(object, "/metadata/uid").to_owned(),
        release: object
            .get("metadata")
            .and_then(|m| m.get("labels")?.get(keys::RELEASE)?.as_str())
            .map(str::to_owned),
        held: gates.into_iter().flatten().any(|g| g["name"] == keys::HOLD_GATE),
        owner: controller(object).map(|o| text(o, "/uid").to_owned()),
        live: !matches!(phase, "Succeeded" | "Failed")
            && object.pointer("/metadata/deletionTimestamp").is_none(),
    }
}

/// The controlling owner reference.
pub fn controller(object: &Value) -> Option<&Value> {
    object.pointer("/metadata/ownerReferences")?.as_array()?.iter().find(|o| o["controller"] == true)
}

fn pod_sink(state: Arc<State>, queue: Arc<Queue>) -> impl FnMut(Event) + Send + Sync + 'static {
    move |event| {
        let mut touched = BTreeSet::new();
        let mut workloads = state.workloads_mut();
        let key =
            |o: &Value| (text(o, "/metadata/namespace").to_owned(), text(o, "/metadata/name").to_owned());
        let mut apply = |object: &Value, workloads: &mut crate::state::Workloads| {
            let (key, pod) = (key(object), pod(object));
            if let Some(release) = pod.release.as_ref().filter(|_| pod.held) {
                touched.insert(Work::Release(key.0.clone(), release.clone()));
            }
            workloads.pods.insert(key, pod);
        };
        match event {
            Event::Applied(object) => apply(&object, &mut workloads),
            Event::Restarted(objects) => {
                workloads.pods.clear();
                for object in &objects {
                    apply(object, &mut workloads);
                }
            }
            Event::Deleted(object) => {
                workloads.pods.remove(&key(&object));
            }
        }
        drop(workloads);
        if !touched.is_empty() {
            queue.push(touched);
        }
    }
}

fn parent_sink(kind: &'static str, state: Arc<State>) -> impl FnMut(Event) + Send + Sync + 'static {
    move |event| {
        let mut workloads = state.workloads_mut();
        let key = |o: &Value| {
            (kind.to_owned(), text(o, "/metadata/namespace").to_owned(), text(o, "/metadata/name").to_owned())
        };
        // What a Scale request needs to be judged: labels, owners, replicas and the template.
        let slim = |o: Value| {
            Arc::new(serde_json::json!({
                "metadata": {
                    "name": o["metadata"]["name"], "namespace": o["metadata"]["namespace"], "uid": o["metadata"]["uid"],
                    "labels": o["metadata"]["labels"], "ownerReferences": o["metadata"]["ownerReferences"],
                },
                "spec": o["spec"],
            }))
        };
        match event {
            Event::Applied(object) => {
                workloads.parents.insert(key(&object), slim(object));
            }
            Event::Restarted(objects) => {
                workloads.parents.retain(|(k, _, _), _| k != kind);
                workloads.parents.extend(objects.into_iter().map(|o| (key(&o), slim(o))));
            }
            Event::Deleted(object) => {
                workloads.parents.remove(&key(&object));
            }
        }
    }
}
