use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::{get, post};
use bytes::Bytes;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::pki::{CaSet, Leaf, Lifetimes, step};
use super::super::supervisor::Trigger;
use super::super::tls::{Serving, server_config};
use super::*;

const DNS: &str = "placet.placet-system.svc";

fn config() -> ServerConfig {
    ServerConfig {
        max_body: 1000,
        drain: Duration::from_millis(150),
        finish: Duration::from_secs(2),
        request_timeout: Duration::from_millis(600),
        ..ServerConfig::admission("127.0.0.1:0".parse().unwrap())
    }
}

fn router() -> Router {
    Router::new()
        .route("/echo", post(|body: Bytes| async move { body }))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(400)).await;
                "slow"
            }),
        )
        .route("/never", get(|| async { std::future::pending::<&str>().await }))
}

struct Running {
    address: SocketAddr,
    stop: Trigger,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

#[expect(clippy::disallowed_methods, reason = "a test owns its tasks and ends them")]
async fn run(config: ServerConfig, tls: Option<Arc<rustls::ServerConfig>>, router: Router) -> Running {
    let server = Server::bind(config, tls).await.unwrap();
    let address = server.local_addr().unwrap();
    let (stop, shutdown) = Shutdown::pair();
    Running { address, stop, task: tokio::spawn(server.serve(router, shutdown)) }
}

/// One request on a connection that stays open. Gives status and body.
async fn ask<I>(io: &mut I, head: &str, body: &[u8]) -> std::io::Result<(u16, String)>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    io.write_all(format!("{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes())
        .await?;
    io.write_all(body).await?;
    read(io).await
}

async fn read<I: AsyncRead + Unpin>(io: &mut I) -> std::io::Result<(u16, String)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if io.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < head_end + length {
        if io.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head[9..12].parse().unwrap();
    Ok((status, String::from_utf8_lossy(&bytes[head_end..head_end + length]).into_owned()))
}

async fn plain(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

fn authority() -> CaSet {
    step(None, wall(), &Lifetimes::default()).unwrap().0
}

fn wall() -> Timestamp {
    use super::super::clock::{SystemTime, TimeSource as _};
    SystemTime::new().wall()
}

fn issue(set: &CaSet, serving: &Serving) {
    let leaf = Leaf::issue(set, &[DNS.to_owned()], wall(), &Lifetimes::default()).unwrap();
    serving.set(Arc::clone(leaf.certified()));
}

async fn secure(address: SocketAddr, bundle: &str, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(cert.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(DNS).unwrap(), stream).await
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let running = run(config(), None, router()).await;
    let mut io = plain(&running).await;
    for text in ["a", "bb", "ccc"] {
        assert_eq!(ask(&mut io, "POST /echo", text.as_bytes()).await.unwrap(), (200, text.to_owned()));
    }
    assert_eq!(ask(&mut io, "GET /nothing", b"").await.unwrap().0, 404);
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_refused_declared_or_not() {
    let running = run(config(), None, router()).await;
    let mut io = plain(&running).await;
    assert_eq!(ask(&mut io, "POST /echo", &[b'x'; 1000]).await.unwrap().0, 200);
    let mut io = plain(&running).await;
    let (status, reason) = ask(&mut io, "POST /echo", &[b'x'; 1001]).await.unwrap();
    assert_eq!((status, reason.as_str()), (413, "the body is larger than 1000 bytes"));
    let mut io = plain(&running).await;
    io.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    for _ in 0..3 {
        io.write_all(format!("1f4\r\n{}\r\n", "y".repeat(500)).as_bytes()).await.unwrap();
    }
    io.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut io).await.unwrap().0, 413);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let running = run(config(), None, router()).await;
    let (status, reason) = ask(&mut plain(&running).await, "GET /never", b"").await.unwrap();
    assert_eq!((status, reason.as_str()), (503, "no answer within 0.6 s"));
}

#[tokio::test]
async fn requests_beyond_the_bound_wait_for_their_turn() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let router = Router::new().route(
        "/",
        get(|| async {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            NOW.fetch_sub(1, Ordering::SeqCst);
        }),
    );
    let running = run(ServerConfig { max_requests: 2, ..config() }, None, router).await;
    let requests = (0..10).map(|_| async {
        let mut io = plain(&running).await;
        ask(&mut io, "GET /", b"").await.unwrap().0
    });
    assert!(futures::future::join_all(requests).await.iter().all(|status| *status == 200));
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let running = run(ServerConfig { max_connections: 1, ..config() }, None, router()).await;
    let mut first = plain(&running).await;
    assert_eq!(ask(&mut first, "POST /echo", b"1").await.unwrap().0, 200);
    let mut second = plain(&running).await;
    let waiting =
        tokio::time::timeout(Duration::from_millis(200), ask(&mut second, "POST /echo", b"2")).await;
    assert!(waiting.is_err());
    drop(first);
    assert_eq!(timeout(Duration::from_secs(2), read(&mut second)).await.unwrap().unwrap().1, "2");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let running =
        run(ServerConfig { idle_timeout: Duration::from_millis(200), ..config() }, None, router()).await;
    let mut io = plain(&running).await;
    assert_eq!(ask(&mut io, "POST /echo", b"1").await.unwrap().0, 200);
    let mut rest = Vec::new();
    timeout(Duration::from_secs(2), io.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_drains_then_finishes_what_is_in_flight() {
    let running = run(config(), None, router()).await;
    let mut idle = plain(&running).await;
    assert_eq!(ask(&mut idle, "POST /echo", b"1").await.unwrap().0, 200);
    running.stop.fire();
    tokio::time::sleep(Duration::from_millis(30)).await;
    // Draining: old and new connections are still served.
    assert_eq!(ask(&mut idle, "POST /echo", b"2").await.unwrap().0, 200);
    let mut late = plain(&running).await;
    // Begins before the end of the drain and ends after it.
    assert_eq!(ask(&mut late, "GET /slow", b"").await.unwrap(), (200, "slow".to_owned()));
    timeout(Duration::from_secs(2), running.task).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let config = ServerConfig {
        request_timeout: Duration::from_secs(60),
        finish: Duration::from_millis(200),
        ..config()
    };
    let running = run(config, None, router()).await;
    let mut io = plain(&running).await;
    let asking = ask(&mut io, "GET /never", b"");
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        running.stop.fire();
        timeout(Duration::from_secs(2), running.task).await.unwrap().unwrap().unwrap();
    };
    let (answer, ()) = tokio::join!(asking, stopping);
    assert!(answer.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_served_without_dropping_a_request() {
    let (old, new) = (authority(), authority());
    let serving = Serving::new();
    issue(&old, &serving);
    let tls = Arc::new(server_config(Arc::clone(&serving)).unwrap());
    let running = run(config(), Some(tls), router()).await;

    let mut before = secure(running.address, &old.bundle(), b"http/1.1").await.unwrap();
    let in_flight = ask(&mut before, "GET /slow", b"");
    let swapping = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        issue(&new, &serving);
        let mut after = secure(running.address, &new.bundle(), b"http/1.1").await.unwrap();
        assert_eq!(ask(&mut after, "POST /echo", b"new").await.unwrap(), (200, "new".to_owned()));
        assert!(secure(running.address, &old.bundle(), b"http/1.1").await.is_err());
    };
    let (answer, ()) = tokio::join!(in_flight, swapping);
    assert_eq!(answer.unwrap(), (200, "slow".to_owned()));
    assert_eq!(ask(&mut before, "POST /echo", b"old").await.unwrap(), (200, "old".to_owned()));
}

#[tokio::test]
async fn http_2_is_negotiated_and_a_server_without_a_certificate_refuses() {
    let set = authority();
    let serving = Serving::new();
    let tls = Arc::new(server_config(Arc::clone(&serving)).unwrap());
    let running = run(config(), Some(tls), router()).await;
    assert!(secure(running.address, &set.bundle(), b"h2").await.is_err());
    issue(&set, &serving);
    let mut stream = secure(running.address, &set.bundle(), b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    // The preface and empty settings are answered with settings: frame type 4.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4);
}

/// A server behind a door, which it also gives.
#[expect(clippy::disallowed_methods, reason = "a test owns its tasks and ends them")]
async fn guarded(router: Router) -> (Running, Arc<Door>) {
    let door = Door::new(&["/open/"]).unwrap();
    let server = Server::bind(config(), None).await.unwrap().behind(Arc::clone(&door));
    let address = server.local_addr().unwrap();
    let (stop, shutdown) = Shutdown::pair();
    (Running { address, stop, task: tokio::spawn(server.serve(router, shutdown)) }, door)
}

/// Waits until the door wants another token, at most two seconds.
async fn doubts(door: &Door) -> bool {
    for _ in 0..100 {
        if door.due().is_some() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn strangers_get_404_before_their_body_is_read_and_the_router_never_sees_the_token() {
    let router = Router::new().route("/open/x", get(|| async { "open" })).fallback(
        async |uri: http::Uri, marked: Option<axum::Extension<super::super::door::Admitted>>| {
            format!("{uri} {}", marked.is_some())
        },
    );
    let (running, door) = guarded(router).await;
    let mut io = plain(&running).await;
    // The body is announced and never sent.
    io.write_all(b"POST /validate/own HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n").await.unwrap();
    let answer = timeout(Duration::from_secs(2), read(&mut io)).await.unwrap().unwrap();
    assert_eq!(answer, (404, String::new()));
    let ask_new = async |head: String| ask(&mut plain(&running).await, &head, b"").await.unwrap();
    assert_eq!(ask_new("GET /0123/validate/own".to_owned()).await, (404, String::new()));
    assert_eq!(ask_new("GET /open/x".to_owned()).await, (200, "open".to_owned()));
    let inside = format!("POST {}?timeout=10s", door.path("/validate/own"));
    assert_eq!(ask_new(inside).await, (200, "/validate/own true".to_owned()));
    assert_eq!(door.due(), None, "all were answered");
}

async fn panics() -> &'static str {
    panic!("a defect")
}

#[tokio::test]
async fn a_call_that_ends_without_an_answer_or_too_late_is_a_doubt() {
    for (path, wait) in [("/never", 100), ("/slow", 600), ("/panics", 600)] {
        let router = router().route("/panics", get(panics));
        let (running, door) = guarded(router).await;
        let mut io = plain(&running).await;
        let head = format!("GET {}?timeout={}", door.path(path), if path == "/slow" { "0s" } else { "10s" });
        let asked = timeout(Duration::from_millis(wait), ask(&mut io, &head, b"")).await;
        drop((asked, io));
        assert!(doubts(&door).await, "{path}");
    }
    // The answer is larger than what fits on the way, and nobody takes it.
    let large = Router::new().route("/large", get(|| async { vec![b'x'; 64 << 20] }));
    let (running, door) = guarded(large).await;
    let mut io = plain(&running).await;
    io.write_all(format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", door.path("/large")).as_bytes())
        .await
        .unwrap();
    assert!(io.read(&mut [0; 100]).await.unwrap() > 0);
    drop(io);
    assert!(doubts(&door).await, "a lost answer");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = run(config(), None, router()).await;
    let taken = ServerConfig { address: running.address, ..config() };
    let error = Server::bind(taken, None).await.unwrap_err().to_string();
    assert!(error.contains("admission server cannot listen on 127.0.0.1:"), "{error}");
}

/// Throughput of the bare server, for a person to read: `cargo test --release … -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check; `make bench` measures the whole"]
async fn throughput_over_twenty_tls_connections() {
    let set = authority();
    let serving = Serving::new();
    issue(&set, &serving);
    let tls = Arc::new(server_config(serving).unwrap());
    let running = run(ServerConfig { max_body: 1 << 20, ..config() }, Some(tls), router()).await;
    let counts = Mutex::new(Vec::new());
    let begun = tokio::time::Instant::now();
    let clients = (0..20).map(|_| async {
        let mut io = secure(running.address, &set.bundle(), b"http/1.1").await.unwrap();
        let body = vec![b'x'; 4000];
        let mut count = 0;
        while begun.elapsed() < Duration::from_secs(5) {
            assert_eq!(ask(&mut io, "POST /echo", &body).await.unwrap().0, 200);
            count += 1;
        }
        counts.lock().unwrap().push(count);
    });
    futures::future::join_all(clients).await;
    let total: u64 = counts.lock().unwrap().iter().sum();
    println!("{} requests/s, client included", total / 5);
}
