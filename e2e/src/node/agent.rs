//! The node's agent: it sees which pods are bound to our node and gives each a worker.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::addresses::PodNet;
use super::support::Images;
use super::{SteadyBackoff, claims, heartbeat, kubelet, worker};
use crate::error::{Error, Result};
use crate::kubeconfig::Server;
use crate::layout::Layout;
use crate::pki::Identity;
use crate::process::{Processes, signal_group};

/// Namespace and name of a pod.
pub(crate) type PodKey = (String, String);

pub(crate) fn key(pod: &Pod) -> PodKey {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

/// What the agent is made of.
pub(crate) struct Parts {
    pub(crate) client: kube::Client,
    pub(crate) layout: Layout,
    pub(crate) images: Vec<(String, PathBuf)>,
    pub(crate) server: Server,
    pub(crate) processes: Processes,
    pub(crate) net: PodNet,
}

/// What all pods share.
pub(crate) struct Inner {
    pub(crate) client: kube::Client,
    pub(crate) layout: Layout,
    pub(crate) images: Images,
    pub(crate) server: Server,
    pub(crate) processes: Processes,
    pub(crate) net: PodNet,
    pub(crate) running: RunningPods,
    pub(crate) changes: broadcast::Sender<Changed>,
}

/// An object that volumes may be made of has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Secret { namespace: String, name: String },
    ConfigMap { namespace: String, name: String },
}

/// The processes of the pods that run now.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunningPods {
    inner: Arc<Mutex<HashMap<PodKey, BTreeMap<String, i32>>>>,
}

impl RunningPods {
    pub(crate) fn set(&self, pod: &PodKey, container: &str, pid: Option<i32>) {
        let mut all = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let containers = all.entry(pod.clone()).or_default();
        match pid {
            Some(pid) => {
                containers.insert(container.to_owned(), pid);
            }
            None => {
                containers.remove(container);
            }
        }
        if containers.is_empty() {
            all.remove(pod);
        }
    }

    /// Whether a process of the pod runs.
    pub(crate) fn has(&self, namespace: &str, name: &str) -> bool {
        let all = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(&(namespace.to_owned(), name.to_owned()))
    }

    /// Signals a container's process, or all of the pod's. False when there is none.
    pub(crate) fn signal(
        &self,
        namespace: &str,
        name: &str,
        container: Option<&str>,
        signal: Signal,
    ) -> bool {
        let all = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut any = false;
        for (running, pid) in all.get(&(namespace.to_owned(), name.to_owned())).into_iter().flatten() {
            if container.is_none_or(|container| container == running) {
                signal_group(*pid, signal);
                any = true;
            }
        }
        any
    }
}

/// The agent.
pub(crate) struct Agent {
    inner: Arc<Inner>,
}

impl Agent {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { client, layout, images, server, processes, net } = parts;
        let (changes, _) = broadcast::channel(1024);
        let images = Images(images);
        let running = RunningPods::default();
        Self { inner: Arc::new(Inner { client, layout, images, server, processes, net, running, changes }) }
    }

    pub(crate) fn pods(&self) -> RunningPods {
        self.inner.running.clone()
    }

    pub(crate) fn third_byte(&self) -> u8 {
        self.inner.net.third_byte()
    }

    /// Starts the agent's tasks.
    pub(crate) fn spawn(self, kubelet: Identity, tasks: &mut JoinSet<Result<()>>) {
        let inner = self.inner;
        tasks.spawn(kubelet::serve(Arc::clone(&inner), kubelet));
        tasks.spawn(heartbeat::beat(inner.client.clone()));
        tasks.spawn(heartbeat::keep(inner.client.clone(), inner.net.third_byte()));
        tasks.spawn(claims::provision(inner.client.clone(), inner.layout.volumes()));
        tasks.spawn(claims::reclaim(inner.client.clone(), inner.layout.volumes()));
        tasks.spawn(tell_changes::<Secret>(Arc::clone(&inner), |namespace, name| Changed::Secret {
            namespace,
            name,
        }));
        tasks.spawn(tell_changes::<ConfigMap>(Arc::clone(&inner), |namespace, name| Changed::ConfigMap {
            namespace,
            name,
        }));
        tasks.spawn(dispatch(inner));
    }
}

/// Tells workers that an object changed; they read it themselves.
async fn tell_changes<K>(inner: Arc<Inner>, changed: fn(String, String) -> Changed) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let events =
        watcher(Api::<K>::all(inner.client.clone()), watcher::Config::default()).backoff(SteadyBackoff);
    pin_mut!(events);
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event {
            // Nobody listens while no pod runs.
            let _ = inner.changes.send(changed(object.namespace().unwrap_or_default(), object.name_any()));
        }
    }
    Err(Error::unmet("a watch that goes on", "its end", "this is a defect of the harness"))
}

/// Gives each pod a worker and tells it what happens to the pod.
async fn dispatch(inner: Arc<Inner>) -> Result<()> {
    let ours = watcher::Config::default().fields(&format!("spec.nodeName={}", super::REAL_NODE));
    let events = watcher(Api::<Pod>::all(inner.client.clone()), ours).backoff(SteadyBackoff);
    pin_mut!(events);
    let mut workers = JoinSet::new();
    let mut pods: HashMap<String, watch::Sender<Option<Pod>>> = HashMap::new();
    let mut listed: BTreeSet<String> = BTreeSet::new();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            Some(ended) = workers.join_next() => {
                if let Ok(Err(error)) = ended {
                    tracing::error!(%error, "a pod's worker failed");
                }
                pods.retain(|_, sender| !sender.is_closed());
                continue;
            }
        };
        let uid = |pod: &Pod| pod.metadata.uid.clone().unwrap_or_default();
        match event {
            Some(Ok(Event::Init)) => listed.clear(),
            Some(Ok(Event::InitDone)) => {
                for (_, sender) in pods.extract_if(|uid, _| !listed.contains(uid)) {
                    sender.send_replace(None);
                }
            }
            Some(Ok(Event::Delete(pod))) => {
                if let Some(sender) = pods.remove(&uid(&pod)) {
                    sender.send_replace(None);
                }
            }
            Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => {
                let uid = uid(&pod);
                listed.insert(uid.clone());
                if let Some(sender) = pods.get(&uid) {
                    sender.send_replace(Some(pod));
                } else {
                    let (sender, seen) = watch::channel(Some(pod));
                    workers.spawn(worker::run(Arc::clone(&inner), seen));
                    pods.insert(uid, sender);
                }
            }
            Some(Err(error)) => tracing::debug!(%error, "the pod watch"),
            None => {
                return Err(Error::unmet(
                    "a watch that goes on",
                    "its end",
                    "this is a defect of the harness",
                ));
            }
        }
    }
}
