//! One HTTP request as a kubelet's probe makes it: GET, no keep-alive, any server certificate.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request to make.
#[derive(Clone, Debug)]
pub(crate) struct Get {
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Duration,
}

/// The most of an answer that is read: enough for a status line and a reason.
const LIMIT: u64 = 16 * 1024;

/// Makes the request; the answer is the status code and the start of the body, or why there is none.
pub(crate) async fn get(request: &Get) -> Result<(u16, String), String> {
    match tokio::time::timeout(request.timeout, exchange(request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", request.timeout.as_secs())),
    }
}

/// Opens a TCP connection and closes it again, as a `tcpSocket` probe does.
pub(crate) async fn connect(address: SocketAddr, timeout: Duration) -> Result<(), String> {
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", timeout.as_secs())),
    }
}

async fn exchange(request: &Get) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect(request.address).await?;
    if request.tls {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client_config()?));
        let name = ServerName::IpAddress(request.address.ip().into());
        talk(connector.connect(name, stream).await?, request).await
    } else {
        talk(stream, request).await
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &Get) -> io::Result<(u16, String)> {
    let mut text = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n",
        request.path, request.address
    );
    for (name, value) in &request.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    // Servers that end TLS without a goodbye make the read fail after the answer is there.
    if let Err(error) = stream.take(LIMIT).read_to_end(&mut answer).await
        && answer.is_empty()
    {
        return Err(error);
    }
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let code = text.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Some((code, body.chars().take(500).collect()))
}

fn client_config() -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Takes any certificate, as kubelets do for probes: a probe asks whether a server answers, not who it is. The
/// handshake's signature is verified all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_read_and_nonsense_is_not() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nfine"), Some((200, "fine".into())));
        assert_eq!(parse(b"HTTP/1.0 503 no\r\n\r\n"), Some((503, String::new())));
        assert_eq!(parse(b"SSH-2.0-x"), None);
        assert_eq!(parse(b""), None);
    }
}
