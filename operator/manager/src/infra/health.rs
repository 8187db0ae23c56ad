//! `/livez`, `/readyz` and `/metrics`.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::registry::Registry;
use tracing::error;

/// One condition of readiness: `Err` says what is missing.
type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Hears what each probe was told.
type Listener = Box<dyn Fn(bool) + Send + Sync>;

/// What must hold before we ask to be called. Filled at start, then shared.
#[derive(Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Check)>,
    listeners: Vec<Listener>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|(name, _)| name)).finish()
    }
}

impl Readiness {
    /// Without conditions: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition. It is evaluated on every probe and must not block.
    pub fn add<C>(&mut self, name: &'static str, check: C)
    where
        C: Fn() -> Result<(), String> + Send + Sync + 'static,
    {
        self.checks.push((name, Box::new(check)));
    }

    /// Tells each answer to a probe: whether we are ready. Must not block.
    pub fn on_probe<L>(&mut self, listener: L)
    where
        L: Fn(bool) + Send + Sync + 'static,
    {
        self.listeners.push(Box::new(listener));
    }

    /// The result of each condition, in the order in which they were added.
    pub fn results(&self) -> Vec<(&'static str, Result<(), String>)> {
        self.checks.iter().map(|(name, check)| (*name, check())).collect()
    }
}

#[derive(Clone)]
struct Shared {
    readiness: Arc<Readiness>,
    registry: Arc<Registry>,
}

/// The router of the plain server. `/livez` says only that the process answers: what a restart does not heal is no
/// reason for one. `/readyz` lists every condition, one a line, and is 503 when one is missing.
pub fn router(readiness: Arc<Readiness>, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Shared { readiness, registry })
}

async fn ready(State(shared): State<Shared>) -> Response {
    let results = shared.readiness.results();
    let ok = results.iter().all(|(_, result)| result.is_ok());
    shared.readiness.listeners.iter().for_each(|listener| listener(ok));
    let text: String = results
        .iter()
        .map(|(name, result)| match result {
            Ok(()) => format!("[+] {name}\n"),
            Err(reason) => format!("[-] {name}: {reason}\n"),
        })
        .collect();
    let (status, last) =
        if ok { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") };
    (status, text + last).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &shared.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(problem) => {
            error!(%problem, "writing metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_lists_what_is_missing_and_liveness_does_not_care() {
        let open = Arc::new(AtomicBool::new(false));
        let mut readiness = Readiness::new();
        readiness.add("certificate", || Ok(()));
        let flag = Arc::clone(&open);
        readiness.add(
            "log",
            move || {
                if flag.load(Ordering::Relaxed) { Ok(()) } else { Err("not open".to_owned()) }
            },
        );
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let listener = Arc::clone(&heard);
        readiness.on_probe(move |ready| listener.lock().unwrap().push(ready));
        let router = router(Arc::new(readiness), Arc::new(Registry::default()));
        assert_eq!(
            ask(&router, "/readyz").await,
            (503, "[+] certificate\n[-] log: not open\nnot ready\n".to_owned())
        );
        assert_eq!(ask(&router, "/livez").await, (200, "ok\n".to_owned()));
        open.store(true, Ordering::Relaxed);
        assert_eq!(ask(&router, "/readyz").await, (200, "[+] certificate\n[+] log\nready\n".to_owned()));
        assert_eq!(*heard.lock().unwrap(), [false, true], "liveness is not told");
    }

    #[tokio::test]
    async fn metrics_are_open_metrics() {
        let mut registry = Registry::default();
        let counter: Counter = Counter::default();
        registry.register("things", "Things counted", counter.clone());
        counter.inc();
        let router = router(Arc::new(Readiness::new()), Arc::new(registry));
        let (status, text) = ask(&router, "/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("things_total 1\n") && text.ends_with("# EOF\n"), "{text}");
    }
}
