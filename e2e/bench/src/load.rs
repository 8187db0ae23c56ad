//! The load generator: HTTP/1.1 over TLS, as the API server calls webhooks.
//!
//! *Open loop*: requests are due at a constant rate whatever the server does, and latency counts from when a request was
//! due. *Closed loop*: each connection sends its next request when the last was answered, which measures throughput.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::stats::{Run, nanos, now};

/// Makes the body of the n-th request.
pub type Bodies = Arc<dyn Fn(u64) -> Bytes + Send + Sync>;

/// Where requests go and what the answers must say.
#[derive(Clone)]
pub struct Target {
    /// Address of the server.
    pub address: SocketAddr,
    /// Trusts the server's certificate.
    pub tls: Arc<rustls::ClientConfig>,
    /// The server's name in its certificate.
    pub host: &'static str,
    /// Path of the endpoint.
    pub path: String,
    /// Bodies.
    pub bodies: Bodies,
    /// Whether the answers allow.
    pub allowed: bool,
}

struct Connection {
    send: SendRequest<Full<Bytes>>,
    target: Target,
}

impl Target {
    async fn connect(&self, drivers: &mut JoinSet<()>) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.host)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.context("TLS")?;
        let (send, connection) = http1::handshake(TokioIo::new(stream)).await?;
        drivers.spawn(async move {
            // Its end shows as an error of the request that needed it.
            let _ = connection.await;
        });
        Ok(Connection { send, target: self.clone() })
    }
}

impl Connection {
    /// One request. An answer that says anything but what is expected is an error: a fast wrong answer is no result.
    async fn ask(&mut self, n: u64) -> anyhow::Result<()> {
        let request = http::Request::post(self.target.path.as_str())
            .header(http::header::HOST, self.target.host)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new((self.target.bodies)(n)))?;
        self.send.ready().await?;
        let response = self.send.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let wanted: &[u8] = if self.target.allowed { b"\"allowed\":true" } else { b"\"allowed\":false" };
        // The field stands near the beginning, right after the uid.
        let head = body.get(..body.len().min(256)).unwrap_or_default();
        if !status.is_success() || !head.windows(wanted.len()).any(|w| w == wanted) {
            anyhow::bail!(
                "{}: wanted {}, found {status}: {}",
                self.target.path,
                String::from_utf8_lossy(wanted),
                String::from_utf8_lossy(&body)
            );
        }
        Ok(())
    }
}

async fn connections(
    target: &Target,
    count: usize,
    drivers: &mut JoinSet<()>,
) -> anyhow::Result<Vec<Connection>> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(target.connect(drivers).await?);
    }
    Ok(all)
}

/// As many requests at once as there are connections, for a duration. Numbers begin at `first`.
pub async fn closed(target: &Target, count: usize, duration: Duration, first: u64) -> anyhow::Result<Run> {
    let mut drivers = JoinSet::new();
    let mut workers = JoinSet::new();
    let connections = connections(target, count, &mut drivers).await?;
    let (start, step) = (now(), count as u64);
    for (offset, mut connection) in (0..).zip(connections) {
        workers.spawn(async move {
            let (mut n, mut latencies) = (first + offset, Vec::new());
            while now().saturating_duration_since(start) < duration {
                let since = now();
                connection.ask(n).await?;
                latencies.push(nanos(since));
                n += step;
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    gather(workers, start).await
}

/// `rate` requests a second over `count` connections for a duration. A request that finds every connection busy waits,
/// and its wait counts.
pub async fn open(
    target: &Target,
    count: usize,
    rate: u32,
    duration: Duration,
    first: u64,
) -> anyhow::Result<Run> {
    let mut drivers = JoinSet::new();
    let mut workers = JoinSet::new();
    let connections = connections(target, count, &mut drivers).await?;
    let (sender, receiver) = mpsc::unbounded_channel::<(u64, Instant)>();
    let receiver = Arc::new(Mutex::new(receiver));
    let start = now() + Duration::from_millis(20);
    // A thread of its own, since the runtime's timers tick in whole milliseconds.
    let pacer = std::thread::Builder::new()
        .name("pace".into())
        .spawn(move || pace(start, rate, duration, first, &sender))?;
    for mut connection in connections {
        let receiver = Arc::clone(&receiver);
        workers.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let next = receiver.lock().await.recv().await;
                let Some((n, due)) = next else { return Ok(latencies) };
                connection.ask(n).await?;
                latencies.push(nanos(due));
            }
        });
    }
    let run = gather(workers, start).await;
    pacer.join().map_err(|_| anyhow::anyhow!("the pacing thread panicked"))?;
    run
}

#[expect(clippy::disallowed_methods, reason = "the thread that says when is its own")]
fn pace(
    start: Instant,
    rate: u32,
    duration: Duration,
    first: u64,
    sender: &mpsc::UnboundedSender<(u64, Instant)>,
) {
    let interval = Duration::from_secs(1) / rate.max(1);
    let mut due = start;
    for n in first.. {
        if due.saturating_duration_since(start) >= duration {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(now()));
        if sender.send((n, due)).is_err() {
            return;
        }
        due += interval;
    }
}

async fn gather(mut workers: JoinSet<anyhow::Result<Vec<u64>>>, start: Instant) -> anyhow::Result<Run> {
    let mut all = Vec::new();
    while let Some(latencies) = workers.join_next().await {
        all.extend(latencies??);
    }
    Ok(Run::new(all, now().saturating_duration_since(start).as_secs_f64()))
}
