use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use kube::Client;
use placet_evidence::{Config, Log, LogKey, MemoryHeads};
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::ReceiptKeys;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::infra::clock::{Clock, TimeSource};
use crate::infra::door::Door;
use crate::infra::server::{Server, ServerConfig};
use crate::infra::supervisor::{Shutdown, Trigger};

#[derive(Debug)]
struct Fixed;

impl TimeSource for Fixed {
    fn wall(&self) -> Timestamp {
        "2026-11-01T12:00:00Z".parse().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// An API server that knows nothing.
fn nobody() -> Client {
    let service = tower::service_fn(async |_: http::Request<kube::client::Body>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::from(b"{}".to_vec())))
    });
    Client::new(service, "default")
}

struct Bench {
    _volume: tempfile::TempDir,
    log: Arc<Log>,
    door: Arc<Door>,
    address: SocketAddr,
    _stop: Trigger,
}

/// The routes behind a door.
#[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
async fn bench() -> Bench {
    let volume = tempfile::tempdir().unwrap();
    let clock = Clock::new(Arc::new(Fixed));
    clock.record_date(Fixed.wall(), (Fixed.wall(), Duration::ZERO), (Fixed.wall(), Duration::ZERO));
    let mut config = Config::new(volume.path(), "placet.dev/c", "c");
    config.reserve_bytes = 0;
    let key = LogKey::from_seed(&[1; 32]);
    let log = Arc::new(Log::open(&config, &key, Arc::new(MemoryHeads::default()), clock.now()).unwrap());
    let people = PeopleKey::new(b"a people key of 32 bytes, for us");
    let reading = Reading { cluster: "c".to_owned(), cluster_name: None, keys: ReceiptKeys::new(), people };
    let (events, _) = EventSink::new(nobody(), "placet-operator", "placet-0");
    let now = clock.now();
    let router = router(Admission {
        state: Arc::new(State::new(reading, clock)),
        ledger: Arc::new(Ledger::new(Arc::clone(&log), std::collections::BTreeMap::new(), now)),
        receipts: Arc::new(SigningKey::from_bytes(&[2; 32])),
        client: nobody(),
        events,
        operator_user: "system:serviceaccount:placet-system:placet".into(),
    });
    let door = Door::new(&["/evidence/"]).unwrap();
    let config = ServerConfig::admission("127.0.0.1:0".parse().unwrap());
    let server = Server::bind(config, None).await.unwrap().behind(Arc::clone(&door));
    let address = server.local_addr().unwrap();
    let (stop, shutdown) = Shutdown::pair();
    tokio::spawn(server.serve(router, shutdown));
    Bench { _volume: volume, log, door, address, _stop: stop }
}

impl Bench {
    /// Sends a review. Gives status and body.
    async fn send(&self, path: &str, request: &Value) -> (u16, String) {
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let body = review.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut io = TcpStream::connect(self.address).await.unwrap();
        io.write_all((head + &body).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        io.read_to_end(&mut answer).await.unwrap();
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }
}

/// Somebody makes a role, and claims to be somebody.
fn role() -> Value {
    json!({
        "uid": "u1", "operation": "CREATE", "name": "probe", "userInfo": {"username": "frank"},
        "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": "ApprovalRole"},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "approvalroles"},
        "object": {"apiVersion": "placet.dev/v1alpha1", "kind": "ApprovalRole", "metadata": {"name": "probe"},
                   "spec": {"title": "Probe", "answersFor": "Nothing"}},
    })
}

/// A namespace opts in.
fn namespace() -> Value {
    json!({
        "uid": "u2", "operation": "UPDATE", "name": "lending", "userInfo": {"username": "frank"},
        "kind": {"group": "", "version": "v1", "kind": "Namespace"},
        "resource": {"group": "", "version": "v1", "resource": "namespaces"},
        "object": {"metadata": {"name": "lending", "labels": {"placet.dev/enforce": "deny"}}},
        "oldObject": {"metadata": {"name": "lending"}},
    })
}

#[tokio::test]
async fn the_largest_objects_are_judged_like_any() {
    let bench = bench().await;
    let mut large = namespace();
    // Two versions of what etcd takes at most, 1.5 MiB each.
    for version in ["object", "oldObject"] {
        large[version]["metadata"]["annotations"] = json!({"note": "x".repeat(3 << 19)});
    }
    large["object"]["metadata"]["labels"] = json!({});
    large["oldObject"]["metadata"]["labels"] = json!({"placet.dev/enforce": "deny"});
    let (status, answer) = bench.send(&bench.door.path(VALIDATE_NAMESPACES), &large).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    // Nobody says that frank may.
    assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(false)), "{answer}");
}

