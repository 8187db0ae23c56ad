//! Answering the API server: one endpoint a file.
//!
//! | path | webhook | judges |
//! |---|---|---|
//! | `/mutate/own` | own kinds | stamps who wrote it |
//! | `/validate/own` | own kinds | verifies the stamp over the final object, records it |
//! | `/mutate/workloads` | pods | adds the scheduling gate where a release is not cleared |
//! | `/validate/workloads` | workloads | refuses what must not run |
//! | `/validate/namespaces` | namespaces | who may weaken the label |

pub mod namespaces;
pub mod own_mutate;
pub mod own_validate;
pub mod review;
pub mod workloads;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::routing::post;
use ed25519_dalek::SigningKey;
use kube::Client;

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

/// The routes.
pub fn router(admission: Admission) -> Router {
    Router::new()
        .route("/mutate/own", post(mutate_own))
        .route("/validate/own", post(validate_own))
        .route("/mutate/workloads", post(mutate_workloads))
        .route("/validate/workloads", post(validate_workloads))
        // The entries for namespaces that warn or audit: the API server passes no query on, so they are paths.
        .route("/mutate/workloads/watching", post(mutate_workloads))
        .route("/validate/workloads/watching", post(watch_workloads))
        .route("/validate/namespaces", post(validate_namespaces))
        .with_state(admission)
}

async fn mutate_own(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| own_mutate::answer(&a, &request).await).await
}

async fn validate_own(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| own_validate::answer(&a, &request).await).await
}

async fn mutate_workloads(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| workloads::mutate(&a, &request)).await
}

async fn validate_workloads(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| workloads::validate(&a, &request, false).await).await
}

async fn watch_workloads(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| workloads::validate(&a, &request, true).await).await
}

async fn validate_namespaces(Shared(a): Shared<Admission>, body: Bytes) -> axum::response::Response {
    review::serve(&body, async |request: Request| namespaces::answer(&a, &request).await).await
}

/// The answer when the log cannot be written: refuse, and say that trying again helps.
pub fn unwritable(error: &placet_evidence::AppendError) -> Answer {
    Answer::deny(
        503,
        "ServiceUnavailable",
        format!(
            "the evidence log cannot be written, so this is refused and nothing has changed: {error}; try again"
        ),
    )
}
