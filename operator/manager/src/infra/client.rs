//! The Kubernetes client of the operator.

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::{Client, Config};

use super::clock::Clock;
use super::token::without_tokens;

/// How long connecting may take before the attempt counts as failed.
const CONNECT: Duration = Duration::from_secs(5);

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a pod's service account was found.
    #[error(
        "no way to reach a cluster: wanted KUBECONFIG, ~/.kube/config or a pod's service account; found: {0}"
    )]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The configuration is there but unusable (a certificate, a proxy).
    #[error("the cluster configuration cannot be used: {0}; check its certificates and addresses")]
    Client(#[source] Box<kube::Error>),
}

/// An error with its causes on one line: kube's own text often ends at "client error (Connect)". A cause that is already
/// part of the text is not repeated. Tokens in quoted paths are left out.
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    without_tokens(&text).into_owned()
}

/// Makes rustls use ring. Call it first in `main`: with two providers in one build rustls panics at first use. Calling
/// it again changes nothing.
pub fn install_crypto_provider() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The client for the cluster that the environment names. Every answer's `Date` goes to `clock`.
///
/// kube's own retries are off: with them one call may last for minutes, and whoever calls knows better whether and
/// until when to try again. Callers wrap every call in a timeout.
///
/// # Errors
/// When no cluster is named or the configuration cannot be used. Nothing is sent yet.
pub async fn connect(clock: &Clock) -> Result<Client, ConnectError> {
    install_crypto_provider();
    let mut config = Config::infer().await.map_err(|error| ConnectError::Config(Box::new(error)))?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    let builder = ClientBuilder::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))?;
    Ok(builder.with_layer(&clock.date_layer()).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("connecting: {0}")]
        struct Outer(#[source] Middle);
        #[derive(Debug, thiserror::Error)]
        #[error("client error")]
        struct Middle(#[source] std::io::Error);
        let inner = std::io::Error::other("connection refused");
        assert_eq!(explain(&Outer(Middle(inner))), "connecting: client error: connection refused");
    }
}