#[tokio::test]
async fn without_the_token_nothing_is_signed_recorded_or_said() {
    let bench = bench().await;
    let other = Door::new(&[]).unwrap();
    let before = bench.log.head().size;
    for (endpoint, request) in [(MUTATE_OWN, role()), (VALIDATE_NAMESPACES, namespace())] {
        // None, a wrong one (as that of an earlier start is), and the right one before another endpoint's.
        for path in [endpoint.to_owned(), other.path(endpoint), format!("/x{}", bench.door.path(endpoint))] {
            assert_eq!(bench.send(&path, &request).await, (404, String::new()), "{path}");
        }
    }
    assert_eq!(bench.log.head().size, before);

    // The same requests do all of that for who knows the token.
    let (status, answer) = bench.send(&bench.door.path(MUTATE_OWN), &role()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)));
    assert!(answer["response"]["patch"].as_str().unwrap().len() > 100, "{answer}");
    assert_eq!(bench.log.head().size, before + 1, "stamping is a record");
    let (status, answer) = bench.send(&bench.door.path(VALIDATE_NAMESPACES), &namespace()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(bench.log.head().size, before + 2);
    assert_eq!(bench.door.due(), None);
}

#[tokio::test]
async fn a_token_that_was_changed_ends() {
    let bench = bench().await;
    let (before, size) = (bench.door.path(VALIDATE_NAMESPACES), bench.log.head().size);
    tokio::time::pause();
    bench.door.doubt("test");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(bench.door.change());
    tokio::time::resume();
    assert_eq!(bench.send(&before, &namespace()).await.0, 200, "not in force yet");
    assert_eq!(bench.log.head().size, size + 1);
    bench.door.settled();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(bench.send(&before, &namespace()).await, (404, String::new()));
    assert_eq!(bench.log.head().size, size + 1);
}

#[tokio::test]
async fn a_server_without_a_door_answers_nothing() {
    use tower::ServiceExt as _;
    let bench = bench().await;
    let (events, _) = EventSink::new(nobody(), "placet-operator", "placet-0");
    let people = PeopleKey::new(b"a people key of 32 bytes, for us");
    let reading = Reading { cluster: "c".to_owned(), cluster_name: None, keys: ReceiptKeys::new(), people };
    let now = "2026-11-01T12:00:00Z".parse().unwrap();
    let router = router(Admission {
        state: Arc::new(State::new(reading, Clock::new(Arc::new(Fixed)))),
        ledger: Arc::new(Ledger::new(Arc::clone(&bench.log), std::collections::BTreeMap::new(), now)),
        receipts: Arc::new(SigningKey::from_bytes(&[2; 32])),
        client: nobody(),
        events,
        operator_user: "".into(),
    });
    for (_, endpoint) in ENTRIES {
        let request = http::Request::post(*endpoint).body(axum::body::Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), 404, "{endpoint}");
    }
}

#[tokio::test]
async fn every_entry_of_the_table_leads_somewhere() {
    let bench = bench().await;
    for (entry, endpoint) in ENTRIES {
        let (status, _) = bench.send(&bench.door.path(endpoint), &json!(1)).await;
        assert_eq!(status, 400, "{entry}: {endpoint}");
    }
}

/// The table knows the chart's entries, all of them, and the chart leaves the paths to us.
#[test]
fn the_table_is_that_of_the_chart() {
    let charts = [
        include_str!("../../../../charts/placet/templates/webhooks-mutating.yaml"),
        include_str!("../../../../charts/placet/templates/webhooks-validating.yaml"),
        include_str!("../../../../charts/placet/templates/_helpers.tpl"),
    ];
    let lines = || charts.iter().flat_map(|text| text.lines()).map(str::trim);
    let mut found: Vec<&str> = lines()
        .filter_map(|line| line.strip_prefix("- name: "))
        .filter(|name| name.ends_with(".placet.dev"))
        .collect();
    let mut ours: Vec<&str> = ENTRIES.iter().map(|(entry, _)| *entry).collect();
    found.sort_unstable();
    ours.sort_unstable();
    assert_eq!(found, ours);
    assert_eq!(lines().filter(|line| line.starts_with("path:")).count(), 0);
}
