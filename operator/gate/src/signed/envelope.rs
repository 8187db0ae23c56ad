//! The envelope around a payload and its signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::payload::{Payload, PayloadError};
use super::sshsig::{self, KeyError, SignerKey};
use super::strict::{self, Object};

/// Largest envelope, in bytes: the longest comment, four bytes a character and in base64, fits.
pub const MAX_ENVELOPE: usize = 16 * 1024;
/// Most characters of something foreign that an error repeats.
const MAX_SHOWN: usize = 200;

/// An envelope that does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than [`MAX_ENVELOPE`].
    #[error(
        "the envelope: wanted at most {MAX_ENVELOPE} bytes, found {found}; sign a shorter comment or rationale, or fewer risks at once"
    )]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// Not the JSON of an envelope.
    #[error(
        "the envelope: wanted DSSE JSON with payload, payloadType and signatures and nothing else, found {0}; sign again with placet"
    )]
    Malformed(String),
    /// Signed for another purpose.
    #[error(
        "the envelope: wanted payloadType {wanted}, found {found}; a signature counts for what it was made for only"
    )]
    PayloadType {
        /// The type that this place asks for.
        wanted: &'static str,
        /// The type in the envelope.
        found: String,
    },
    /// Not one signature.
    #[error(
        "the envelope: wanted exactly one signature, found {found}; give each person an object of their own"
    )]
    Signatures {
        /// How many there are.
        found: usize,
    },
    /// Not base64.
    #[error(
        "the envelope's {field}: wanted standard base64 with padding, found {why}; sign again with placet"
    )]
    Base64 {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Not an SSH signature.
    #[error(
        "the signature: wanted what ssh-keygen -Y sign makes, without its first and last line and its line breaks; found that {0}"
    )]
    NotSsh(String),
    /// In another SSH namespace.
    #[error("the signature: wanted the SSH namespace {wanted}, found {found}; sign again with -n {wanted}")]
    Namespace {
        /// The namespace of what is signed here.
        wanted: &'static str,
        /// The namespace that it was made in.
        found: String,
    },
    /// By a key that cannot sign here.
    #[error("the signature's key: {0}")]
    Key(#[from] KeyError),
    /// The key id names another key.
    #[error(
        "the envelope's keyid: wanted {wanted}, the key that signed, or nothing; found {found}; sign again with placet"
    )]
    KeyId {
        /// Fingerprint of the key that signed.
        wanted: String,
        /// What is written.
        found: String,
    },
    /// The signature is not over this payload.
    #[error(
        "the signature: {fingerprint} did not sign this payload with this payloadType; it was changed since: sign again"
    )]
    WrongSignature {
        /// Fingerprint of the key that the signature names.
        fingerprint: String,
    },
    /// A FIDO key that nobody touched.
    #[error(
        "the signature: wanted the touch of a person, found none for the FIDO key {fingerprint}; sign with a key made without no-touch-required"
    )]
    NotPresent {
        /// Fingerprint of the key.
        fingerprint: String,
    },
    /// What was signed cannot be read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// An envelope whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<P> {
    /// What was signed.
    pub payload: P,
    /// The key that signed, as OpenSSH shows it (`SHA256:…`). Whose key it is, is not said here.
    pub fingerprint: String,
    /// By what the log knows this envelope again (`sha256:…`): SHA-256 over `placet.dev/envelope/v1\n`, the length of the
    /// key in four bytes (big-endian), the key as SSH encodes it, and [`pae`]. The signature's own bytes are left out:
    /// whoever holds one valid ECDSA signature can make a second over the same bytes, and both must count as one. The
    /// payload's nonce tells apart what a person signs twice.
    pub digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    payload: String,
    payload_type: String,
    #[serde(deserialize_with = "strict::objects")]
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// DSSE's pre-authentication encoding: the bytes that are signed. `DSSEv1`, length and text of the type, length and bytes
/// of the payload, separated by spaces; lengths are decimal, in bytes.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Puts a payload and the SSHSIG blob over its [`pae`] into an envelope, once the signature holds.
///
/// # Errors
/// The signature does not hold, or the envelope would be too large.
pub fn seal<P: Payload>(payload: &[u8], sshsig: &[u8]) -> Result<String, EnvelopeError> {
    let key = sshsig::verify(sshsig, &pae(P::TYPE, payload), P::NAMESPACE)?;
    let envelope = Envelope {
        payload: BASE64.encode(payload),
        payload_type: P::TYPE.to_owned(),
        signatures: vec![Signature { keyid: key.fingerprint(), sig: BASE64.encode(sshsig) }],
    };
    let text = serde_json::to_string(&envelope).map_err(|e| EnvelopeError::Malformed(e.to_string()))?;
    if text.len() > MAX_ENVELOPE {
        return Err(EnvelopeError::TooLarge { found: text.len() });
    }
    Ok(text)
}

/// Reads an envelope and verifies its signature over the bytes that it holds.
///
/// # Errors
/// Why it does not count; nothing of its payload is known then.
pub fn verify_envelope<P: Payload>(envelope: &[u8]) -> Result<Verified<P>, EnvelopeError> {
    if envelope.len() > MAX_ENVELOPE {
        return Err(EnvelopeError::TooLarge { found: envelope.len() });
    }
    let Object(envelope) = serde_json::from_slice::<Object<Envelope>>(envelope)
        .map_err(|e| EnvelopeError::Malformed(cut(&e.to_string())))?;
    if envelope.payload_type != P::TYPE {
        return Err(EnvelopeError::PayloadType { wanted: P::TYPE, found: cut(&envelope.payload_type) });
    }
    let [signature] = envelope.signatures.as_slice() else {
        return Err(EnvelopeError::Signatures { found: envelope.signatures.len() });
    };
    let payload = decode("payload", &envelope.payload)?;
    let blob = decode("sig", &signature.sig)?;
    let message = pae(&envelope.payload_type, &payload);
    let key = sshsig::verify(&blob, &message, P::NAMESPACE)?;
    let fingerprint = key.fingerprint();
    if !signature.keyid.is_empty() && signature.keyid != fingerprint {
        return Err(EnvelopeError::KeyId { wanted: fingerprint, found: cut(&signature.keyid) });
    }
    let digest = digest(&key, &message)?;
    Ok(Verified { payload: P::from_bytes(&payload)?, fingerprint, digest })
}

fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, EnvelopeError> {
    BASE64.decode(text).map_err(|e| EnvelopeError::Base64 { field, why: e.to_string() })
}

fn digest(key: &SignerKey, message: &[u8]) -> Result<String, EnvelopeError> {
    let key = key.bytes()?;
    let length = u32::try_from(key.len()).map_err(|_| EnvelopeError::NotSsh("its key is too long".into()))?;
    let mut hasher = Sha256::new();
    hasher.update(b"placet.dev/envelope/v1\n");
    hasher.update(length.to_be_bytes());
    hasher.update(&key);
    hasher.update(message);
    Ok(format!("sha256:{}", hex::encode(hasher.finalize())))
}

/// The beginning of a text that somebody else wrote, for an error.
pub(super) fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_SHOWN {
        return text.to_owned();
    }
    text.chars().take(MAX_SHOWN).chain(['…']).collect()
}
