//! What a cluster holds before anybody uses it: nodes, the storage class, the administrator's binding.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::node;

const MANAGER: &str = "placet-cluster";
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Applies the objects.
pub(crate) async fn apply(client: &kube::Client, simulated: usize, third_byte: u8) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    for index in 0..simulated {
        let name = format!("kwok-node-{index}");
        put(&nodes, &name, simulated_node(&name)).await?;
    }
    node::register(client, third_byte).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": "root-admin" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "root-admin" }],
    });
    put(&Api::<ClusterRoleBinding>::all(client.clone()), "root-admin", binding).await?;
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": node::STORAGE_CLASS,
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": node::PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    });
    put(&Api::<StorageClass>::all(client.clone()), node::STORAGE_CLASS, class).await
}

fn simulated_node(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": { "kwok.x-k8s.io/node": "fake" },
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "type": "kwok",
            },
        },
    })
}

async fn put<K>(api: &Api<K>, name: &str, object: Value) -> Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object))
        .await
        .map(drop)
        .map_err(Error::api(format!("applying {name}")))
}

/// Waits until every node is ready and the namespace `default` has the service account that pods there need.
pub(crate) async fn wait(client: &kube::Client, nodes: usize) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let found = look(client).await?;
        if found == (nodes, true) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::unmet(
                format!("{nodes} nodes that are ready and the service account default/default"),
                format!("{} nodes; service account: {}", found.0, found.1),
                "see kwok.log and kube-controller-manager.log in the cluster's directory",
            ));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn look(client: &kube::Client) -> Result<(usize, bool)> {
    let nodes: Api<Node> = Api::all(client.clone());
    let list = nodes.list(&ListParams::default()).await.map_err(Error::api("listing nodes"))?;
    let ready = list
        .iter()
        .filter(|node| {
            let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let tainted = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
            let held = tainted.into_iter().any(|taint| taint.key.starts_with("node.kubernetes.io/"));
            conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True") && !held
        })
        .count();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let account =
        accounts.get_opt("default").await.map_err(Error::api("reading the service account default"))?;
    Ok((ready, account.is_some()))
}
