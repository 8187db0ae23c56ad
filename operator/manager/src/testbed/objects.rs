//! Objects of the bed, as people write them and the webhook stamps them.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use placet_api::{Kind, keys};
use placet_gate::stamp::{Identity, Place, RoleAnswer, StampText, sign};
use serde_json::{Value, json};

use super::{CLUSTER, NS, RELEASE};
use crate::infra::fake_api;

/// The key of receipts.
pub(crate) fn signing() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// Path of an object of ours.
pub(crate) fn path(kind: Kind, name: &str) -> String {
    let namespace = if kind.namespaced() { format!("/namespaces/{NS}") } else { String::new() };
    format!("/apis/placet.dev/v1alpha1{namespace}/{}/{name}", kind.plural())
}

/// Path of this object.
pub(crate) fn path_of(object: &Value) -> String {
    let kind = Kind::parse(object["kind"].as_str().unwrap()).unwrap();
    path(kind, object["metadata"]["name"].as_str().unwrap())
}

/// Path of a pod.
pub(crate) fn pod_path(name: &str) -> String {
    format!("/api/v1/namespaces/{NS}/pods/{name}")
}

/// An object without a stamp.
pub(crate) fn unstamped(kind: Kind, name: &str, spec: &Value) -> Value {
    let mut metadata = json!({"name": name, "uid": format!("uid-{kind}-{name}"), "generation": 1});
    if kind.namespaced() {
        metadata["namespace"] = NS.into();
    }
    json!({"apiVersion": "placet.dev/v1alpha1", "kind": kind.as_str(), "metadata": metadata, "spec": spec})
}

/// An object that somebody wrote, as the webhook stamped it; people hold the roles that their approvals name.
pub(crate) fn stamped(kind: Kind, name: &str, by: &str, at: &str, spec: &Value) -> Value {
    let mut object = unstamped(kind, name, spec);
    let namespace = kind.namespaced().then_some(NS);
    let at: Timestamp = at.parse().unwrap();
    let role = spec["role"].as_str().filter(|_| matches!(kind, Kind::Approval | Kind::RiskAcceptance));
    let stamp = StampText {
        spec: content(&object),
        role: role.map(|role| RoleAnswer {
            name: role.to_owned(),
            user: None,
            allowed: true,
            wildcard: false,
            at,
        }),
        ..StampText::new(Identity { user: by.to_owned(), ..Identity::default() }, at)
    };
    let receipt = sign(&signing(), Place { cluster: CLUSTER, kind, namespace, name }, &stamp);
    object["metadata"]["annotations"] =
        json!({keys::STAMP: serde_json::to_string(&stamp).unwrap(), keys::RECEIPT: receipt});
    object
}

/// Content digest of an object.
pub(crate) fn content(object: &Value) -> String {
    let (kind, namespace, name) = placet_gate::object::place_of(object).unwrap();
    placet_gate::digest::content(kind, namespace.as_deref(), &name, &object["spec"]).unwrap()
}

/// A policy for systems of class Minimal: one person confirms the class, one answers for the model.
pub(crate) fn policy(platform_images: &[&str]) -> Value {
    let images: Vec<Value> =
        platform_images.iter().map(|i| json!({"image": i, "reason": "A proxy"})).collect();
    let spec = json!({
        "appliesTo": {"classes": ["Minimal"]},
        "classification": {"approvedBy": "risk-officer"},
        "approvals": [{"role": "model-owner", "count": 1, "covers": "Content"}],
        "validity": {"firstUseDays": 30, "runningDays": 60},
        "platformImages": images,
    });
    stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &spec)
}

/// The release.
pub(crate) fn model_release() -> Value {
    let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
    let spec = json!({
        "system": "scoring", "version": "2", "change": {"kind": "Retrain", "reason": "New data"},
        "artifacts": [
            {"name": "server", "role": "Model", "kind": "Image", "reference": "registry.example.com/server",
             "digest": digest('4')},
        ],
        "datasets": [{"name": "train", "digest": digest('1'), "use": "Training"}],
    });
    stamped(Kind::ModelRelease, RELEASE, "dana", "2026-11-01T09:00:00Z", &spec)
}

/// Somebody's word on the release.
pub(crate) fn approval(name: &str, by: &str, decision: &str, at: &str) -> Value {
    let spec = json!({
        "subject": {"kind": "ModelRelease", "name": RELEASE, "covers": "Content", "digest": content(&model_release())},
        "role": "model-owner", "decision": decision,
    });
    stamped(Kind::Approval, name, by, at, &spec)
}

/// Everything that makes the release cleared.
pub(crate) fn world() -> Vec<Value> {
    let role = |name: &str| {
        let spec = json!({"title": name, "answersFor": "What it says"});
        stamped(Kind::ApprovalRole, name, "platform", "2026-01-01T00:00:00Z", &spec)
    };
    let spec = json!({
        "title": "Demand forecast", "owner": {"function": "Head of Lending"}, "organisationRoles": ["Provider"],
        "purpose": "Forecast how many loans are asked for",
        "intendedUse": {"users": ["Officers"], "decisions": ["Staffing"], "affectedGroups": ["Applicants"],
            "regions": ["EU"]},
        "triggers": {"annexIII": [], "article5": [], "annexI": [], "article50": [], "profiling": false,
            "personalData": false},
        "stage": "Operation",
    });
    let classification = placet_gate::digest::classification(NS, "scoring", &spec).unwrap();
    let system = stamped(Kind::AISystem, "scoring", "olga", "2026-10-01T09:00:00Z", &spec);
    let confirmed = json!({
        "subject": {"kind": "AISystem", "name": "scoring", "covers": "Classification", "digest": classification},
        "role": "risk-officer", "decision": "Approve",
    });
    vec![
        role("risk-officer"),
        role("model-owner"),
        policy(&[]),
        system,
        stamped(Kind::Approval, "class-erin", "erin", "2026-11-05T09:00:00Z", &confirmed),
        model_release(),
        approval("owner-bob", "bob", "Approve", "2026-11-04T09:00:00Z"),
    ]
}

/// An API server that has the world and lets everybody hold each role that there is.
pub(crate) fn api_of_the_world() -> kube::Client {
    api_with(&[])
}

/// The same with these objects beside.
pub(crate) fn api_with(more: &[Value]) -> kube::Client {
    let objects: Arc<[Value]> = world().into_iter().chain(more.iter().cloned()).collect();
    let (client, _) = fake_api::client(move |seen| {
        let objects = Arc::clone(&objects);
        async move {
            if seen.method == "POST" {
                let role = seen.body.pointer("/spec/resourceAttributes/name").and_then(Value::as_str);
                let allowed = role.is_some_and(|r| !r.starts_with("no-role-"));
                return fake_api::reply(
                    201,
                    &json!({"spec": seen.body["spec"], "status": {"allowed": allowed}}),
                );
            }
            let asked = seen.target.split('?').next().unwrap_or_default().to_owned();
            let found = objects.iter().find(|o| path_of(o) == asked);
            found.map_or_else(|| fake_api::failure(404, "NotFound"), |o| fake_api::reply(200, o))
        }
    });
    client
}
