//! Admission reviews as the API server writes them, made quickly: a text with holes for namespace and number.

use bytes::{BufMut as _, Bytes, BytesMut};
use placet_api::keys;
use serde_json::{Value, json};

use crate::load::Bodies;
use crate::samples;

/// Stands where the namespace goes.
const NAMESPACE: &str = "@NAMESPACE@";
/// Stands where twelve digits of the request's number go.
const NUMBER: &str = "@NUMBER@";

/// What a review is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Case {
    /// A pod of a cleared release; its owner has many.
    Cleared,
    /// A pod of a release that is not cleared, each of another owner: the same refusal again would only be counted.
    Refused,
    /// A pod of a release that is not cleared, in a namespace that holds, with the hold on it.
    Held,
    /// The same before the hold is put on it: the mutating webhook.
    Holding,
    /// An update that changes nothing that runs, as a controller makes many.
    Ungoverned,
}

impl Case {
    /// All cases.
    pub const ALL: [Case; 5] = [Case::Cleared, Case::Refused, Case::Held, Case::Holding, Case::Ungoverned];

    /// For names of results.
    pub fn as_str(self) -> &'static str {
        match self {
            Case::Cleared => "cleared",
            Case::Refused => "refused",
            Case::Held => "held",
            Case::Holding => "held_mutating",
            Case::Ungoverned => "ungoverned",
        }
    }

    /// The endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Case::Holding => "/mutate/workloads",
            _ => "/validate/workloads",
        }
    }

    /// Whether the answer must allow.
    pub fn allowed(self) -> bool {
        self != Case::Refused
    }

    /// Whether each answer has a record of its own.
    pub fn recorded(self) -> bool {
        matches!(self, Case::Cleared | Case::Refused | Case::Held)
    }

    /// Mode of its namespaces.
    pub fn mode(self) -> &'static str {
        match self {
            Case::Held | Case::Holding => "hold",
            _ => "deny",
        }
    }
}

/// Name of the n-th namespace of a mode.
pub fn namespace(mode: &str, n: u64) -> String {
    format!("lending-{mode}-{n:03}")
}

/// The bodies of a case, spread over `namespaces` namespaces, since each has a budget of records.
///
/// # Errors
/// When a sample does not parse.
pub fn bodies(case: Case, namespaces: u64) -> anyhow::Result<Bodies> {
    let release = if case == Case::Cleared { samples::CLEARED } else { samples::REFUSED };
    let template = samples::pod_template(release)?;
    let pod = pod(case, release, &template);
    let text = serde_json::to_string(&review(case, &pod))?;
    let pieces = pieces(&text);
    let places: Vec<String> = (0..namespaces).map(|n| namespace(case.mode(), n)).collect();
    let room = text.len() + 256;
    Ok(std::sync::Arc::new(move |n| fill(&pieces, &places, n, room)))
}

enum Piece {
    Text(Vec<u8>),
    Namespace,
    Number,
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (hole, piece) = if rest[at..].starts_with(NAMESPACE) {
            (NAMESPACE, Piece::Namespace)
        } else if rest[at..].starts_with(NUMBER) {
            (NUMBER, Piece::Number)
        } else {
            out.push(Piece::Text(rest.as_bytes()[..=at].to_vec()));
            rest = &rest[at + 1..];
            continue;
        };
        out.push(Piece::Text(rest.as_bytes()[..at].to_vec()));
        out.push(piece);
        rest = &rest[at + hole.len()..];
    }
    out.push(Piece::Text(rest.as_bytes().to_vec()));
    out
}

fn fill(pieces: &[Piece], places: &[String], n: u64, room: usize) -> Bytes {
    let mut body = BytesMut::with_capacity(room);
    let place = usize::try_from(n).unwrap_or(0).checked_rem(places.len()).and_then(|i| places.get(i));
    for piece in pieces {
        match piece {
            Piece::Text(text) => body.put_slice(text),
            Piece::Namespace => body.put_slice(place.map(String::as_bytes).unwrap_or_default()),
            Piece::Number => body.put_slice(format!("{n:012}").as_bytes()),
        }
    }
    body.freeze()
}

fn pod(case: Case, release: &str, template: &Value) -> Value {
    let owner = if case == Case::Refused { NUMBER } else { "000000000001" };
    let mut metadata = template.get("metadata").cloned().unwrap_or_default();
    metadata["generateName"] = "credit-eligibility-7d9c5b8f6d-".into();
    metadata["namespace"] = NAMESPACE.into();
    metadata["labels"]["pod-template-hash"] = "7d9c5b8f6d".into();
    metadata["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "credit-eligibility-7d9c5b8f6d",
        "uid": format!("0b6f2c1e-0000-4000-8000-{owner}"), "controller": true, "blockOwnerDeletion": true,
    }]);
    metadata["managedFields"] = json!([{
        "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app": {}, "f:placet.dev/release": {}, "f:pod-template-hash": {}},
            "f:ownerReferences": {".": {}}}, "f:spec": {"f:automountServiceAccountToken": {}, "f:containers": {"k:{\"name\":\"server\"}": {
            ".": {}, "f:args": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": {}, "f:resources": {}, "f:securityContext": {}}},
            "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {},
            "f:terminationGracePeriodSeconds": {}}},
    }]);
    let mut spec = template.get("spec").cloned().unwrap_or_default();
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("serviceAccountName", json!("default")),
        ("serviceAccount", json!("default")),
        ("schedulerName", json!("default-scheduler")),
        ("priority", json!(0)),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        (
            "tolerations",
            json!([
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ]),
        ),
    ] {
        spec[key] = value;
    }
    if case == Case::Held {
        spec["schedulingGates"] = json!([{"name": keys::HOLD_GATE}]);
    }
    metadata["labels"][keys::RELEASE] = release.into();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}})
}

fn review(case: Case, pod: &Value) -> Value {
    let update = case == Case::Ungoverned;
    let mut old = Value::Null;
    let mut object = pod.clone();
    if update {
        old = pod.clone();
        object["metadata"]["finalizers"] = json!(["batch.kubernetes.io/job-tracking"]);
    }
    // The API server writes the request's uid first; nothing here depends on it but the baseline, which reads no more.
    let request = json!({
        "uid": format!("5f0c8a5e-0000-4000-8000-{NUMBER}"),
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": NAMESPACE,
        "operation": if update { "UPDATE" } else { "CREATE" },
        "userInfo": {
            "username": "system:serviceaccount:kube-system:replicaset-controller",
            "uid": "6a1d6b5c-0000-4000-8000-000000000001",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
        },
        "object": object,
        "oldObject": old,
        "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    });
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_body_is_a_review_of_its_own_namespace_and_number() {
        for case in Case::ALL {
            let bodies = bodies(case, 3).unwrap();
            let (first, fifth): (Value, Value) =
                (serde_json::from_slice(&bodies(0)).unwrap(), serde_json::from_slice(&bodies(5)).unwrap());
            assert_eq!(first["request"]["namespace"], namespace(case.mode(), 0));
            assert_eq!(fifth["request"]["namespace"], namespace(case.mode(), 2));
            assert_eq!(fifth["request"]["uid"], "5f0c8a5e-0000-4000-8000-000000000005");
            let owner = |v: &Value| v["request"]["object"]["metadata"]["ownerReferences"][0]["uid"].clone();
            assert_eq!(owner(&first) != owner(&fifth), case == Case::Refused);
        }
    }
}
