//! HTTP servers: TLS for admission, plain for health and metrics.
//!
//! Everything a client can use up is bounded: connections, requests at once, the size of a body, the time of a
//! handshake, of a request, of an idle connection. Stopping goes in three steps: go on serving for `drain` (the
//! endpoints have been told that we are not ready, and the API servers must learn it), then accept no more and let
//! requests in flight finish, then cut what is left.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use super::door::{Door, Knock};
use super::supervisor::Shutdown;

/// A connection that breaks off so soon after an answer may have lost it: webhooks are waited for at most 30 s.
const LOST: Duration = Duration::from_secs(30);

/// Limits and times of a server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// For logs.
    pub name: &'static str,
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Largest request body in bytes. The API server's own limit on requests is 3 MiB; an `AdmissionReview` holds the new
    /// and the old object.
    pub max_body: usize,
    /// Requests at once; more wait, within their timeout.
    pub max_requests: usize,
    /// Connections at once; more wait in the listen queue.
    pub max_connections: usize,
    /// From the request's head to the response's head. Webhook timeouts end at 30 s.
    pub request_timeout: Duration,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// A connection without a request for so long is closed. Longer than the 90 s after which Kubernetes clients drop
    /// idle connections themselves: who closes first must be the client, or a request may meet a closed connection and
    /// fail.
    pub idle_timeout: Duration,
    /// How long to go on serving after the stop signal.
    pub drain: Duration,
    /// How long requests in flight may take after that.
    pub finish: Duration,
}

impl ServerConfig {
    /// For `AdmissionReview` requests.
    pub fn admission(address: SocketAddr) -> Self {
        Self {
            name: "admission",
            address,
            max_body: 7 * 1024 * 1024,
            max_requests: 1024,
            max_connections: 2048,
            request_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(180),
            drain: Duration::from_secs(3),
            finish: Duration::from_secs(10),
        }
    }

    /// For health and metrics.
    pub fn health(address: SocketAddr) -> Self {
        Self {
            name: "health",
            max_body: 64 * 1024,
            max_requests: 32,
            max_connections: 64,
            request_timeout: Duration::from_secs(10),
            drain: Duration::ZERO,
            finish: Duration::from_secs(1),
            ..Self::admission(address)
        }
    }
}

/// A server that listens but does not yet answer.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    door: Option<Arc<Door>>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    config: ServerConfig,
    requests: Semaphore,
    tls: Option<TlsAcceptorDebug>,
    door: Option<Arc<Door>>,
    router: Router,
}

/// When a request that the door let in was last answered on a connection.
type LastAnswer = Arc<Mutex<Option<Instant>>>;

struct TlsAcceptorDebug(TlsAcceptor);

impl std::fmt::Debug for TlsAcceptorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

impl Server {
    /// Listens. With `tls`, connections speak TLS; see `tls::server_config`.
    ///
    /// # Errors
    /// When the address cannot be had, with the address in the message.
    pub async fn bind(config: ServerConfig, tls: Option<Arc<rustls::ServerConfig>>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(config.address).await.map_err(|error| {
            std::io::Error::new(
                error.kind(),
                format!("the {} server cannot listen on {}: {error}", config.name, config.address),
            )
        })?;
        Ok(Self { config, listener, tls, door: None })
    }

