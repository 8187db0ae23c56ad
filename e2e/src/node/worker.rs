//! The life of one pod on our node, from the first sight of it until it is gone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::addresses::{PodAddress, node_address};
use super::agent::{Inner, PodKey};
use super::book::{Book, Entry, Pages, now};
use super::container::{self, Restart, StopSignal};
use super::status::{self, Facts};
use super::support::unsupported;
use super::volumes::PodVolumes;
use crate::error::{Result, is_status};
use crate::files;

/// Pause before a status or a deletion that the API server did not take is sent again.
const AGAIN: Duration = Duration::from_millis(300);
/// How often tokens are looked at; they are renewed when four fifths of their life are over.
const RENEW: Duration = Duration::from_secs(30);

/// What all containers of a pod share.
pub(crate) struct PodContext {
    pub(crate) parts: Arc<Inner>,
    /// The pod as it was first seen. What containers use of it cannot change.
    pub(crate) pod: Pod,
    pub(crate) key: PodKey,
    pub(crate) address: PodAddress,
    pub(crate) dir: PathBuf,
    pub(crate) volumes: Mutex<PodVolumes>,
    pub(crate) book: Book,
}

impl PodContext {
    pub(crate) fn name(&self) -> &str {
        &self.key.1
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.key.0
    }

    fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// How long a process has between SIGTERM and SIGKILL.
    pub(crate) fn grace(&self) -> Duration {
        grace(&self.pod)
    }

    /// Notes which process a container is now.
    pub(crate) fn set_pid(&self, container: &str, pid: Option<i32>) {
        self.parts.running.set(&self.key, container, pid);
    }

    /// The log of a container; all runs of it are appended.
    pub(crate) fn log(&self, container: &str) -> Result<PathBuf> {
        let dir =
            self.parts.layout.pod_log_root().join(format!("{}_{}_{}", self.key.0, self.key.1, self.uid()));
        files::make_dir(&dir)?;
        Ok(dir.join(format!("{container}.log")))
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.parts.client.clone(), self.namespace())
    }

    /// Tells an event about the pod. One that cannot be told is lost, as with a kubelet.
    pub(crate) async fn event(&self, kind: &str, reason: &str, message: &str) {
        tracing::info!(pod = %format!("{}/{}", self.key.0, self.key.1), reason, message);
        let time = now();
        let event = json!({
            "metadata": { "name": format!("{}.{:x}", self.name(), time.as_nanosecond()), "namespace": self.namespace() },
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod", "name": self.name(), "namespace": self.namespace(), "uid": self.uid(),
            },
            "type": kind,
            "reason": reason,
            "message": message.chars().take(1000).collect::<String>(),
            "source": { "component": "placet-node", "host": super::REAL_NODE },
            "firstTimestamp": status::second(time),
            "lastTimestamp": status::second(time),
            "count": 1,
        });
        let Ok(event) = serde_json::from_value::<Event>(event) else { return };
        let api: Api<Event> = Api::namespaced(self.parts.client.clone(), self.namespace());
        let parameters = PostParams::default();
        let told = tokio::time::timeout(Duration::from_secs(2), api.create(&parameters, &event)).await;
        if let Ok(Err(error)) = told {
            tracing::debug!(%error, "an event was not taken");
        }
    }
}

fn grace(pod: &Pod) -> Duration {
    let asked = pod.metadata.deletion_grace_period_seconds;
    let asked = asked.or_else(|| pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds));
    Duration::from_secs(asked.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30))
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Runs one pod. `seen` holds the pod as the API server has it, and `None` once it is gone.
pub(crate) async fn run(parts: Arc<Inner>, mut seen: watch::Receiver<Option<Pod>>) -> Result<()> {
    let Some(pod) = seen.borrow_and_update().clone() else { return Ok(()) };
    let key = super::agent::key(&pod);
    let dir = parts.layout.pod_dir(pod.metadata.uid.as_deref().unwrap_or_default());
    let entries = |names: Vec<String>| -> BTreeMap<String, Entry> {
        names.into_iter().map(|name| (name, Entry::default())).collect()
    };
    let spec = pod.spec.clone().unwrap_or_default();
    let pages = Pages {
        init: entries(
            spec.init_containers.iter().flatten().map(|container| container.name.clone()).collect(),
        ),
        main: entries(spec.containers.iter().map(|container| container.name.clone()).collect()),
        ..Pages::default()
    };
    let context = Arc::new(PodContext {
        volumes: Mutex::new(PodVolumes::new(parts.client.clone(), pod.clone(), dir.clone())),
        address: parts.net.lease()?,
        book: Book::new(pages),
        parts,
        key,
        dir,
        pod,
    });
    let started_before = is_over(&context.pod);
    let problems = unsupported(&context.pod, &context.parts.images);
    let (stop, stop_signal) = watch::channel(None);
    let mut life = JoinSet::new();
    let mut side = JoinSet::new();
    if started_before {
        // A kept cluster that started again: what was over stays over.
    } else if problems.is_empty() {
        files::make_dir(&context.dir)?;
        life.spawn(live(Arc::clone(&context), stop_signal));
        side.spawn(keep_volumes(Arc::clone(&context)));
    } else {
        let message = format!("this node cannot do: {}", problems.join("; "));
        context.event("Warning", "NotSupported", &message).await;
        context.book.write(|pages| pages.refused = Some(("NotSupported", message)));
    }
    if !started_before {
        side.spawn(report(Arc::clone(&context)));
    }

    let mut deleting = note_deletion(&seen, &stop);
    loop {
        if deleting && life.is_empty() {
            if !started_before {
                publish(&context).await;
            }
            finish(&context).await;
        }
        tokio::select! {
            changed = seen.changed() => {
                if changed.is_err() || seen.borrow_and_update().is_none() {
                    break;
                }
                deleting = note_deletion(&seen, &stop);
                // After an outage the controller manager says of a node's pods that they are not ready.
                let untrue = seen
                    .borrow()
                    .as_ref()
                    .is_some_and(|pod| status::is_untrue(pod, &context.book.pages()));
                if untrue {
                    context.book.changed.notify_one();
                }
            }
            Some(_) = life.join_next() => {}
        }
    }
    // Gone from the API server: whatever still runs has no right to.
    stop.send_replace(Some(Duration::ZERO));
    while life.join_next().await.is_some() {}
    side.shutdown().await;
    files::remove_dir(&context.dir).await
}

