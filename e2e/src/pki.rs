//! The cluster's own certificate authority: one for server and client certificates, made anew for each cluster.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

use crate::error::{Error, Result};
use crate::files;
use crate::layout::Layout;

/// A certificate with its key, both PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The authority that signs for one cluster.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

fn wrong(doing: &str) -> impl FnOnce(rcgen::Error) -> Error + '_ {
    move |error| Error::unmet(doing, error.to_string(), "this is a defect of the harness")
}

fn ca_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(wrong("parameters of a CA"))?;
    params.distinguished_name = name("placet-e2e-ca", &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn name(common: &str, organisations: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    // Kubernetes reads each O as a group; `push` would replace an earlier one, and nobody here has two.
    if let Some(group) = organisations.first() {
        name.push(DnType::OrganizationName, *group);
    }
    name
}

impl Authority {
    /// Makes the authority, the API server's certificate and the service account key below `layout`, or reads the
    /// authority when a kept cluster starts again.
    pub(crate) fn ensure(layout: &Layout) -> Result<Self> {
        let (certificate, key) = (layout.pki("ca.crt"), layout.pki("ca.key"));
        if certificate.exists() {
            // The same name and the same key: what was signed before stays valid under the certificate made here.
            let key = KeyPair::from_pem(&files::read(&key)?).map_err(wrong("the kept CA key"))?;
            let issuer =
                CertifiedIssuer::self_signed(ca_params()?, key).map_err(wrong("a CA certificate"))?;
            files::write(&certificate, issuer.pem(), 0o644)?;
            return Ok(Self { issuer });
        }
        let pair = KeyPair::generate().map_err(wrong("a CA key"))?;
        files::write(&key, pair.serialize_pem(), 0o600)?;
        let issuer = CertifiedIssuer::self_signed(ca_params()?, pair).map_err(wrong("a CA certificate"))?;
        let authority = Self { issuer };

        let server = authority.server(
            "kube-apiserver",
            &[
                "localhost",
                "127.0.0.1",
                "10.96.0.1",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ],
        )?;
        files::write(&layout.pki("apiserver.crt"), &server.certificate, 0o644)?;
        files::write(&layout.pki("apiserver.key"), &server.key, 0o600)?;
        let accounts = KeyPair::generate().map_err(wrong("a service account key"))?;
        files::write(&layout.pki("service-accounts.key"), accounts.serialize_pem(), 0o600)?;
        files::write(&layout.pki("service-accounts.pub"), accounts.public_key_pem(), 0o644)?;
        // Last: its presence says that the rest is there.
        files::write(&certificate, authority.issuer.pem(), 0o644)?;
        Ok(authority)
    }

    /// The authority's certificate, PEM.
    pub(crate) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A client certificate for a user and their groups.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Identity> {
        let params =
            CertificateParams::new(Vec::new()).map_err(wrong("parameters of a client certificate"))?;
        self.sign(params, name(user, groups), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A server certificate for names and addresses.
    pub(crate) fn server(&self, common: &str, names: &[&str]) -> Result<Identity> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(names).map_err(wrong("parameters of a server certificate"))?;
        self.sign(params, name(common, &[]), ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        subject: DistinguishedName,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        params.distinguished_name = subject;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().map_err(wrong("a key"))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(wrong("a certificate"))?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}
