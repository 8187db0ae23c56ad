//! The operator's own TLS server on a loopback port, with its own certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use jiff::Timestamp;
use placet_operator::infra::door::Door;
use placet_operator::infra::pki::{self, Leaf, Lifetimes};
use placet_operator::infra::server::{Server, ServerConfig};
use placet_operator::infra::supervisor::{Shutdown, Trigger};
use placet_operator::infra::tls::{self, Serving};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// The name in the certificate.
pub const HOST: &str = "localhost";

/// A CA and what follows from it.
pub struct Certificates {
    serving: Arc<Serving>,
    /// The CA in PEM, as a caBundle holds it.
    pub bundle: String,
    /// Trusts the CA. Speaks HTTP/1.1 only, as the API server does with webhooks.
    pub client: Arc<rustls::ClientConfig>,
}

impl Certificates {
    /// New ones.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn make() -> anyhow::Result<Self> {
        let (now, lifetimes) = (wall(), Lifetimes::default());
        let (set, _) = pki::step(None, now, &lifetimes)?;
        let leaf = Leaf::issue(&set, &[HOST.to_owned(), "127.0.0.1".to_owned()], now, &lifetimes)?;
        let serving = Serving::new();
        serving.set(Arc::clone(leaf.certified()));
        let bundle = set.bundle();
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { serving, bundle, client: Arc::new(client) })
    }
}

/// The wall clock, which certificates are checked against.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// A server that runs until it is ended.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Trigger,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Serves `router` with the settings of the operator's admission server, without its drain time, behind a door if
    /// there is one.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        certificates: &Certificates,
        router: Router,
        door: Option<Arc<Door>>,
        runtime: &tokio::runtime::Handle,
    ) -> anyhow::Result<Self> {
        let config = ServerConfig {
            drain: std::time::Duration::ZERO,
            ..ServerConfig::admission(SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        let tls = Arc::new(tls::server_config(Arc::clone(&certificates.serving))?);
        let (stop, shutdown) = Shutdown::pair();
        // Bound on the runtime that serves: a socket belongs to the runtime in which it was made.
        let (told, heard) = tokio::sync::oneshot::channel();
        let task = runtime.spawn(async move {
            let mut server = Server::bind(config, Some(tls)).await?;
            if let Some(door) = door {
                server = server.behind(door);
            }
            let _ = told.send(server.local_addr()?);
            server.serve(router, shutdown).await
        });
        let address = heard.await.context("the server did not start")?;
        Ok(Self { address, stop, task })
    }

    /// Ends it.
    ///
    /// # Errors
    /// When its task failed.
    pub async fn end(self) -> anyhow::Result<()> {
        self.stop.fire();
        self.task.await?
    }
}

/// A runtime as the operator has it: one worker for each core.
pub fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_name("server").enable_all().build()
}
