//! A stand-in for the API server in unit tests: a closure over requests.

use std::future::Future;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// One request as the API server would see it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) body: Value,
    pub(crate) accept: String,
    pub(crate) content_type: String,
}

/// A client whose requests are answered by `answer`, and the list of what was asked.
pub(crate) fn client<F, A>(answer: F) -> (Client, Arc<Mutex<Vec<Seen>>>)
where
    F: Fn(Seen) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let text = |name| {
                parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
            };
            let seen = Seen {
                method: parts.method.to_string(),
                target: parts.uri.to_string(),
                body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
                accept: text(http::header::ACCEPT),
                content_type: text(http::header::CONTENT_TYPE),
            };
            log.lock().unwrap().push(seen.clone());
            Ok::<_, tower::BoxError>(answer(seen).await)
        }
    });
    (Client::new(service, "default"), asked)
}

/// An answer with a JSON body.
pub(crate) fn reply(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .body(Body::from(serde_json::to_vec(body).unwrap()))
        .unwrap()
}

/// An error answer as the API server words it.
pub(crate) fn failure(status: u16, reason: &str) -> Response<Body> {
    reply(status, &status_object(status, reason))
}

/// A `metav1.Status`.
pub(crate) fn status_object(status: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
           "message": reason, "reason": reason, "code": status})
}

/// The sending end of a watch that a test feeds; dropping it ends the watch.
pub(crate) type Feed = mpsc::UnboundedSender<Value>;

/// A watch answer and its feed.
pub(crate) fn stream() -> (Feed, Response<Body>) {
    let (sender, receiver) = mpsc::unbounded_channel::<Value>();
    let lines = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|value| (value, receiver))
    })
    .map(|value| Ok::<_, std::io::Error>(Bytes::from(format!("{value}\n"))));
    (sender, Response::new(Body::from_stream(lines)))
}