/// Passes the grace period on once the pod is being deleted.
fn note_deletion(seen: &watch::Receiver<Option<Pod>>, stop: &watch::Sender<Option<Duration>>) -> bool {
    let pod = seen.borrow();
    let Some(pod) = pod.as_ref().filter(|pod| pod.metadata.deletion_timestamp.is_some()) else {
        return false;
    };
    stop.send_if_modified(|value| {
        let grace = Some(grace(pod));
        let new = *value != grace;
        *value = grace;
        new
    });
    true
}

/// Init containers one after the other, then all containers together.
async fn live(context: Arc<PodContext>, stop: StopSignal) {
    let spec = context.pod.spec.clone().unwrap_or_default();
    let restart = match spec.restart_policy.as_deref() {
        Some("Never") => Restart::Never,
        Some("OnFailure") => Restart::OnFailure,
        _ => Restart::Always,
    };
    for init in spec.init_containers.unwrap_or_default() {
        if !container::run(Arc::clone(&context), init, true, restart, stop.clone()).await {
            return;
        }
    }
    context.book.write(|pages| pages.initialized = true);
    let mut containers = JoinSet::new();
    for main in spec.containers {
        containers.spawn(container::run(Arc::clone(&context), main, false, restart, stop.clone()));
    }
    while containers.join_next().await.is_some() {}
}

/// Brings changed Secrets and `ConfigMaps` and renewed tokens to the pod's directory.
async fn keep_volumes(context: Arc<PodContext>) {
    let mut news = context.parts.changes.subscribe();
    loop {
        let sync = tokio::select! {
            changed = news.recv() => match changed {
                Ok(changed) => context.volumes.lock().await.concerned(&changed),
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            },
            () = tokio::time::sleep(RENEW) => true,
        };
        if sync && let Err(error) = context.volumes.lock().await.sync(&context.address).await {
            context.event("Warning", "FailedMount", &error.to_string()).await;
        }
    }
}

/// Reports status whenever the book changes.
async fn report(context: Arc<PodContext>) {
    loop {
        publish(&context).await;
        context.book.changed.notified().await;
        // What happens together is told together.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends status until the API server takes it or the pod is gone.
async fn publish(context: &PodContext) {
    let api = context.api();
    loop {
        let patch = {
            let mut pages = context.book.pages();
            let facts = Facts {
                address: pages.refused.is_none().then(|| context.address.shown()),
                node_address: node_address(context.parts.net.third_byte()),
                opened: context.book.opened,
                now: now(),
            };
            status::patch(&context.pod, &mut pages, facts)
        };
        match api.patch_status(context.name(), &PatchParams::default(), &Patch::Strategic(patch)).await {
            Ok(_) => return,
            // Not found, or another pod has the name by now.
            Err(error) if is_status(&error, 404) || is_status(&error, 409) => return,
            Err(error) => {
                tracing::debug!(%error, pod = context.name(), "status was not taken");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Removes the pod from the API server, as a kubelet does once its containers have ended.
async fn finish(context: &PodContext) {
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: context.pod.metadata.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    loop {
        match context.api().delete(context.name(), &parameters).await {
            Ok(_) => return,
            Err(error) if is_status(&error, 404) || is_status(&error, 409) => return,
            Err(error) => {
                tracing::debug!(%error, pod = context.name(), "the deletion was not taken");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
