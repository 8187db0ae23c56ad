//! The storage class of the cluster: for each claim that the scheduler has given a node, a directory of this machine
//! that outlives pods and is removed with the claim.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::{PROVISIONER, STORAGE_CLASS, SteadyBackoff};
use crate::error::{Error, Result, is_status};
use crate::files;

const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Makes volumes for claims.
pub(crate) async fn provision(client: kube::Client, root: PathBuf) -> Result<()> {
    let claims = watcher(Api::<PersistentVolumeClaim>::all(client.clone()), watcher::Config::default())
        .backoff(SteadyBackoff)
        .applied_objects();
    pin_mut!(claims);
    let volumes: Api<PersistentVolume> = Api::all(client);
    while let Some(claim) = claims.next().await {
        let Ok(claim) = claim else { continue };
        let Some(node) = wanted_on(&claim) else { continue };
        let name = format!("pvc-{}", claim.uid().unwrap_or_default());
        let dir = root.join(&name);
        files::make_dir(&dir)?;
        let volume = serde_json::from_value(volume(&claim, &name, &node, &dir)).map_err(|error| {
            Error::unmet("a volume for a claim", error.to_string(), "this is a defect of the harness")
        })?;
        // Without this volume the pod waits for ever, so a failure of the API server is outlasted.
        while let Err(error) = volumes.create(&PostParams::default(), &volume).await {
            if is_status(&error, 409) {
                break;
            }
            if matches!(&error, kube::Error::Api(status) if status.code < 500 && status.code != 429) {
                tracing::error!(%error, claim = claim.name_any(), "no volume made");
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    Err(Error::unmet("a watch that goes on", "its end", "this is a defect of the harness"))
}

/// The node that the scheduler has chosen, when the claim is ours to serve and not served yet.
fn wanted_on(claim: &PersistentVolumeClaim) -> Option<String> {
    let spec = claim.spec.as_ref()?;
    let ours = spec.storage_class_name.as_deref() == Some(STORAGE_CLASS) && spec.volume_name.is_none();
    let deleted = claim.metadata.deletion_timestamp.is_some();
    (ours && !deleted).then(|| claim.annotations().get(SELECTED_NODE).cloned())?
}

fn volume(claim: &PersistentVolumeClaim, name: &str, node: &str, dir: &Path) -> serde_json::Value {
    let spec = claim.spec.clone().unwrap_or_default();
    let capacity =
        spec.resources.and_then(|resources| resources.requests).and_then(|mut all| all.remove("storage"));
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": name, "annotations": { PROVISIONED_BY: PROVISIONER } },
        "spec": {
            "capacity": { "storage": capacity },
            "accessModes": spec.access_modes,
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": STORAGE_CLASS,
            "local": { "path": dir },
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(), "name": claim.name_any(), "uid": claim.uid(),
            },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "kubernetes.io/hostname", "operator": "In", "values": [node] },
            ]}]}},
        },
    })
}

/// Removes volumes whose claim is gone.
pub(crate) async fn reclaim(client: kube::Client, root: PathBuf) -> Result<()> {
    let api: Api<PersistentVolume> = Api::all(client);
    let volumes = watcher(api.clone(), watcher::Config::default()).backoff(SteadyBackoff).applied_objects();
    pin_mut!(volumes);
    while let Some(volume) = volumes.next().await {
        let Ok(volume) = volume else { continue };
        let ours = volume.annotations().get(PROVISIONED_BY).is_some_and(|by| by == PROVISIONER);
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        if ours && phase == Some("Released") && policy == Some("Delete") {
            files::remove_dir(&root.join(volume.name_any())).await?;
            if let Err(error) = api.delete(&volume.name_any(), &DeleteParams::default()).await {
                tracing::debug!(%error, volume = volume.name_any(), "volume not removed");
            }
        }
    }
    Err(Error::unmet("a watch that goes on", "its end", "this is a defect of the harness"))
}
