//! Answering the API server: one endpoint a file.
//!
//! Only requests that the server's door let in are answered (`infra/door.rs`): it takes the token off their path and marks
//! them. What each entry of the webhook configurations leads to is said here, for the routes and for the paths that are
//! put into the configurations alike.

mod body;
pub mod namespaces;
pub mod own_mutate;
pub mod own_policy;
pub mod own_reject;
pub mod own_report;
pub mod own_restore;
pub mod own_role;
pub mod own_subject;
pub mod own_validate;
pub mod refused;
pub mod review;
pub mod signed;
pub mod workloads;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request as HttpRequest, State as Shared};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use ed25519_dalek::SigningKey;
use kube::Client;

use crate::infra::cabundle::Entries;
use crate::infra::door::Admitted;
use crate::ledger::Ledger;
use crate::services::events::EventSink;
use crate::state::State;
use review::{Answer, Request};

/// What the endpoints share.
#[derive(Clone)]
pub struct Admission {
    /// What decisions read.
    pub state: Arc<State>,
    /// Where answers are recorded.
    pub ledger: Arc<Ledger>,
    /// Signs receipts.
    pub receipts: Arc<SigningKey>,
    /// Asks about permissions; for our own kinds and namespaces only, never for workloads (invariant 6).
    pub client: Client,
    /// Where events go.
    pub events: EventSink,
    /// The operator's own account.
    pub operator_user: Arc<str>,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("operator_user", &self.operator_user).finish_non_exhaustive()
    }
}

/// Own kinds: stamps who wrote it.
const MUTATE_OWN: &str = "/mutate/own";
/// Own kinds: verifies the stamp over the final object, records it.
const VALIDATE_OWN: &str = "/validate/own";
/// Pods: adds the scheduling gate where a release is not cleared.
const MUTATE_WORKLOADS: &str = "/mutate/workloads";
/// Workloads: refuses what must not run.
const VALIDATE_WORKLOADS: &str = "/validate/workloads";
/// The same two for namespaces that warn or audit: the API server passes no query on, so they are paths.
const MUTATE_WATCHING: &str = "/mutate/workloads/watching";
const VALIDATE_WATCHING: &str = "/validate/workloads/watching";
/// Namespaces: who may weaken the label.
const VALIDATE_NAMESPACES: &str = "/validate/namespaces";

/// Each entry of the chart's webhook configurations, and the endpoint that it leads to.
pub const ENTRIES: Entries = &[
    ("own.mutate.placet.dev", MUTATE_OWN),
    ("enforcing.mutate.placet.dev", MUTATE_WORKLOADS),
    ("watching.mutate.placet.dev", MUTATE_WATCHING),
    ("own.validate.placet.dev", VALIDATE_OWN),
    ("workloads.placet.dev", VALIDATE_WORKLOADS),
    ("watching.placet.dev", VALIDATE_WATCHING),
    ("namespaces.placet.dev", VALIDATE_NAMESPACES),
];

/// The routes, for requests that the door let in.
pub fn router(admission: Admission) -> Router {
    Router::new()
        .route(MUTATE_OWN, post(mutate_own))
        .route(VALIDATE_OWN, post(validate_own))
        .route(MUTATE_WORKLOADS, post(mutate_workloads))
        .route(VALIDATE_WORKLOADS, post(validate_workloads))
        .route(MUTATE_WATCHING, post(mutate_watched))
        .route(VALIDATE_WATCHING, post(watch_workloads))
        .route(VALIDATE_NAMESPACES, post(validate_namespaces))
        // The server bounds bodies, above what two versions of the largest object need; a lower bound here would make
        // large objects a way past entries that fail open.
        .layer(DefaultBodyLimit::disable())
        .route_layer(middleware::from_fn(admitted))
        .with_state(admission)
}

/// A server that forgot the door answers nothing.
async fn admitted(request: HttpRequest, next: Next) -> Response {
    if request.extensions().get::<Admitted>().is_some() {
        next.run(request).await
    } else {
        http::StatusCode::NOT_FOUND.into_response()
    }
}

async fn mutate_own(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| {
        refused::recorded(&a, &request, own_mutate::answer(&a, &request).await).await
    })
    .await
}

async fn validate_own(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| {
        refused::recorded(&a, &request, own_validate::answer(&a, &request).await).await
    })
    .await
}

async fn mutate_workloads(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    let read = body::parse(&body);
    review::serve_read(read, async |request: Request| workloads::mutate(&a, &request, false)).await
}

async fn mutate_watched(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    let read = body::parse(&body);
    review::serve_read(read, async |request: Request| workloads::mutate(&a, &request, true)).await
}

async fn validate_workloads(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    let read = body::parse(&body);
    review::serve_read(read, async |request: Request| workloads::validate(&a, &request, false).await).await
}

async fn watch_workloads(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    let read = body::parse(&body);
    review::serve_read(read, async |request: Request| workloads::validate(&a, &request, true).await).await
}

async fn validate_namespaces(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| {
        refused::recorded(&a, &request, namespaces::answer(&a, &request).await).await
    })
    .await
}

/// The answer when the log cannot be written: refuse, and say whether trying again helps.
pub fn unwritable(error: &placet_evidence::AppendError) -> Answer {
    if error.is_permanent() {
        return Answer::deny(
            413,
            "RequestEntityTooLarge",
            format!(
                "the evidence log cannot hold the record of this, so this is refused and nothing has changed: {error}; \
                 trying again does not help"
            ),
        );
    }
    Answer::deny(
        503,
        "ServiceUnavailable",
        format!(
            "the evidence log cannot be written, so this is refused and nothing has changed: {error}; try again"
        ),
    )
}

/// The answer when a namespace has used up its write budget.
pub fn used_up(namespace: &str) -> Answer {
    Answer::deny(
        429,
        "TooManyRequests",
        format!(
            "namespace {namespace} has used up what it may write to the evidence log for now, so this is refused and nothing \
             has changed; try again in a minute"
        ),
    )
}

#[cfg(test)]
#[path = "own_inputs_tests.rs"]
mod own_inputs;
#[cfg(test)]
mod tests;
