//! The operator's own certificate authority, as values.
//!
//! One CA (ECDSA P-256) signs a leaf for each process. Everything about its renewal follows from the certificates'
//! own dates, so that no other state can disagree with them:
//! 1. at two thirds of its life a successor is made and *trusted* (it is in the bundle) but does not sign;
//! 2. after the overlap, in which the API server has learned the new bundle, it signs, and the old one is *retired*;
//! 3. a retired CA stays in the bundle until the last leaf that it may have signed has ended.
//!
//! [`step`] is pure; `pki_keeper` stores its result.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;

/// What went wrong with a certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A stored certificate or key cannot be used.
    #[error(
        "Secret field {field:?}: wanted {wanted}, found {found}; delete the Secret and a new CA is made and injected"
    )]
    Malformed {
        /// The field of the Secret.
        field: String,
        /// What should be there.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// A certificate or key could not be made.
    #[error("a certificate could not be made: {0}")]
    Make(String),
    /// Reading or writing the Secret failed.
    #[error("Secret {secret}: {reason}")]
    Store {
        /// Namespace and name.
        secret: String,
        /// What the API server said, and what to do.
        reason: String,
    },
}

/// How long things live. Parameters, so that tests can renew within seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of a CA.
    pub ca: Duration,
    /// Of a leaf.
    pub leaf: Duration,
    /// Between a new CA being trusted and its first signature: the time for bundles to reach the API servers.
    pub overlap: Duration,
    /// How much earlier than now certificates begin, for API servers whose clock is behind.
    pub backdate: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Self {
            ca: Duration::from_secs(5 * 365 * 24 * HOUR),
            leaf: Duration::from_secs(30 * 24 * HOUR),
            overlap: Duration::from_secs(HOUR),
            backdate: Duration::from_secs(HOUR / 12),
        }
    }
}

/// A certificate of a CA, without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCert {
    der: CertificateDer<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A CA that can sign.
#[derive(Clone, PartialEq, Eq)]
pub struct Ca {
    cert: CaCert,
    key_pem: String,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").field("cert", &self.cert).finish_non_exhaustive()
    }
}

/// All CAs that are in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaSet {
    /// Signs.
    pub signing: Ca,
    /// Trusted, will sign next.
    pub next: Option<Ca>,
    /// Signed what may still be served.
    pub retired: Vec<CaCert>,
}

/// What [`step`] did. `Display` is a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There was none.
    Created,
    /// The signing CA had expired (the operator was away for long), a new one was made.
    Replaced {
        /// When it had expired.
        expired: Timestamp,
    },
    /// A successor is trusted from now on.
    Staged,
    /// The successor signs from now on.
    Promoted,
    /// A retired CA is no longer trusted.
    Dropped,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("made a CA: there was none"),
            Self::Replaced { expired } => write!(f, "the CA expired at {expired}; made a new one"),
            Self::Staged => f.write_str("made the next CA; it is trusted and will sign after the overlap"),
            Self::Promoted => f.write_str("the next CA signs from now on; the old one stays trusted"),
            Self::Dropped => f.write_str("a retired CA is no longer trusted: all its leaves have ended"),
        }
    }
}

