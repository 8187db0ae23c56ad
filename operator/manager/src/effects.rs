//! Writing to the cluster: status by server-side apply. Holds are lifted in [`crate::lift`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::discovery::ApiResource;
use placet_api::{Kind, keys};
use placet_gate::admission::Mode;
use serde_json::{Value, json};

use crate::reconcile::Reconciler;
use crate::status;
use crate::stores::text;

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

/// Objects of a kind, in a namespace where it has one.
pub(crate) fn api(reconciler: &Reconciler, kind: Kind, namespace: &str) -> Api<DynamicObject> {
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
