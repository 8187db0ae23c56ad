//! Watches that stay open and say nothing, and a Reject that arrives meanwhile; a second replica.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use placet_e2e::placet::{INSTALLED_IN, Lending, RELEASE};
use placet_e2e::{Cluster, SOON, eventually};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::alone;
use super::common::{holds, refused_with};

/// The way from the operator to the API server. It can hold back what is answered to lists and watches: connections stay
/// open, nothing comes, and everything else goes on.
struct Way {
    address: SocketAddr,
    frozen: watch::Sender<bool>,
    _carriers: JoinSet<()>,
}

/// Where it leads.
#[derive(Clone)]
struct ApiServer {
    address: String,
    tls: TlsConnector,
}

impl ApiServer {
    fn of(cluster: &Cluster) -> Self {
        let file = Kubeconfig::read_from(cluster.kubeconfig("root-admin").unwrap()).unwrap();
        let there = file.clusters[0].cluster.clone().unwrap();
        let address = there.server.unwrap().trim_start_matches("https://").to_owned();
        let pem = STANDARD.decode(there.certificate_authority_data.unwrap()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address, tls: TlsConnector::from(Arc::new(config)) }
    }
}

impl Way {
    async fn open(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frozen, watches) = watch::channel(false);
        let server = ApiServer::of(cluster);
        let mut carriers = JoinSet::new();
        carriers.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, watches) = (server.clone(), watches.clone());
                each.spawn(async move {
                    // Whoever breaks off asks again.
                    let _ = carry(client, &server, watches).await;
                });
                while each.try_join_next().is_some() {}
            }
        });
        Self { address, frozen, _carriers: carriers }
    }

    /// Values that have the operator take this way, as its own account.
    async fn values(&self, cluster: &Cluster) -> Value {
        let token = ["create", "token", "placet", "-n", INSTALLED_IN, "--duration=1h"];
        let token = cluster.kubectl("root-admin", token).await.unwrap().ok().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "way",
            "clusters": [{ "name": "way", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "operator", "user": { "token": token.trim() } }],
            "contexts": [{ "name": "way",
                           "context": { "cluster": "way", "user": "operator", "namespace": INSTALLED_IN } }],
        });
        let file = cluster.dir().join("settings/way.yaml");
        tokio::fs::write(&file, config.to_string()).await.unwrap();
        json!({ "extraEnv": [{ "name": "KUBECONFIG", "value": file.to_string_lossy() }] })
    }
}

/// Carries one request and its answer.
async fn carry(
    mut client: TcpStream,
    server: &ApiServer,
    mut frozen: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).await? == 0 || head.len() > 32_768 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let (line, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    let reads = line.starts_with("GET ") && (line.contains("watch=true") || line.contains("limit="));
    let tcp = TcpStream::connect(&server.address).await?;
    let host = server.address.rsplit_once(':').map_or(server.address.as_str(), |(host, _)| host);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let far = server.tls.connect(name, tcp).await?;
    let (mut from_far, mut to_far) = tokio::io::split(far);
    to_far.write_all(format!("{line}\r\nConnection: close\r\n{rest}").as_bytes()).await?;
    let (mut from_client, mut to_client) = client.split();
    let down = async {
        let mut piece = vec![0; 65_536];
        loop {
            let count = from_far.read(&mut piece).await?;
            if reads {
                frozen.wait_for(|frozen| !*frozen).await.map_err(io::Error::other)?;
            }
            if count == 0 {
                return to_client.shutdown().await;
            }
            to_client.write_all(&piece[..count]).await?;
        }
    };
    let up = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_far).await;
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        ended = down => ended,
        ended = up => ended,
    }
}

/// What a pod of the sample is told that nobody keeps.
async fn tried(lending: &Lending<'_>) -> Result<(), String> {
    let args = ["set", "env", "deployment/credit-eligibility", "TRIED=now", "--dry-run=server"];
    let said = lending.kubectl("dana", &args).await.map_err(|error| error.to_string())?;
    if said.code == 0 { Ok(()) } else { Err(said.stderr) }
}

async fn running(cluster: &'static Cluster, ns: &'static str) -> Lending<'static> {
    let lending = Lending::open(cluster, ns, Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();
    lending
}

