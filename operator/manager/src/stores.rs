//! Feeding the state from watches: our kinds, namespaces, pods, and the controllers that Scale requests name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use kube::Client;
use kube::discovery::ApiResource;
use placet_api::Kind;
use placet_api::keys;
use placet_evidence::Digest;
use placet_gate::object::is_ending;
use serde_json::Value;

use crate::affected::{affected, own};
use crate::infra::freshness::Freshness;
use crate::infra::room::Fit;
use crate::infra::supervisor::{Phase, Shutdown, Supervisor};
use crate::infra::watch::{Event, Room, Watch, WatchConfig};
use crate::infra::watch_read::Turns;
use crate::parents::{self, Parent};
use crate::places::{Pod, Workloads};
use crate::queue::{Queue, Work};
use crate::quota::STATUS_BYTES;
use crate::slim;
use crate::state::{Raw, State};

/// Objects of ours as last seen, for status (generation, old status): by kind, namespace, name.
pub type RawObjects = Mutex<BTreeMap<(Kind, String, String), Raw>>;

/// Starts all watches.
pub fn start(
    client: &Client,
    state: &Arc<State>,
    raw: &Arc<RawObjects>,
    queue: &Arc<Queue>,
    supervisor: &mut Supervisor,
) -> Vec<Freshness> {
    let mut stores = Vec::new();
    let turns = Turns::default();
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
        config.keep = slim::own;
        config.room = Some(Room { field: "status", most: STATUS_BYTES, each: 0 });
        config.turns = turns.clone();
        stores.push(run(client, config, state, supervisor, sink));
    }
    let mut namespaces = WatchConfig::all(core("", "v1", "Namespace", "namespaces"));
    namespaces.metadata_only = true;
    namespaces.keep = slim::namespace;
    namespaces.turns = turns.clone();
    let sink = namespace_sink(Arc::clone(state), Arc::clone(queue));
    stores.push(run(client, namespaces, state, supervisor, sink));
    let mut pods = WatchConfig::all(core("", "v1", "Pod", "pods"));
    pods.keep = slim::pod;
    pods.turns = turns.clone();
    stores.push(run(client, pods, state, supervisor, pod_sink(Arc::clone(state), Arc::clone(queue))));
    for (group, kind, plural, scales) in OWNERS {
        let sink = parent_sink(kind, Arc::clone(state));
        let mut config = WatchConfig::all(core(group, "v1", kind, plural));
        // Of what no Scale request names it matters only that it exists.
        config.metadata_only = !scales;
        config.keep = slim::parent;
        config.room = Some(Room { field: "spec", most: parents::NAMESPACE_BYTES, each: parents::EACH });
        config.turns = turns.clone();
        stores.push(run(client, config, state, supervisor, sink));
    }
    let shutdown = supervisor.shutdown(Phase::Work);
    supervisor.spawn(Phase::Work, "forgetting".to_owned(), forget_admitted(Arc::clone(state), shutdown));
    let shutdown = supervisor.shutdown(Phase::Work);
    let waiting = forget_coming(Arc::clone(state), Arc::clone(queue), shutdown);
    supervisor.spawn(Phase::Work, "what never came".to_owned(), waiting);
    stores
}

/// Kinds that own pods: group, kind, plural, and whether a Scale request names them.
const OWNERS: [(&str, &str, &str, bool); 6] = [
    ("apps", "Deployment", "deployments", true),
    ("apps", "StatefulSet", "statefulsets", true),
    ("apps", "ReplicaSet", "replicasets", true),
    ("", "ReplicationController", "replicationcontrollers", true),
    ("apps", "DaemonSet", "daemonsets", false),
    ("batch", "Job", "jobs", false),
];

/// Pods, and the kinds that own some.
pub fn pods_and_owners() -> Vec<ApiResource> {
    let owners = OWNERS.iter().map(|(group, kind, plural, _)| core(group, "v1", kind, plural));
    std::iter::once(core("", "v1", "Pod", "pods")).chain(owners).collect()
}

/// How often what was admitted for owners that are gone is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// How old it must be: a request that was admitted becomes an object that the stores know of within a few minutes (the
/// API server's own timeout of a request is one, a store that hears nothing for 90 s is not live), or never.
pub const OLD: SignedDuration = SignedDuration::from_mins(10);

/// Keeps the memory of what was admitted from growing with every workload that ever was.
async fn forget_admitted(state: Arc<State>, shutdown: Shutdown) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = shutdown.wait() => return Ok(()),
            () = tokio::time::sleep(FORGET) => {}
        }
        let owners = state.forget(state.now() - OLD);
        if owners > 0 {
            tracing::debug!(owners, "forgot what was admitted for owners that are gone");
        }
    }
}

/// How soon after its time what was let through and never came is given up.
const NEVER_CAME: Duration = Duration::from_secs(5);

