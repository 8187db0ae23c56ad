//! The Node object of our node, its status, and the lease that shows it alive.

use std::time::Duration;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;

use super::addresses::node_address;
use super::book::now;
use super::{AGENT_USER, REAL_NODE, REAL_NODE_LABEL, SteadyBackoff, status};
use crate::error::{Error, Result, is_status};

/// As kubelets do; the controller manager calls a node unknown after 50 s.
const BEAT: Duration = Duration::from_secs(10);
/// Pause before a status that the API server did not take is sent again.
const AGAIN: Duration = Duration::from_millis(300);

/// Makes the Node and its status.
pub(crate) async fn register(client: &kube::Client, third_byte: u8) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let parameters = PatchParams::apply(AGENT_USER).force();
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": REAL_NODE,
            "labels": {
                "kubernetes.io/hostname": REAL_NODE,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
                REAL_NODE_LABEL: "true",
            },
        },
        "spec": { "taints": [{ "key": REAL_NODE_LABEL, "value": "true", "effect": "NoSchedule" }] },
    });
    api.patch(REAL_NODE, &parameters, &Patch::Apply(node))
        .await
        .map_err(Error::api("registering our node"))?;
    report(client, third_byte).await.map_err(Error::api("reporting our node's status"))
}

/// Sends the node's status.
async fn report(client: &kube::Client, third_byte: u8) -> kube::Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let resources = json!({ "cpu": "64", "memory": "64Gi", "pods": "250", "ephemeral-storage": "100Gi" });
    let time = status::second(now());
    let condition = |kind: &str, value: &str, reason: &str| {
        json!({
            "type": kind, "status": value, "reason": reason, "message": "processes of this machine",
            "lastHeartbeatTime": time, "lastTransitionTime": time,
        })
    };
    let status = json!({
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [
                condition("Ready", "True", "AgentReady"),
                condition("MemoryPressure", "False", "NotMeasured"),
                condition("DiskPressure", "False", "NotMeasured"),
                condition("PIDPressure", "False", "NotMeasured"),
            ],
            "addresses": [
                { "type": "InternalIP", "address": node_address(third_byte) },
                { "type": "Hostname", "address": REAL_NODE },
            ],
            "nodeInfo": {
                "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
                "bootID": "", "machineID": "", "systemUUID": "", "kernelVersion": "", "osImage": "",
                "containerRuntimeVersion": "process://1", "kubeProxyVersion": "",
                "kubeletVersion": "v1.36.3-placet", "operatingSystem": "linux",
            },
        },
    });
    api.patch_status(REAL_NODE, &PatchParams::default(), &Patch::Strategic(status)).await.map(drop)
}

/// Keeps the status true. When the lease could not be renewed for a while, because the API server was away, the
/// controller manager writes that nothing is known of the node; it is for the node to say that it is ready again. A
/// Node that was deleted is registered again, as kubelets do.
pub(crate) async fn keep(client: kube::Client, third_byte: u8) -> Result<()> {
    let own = watcher::Config::default().fields(&format!("metadata.name={REAL_NODE}"));
    let events = watcher(Api::<Node>::all(client.clone()), own).backoff(SteadyBackoff);
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(node) | Event::InitApply(node) | Event::Delete(node)) = &event else { continue };
        if matches!(event, Ok(Event::Delete(_))) || !is_ready(node) {
            tracing::info!("our node is said not to be ready; reporting it anew");
            while let Err(error) = report(&client, third_byte).await {
                tracing::debug!(%error, "the node's status was not taken");
                if is_status(&error, 404)
                    && let Err(error) = register(&client, third_byte).await
                {
                    tracing::debug!(%error, "the node was not registered");
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    Err(Error::unmet("a watch that goes on", "its end", "this is a defect of the harness"))
}

fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Renews the lease for ever. An API server that is away is asked again with the next beat.
pub(crate) async fn beat(client: kube::Client) -> Result<()> {
    let api: Api<Lease> = Api::namespaced(client, "kube-node-lease");
    let parameters = PatchParams::apply(AGENT_USER).force();
    loop {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": REAL_NODE },
            "spec": {
                "holderIdentity": REAL_NODE,
                "leaseDurationSeconds": 40,
                "renewTime": format!("{:.6}", now()),
            },
        });
        let renewed = api.patch(REAL_NODE, &parameters, &Patch::Apply(lease)).await;
        if let Err(error) = &renewed {
            tracing::debug!(%error, "the node's lease was not renewed");
        }
        tokio::time::sleep(if renewed.is_ok() { BEAT } else { BEAT / 10 }).await;
    }
}