    /// Requests are answered only if this door lets them in.
    #[must_use]
    pub fn behind(mut self, door: Arc<Door>) -> Self {
        self.door = Some(door);
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`, then stops as the module's text says.
    ///
    /// # Errors
    /// None: a connection that fails is only its client's problem. The type is that of a task.
    pub async fn serve(self, router: Router, shutdown: Shutdown) -> anyhow::Result<()> {
        let Self { config, listener, tls, door } = self;
        let (name, drain, finish) = (config.name, config.drain, config.finish);
        info!(server = name, address = ?listener.local_addr().ok(), tls = tls.is_some(), "serving");
        let connections = Arc::new(Semaphore::new(config.max_connections));
        let shared = Arc::new(Shared {
            requests: Semaphore::new(config.max_requests),
            tls: tls.map(|tls| TlsAcceptorDebug(TlsAcceptor::from(tls))),
            door,
            router,
            config,
        });
        let graceful = GracefulShutdown::new();
        let mut tasks = JoinSet::new();
        let stop = async {
            shutdown.wait().await;
            tokio::time::sleep(drain).await;
        };
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                // Reaps ended connections; without any it never completes.
                Some(_) = tasks.join_next() => continue,
                accepted = accept(&listener, &connections) => accepted,
            };
            match accepted {
                Ok((permit, stream)) => {
                    let (shared, watcher) = (Arc::clone(&shared), graceful.watcher());
                    tasks.spawn(async move {
                        serve_stream(stream, &shared, watcher).await;
                        drop(permit);
                    });
                }
                // Out of file descriptors, or a client that was gone at once: the next may work.
                Err(problem) => {
                    warn!(server = name, %problem, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        drop(listener);
        if timeout(finish, graceful.shutdown()).await.is_err() {
            warn!(server = name, left = tasks.len(), "connections did not finish in time and are cut");
        }
        tasks.shutdown().await;
        Ok(())
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> std::io::Result<(tokio::sync::OwnedSemaphorePermit, TcpStream)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are small and awaited: waiting to fill a packet would cost up to 40 ms.
    stream.set_nodelay(true)?;
    Ok((permit, stream))
}

async fn serve_stream(stream: TcpStream, shared: &Arc<Shared>, watcher: Watcher) {
    let Some(TlsAcceptorDebug(acceptor)) = &shared.tls else {
        return serve_connection(stream, shared, watcher).await;
    };
    match timeout(shared.config.handshake_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve_connection(stream, shared, watcher).await,
        Ok(Err(problem)) => debug!(server = shared.config.name, %problem, "TLS handshake"),
        Err(_) => debug!(server = shared.config.name, "TLS handshake took too long"),
    }
}

async fn serve_connection<I>(io: I, shared: &Arc<Shared>, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Counts from the end of the request before, so it bounds idle connections and slow heads alike.
        .header_read_timeout(shared.config.idle_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250)
        .keep_alive_interval(Some(Duration::from_secs(60)))
        .keep_alive_timeout(Duration::from_secs(20));
    let last = LastAnswer::default();
    let for_requests = (Arc::clone(shared), Arc::clone(&last));
    let service =
        service_fn(move |request| answer(request, Arc::clone(&for_requests.0), Arc::clone(&for_requests.1)));
    let connection = builder.serve_connection(TokioIo::new(io), service).into_owned();
    if let Err(problem) = watcher.watch(connection).await {
        debug!(server = shared.config.name, %problem, "connection ended");
        let last = *last.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(door), Some(last)) = (&shared.door, last)
            && last.elapsed() < LOST
        {
            door.doubt("a connection broke off after an answer");
        }
    }
}

async fn answer(
    mut request: Request<Incoming>,
    shared: Arc<Shared>,
    last: LastAnswer,
) -> Result<Response<Body>, std::convert::Infallible> {
    let visit = match shared.door.as_ref().map(|door| door.knock(request.uri())) {
        None | Some(Knock::Unguarded) => None,
        Some(Knock::Stranger) => return Ok(refuse(StatusCode::NOT_FOUND, String::new())),
        Some(Knock::Admitted(visit, inside)) => {
            *request.uri_mut() = inside;
            request.extensions_mut().insert(visit.mark());
            Some(visit)
        }
    };
    let response = respond(request, &shared).await;
    if let Some(visit) = visit {
        visit.answered(response.status());
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
    Ok(response)
}

async fn respond(request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    let max = shared.config.max_body;
    let declared = request.headers().get(header::CONTENT_LENGTH);
    if declared
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .is_some_and(|length| length > max)
    {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {max} bytes"));
    }
    // Also holds for bodies that do not declare their length, or lie.
    let request = request.map(|body| Body::new(Limited::new(body, max)));
    let work = async {
        // The semaphore is never closed; without a permit the router would only be less bounded.
        let _permit = shared.requests.acquire().await;
        match shared.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    let limit = shared.config.request_timeout;
    timeout(limit, work).await.unwrap_or_else(|_| {
        refuse(StatusCode::SERVICE_UNAVAILABLE, format!("no answer within {} s", limit.as_secs_f32()))
    })
}

fn refuse(status: StatusCode, reason: String) -> Response<Body> {
    let mut response = Response::new(Body::from(reason));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
