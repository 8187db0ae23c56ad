//! Stamps and receipts: who created and edited an object, as the webhook saw it, signed by the operator (invariant 3).
//!
//! The stamp is the JSON text of one annotation. The receipt is a second annotation, `v1.<key id>.<signature>`: an
//! Ed25519 signature over `placet.dev/receipt/v1\n` and the RFC 8785 JSON of {cluster, group, kind, namespace, name,
//! stamp}. The stamp holds the spec's digest, so that a change behind the webhook's back shows.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::keys::GROUP;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What the webhook saw of who wrote an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StampText {
    /// Who created the object.
    pub creator: Identity,
    /// When it was created, by the webhook's clock.
    pub created_at: Timestamp,
    /// Who changed the spec since, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub editors: Vec<Edit>,
    /// Content digest of the spec that was stamped.
    pub spec: String,
    /// Uid of the object, known from its first update on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Approval: uid of the object that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_uid: Option<String>,
    /// Approval and RiskAcceptance: what the API server answered when asked whether the creator holds the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleAnswer>,
}

/// A user as the API server authenticated it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// Uid that the authenticator gave, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Approval and RiskAcceptance: groups, sorted, without those that everybody has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// SHA-256 of the id of the credential that the request was authenticated with
    /// (`authentication.kubernetes.io/credential-id`), as [`credential`] gives it; requests by impersonation have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// What a stamp says of a credential: SHA-256 over `placet.dev/credential/v1\n` and its id, in hex.
pub fn credential(id: &str) -> String {
    hex::encode(&Sha256::new().chain_update(b"placet.dev/credential/v1\n").chain_update(id).finalize())
}

/// A change of the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Edit {
    /// Who changed it.
    pub by: Identity,
    /// When.
    pub at: Timestamp,
}

/// Answer of a SubjectAccessReview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleAnswer {
    /// The ApprovalRole that was asked about.
    pub name: String,
    /// Whether the creator holds it.
    pub allowed: bool,
    /// Whether they hold it only as they would hold any other: by a wildcard, or as a member of `system:masters`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wildcard: bool,
    /// When it was asked.
    pub at: Timestamp,
}

/// Where an object lives; part of what is signed, so that a stamp cannot be copied to another object.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Uid of the cluster (of its kube-system namespace).
    pub cluster: &'a str,
    /// Kind.
    pub kind: Kind,
    /// Namespace; None for cluster kinds.
    pub namespace: Option<&'a str>,
    /// Name.
    pub name: &'a str,
}

/// Why a receipt does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StampProblem {
    /// There is no stamp or no receipt.
    #[error("it carries no stamp: it was made while the webhook was off, or the stamp was removed")]
    NeverSeen,
    /// Stamp or receipt cannot be read.
    #[error("its stamp cannot be read")]
    Unreadable,
    /// The receipt was signed by a key that is not known here.
    #[error("its receipt was signed by a key that this installation does not know")]
    UnknownKey,
    /// The signature does not fit: copied from another object or cluster, or altered.
    #[error(
        "its receipt does not fit it: it was copied from another object or cluster, or the stamp was altered"
    )]
    WrongSignature,
    /// The spec is not the one that was stamped.
    #[error("its spec was changed behind the webhook's back")]
    SpecChanged,
}

/// Keys that receipts are verified with, by key id.
#[derive(Debug, Clone, Default)]
pub struct ReceiptKeys(BTreeMap<String, VerifyingKey>);

impl ReceiptKeys {
    /// No keys: nothing verifies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a public key.
    pub fn add(&mut self, key: VerifyingKey) {
        self.0.insert(key_id(&key), key);
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads keys written as `placet-receipt:<base64 of the 32-byte Ed25519 public key>`, one per line; empty lines and
    /// lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// The line number and what was wanted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Self::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = line
                .strip_prefix("placet-receipt:")
                .and_then(|b| BASE64.decode(b.trim_end_matches('=')).ok())
                .and_then(|b| <[u8; 32]>::try_from(b).ok())
                .and_then(|b| VerifyingKey::from_bytes(&b).ok())
                .ok_or_else(|| {
                    format!(
                        "line {}: wanted placet-receipt:<base64 of an Ed25519 public key>, found {line:?}",
                        i + 1
                    )
                })?;
            keys.add(key);
        }
        Ok(keys)
    }

    /// The text that [`ReceiptKeys::parse`] reads.
    pub fn to_text(&self) -> String {
        self.0.values().fold(String::new(), |mut text, key| {
            text.push_str("placet-receipt:");
            text.push_str(&BASE64.encode(key.as_bytes()));
            text.push('\n');
            text
        })
    }
}