#[tokio::test]
async fn with_frozen_watches_a_reject_is_known_at_once_and_everything_is_unknown_within_90_s() {
    let Some((cluster, _guard)) = alone().await else { return };
    let way = Way::open(cluster).await;
    cluster.install_placet(&way.values(cluster).await).await.unwrap();
    cluster.placet_ready().await.unwrap();
    let (rejected, other) = (running(cluster, "frozen").await, running(cluster, "frozen-other").await);
    tried(&rejected).await.unwrap();

    way.frozen.send_replace(true);
    let since = tokio::time::Instant::now();
    let digest = rejected.digest(&format!("mr/{RELEASE}")).await.unwrap();
    let mut reject = rejected.approval("stop", "validator", "ModelRelease", RELEASE, &digest);
    reject["spec"]["decision"] = json!("Reject");
    rejected.apply("vera", &reject.to_string()).await.unwrap().ok().unwrap();
    // No watch has shown it, and none will.
    let said = tried(&rejected).await.unwrap_err();
    holds(&said, &["not yet known", "approvals/stop"]);
    assert!(
        since.elapsed() < Duration::from_secs(60),
        "the stores are believed still: {:?}",
        since.elapsed()
    );
    tried(&other).await.unwrap();
    // What arrives at another replica is nothing that this one could know of: it stops believing what it has.
    let said =
        eventually("a refusal, since nothing is heard", Duration::from_secs(110), async || {
            match tried(&other).await {
                Ok(()) => Err("it passes".to_owned()),
                Err(said) => Ok(said),
            }
        })
        .await
        .unwrap();
    assert!(since.elapsed() < Duration::from_secs(100), "{:?}", since.elapsed());
    assert!(said.contains("not yet known") || said.contains("no endpoints"), "{said}");
    other.running(1).await.unwrap();

    way.frozen.send_replace(false);
    eventually("the other release to be cleared again", Duration::from_secs(120), async || {
        tried(&other).await
    })
    .await
    .unwrap();
    let said = eventually("the Reject to be told", SOON, async || match tried(&rejected).await {
        Err(said) if said.contains("rejected") || said.contains("Reject") => Ok(said),
        found => Err(format!("{found:?}")),
    })
    .await
    .unwrap();
    assert!(!said.contains("not heard of for 90 s"), "{said}");
    rejected.cleared("False").await.unwrap();
    other.cleared("True").await.unwrap();
    cluster.install_placet(&json!({})).await.unwrap();
    cluster.placet_ready().await.unwrap();
}

#[tokio::test]
async fn a_second_replica_is_refused_and_one_that_is_made_by_hand_stops_nothing() {
    let Some((cluster, _guard)) = alone().await else { return };
    let refusal = cluster.helm_placet(&json!({ "replicas": 2 })).await.unwrap();
    refused_with(&refusal, &["replicas: wanted 1, found 2", "evidence log of its own"]);
    cluster.placet_ready().await.unwrap();

    let scale = async |replicas: &str| {
        let scale = ["scale", "-n", INSTALLED_IN, "statefulset/placet", replicas];
        cluster.kubectl("root-admin", scale).await.unwrap().ok().unwrap();
    };
    scale("--replicas=2").await;
    eventually("the second pod to end with the reason", Duration::from_secs(60), async || {
        let logs = ["logs", "-n", INSTALLED_IN, "placet-1", "--tail=20"];
        let said = cluster.kubectl("root-admin", logs).await.map_err(|error| error.to_string())?;
        let told = said.stdout.contains("found pod placet-1");
        if told { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await
    .unwrap();
    let lending = Lending::open(cluster, "second-replica", Some("deny")).await.unwrap();
    lending.all_documents().await.unwrap();
    let refusal = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    refused_with(&refusal, &["workloads.placet.dev", "denied the request"]);
    scale("--replicas=1").await;
    let gone = ["wait", "-n", INSTALLED_IN, "--for=delete", "pod/placet-1", "--timeout=60s"];
    cluster.kubectl("root-admin", gone).await.unwrap().ok().unwrap();
    cluster
        .kubectl("root-admin", ["delete", "-n", INSTALLED_IN, "pvc/log-placet-1", "--wait=false"])
        .await
        .unwrap();
    cluster.placet_ready().await.unwrap();
}