/// The set as it should be at `now`, and what was changed (nothing: store nothing).
///
/// # Errors
/// When a key or certificate cannot be made.
pub fn step(
    set: Option<CaSet>,
    now: Timestamp,
    lifetimes: &Lifetimes,
) -> Result<(CaSet, Vec<Change>), PkiError> {
    let mut changes = Vec::new();
    let mut set = if let Some(set) = set {
        set
    } else {
        changes.push(Change::Created);
        CaSet { signing: Ca::make(now, lifetimes)?, next: None, retired: Vec::new() }
    };
    set.next = set.next.filter(|next| next.cert.not_after > now);
    let expired = set.signing.cert.not_after;
    if let Some(next) = set.next.take() {
        // An expired signer cannot wait for the overlap.
        if expired <= now || next.cert.made(lifetimes) + signed(lifetimes.overlap) <= now {
            changes.push(Change::Promoted);
            let old = std::mem::replace(&mut set.signing, next);
            set.retired.push(old.cert);
        } else {
            set.next = Some(next);
        }
    } else if expired <= now {
        changes.push(Change::Replaced { expired });
        set.signing = Ca::make(now, lifetimes)?;
    } else if set.signing.cert.made(lifetimes) + signed(lifetimes.ca * 2 / 3) <= now {
        changes.push(Change::Staged);
        set.next = Some(Ca::make(now, lifetimes)?);
    }
    // The signer began to sign one overlap after it was made; what its predecessors signed ends one leaf life later,
    // and one overlap more covers the replica that noticed last.
    let kept_until = set.signing.cert.made(lifetimes) + signed(lifetimes.leaf + lifetimes.overlap * 2);
    let before = set.retired.len();
    set.retired.retain(|old| old.not_after > now && kept_until > now);
    changes.extend((set.retired.len()..before).map(|_| Change::Dropped));
    Ok((set, changes))
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

impl CaCert {
    fn parse(field: &str, der: CertificateDer<'static>) -> Result<Self, PkiError> {
        let malformed = |found: String| PkiError::Malformed {
            field: field.to_owned(),
            wanted: "a certificate of a CA",
            found,
        };
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&der).map_err(|error| malformed(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(malformed("a certificate that is not of a CA".to_owned()));
        }
        let time = |seconds| Timestamp::from_second(seconds).map_err(|error| malformed(error.to_string()));
        let not_before = time(parsed.validity().not_before.timestamp())?;
        let not_after = time(parsed.validity().not_after.timestamp())?;
        Ok(Self { der, not_before, not_after })
    }

    /// When it was made.
    fn made(&self, lifetimes: &Lifetimes) -> Timestamp {
        self.not_before + signed(lifetimes.backdate)
    }

    /// When it ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }
}

impl Ca {
    fn make(now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, PkiError> {
        let made = |error: rcgen::Error| PkiError::Make(error.to_string());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(made)?;
        let mut params = CertificateParams::default();
        // Two CAs must not share a name, or a verifier may try the wrong one only.
        let mut id = [0; 4];
        getrandom::fill(&mut id).map_err(|error| PkiError::Make(error.to_string()))?;
        params.distinguished_name = name(format!("placet webhook CA {:08x}", u32::from_be_bytes(id)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now - signed(lifetimes.backdate));
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now + signed(lifetimes.ca));
        let cert = params.self_signed(&key).map_err(made)?;
        Ok(Self { cert: CaCert::parse("(new)", cert.der().clone())?, key_pem: key.serialize_pem() })
    }

    fn parse(field: &str, cert: &[u8], key: &[u8]) -> Result<Self, PkiError> {
        let mut certs = parse_certs(field, cert)?;
        let (Some(cert), true) = (certs.pop(), certs.is_empty()) else {
            return Err(malformed(field, "one certificate", "none or several"));
        };
        let key_field = field.replace(".crt", ".key");
        let wanted = "a private key in PEM (PKCS #8)";
        let key_pem = String::from_utf8(key.to_vec())
            .map_err(|_| malformed(&key_field, wanted, "bytes that are no text"))?;
        let pair = KeyPair::from_pem(&key_pem)
            .map_err(|error| malformed(&key_field, wanted, &format!("something else ({error})")))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&cert.der)
            .map_err(|error| malformed(field, "a certificate", &error.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != pair.der_bytes() {
            return Err(malformed(&key_field, "the key of the certificate beside it", "another key"));
        }
        Ok(Self { cert, key_pem })
    }

    /// Its certificate.
    pub fn cert(&self) -> &CaCert {
        &self.cert
    }
}

impl CaSet {
    /// The certificates to trust, in PEM, the signing one first.
    pub fn bundle(&self) -> String {
        let next = self.next.iter().map(|next| &next.cert);
        [&self.signing.cert].into_iter().chain(next).chain(&self.retired).map(CaCert::pem).collect()
    }

    /// As fields of a Secret: `ca.crt`, `ca.key`, `next.crt`, `next.key`, `old.crt`.
    pub fn to_fields(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let mut fields = BTreeMap::new();
        fields.insert("ca.crt", self.signing.cert.pem().into_bytes());
        fields.insert("ca.key", self.signing.key_pem.clone().into_bytes());
        if let Some(next) = &self.next {
            fields.insert("next.crt", next.cert.pem().into_bytes());
            fields.insert("next.key", next.key_pem.clone().into_bytes());
        }
        if !self.retired.is_empty() {
            let old: String = self.retired.iter().map(CaCert::pem).collect();
            fields.insert("old.crt", old.into_bytes());
        }
        fields
    }

    /// From fields of a Secret; `None` when it holds none of them.
    ///
    /// # Errors
    /// When a field is malformed or half of a pair is missing.
    pub fn from_fields<'a, F>(field: F) -> Result<Option<Self>, PkiError>
    where
        F: Fn(&str) -> Option<&'a [u8]>,
    {
        let pair = |cert: &str, key: &str| match (field(cert), field(key)) {
            (None, None) => Ok(None),
            (Some(cert_pem), Some(key_pem)) => Ca::parse(cert, cert_pem, key_pem).map(Some),
            (None, Some(_)) => Err(malformed(cert, "a certificate", "nothing")),
            (Some(_), None) => Err(malformed(key, "a private key", "nothing")),
        };
        let next = pair("next.crt", "next.key")?;
        let retired =
            field("old.crt").map(|old| parse_certs("old.crt", old)).transpose()?.unwrap_or_default();
        match pair("ca.crt", "ca.key")? {
            Some(signing) => Ok(Some(Self { signing, next, retired })),
            None if next.is_none() && retired.is_empty() => Ok(None),
            None => Err(malformed("ca.crt", "the signing CA beside next.crt or old.crt", "nothing")),
        }
    }
}

fn malformed(field: &str, wanted: &'static str, found: &str) -> PkiError {
    PkiError::Malformed { field: field.to_owned(), wanted, found: found.to_owned() }
}

fn parse_certs(field: &str, pem: &[u8]) -> Result<Vec<CaCert>, PkiError> {
    CertificateDer::pem_slice_iter(pem)
        .map(|der| match der {
            Ok(der) => CaCert::parse(field, der),
            Err(error) => Err(malformed(field, "certificates in PEM", &error.to_string())),
        })
        .collect()
}

fn name(common: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "placet.dev");
    name.push(DnType::CommonName, common);
    name
}

fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0))
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // RFC 7468: lines of 64 characters. Base64 is ASCII, so every index is a boundary.
        let (line, more) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out + "-----END " + label + "-----\n"
}