/// Has releases decided again whose Reject was let through and never came to be.
async fn forget_coming(state: Arc<State>, queue: Arc<Queue>, shutdown: Shutdown) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = shutdown.wait() => return Ok(()),
            () = tokio::time::sleep(NEVER_CAME) => {}
        }
        for (namespace, release) in state.coming.forget() {
            tracing::info!(namespace, release, "what was let through to stop a release never came to be");
            let work: Vec<Work> = if let Some(release) = release {
                vec![Work::Release(namespace, release)]
            } else {
                let all = state.world().releases_touched(Kind::AISystem, Some(&namespace));
                all.into_iter().map(|(namespace, name)| Work::Release(namespace, name)).collect()
            };
            queue.push(work);
        }
    }
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
    let mut versions: BTreeMap<(String, String), Digest> = BTreeMap::new();
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
            let ending = is_ending(&object);
            let version = format!(
                "{} {} {} {} {} {ending}",
                text(&object, "/metadata/uid"),
                object.pointer("/metadata/generation").map(Value::to_string).unwrap_or_default(),
                annotation(&object, keys::STAMP),
                annotation(&object, keys::RECEIPT),
                annotation(&object, keys::AUTHOR_SIGNATURE),
            );
            // Stamps are long.
            let version = Digest::of(version.as_bytes());
            state.quota.seen(kind, &key.0, &key.1, &object);
            let same = versions.get(&key) == Some(&version);
            if !same {
                if let Ok((record, names)) = state.read(&object) {
                    state.learn(names);
                    // What it takes the place of may have been about something else.
                    if versions.contains_key(&key) {
                        touched.extend(affected(&state, kind, &key.0, &key.1));
                    }
                    let mut world = state.world_mut();
                    if ending {
                        world.remove(kind, Some(&key.0), &key.1);
                        // Its version on the way out, where the one before was never heard of.
                        world.remember(record);
                    } else {
                        world.apply(record);
                    }
                }
                versions.insert(key.clone(), version);
                touched.extend(affected(&state, kind, &key.0, &key.1));
            }
            // Only now: in between it would be known to nobody.
            state.coming.shown(kind, &key.0, &key.1, &object);
            remember(kind, &key, &mut object, &state, &raw);
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
                state.coming.shown(kind, &key.0, &key.1, &object);
            }
        }
        if !touched.is_empty() {
            queue.push(touched);
        }
    }
}

/// Keeps an object for status, without its own status where those of its namespace have no more room.
fn remember(kind: Kind, key: &(String, String), object: &mut Value, state: &State, raw: &RawObjects) {
    let mut new = Raw::new(object);
    let mut raw = raw.lock().unwrap_or_else(PoisonError::into_inner);
    let mut statuses = state.quota.statuses.lock().unwrap_or_else(PoisonError::into_inner);
    let place = (kind, key.0.clone(), key.1.clone());
    statuses.give(&key.0, raw.get(&place).map_or(0, Raw::status_bytes));
    if statuses.take(&key.0, STATUS_BYTES, new.status_bytes(), 0) != Fit::Whole {
        object.as_object_mut().map(|fields| fields.remove("status"));
        new = Raw::new(object);
    }
    raw.insert(place, new);
}

