//! A small HTTP server that the harness's own tests run as a pod: it shows what its process was given.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What to serve.
#[derive(clap::Args)]
pub(crate) struct Server {
    /// The address to listen on.
    #[arg(long, env = "PLACET_BIND_ADDRESS")]
    address: IpAddr,
    /// The port to listen on.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// A directory of which `/file/NAME` shows a file.
    #[arg(long)]
    files: Option<PathBuf>,
    /// A file to which each start is appended as a line; `/starts` counts them.
    #[arg(long)]
    starts: Option<PathBuf>,
    /// A text that `/text` shows.
    #[arg(long, default_value = "")]
    text: String,
    /// Serve TLS with `tls.crt` and `tls.key` of this directory.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// End with this code instead of serving.
    #[arg(long)]
    exit: Option<u8>,
}

impl Server {
    /// Serves until SIGTERM.
    pub(crate) async fn run(self) -> Result<()> {
        if let Some(path) = &self.starts {
            let mut text = tokio::fs::read_to_string(path).await.unwrap_or_default();
            text.push_str("started\n");
            tokio::fs::write(path, text).await.with_context(|| format!("writing {}", path.display()))?;
        }
        if let Some(code) = self.exit {
            println!("ending with {code}");
            std::process::exit(code.into());
        }
        let address = SocketAddr::from((self.address, self.port));
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        println!("listening on {address}");
        let acceptor = match &self.tls {
            Some(dir) => Some(acceptor(dir).await?),
            None => None,
        };
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let this = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let this = Arc::clone(&this);
                    let (stream, _) = accepted?;
                    let acceptor = acceptor.clone();
                    connections.spawn(async move {
                        match acceptor {
                            Some(acceptor) => this.answer(acceptor.accept(stream).await?).await,
                            None => this.answer(stream).await,
                        }
                    });
                }
                Some(_) = connections.join_next() => {}
                _ = terminate.recv() => {
                    println!("terminated");
                    return Ok(());
                }
            }
        }
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
        let request = read_request(&mut stream).await?;
        let path = request.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or_default().to_owned();
        let (code, kind, body) = if path == "/deny" {
            ("200 OK", "application/json", deny(&request)?)
        } else {
            match self.body(&path).await {
                Ok(body) => ("200 OK", "text/plain", body),
                Err(error) => ("404 Not Found", "text/plain", format!("{error:#}")),
            }
        };
        let head = format!("HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await?;
        stream.shutdown().await?;
        Ok(())
    }

    async fn body(&self, path: &str) -> Result<String> {
        if let Some(name) = path.strip_prefix("/file/") {
            let dir = self.files.as_ref().context("no --files")?;
            return Ok(tokio::fs::read_to_string(dir.join(name)).await?);
        }
        match path {
            "/healthz" => Ok("ok".into()),
            "/text" => Ok(self.text.clone()),
            "/starts" => {
                let path = self.starts.as_ref().context("no --starts")?;
                Ok(tokio::fs::read_to_string(path).await?.lines().count().to_string())
            }
            "/who" => {
                let client = kube::Client::try_default().await?;
                let review: k8s_openapi::api::authentication::v1::SelfSubjectReview = kube::Api::all(client)
                    .create(&kube::api::PostParams::default(), &serde_json::from_str("{}")?)
                    .await?;
                let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
                Ok(user.username.unwrap_or_default())
            }
            other => anyhow::bail!("nothing at {other}"),
        }
    }
}

/// Reads head and body of a request, up to 1 MB.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) || bytes.len() > 1_000_000 {
                return Ok(text.into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

/// Answers an `AdmissionReview` with "no".
fn deny(request: &str) -> Result<String> {
    let (_, body) = request.split_once("\r\n\r\n").context("no body")?;
    let review: serde_json::Value = serde_json::from_str(body)?;
    let answer = serde_json::json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": false,
            "status": { "code": 403, "message": "denied by the selftest" },
        },
    });
    Ok(answer.to_string())
}

async fn acceptor(dir: &Path) -> Result<TlsAcceptor> {
    let certificate = tokio::fs::read(dir.join("tls.crt")).await?;
    let key = tokio::fs::read(dir.join("tls.key")).await?;
    let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(&key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
