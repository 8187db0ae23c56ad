//! SSH signatures as `ssh-keygen -Y sign` makes them (OpenSSH, PROTOCOL.sshsig), and the keys that make them.
//!
//! RSA keys are refused: the one crate for them has an open advisory, and whoever signs here can make an Ed25519 key in a
//! second. DSA is broken and gone from OpenSSH. A certificate is refused, because the TrustedSigner names a key.

use ed25519_dalek::VerifyingKey;
use ssh_key::encoding::{Decode as _, Encode as _, Reader as _};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{EcdsaCurve, HashAlg, PublicKey, SshSig};

use super::envelope::{EnvelopeError, cut};

/// FIDO: the bit that says that a person touched the key.
const USER_PRESENT: u8 = 1;
/// Length of what follows a FIDO signature: flags (1 byte) and counter (4 bytes).
const FIDO_TRAILER: usize = 5;

/// A key that does not sign for anybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("wanted an OpenSSH public key (the line of the .pub file), found one that cannot be read: {0}")]
    Unreadable(String),
    /// Its type is not one of ours.
    #[error(
        "wanted a key of type ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384 or a FIDO key of the first two, found {0}; make one: ssh-keygen -t ed25519"
    )]
    Type(String),
    /// Anybody could sign for it.
    #[error(
        "the key is one of the few Ed25519 keys that anybody can sign for; make another: ssh-keygen -t ed25519"
    )]
    Weak,
}

/// A public key that may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerKey(PublicKey);

impl SignerKey {
    /// Reads a line as OpenSSH writes it; the comment is dropped.
    ///
    /// # Errors
    /// The key cannot be read, is of another type, or is weak.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        let key = PublicKey::from_openssh(line).map_err(|e| KeyError::Unreadable(e.to_string()))?;
        Self::new(key.key_data().clone())
    }

    fn new(key: KeyData) -> Result<Self, KeyError> {
        let strong = |key: &Ed25519PublicKey| {
            let key = VerifyingKey::from_bytes(key.as_ref())
                .map_err(|_| KeyError::Unreadable("it is no point on the curve".into()))?;
            if key.is_weak() { Err(KeyError::Weak) } else { Ok(()) }
        };
        match &key {
            KeyData::Ed25519(key) => strong(key)?,
            KeyData::SkEd25519(key) => strong(key.public_key())?,
            KeyData::Ecdsa(key) if key.curve() != EcdsaCurve::NistP521 => {}
            KeyData::SkEcdsaSha2NistP256(_) => {}
            KeyData::Certificate(_) => return Err(KeyError::Type("a certificate".into())),
            other => return Err(KeyError::Type(cut(other.algorithm().as_str()))),
        }
        Ok(Self(PublicKey::from(key)))
    }

    /// Fingerprint as OpenSSH shows it: `SHA256:` and base64 without padding.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The key as SSH encodes it.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        self.0.to_bytes().map_err(|e| EnvelopeError::NotSsh(e.to_string()))
    }
}

/// The SSHSIG blob in the text that `ssh-keygen -Y sign` writes (`-----BEGIN SSH SIGNATURE-----` and so on).
///
/// # Errors
/// The text is no SSH signature.
pub fn unarmor(text: &str) -> Result<Vec<u8>, EnvelopeError> {
    let signature = SshSig::from_pem(text).map_err(|e| EnvelopeError::NotSsh(e.to_string()))?;
    signature.encode_vec().map_err(|e| EnvelopeError::NotSsh(e.to_string()))
}

/// Verifies an SSHSIG blob over a message, and says which key made it. Whose key it is, is another question. A signature in
/// another SSH namespace was made for another purpose (`git`, `file`, another kind of ours).
pub(super) fn verify(
    blob: &[u8],
    message: &[u8],
    namespace: &'static str,
) -> Result<SignerKey, EnvelopeError> {
    let signature = parse(blob)?;
    if signature.namespace() != namespace {
        return Err(EnvelopeError::Namespace { wanted: namespace, found: cut(signature.namespace()) });
    }
    let key = SignerKey::new(signature.public_key().clone())?;
    let wrong = || EnvelopeError::WrongSignature { fingerprint: key.fingerprint() };
    if signature.algorithm() != key.0.algorithm() {
        return Err(wrong());
    }
    key.0.verify(namespace, message, &signature).map_err(|_| wrong())?;
    if matches!(key.0.key_data(), KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_)) {
        let bytes = signature.signature_bytes();
        let flags = bytes.len().checked_sub(FIDO_TRAILER).and_then(|at| bytes.get(at));
        if flags.is_none_or(|flags| flags & USER_PRESENT == 0) {
            return Err(EnvelopeError::NotPresent { fingerprint: key.fingerprint() });
        }
    }
    Ok(key)
}

/// Reads a blob in the one form that it has: version 1, nothing reserved, nothing behind it.
fn parse(blob: &[u8]) -> Result<SshSig, EnvelopeError> {
    let not_ssh = |e: &dyn std::fmt::Display| EnvelopeError::NotSsh(e.to_string());
    let mut reader = blob;
    let signature = SshSig::decode(&mut reader).map_err(|e| not_ssh(&e))?;
    if !reader.is_finished() {
        return Err(EnvelopeError::NotSsh(format!("{} bytes follow its end", reader.len())));
    }
    if signature.version() != SshSig::VERSION || !signature.reserved().is_empty() {
        return Err(EnvelopeError::NotSsh("it is not of version 1 with nothing reserved".into()));
    }
    if signature.encode_vec().map_err(|e| not_ssh(&e))? != blob {
        return Err(EnvelopeError::NotSsh("it is not written in the form that OpenSSH writes".into()));
    }
    Ok(signature)
}
