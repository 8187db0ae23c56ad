//! Keys and envelopes that tests make in the process, without `ssh-keygen`.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use placet_gate::signed::{ApprovalPayload, NAMESPACE, Payload as _, pae};
use serde_json::{Value, json};
use ssh_key::encoding::Encode as _;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, PrivateKey};

/// A key of tests only: nobody keeps a key that is in a public repository.
pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// The SSHSIG blob of a message.
pub fn sshsig(key: &PrivateKey, namespace: &str, message: &[u8]) -> Vec<u8> {
    key.sign(namespace, HashAlg::Sha512, message).unwrap().encode_vec().unwrap()
}

/// A payload that is in order.
pub fn approval() -> Value {
    json!({
        "answers": null, "cluster": "prod-eu", "comment": "looked at", "covers": "Content", "decision": "Approve",
        "digest": format!("sha256:{}", "c0de".repeat(16)), "expiresAt": null, "issuedAt": "2026-11-20T12:00:00Z",
        "kind": "ModelRelease", "name": "credit-scoring-2.4.0", "namespace": "lending",
        "nonce": "00112233445566778899aabbccddeeff", "role": "risk-officer",
    })
}

/// An envelope around any bytes, whose signature holds.
pub fn envelope_of(payload: &[u8]) -> Value {
    let key = key(7);
    let blob = sshsig(&key, NAMESPACE, &pae(ApprovalPayload::TYPE, payload));
    json!({
        "payload": STANDARD.encode(payload),
        "payloadType": ApprovalPayload::TYPE,
        "signatures": [{"keyid": key.fingerprint(HashAlg::Sha256).to_string(), "sig": STANDARD.encode(blob)}],
    })
}