fn forget(kind: Kind, key: &(String, String), state: &State, raw: &RawObjects, touched: &mut BTreeSet<Work>) {
    touched.extend(affected(state, kind, &key.0, &key.1));
    let gone =
        raw.lock().unwrap_or_else(PoisonError::into_inner).remove(&(kind, key.0.clone(), key.1.clone()));
    let mut statuses = state.quota.statuses.lock().unwrap_or_else(PoisonError::into_inner);
    statuses.give(&key.0, gone.map_or(0, |gone| gone.status_bytes()));
    drop(statuses);
    state.world_mut().remove(kind, Some(&key.0), &key.1);
    state.quota.gone(kind, &key.0, &key.1);
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

fn namespace_sink(state: Arc<State>, queue: Arc<Queue>) -> impl FnMut(Event) + Send + Sync + 'static {
    move |event| {
        let name = |object: &Value| text(object, "/metadata/name").to_owned();
        let mut world = state.world_mut();
        let (objects, gone): (Vec<Value>, Vec<String>) = match event {
            Event::Applied(object) => (vec![object], vec![]),
            Event::Restarted(objects) => {
                let objects: Vec<Value> = objects.into_iter().collect();
                let there: BTreeSet<String> = objects.iter().map(name).collect();
                let gone =
                    world.namespaces().map(|(n, _)| n.clone()).filter(|n| !there.contains(n)).collect();
                (objects, gone)
            }
            Event::Deleted(object) => (vec![], vec![name(&object)]),
        };
        let (mut touched, mut shown) = (Vec::new(), Vec::new());
        for object in objects {
            let name = text(&object, "/metadata/name").to_owned();
            let labels = labels(&object, "/metadata/labels");
            if *world.namespace_labels(&name) != labels {
                world.set_namespace(&name, labels);
                // Looked at even without a release: holds are lifted when a namespace no longer enforces.
                touched.push((name.clone(), String::new()));
                touched.extend(world.releases_touched(Kind::ModelRelease, Some(&name)));
                // Policies select by labels: a system shows what they attach to it, an assessment its levels by them.
                for kind in [Kind::AISystem, Kind::ImpactAssessment] {
                    let here = world.names(kind).into_iter().filter(|(ns, _)| *ns == name);
                    shown.extend(here.map(|key| own(kind, key)));
                }
            }
        }
        for name in gone {
            world.remove_namespace(&name);
        }
        drop(world);
        queue.push(touched.into_iter().map(|(ns, name)| Work::Release(ns, name)));
        queue.push(shown);
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

/// The controlling owner reference.
pub fn controller(object: &Value) -> Option<&Value> {
    object.pointer("/metadata/ownerReferences")?.as_array()?.iter().find(|o| o["controller"] == true)
}

/// Takes in what happens to pods.
pub(crate) fn pod_sink(state: Arc<State>, queue: Arc<Queue>) -> impl FnMut(Event) + Send + Sync + 'static {
    move |event| {
        let mut touched = BTreeSet::new();
        let mut workloads = state.workloads_mut();
        let key =
            |o: &Value| (text(o, "/metadata/namespace").to_owned(), text(o, "/metadata/name").to_owned());
        let mut apply = |object: &Value, workloads: &mut Workloads| {
            let (key, pod) = (key(object), Pod::of(object));
            // A held one that names no release waits for a policy; the first of a release begins its term.
            if pod.held || (pod.release.is_some() && !workloads.pods.contains_key(&key)) {
                touched.insert(Work::Release(key.0.clone(), pod.release.clone().unwrap_or_default()));
            }
            let (namespace, release) = (key.0.clone(), pod.release.clone().unwrap_or_default());
            if workloads.set_pod(key, pod) && workloads.waits(&namespace, &release) {
                touched.insert(Work::Release(namespace, release));
            }
        };
        match event {
            Event::Applied(object) => apply(&object, &mut workloads),
            Event::Restarted(objects) => {
                workloads.pods.clear();
                for object in objects {
                    apply(&object, &mut workloads);
                }
                // Whoever is not in the list has given up its place.
                touched.extend(workloads.waited_for().into_iter().map(|(ns, name)| Work::Release(ns, name)));
            }
            Event::Deleted(object) => {
                let key = key(&object);
                if let Some(release) = workloads.remove_pod(&key).and_then(|pod| pod.release)
                    && workloads.waits(&key.0, &release)
                {
                    touched.insert(Work::Release(key.0, release));
                }
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
        let place =
            |o: &'_ Value| (text(o, "/metadata/namespace").to_owned(), text(o, "/metadata/name").to_owned());
        let apply = |object: &Value, workloads: &mut Workloads| {
            let (namespace, name) = place(object);
            workloads.parents.set(kind, &namespace, &name, Parent::new(object));
        };
        match event {
            Event::Applied(object) => apply(&object, &mut workloads),
            Event::Restarted(objects) => {
                workloads.parents.clear(kind);
                for object in objects {
                    apply(&object, &mut workloads);
                }
            }
            Event::Deleted(object) => {
                let (namespace, name) = place(&object);
                workloads.parents.remove(kind, &namespace, &name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_approval_that_is_being_deleted_counts_no_more_whatever_keeps_it() {
        use crate::testbed::{NS, Site, approval};
        let bed = Site::new().start();
        let mut sink = own_kind(Kind::Approval, Arc::clone(&bed.state), Arc::default(), Arc::default());
        let there = || bed.state.world().approval(NS, "owner-bob").is_some();
        let mut object = approval("owner-bob", "bob", "Approve", "2026-11-04T09:00:00Z");
        sink(Event::Applied(object.clone()));
        assert!(there());
        object["metadata"]["deletionTimestamp"] = "2026-11-05T09:00:00Z".into();
        object["metadata"]["finalizers"] = json!(["example.com/keep"]);
        sink(Event::Applied(object.clone()));
        assert!(!there());
        sink(Event::Restarted(vec![object.clone()].into()));
        assert!(!there(), "a list shows it too");
        sink(Event::Deleted(object));
        assert!(!there());
    }

    #[tokio::test]
    async fn a_reject_that_is_being_deleted_stays_in_force() {
        use crate::testbed::{NS, RELEASE, Site, approval, model_release};
        let bed = Site::new().start();
        bed.hear(&model_release());
        let mut sink = own_kind(Kind::Approval, Arc::clone(&bed.state), Arc::default(), Arc::default());
        // The version before was never heard of: a list after a pause.
        let mut object = approval("no", "bob", "Reject", "2026-11-04T09:00:00Z");
        object["metadata"]["deletionTimestamp"] = "2026-11-05T09:00:00Z".into();
        sink(Event::Restarted(vec![object].into()));
        let snapshot = bed.state.snapshot(NS, RELEASE);
        assert_eq!(
            snapshot.approvals.iter().map(|a| (a.name(), a.live)).collect::<Vec<_>>(),
            [("no", false)]
        );
    }
}
