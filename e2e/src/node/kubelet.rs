//! The one endpoint of a kubelet that people miss: container logs, so that `kubectl logs` shows what the operator says.
//! The API server comes through the egress socket with its client certificate; nobody else is let in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::agent::Inner;
use crate::error::{Error, Result};
use crate::pki::Identity;

/// The most of a request that is read.
const REQUEST_LIMIT: usize = 16 * 1024;
/// How often a followed log is looked at.
const FOLLOW: Duration = Duration::from_millis(200);

/// What is asked for in a request for logs.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    namespace: String,
    pod: String,
    container: String,
    follow: bool,
    tail: Option<usize>,
}

/// Serves logs for ever on the address that claims the pod network.
pub(crate) async fn serve(inner: Arc<Inner>, identity: Identity) -> Result<()> {
    let acceptor = acceptor(&identity, &inner.server.authority)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = inner.net.kubelet().accept() => {
                let (stream, _) = accepted.map_err(Error::io("accepting on the kubelet's port"))?;
                let (inner, acceptor) = (Arc::clone(&inner), acceptor.clone());
                connections.spawn(async move {
                    let answered = match acceptor.accept(stream).await {
                        Ok(stream) => answer(stream, &inner).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = answered {
                        tracing::debug!(%error, "a request for logs ended");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

fn acceptor(identity: &Identity, authority: &str) -> Result<TlsAcceptor> {
    let wrong =
        |found: String| Error::unmet("a TLS configuration for the kubelet", found, "a defect of the harness");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let parsed =
        CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    roots.add(parsed).map_err(|error| wrong(error.to_string()))?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())
        .map_err(|error| wrong(error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key)
        .map_err(|error| wrong(error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, inner: &Inner) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() > REQUEST_LIMIT || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&request);
    let target = text.split(' ').nth(1).unwrap_or_default();
    let asked = match parse(target) {
        Ok(asked) => asked,
        Err(reason) => return refuse(&mut stream, "400 Bad Request", &reason).await,
    };
    match newest_log(&inner.layout.pod_log_root(), &asked).await? {
        Some(log) => send(&mut stream, &log, &asked, inner).await,
        None => refuse(&mut stream, "404 Not Found", "this container has not run on this node").await,
    }
}

async fn refuse(stream: &mut (impl AsyncWrite + Unpin), status: &str, reason: &str) -> io::Result<()> {
    let length = reason.len();
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{reason}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn parse(target: &str) -> Result<Asked, String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parts: Vec<&str> = path.split('/').collect();
    let ["", "containerLogs", namespace, pod, container] = parts[..] else {
        return Err(format!("this node has only /containerLogs, not {path}"));
    };
    let mut asked = Asked {
        namespace: namespace.into(),
        pod: pod.into(),
        container: container.into(),
        follow: false,
        tail: None,
    };
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "follow" => asked.follow = value == "true",
            "tailLines" => asked.tail = value.parse().ok(),
            "insecureSkipTLSVerifyBackend" => {}
            // All runs of a container are in one log, without times.
            _ if value == "false" => {}
            other => return Err(format!("{other} is not supported on this node")),
        }
    }
    Ok(asked)
}

/// The log of the newest pod of that name.
async fn newest_log(root: &Path, asked: &Asked) -> io::Result<Option<PathBuf>> {
    let prefix = format!("{}_{}_", asked.namespace, asked.pod);
    let mut newest = None;
    let mut entries = tokio::fs::read_dir(root).await?;
    while let Some(entry) = entries.next_entry().await? {
        let log = entry.path().join(format!("{}.log", asked.container));
        if entry.file_name().to_string_lossy().starts_with(&prefix)
            && let Ok(data) = tokio::fs::metadata(&log).await
        {
            newest = newest.max(Some((data.created().or_else(|_| data.modified())?, log)));
        }
    }
    Ok(newest.map(|(_, log)| log))
}

async fn send<S>(stream: &mut S, log: &Path, asked: &Asked, inner: &Inner) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let bytes = tokio::fs::read(log).await?;
    stream.write_all(last_lines(&bytes, asked.tail)).await?;
    stream.flush().await?;
    if asked.follow {
        let mut file = tokio::fs::File::open(log).await?;
        let from = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        file.seek(io::SeekFrom::Start(from)).await?;
        let mut more = Vec::new();
        let mut byte = [0; 1];
        loop {
            // Looked at before the log is read, so that the last words are not lost.
            let over = !inner.running.has(&asked.namespace, &asked.pod);
            more.clear();
            file.read_to_end(&mut more).await?;
            if !more.is_empty() {
                stream.write_all(&more).await?;
                stream.flush().await?;
            }
            if over {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(FOLLOW) => {}
                // The reader has gone away.
                _ = stream.read(&mut byte) => break,
            }
        }
    }
    stream.shutdown().await
}

fn last_lines(bytes: &[u8], lines: Option<usize>) -> &[u8] {
    let Some(lines) = lines else { return bytes };
    let mut starts: Vec<usize> = vec![0];
    starts.extend(bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    starts.retain(|start| *start < bytes.len());
    let from = starts.len().saturating_sub(lines);
    starts.get(from).map_or(&[], |start| &bytes[*start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_logs_are_read_and_others_refused() {
        let asked = parse("/containerLogs/ns/p-0/main?follow=true&tailLines=3&timestamps=false").unwrap();
        assert_eq!((asked.pod.as_str(), asked.follow, asked.tail), ("p-0", true, Some(3)));
        assert!(parse("/exec/ns/p/c?command=sh").unwrap_err().contains("/exec"));
        assert!(parse("/containerLogs/ns/p/c?previous=true").unwrap_err().contains("previous"));
    }

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines(b"a\nb\nc\n", Some(2)), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", Some(1)), b"c");
        assert_eq!(last_lines(b"a\n", Some(5)), b"a\n");
        assert_eq!(last_lines(b"a\n", Some(0)), b"");
        assert_eq!(last_lines(b"", None), b"");
    }
}
