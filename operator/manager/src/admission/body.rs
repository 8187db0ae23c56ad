//! Reading a review of a workload: of its objects only what the judgement reads.

use placet_gate::admission::Workload;
use serde::Deserialize;
use serde::de::DeserializeSeed as _;
use serde_json::Value;
use serde_json::value::RawValue;

use super::review::{GroupVersionKind, GroupVersionResource, Request, UserInfo, checked};
use crate::slim;

/// A review whose objects are not yet read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewIn<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    request: Option<RequestIn<'a>>,
}

/// The request; what it holds beside these fields, workloads are not judged by.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestIn<'a> {
    uid: String,
    kind: GroupVersionKind,
    resource: GroupVersionResource,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    operation: String,
    user_info: UserIn,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
struct UserIn {
    #[serde(default)]
    username: String,
}

/// Reads a review of a workload. Of objects it keeps what the judgement reads, of the sender the name.
///
/// # Errors
/// What was wanted and what was found.
pub fn parse(body: &[u8]) -> Result<Request, String> {
    let wanted =
        |e: serde_json::Error| format!("wanted an AdmissionReview of admission.k8s.io/v1 as JSON: {e}\n");
    let review: ReviewIn<'_> = serde_json::from_slice(body).map_err(wanted)?;
    let request = checked(&review.api_version, &review.kind, review.request)?;
    let pod = request.kind.group.is_empty() && request.kind.kind == Workload::Pod.as_str();
    let shape = if pod { slim::POD } else { slim::CONTROLLER };
    let object = |raw: Option<&RawValue>| match raw {
        Some(raw) => shape.deserialize(&mut serde_json::Deserializer::from_str(raw.get())).map_err(wanted),
        None => Ok(Value::Null),
    };
    Ok(Request {
        object: object(request.object)?,
        old_object: object(request.old_object)?,
        uid: request.uid,
        kind: request.kind,
        resource: request.resource,
        sub_resource: request.sub_resource,
        name: request.name,
        namespace: request.namespace,
        operation: request.operation,
        user_info: UserInfo { username: request.user_info.username, ..UserInfo::default() },
        dry_run: request.dry_run,
    })
}
