//! The Node object of our node, and the lease that shows it alive.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::addresses::node_address;
use super::book::now;
use super::{AGENT_USER, REAL_NODE, REAL_NODE_LABEL, status};
use crate::error::{Error, Result};

/// As kubelets do; the controller manager calls a node unknown after 50 s.
const BEAT: Duration = Duration::from_secs(10);

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
    let parameters = PatchParams::default();
    api.patch_status(REAL_NODE, &parameters, &Patch::Strategic(status))
        .await
        .map(drop)
        .map_err(Error::api("reporting our node's status"))
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
