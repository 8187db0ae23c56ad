//! Keys and envelopes that cases make in the process, without `ssh-keygen`. Nobody keeps such a key: it follows from a number.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use placet_gate::signed::{Payload, pae};
use serde_json::{Value, json};
use ssh_key::encoding::Encode as _;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, PrivateKey};

use crate::CaseError;

fn cannot(why: &impl ToString) -> CaseError {
    CaseError::Case(format!("signed: {}", why.to_string()))
}

/// The key of a number.
pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// The same as a TrustedSigner names it.
pub(crate) fn public(seed: u8) -> Result<String, CaseError> {
    key(seed).public_key().to_openssh().map_err(|e| cannot(&e))
}

/// The SSHSIG blob of a message.
///
/// # Errors
/// It cannot be signed.
pub fn sshsig(key: &PrivateKey, namespace: &str, message: &[u8]) -> Result<Vec<u8>, CaseError> {
    let signature = key.sign(namespace, HashAlg::Sha512, message).map_err(|e| cannot(&e))?;
    signature.encode_vec().map_err(|e| cannot(&e))
}

/// An envelope of a type around any bytes, signed by a key in an SSH namespace.
///
/// # Errors
/// It cannot be signed.
pub fn envelope<P: Payload>(key: &PrivateKey, namespace: &str, payload: &[u8]) -> Result<Value, CaseError> {
    let blob = sshsig(key, namespace, &pae(P::TYPE, payload))?;
    Ok(json!({
        "payload": STANDARD.encode(payload),
        "payloadType": P::TYPE,
        "signatures": [{"keyid": key.fingerprint(HashAlg::Sha256).to_string(), "sig": STANDARD.encode(blob)}],
    }))
}