/// The certificate that a process serves.
#[derive(Clone)]
pub struct Leaf {
    certified: Arc<CertifiedKey>,
    issuer: CertificateDer<'static>,
    renew_at: Timestamp,
    not_after: Timestamp,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("renew_at", &self.renew_at)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Leaf {
    /// A new key and certificate for these DNS names (or IP addresses), signed by the set's signing CA, which ends it
    /// no later than itself.
    ///
    /// # Errors
    /// When a key or certificate cannot be made, or a name is not a DNS name.
    pub fn issue(
        set: &CaSet,
        names: &[String],
        now: Timestamp,
        lifetimes: &Lifetimes,
    ) -> Result<Self, PkiError> {
        let made = |error: rcgen::Error| PkiError::Make(error.to_string());
        let signer = KeyPair::from_pem(&set.signing.key_pem).map_err(made)?;
        let issuer = Issuer::from_ca_cert_der(&set.signing.cert.der, signer).map_err(made)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(made)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(made)?;
        params.distinguished_name = name("placet webhook".to_owned());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let not_after = (now + signed(lifetimes.leaf)).min(set.signing.cert.not_after);
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now - signed(lifetimes.backdate));
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(not_after);
        let cert = params.signed_by(&key, &issuer).map_err(made)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = rustls::crypto::ring::sign::any_ecdsa_type(&key)
            .map_err(|error| PkiError::Make(error.to_string()))?;
        let chain = vec![cert.der().clone()];
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(chain, key)),
            issuer: set.signing.cert.der.clone(),
            renew_at: now + not_after.duration_since(now) * 2 / 3,
            not_after,
        })
    }

    /// Whether it must be issued again: two thirds of its life are over, or another CA signs now.
    pub fn is_due(&self, set: &CaSet, now: Timestamp) -> bool {
        now >= self.renew_at || self.issuer != set.signing.cert.der
    }

    /// When two thirds of its life are over.
    pub fn renew_at(&self) -> Timestamp {
        self.renew_at
    }

    /// When it ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// For rustls.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

/// Whether a client that trusts the PEM bundle `trusted` accepts `leaf` for `dns_name` at `now`, by the rules that
/// rustls applies to any server. `Err` holds the reason, for a condition's message.
pub fn accepts(trusted: &[u8], leaf: &CertifiedKey, dns_name: &str, now: Timestamp) -> Result<(), String> {
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(trusted) {
        let cert = cert.map_err(|error| format!("the caBundle is not PEM: {error}"))?;
        roots.add(cert).map_err(|error| format!("the caBundle holds an unusable certificate: {error}"))?;
    }
    if roots.is_empty() {
        return Err("the caBundle is empty".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let server = ServerName::try_from(dns_name.to_owned()).map_err(|error| error.to_string())?;
    let cert = leaf.cert.first().ok_or("no certificate is served")?;
    verifier
        .verify_server_cert(cert, &[], &server, &[], UnixTime::since_unix_epoch(since_epoch(now)))
        .map(|_| ())
        .map_err(|error| format!("the served certificate is not accepted by the caBundle: {error}"))
}

#[cfg(test)]
#[path = "pki_tests.rs"]
mod tests;
