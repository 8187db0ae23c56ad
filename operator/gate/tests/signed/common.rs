//! Keys and envelopes that tests make in the process, without `ssh-keygen`.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use placet_api::Kind;
pub use placet_cases::signing::key;
use placet_gate::signed::{ApprovalPayload, Payload, Place};
use serde_json::{Value, json};
use ssh_key::PrivateKey;

/// The SSHSIG blob of a message.
pub fn sshsig(key: &PrivateKey, namespace: &str, message: &[u8]) -> Vec<u8> {
    placet_cases::signing::sshsig(key, namespace, message).unwrap()
}

/// Where the objects of these tests are.
pub const PLACE: Place<'_> =
    Place { cluster: "prod-eu", namespace: "lending", kind: Kind::Approval, name: "a-1" };

/// A payload that is in order.
pub fn approval() -> Value {
    json!({
        "answers": null, "cluster": "prod-eu", "comment": "looked at", "covers": "Content", "decision": "Approve",
        "digest": format!("sha256:{}", "c0de".repeat(16)), "expiresAt": null, "issuedAt": "2026-11-20T12:00:00Z",
        "kind": "ModelRelease", "name": "credit-scoring-2.4.0", "namespace": "lending",
        "nonce": "00112233445566778899aabbccddeeff", "role": "risk-officer",
    })
}

/// The same of a RiskAcceptance.
pub fn acceptance() -> Value {
    let digest = |n: u8| format!("sha256:{}", n.to_string().repeat(64));
    json!({
        "assessment": "impact-2026", "cluster": "prod-eu", "conditions": ["a", "b"],
        "expiresAt": "2027-01-01T00:00:00Z", "issuedAt": "2026-11-20T12:00:00Z", "kind": "RiskAcceptance",
        "level": "High", "name": "r1-frank", "namespace": "lending", "nonce": "00112233445566778899aabbccddeeff",
        "rationale": "A person reviews refusals",
        "risks": [{"digest": digest(1), "id": "R1"}, {"digest": digest(2), "id": "R2"}], "role": "executive",
    })
}

/// An envelope around any bytes, whose signature by the key 7 holds.
pub fn envelope_of(payload: &[u8]) -> Value {
    envelope::<ApprovalPayload>(&key(7), ApprovalPayload::NAMESPACE, payload)
}

/// An envelope of a type around any bytes, signed by a key in an SSH namespace.
pub fn envelope<P: Payload>(key: &PrivateKey, namespace: &str, payload: &[u8]) -> Value {
    placet_cases::signing::envelope::<P>(key, namespace, payload).unwrap()
}
