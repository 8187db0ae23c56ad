//! AdmissionReview, admission.k8s.io/v1: reading the request, writing the answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use http::{StatusCode, header};
use placet_gate::visible;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The request of a review.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Uid of the request.
    pub uid: String,
    /// Kind of the object.
    pub kind: GroupVersionKind,
    /// Resource; for a subresource that of the object it belongs to.
    pub resource: GroupVersionResource,
    /// Subresource, if any.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// Name; empty for an object whose name is yet to be generated.
    #[serde(default)]
    pub name: String,
    /// Namespace; empty for cluster kinds.
    #[serde(default)]
    pub namespace: String,
    /// CREATE, UPDATE, DELETE or CONNECT.
    pub operation: String,
    /// Who asks.
    pub user_info: UserInfo,
    /// The object; null for DELETE.
    #[serde(default)]
    pub object: Value,
    /// The object before; null for CREATE.
    #[serde(default)]
    pub old_object: Value,
    /// Whether nothing is to be changed.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

/// Group, version and kind.
#[derive(Debug, Clone, Deserialize)]
pub struct GroupVersionKind {
    /// Group; empty for core.
    #[serde(default)]
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// Group, version and resource.
#[derive(Debug, Clone, Deserialize)]
pub struct GroupVersionResource {
    /// Group; empty for core.
    #[serde(default)]
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural.
    pub resource: String,
}

/// Who asks, as the API server authenticated them.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UserInfo {
    /// User name.
    #[serde(default)]
    pub username: String,
    /// Uid.
    #[serde(default)]
    pub uid: Option<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Option<Vec<String>>,
    /// Extra values.
    #[serde(default)]
    pub extra: Option<BTreeMap<String, Vec<String>>>,
}

impl Request {
    /// Whether this is a dry run: judged and answered, never recorded.
    pub fn dry(&self) -> bool {
        self.dry_run == Some(true)
    }

    /// The object before, if any.
    pub fn old(&self) -> Option<&Value> {
        (!self.old_object.is_null()).then_some(&self.old_object)
    }
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Why it is refused: HTTP code, reason, message. None: allowed.
    pub denied: Option<(u16, &'static str, String)>,
    /// JSON patch.
    pub patch: Vec<Value>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Annotations for the API server's audit log.
    pub audit: BTreeMap<&'static str, String>,
}

impl Answer {
    /// Allowed.
    pub fn allow() -> Self {
        Self::default()
    }

    /// Refused.
    pub fn deny(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { denied: Some((code, reason, message.into())), ..Self::default() }
    }

    /// Refused as forbidden.
    pub fn forbid(message: impl Into<String>) -> Self {
        Self::deny(403, "Forbidden", message)
    }

    /// Refused as invalid.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::deny(422, "Invalid", message)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(rename = "status")]
    outcome: &'static str,
    code: u16,
    reason: &'static str,
    message: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewOut<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Wire<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewIn {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

/// Reads a review, has it answered, writes the answer. What is no review gets 400 with what was wanted.
pub async fn serve<F>(body: &[u8], answer: F) -> Response
where
    F: AsyncFnOnce(Request) -> Answer,
{
    serve_read(parse(body), answer).await
}

/// Has a review that was read answered, writes the answer. What was no review gets 400 with what was wanted.
pub async fn serve_read<F>(read: Result<Request, String>, answer: F) -> Response
where
    F: AsyncFnOnce(Request) -> Answer,
{
    let request = match read {
        Ok(request) => request,
        Err(why) => return (StatusCode::BAD_REQUEST, why).into_response(),
    };
    let uid = request.uid.clone();
    let answer = answer(request).await;
    ([(header::CONTENT_TYPE, "application/json")], write(&uid, &answer)).into_response()
}

/// Reads a review.
///
/// # Errors
/// What was wanted and what was found.
pub fn parse(body: &[u8]) -> Result<Request, String> {
    let review: ReviewIn = serde_json::from_slice(body)
        .map_err(|e| format!("wanted an AdmissionReview of admission.k8s.io/v1 as JSON: {e}\n"))?;
    checked(&review.api_version, &review.kind, review.request)
}

/// The request of a review, if it is one of the version that is spoken.
///
/// # Errors
/// What was wanted and what was found.
pub fn checked<T>(api_version: &str, kind: &str, request: Option<T>) -> Result<T, String> {
    if api_version != "admission.k8s.io/v1" || kind != "AdmissionReview" {
        return Err(format!(
            "wanted AdmissionReview of admission.k8s.io/v1, found {kind} of {api_version}\n"
        ));
    }
    request.ok_or_else(|| "wanted an AdmissionReview with a request, found none\n".to_owned())
}

/// The bytes of an answer. Its words go to terminals, and may quote what was sent.
pub fn write(uid: &str, answer: &Answer) -> Vec<u8> {
    let status = answer.denied.as_ref().map(|(code, reason, message)| {
        let message = visible::lines(message);
        Status { outcome: "Failure", code: *code, reason, message }
    });
    // Nearly all of an answer are its words; an escape here and there, and what stands around them.
    let words = status.as_ref().map_or(0, |s| s.message.len());
    let words = words + answer.warnings.iter().map(String::len).sum::<usize>();
    let patch = (!answer.patch.is_empty() && answer.denied.is_none()).then(|| {
        base64::engine::general_purpose::STANDARD
            .encode(serde_json::to_vec(&answer.patch).unwrap_or_default())
    });
    let wire = Wire {
        uid,
        allowed: answer.denied.is_none(),
        status,
        patch_type: patch.is_some().then_some("JSONPatch"),
        patch,
        warnings: answer.warnings.iter().map(|w| visible::line(w)).collect(),
        audit_annotations: &answer.audit,
    };
    let review = ReviewOut { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response: wire };
    let mut text = Vec::with_capacity(words + words / 16 + 512);
    match serde_json::to_writer(&mut text, &review) {
        Ok(()) => text,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_review_is_refused_with_what_was_wanted() {
        for bad in [
            "",
            "{}",
            r#"{"apiVersion":"v1","kind":"Pod"}"#,
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
        ] {
            assert!(parse(bad.as_bytes()).unwrap_err().contains("wanted"), "{bad}");
        }
    }

    #[test]
    fn an_answer_quotes_nothing_that_a_terminal_obeys() {
        let mut answer = Answer::invalid("spec.title: found \u{1b}[2J\u{202e}\n  wanted: a title");
        answer.warnings.push("one\ntwo\r".into());
        let out: Value = serde_json::from_slice(&write("u1", &answer)).unwrap();
        let said = "spec.title: found \\u{1b}[2J\\u{202e}\n  wanted: a title";
        assert_eq!(out["response"]["status"]["message"], said);
        assert_eq!(out["response"]["warnings"], serde_json::json!(["one\\ntwo\\r"]));
    }

    #[test]
    fn a_denial_carries_code_reason_and_message_and_no_patch() {
        let mut answer = Answer::forbid("no");
        answer.patch.push(serde_json::json!({"op": "add"}));
        let out: Value = serde_json::from_slice(&write("u1", &answer)).unwrap();
        assert_eq!(out["response"]["uid"], "u1");
        assert_eq!(out["response"]["allowed"], false);
        assert_eq!(out["response"]["status"]["code"], 403);
        assert!(out["response"].get("patch").is_none());
    }
}