/// The id of a receipt key: the first 8 bytes of its SHA-256, in hex.
pub fn key_id(key: &VerifyingKey) -> String {
    hex::encode(&Sha256::digest(key.as_bytes())[..8])
}

/// Signs a stamp: the text of the receipt annotation.
pub fn sign(key: &SigningKey, place: Place<'_>, stamp: &StampText) -> String {
    let signature = key.sign(&signed_bytes(place, stamp));
    format!("v1.{}.{}", key_id(&key.verifying_key()), BASE64.encode(signature.to_bytes()))
}

/// Reads and verifies stamp and receipt of an object whose spec has the digest `content`.
///
/// # Errors
/// Why the stamp does not count.
pub fn verify(
    keys: &ReceiptKeys,
    place: Place<'_>,
    stamp: Option<&str>,
    receipt: Option<&str>,
    content: &str,
) -> Result<StampText, StampProblem> {
    let (Some(stamp), Some(receipt)) = (stamp, receipt) else { return Err(StampProblem::NeverSeen) };
    let stamp: StampText = serde_json::from_str(stamp).map_err(|_| StampProblem::Unreadable)?;
    let mut parts = receipt.split('.');
    let (Some("v1"), Some(id), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(StampProblem::Unreadable);
    };
    let key = keys.0.get(id).ok_or(StampProblem::UnknownKey)?;
    let signature = BASE64
        .decode(signature)
        .ok()
        .and_then(|b| Signature::from_slice(&b).ok())
        .ok_or(StampProblem::Unreadable)?;
    key.verify(&signed_bytes(place, &stamp), &signature).map_err(|_| StampProblem::WrongSignature)?;
    if stamp.spec == content { Ok(stamp) } else { Err(StampProblem::SpecChanged) }
}

fn signed_bytes(place: Place<'_>, stamp: &StampText) -> Vec<u8> {
    let body = serde_json::json!({
        "cluster": place.cluster,
        "group": GROUP,
        "kind": place.kind.as_str(),
        "namespace": if place.kind.namespaced() { place.namespace.unwrap_or_default() } else { "" },
        "name": place.name,
        "stamp": stamp,
    });
    let mut bytes = b"placet.dev/receipt/v1\n".to_vec();
    // A tree of strings and booleans always has a canonical form; should it fail, nothing verifies.
    bytes.extend(serde_json_canonicalizer::to_vec(&body).unwrap_or_default());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(spec: &str) -> StampText {
        StampText {
            creator: Identity { user: "alice".into(), ..Identity::default() },
            created_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            editors: vec![],
            spec: spec.into(),
            uid: None,
            subject_uid: None,
            role: None,
        }
    }

    #[test]
    fn a_receipt_holds_for_its_object_key_and_spec_only() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let place = Place { cluster: "c", kind: Kind::Approval, namespace: Some("n"), name: "a" };
        let text = serde_json::to_string(&stamp("sha256:1")).unwrap();
        let receipt = sign(&key, place, &stamp("sha256:1"));
        let mut keys = ReceiptKeys::new();
        keys.add(key.verifying_key());
        let check = |place, stamp: Option<&str>, receipt: Option<&str>, content: &str| {
            verify(&keys, place, stamp, receipt, content).map(|s| s.creator.user)
        };
        assert_eq!(check(place, Some(&text), Some(&receipt), "sha256:1"), Ok("alice".into()));
        assert_eq!(check(place, None, Some(&receipt), "sha256:1"), Err(StampProblem::NeverSeen));
        assert_eq!(check(place, Some(&text), Some(&receipt), "sha256:2"), Err(StampProblem::SpecChanged));
        for other in [
            Place { name: "b", ..place },
            Place { namespace: Some("m"), ..place },
            Place { cluster: "d", ..place },
            Place { kind: Kind::TestReport, ..place },
        ] {
            assert_eq!(
                check(other, Some(&text), Some(&receipt), "sha256:1"),
                Err(StampProblem::WrongSignature)
            );
        }
        let forged = text.replace("alice", "mallory");
        assert_eq!(
            check(place, Some(&forged), Some(&receipt), "sha256:1"),
            Err(StampProblem::WrongSignature)
        );
        assert_eq!(check(place, Some("{"), Some(&receipt), "sha256:1"), Err(StampProblem::Unreadable));
        let stranger = sign(&SigningKey::from_bytes(&[8; 32]), place, &stamp("sha256:1"));
        assert_eq!(check(place, Some(&text), Some(&stranger), "sha256:1"), Err(StampProblem::UnknownKey));
        assert_eq!(ReceiptKeys::parse(&keys.to_text()).unwrap().to_text(), keys.to_text());
    }
}
