//! The serving side of TLS: a certificate that can be exchanged while requests are in flight.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificate being served. A new one is used from the next handshake on; connections that exist keep theirs, so
/// no request is dropped.
#[derive(Debug, Default)]
pub struct Serving {
    current: ArcSwapOption<CertifiedKey>,
}

impl Serving {
    /// Without a certificate: handshakes fail until [`Serving::set`].
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Serves `certified` from now on.
    pub fn set(&self, certified: Arc<CertifiedKey>) {
        self.current.store(Some(certified));
    }

    /// What is served now.
    pub fn get(&self) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get()
    }
}

/// TLS 1.2 and 1.3 with ring, HTTP/2 and HTTP/1.1 (the API server calls webhooks with HTTP/1.1), no client
/// certificates: what a webhook may do does not depend on who calls it.
///
/// # Errors
/// When rustls does not support its own default versions with this provider, which does not happen.
pub fn server_config(serving: Arc<Serving>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(serving);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
