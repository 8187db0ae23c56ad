//! A small HTTP server that the harness's own tests run as a pod: it shows what its process was given.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

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
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let this = std::sync::Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let this = std::sync::Arc::clone(&this);
                    let (stream, _) = accepted?;
                    connections.spawn(async move { this.answer(stream).await });
                }
                Some(_) = connections.join_next() => {}
                _ = terminate.recv() => {
                    println!("terminated");
                    return Ok(());
                }
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> Result<()> {
        let mut request = vec![0; 8192];
        let length = stream.read(&mut request).await?;
        let text = String::from_utf8_lossy(&request[..length]).into_owned();
        let path = text.split(' ').nth(1).unwrap_or("/");
        let (code, body) = match self.body(path).await {
            Ok(body) => ("200 OK", body),
            Err(error) => ("404 Not Found", format!("{error:#}")),
        };
        let head =
            format!("HTTP/1.1 {code}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n", body.len());
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await?;
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
