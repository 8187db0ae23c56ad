//! Calls to the API server in plain JSON, each with an end.

use std::time::Duration;

use http::Request;
use kube::Client;
use kube::core::Status;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::infra::client::explain;
use crate::infra::token::without_tokens;

/// How long one call may take. The API server's own limit on a request is 60 s; one that is not answered in this time
/// is better tried again.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// Ways to change an object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatchKind {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
    /// Server-side apply.
    Apply,
}

impl PatchKind {
    fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Json => "application/json-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// A call to the API server that did not work.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server refused.
    #[error("{what}: the API server answered {}: {}", status.code, without_tokens(&status.message))]
    Refused {
        /// Method and path.
        what: String,
        /// What it said.
        status: Box<Status>,
    },
    /// There was no answer, or none that can be read.
    #[error("{what}: {reason}")]
    NoAnswer {
        /// Method and path.
        what: String,
        /// Why.
        reason: String,
    },
}

impl CallError {
    /// The HTTP status of a refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.code),
            Self::NoAnswer { .. } => None,
        }
    }
}

/// Reads an object or a list.
pub(super) async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, CallError> {
    send(client, "GET", path, None).await
}

/// Reads an object that may not be there.
pub(super) async fn get_opt<T: DeserializeOwned>(
    client: &Client,
    path: &str,
) -> Result<Option<T>, CallError> {
    match get(client, path).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes an object.
pub(super) async fn create(client: &Client, path: &str, object: &Value) -> Result<Value, CallError> {
    send(client, "POST", path, Some(("application/json", object))).await
}

/// Changes an object.
pub(super) async fn patch(
    client: &Client,
    path: &str,
    kind: PatchKind,
    change: &Value,
) -> Result<Value, CallError> {
    send(client, "PATCH", path, Some((kind.content_type(), change))).await
}

/// Deletes an object. Whether it was there.
pub(super) async fn delete(client: &Client, path: &str) -> Result<bool, CallError> {
    match send::<Value>(client, "DELETE", path, None).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some(404) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn send<T: DeserializeOwned>(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<(&str, &Value)>,
) -> Result<T, CallError> {
    let what = || format!("{method} {}", path.split('?').next().unwrap_or(path));
    let failed = |reason: String| CallError::NoAnswer { what: what(), reason };
    let mut request = Request::builder().method(method).uri(path);
    let bytes = match body {
        None => Vec::new(),
        Some((content_type, body)) => {
            request = request.header(http::header::CONTENT_TYPE, content_type);
            serde_json::to_vec(body).map_err(|error| failed(error.to_string()))?
        }
    };
    let request = request.body(bytes).map_err(|error| failed(error.to_string()))?;
    match timeout(CALL, client.request::<T>(request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(CallError::Refused { what: what(), status }),
        Ok(Err(error)) => Err(failed(explain(&error))),
        Err(_) => Err(failed(format!("no answer within {} s", CALL.as_secs()))),
    }
}
