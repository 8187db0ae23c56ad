//! Kubeconfig files: one per person, self-contained; one per pod, pointing at the token that is renewed beside it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::error::{Error, Result};
use crate::pki::Identity;

/// How to reach the API server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    /// The authority that signed its certificate, PEM.
    pub(crate) authority: String,
}

fn file(server: &Server, user: &str, namespace: &str, credentials: &str) -> String {
    let (url, authority) = (&server.url, STANDARD.encode(&server.authority));
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: placet\n  \
           cluster:\n    \
             server: {url}\n    \
             certificate-authority-data: {authority}\n\
         users:\n\
         - name: {user}\n  \
           user:\n\
         {credentials}\
         contexts:\n\
         - name: {user}@placet\n  \
           context:\n    \
             cluster: placet\n    \
             user: {user}\n    \
             namespace: {namespace}\n\
         current-context: {user}@placet\n"
    )
}

/// A kubeconfig for a person or component with a client certificate.
pub(crate) fn with_certificate(server: &Server, user: &str, identity: &Identity) -> String {
    let certificate = STANDARD.encode(&identity.certificate);
    let key = STANDARD.encode(&identity.key);
    let credentials = format!("    client-certificate-data: {certificate}\n    client-key-data: {key}\n");
    file(server, user, "default", &credentials)
}

/// A kubeconfig for a pod's process: the token file is renewed in place.
pub(crate) fn with_token_file(server: &Server, namespace: &str, token: &Path) -> String {
    let credentials = format!("    tokenFile: {}\n", token.display());
    file(server, "pod", namespace, &credentials)
}

/// A client from a kubeconfig file.
pub(crate) async fn client_from(path: &Path) -> Result<kube::Client> {
    let doing = || format!("a client from {}", path.display());
    let config = Kubeconfig::read_from(path)
        .map_err(|error| Error::unmet(doing(), error.to_string(), "start the cluster anew"))?;
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
        .await
        .map_err(|error| Error::unmet(doing(), error.to_string(), "start the cluster anew"))?;
    kube::Client::try_from(config).map_err(Error::api(doing()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_parse_as_kubeconfigs() {
        let server = Server { url: "https://127.0.0.1:6443".into(), authority: "CA".into() };
        let identity = Identity { certificate: "CERT".into(), key: "KEY".into() };
        for text in [
            with_certificate(&server, "erin", &identity),
            with_token_file(&server, "placet-system", Path::new("/some/token")),
        ] {
            let config = Kubeconfig::from_yaml(&text).unwrap();
            assert_eq!(
                config.clusters[0].cluster.as_ref().unwrap().server.as_deref(),
                Some("https://127.0.0.1:6443")
            );
            assert!(config.auth_infos[0].auth_info.is_some(), "{text}");
            assert!(config.current_context.is_some());
        }
    }
}
