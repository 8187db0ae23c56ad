//! Stamps and receipts: who created and edited an object, as the webhook saw it, signed by the operator (invariant 3).
//!
//! The stamp is the JSON text of one annotation. The receipt is a second annotation, `v1.<key id>.<signature>`: an
//! Ed25519 signature over `placet.dev/receipt/v1\n` and the RFC 8785 JSON of {cluster, group, kind, namespace, name,
//! stamp}. The stamp holds the spec's digest, so that a change behind the webhook's back shows, and the index of the log's
//! record of it, so that somebody who stole the key cannot say that a stamp is older than it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::keys::GROUP;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::asked::Asked;
use crate::evidence::Evidence;

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
    /// TestReport: what the API server answered when asked whether the creator may report in each role that a policy in force
    /// names for its type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<RoleAnswer>,
    /// TestReport: what was asked of tests when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<Asked>>,
    /// Approval of a release: what the release's evidence was made of when it was given, whatever its digest covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
    /// That the object was restored after it had gone: everything above is from before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
    /// Index of the log's record of this stamping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
}

impl StampText {
    /// User who decides in the object: whoever signed it, or else whoever created it.
    pub fn decider(&self) -> &str {
        self.role.as_ref().and_then(|r| r.user.as_ref()).unwrap_or(&self.creator.user)
    }

    /// Of an object that somebody created, and nothing else is known of yet.
    pub fn new(creator: Identity, created_at: Timestamp) -> Self {
        Self {
            creator,
            created_at,
            editors: Vec::new(),
            spec: String::new(),
            uid: None,
            subject_uid: None,
            role: None,
            reports: Vec::new(),
            asked: None,
            evidence: None,
            restored: None,
            record: None,
        }
    }

    /// What the log's record of a stamping holds: SHA-256 over `placet.dev/stamp/v1\n` and the RFC 8785 JSON of the stamp
    /// without `record`, which is known only once the record is written.
    pub fn digest(&self) -> [u8; 32] {
        let bare = Self { record: None, ..self.clone() };
        // A tree of strings and booleans always has a canonical form; should it fail, nothing equals nothing but itself.
        let bytes = serde_json_canonicalizer::to_vec(&bare).unwrap_or_default();
        Sha256::new().chain_update(b"placet.dev/stamp/v1\n").chain_update(bytes).finalize().into()
    }
}

/// Who restored an object, by the verb `restore` on its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restored {
    /// Who sent it.
    pub by: Identity,
    /// When.
    pub at: Timestamp,
    /// Index of the log's record of the stamping that it carried.
    pub from: u64,
    /// Uid of the object in its first life, where the log knows it: approvals of before name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
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
    hex::encode(Sha256::new().chain_update(b"placet.dev/credential/v1\n").chain_update(id).finalize())
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
    /// Whether the creator holds it, or `user`.
    pub allowed: bool,
    /// User whose key signed the object, where it is signed: then it was asked of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
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
    #[error(
        "its receipt was signed by a key that this installation does not know: it was restored or copied from another one"
    )]
    UnknownKey,
    /// The signature does not fit: copied from another object or cluster, or altered.
    #[error(
        "its receipt does not fit it: it was copied from another object or cluster, or the stamp was altered"
    )]
    WrongSignature,
    /// The key is distrusted, and the log holds no record of this stamp from before it was.
    #[error(
        "its receipt was signed by a key that is distrusted, and the log has no record of it from before that; its author \
         applies it again (kubectl apply --server-side), which stamps it anew, or gives an approval once more under another name"
    )]
    DistrustedKey,
    /// It was deleted since it was stamped, and put back with its old stamp, not by the verb `restore`.
    #[error("it was deleted since it was stamped, and put back with its old stamp behind the webhook's back")]
    PutBack,
    /// The spec is not the one that was stamped.
    #[error("its spec was changed behind the webhook's back")]
    SpecChanged,
}

/// What still counts of a key that is distrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distrust {
    /// Index of the log from which on no receipt by the key counts.
    pub from: u64,
    /// Digests of the stamps that the log recorded with this key below that index, by the record's index.
    pub stamps: BTreeMap<u64, [u8; 32]>,
}

impl Distrust {
    /// Whether a stamp counts although its key is distrusted: it names a record from before, and that is its own.
    fn spares(&self, stamp: &StampText) -> bool {
        let recorded =
            stamp.record.filter(|index| *index < self.from).and_then(|index| self.stamps.get(&index));
        recorded.is_some_and(|digest| *digest == stamp.digest())
    }
}

#[derive(Debug, Clone)]
struct ReceiptKey {
    key: VerifyingKey,
    distrusted: Option<Arc<Distrust>>,
}

/// Keys that receipts are verified with, by key id.
#[derive(Debug, Clone, Default)]
pub struct ReceiptKeys(BTreeMap<String, ReceiptKey>);

/// How a public key is written: this, and the base64 of its 32 bytes without padding.
const KEY_PREFIX: &str = "placet-receipt:";

/// The text of a public key.
pub fn key_text(key: &VerifyingKey) -> String {
    format!("{KEY_PREFIX}{}", BASE64.encode(key.as_bytes()))
}

/// Reads what [`key_text`] writes.
pub fn parse_key(text: &str) -> Option<VerifyingKey> {
    let bytes = BASE64.decode(text.strip_prefix(KEY_PREFIX)?.trim_end_matches('=')).ok()?;
    VerifyingKey::from_bytes(&<[u8; 32]>::try_from(bytes).ok()?).ok()
}

impl ReceiptKeys {
    /// No keys: nothing verifies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a public key, trusted unless it was distrusted before.
    pub fn add(&mut self, key: VerifyingKey) {
        self.0.entry(key_id(&key)).or_insert(ReceiptKey { key, distrusted: None });
    }

    /// Of a key's receipts only those count from now on that `distrust` spares. Whether the key is known.
    pub fn distrust(&mut self, id: &str, distrust: Distrust) -> bool {
        self.0.get_mut(id).map(|key| key.distrusted = Some(Arc::new(distrust))).is_some()
    }

    /// Ids of all keys, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
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
            let key = parse_key(line).ok_or_else(|| {
                format!(
                    "line {}: wanted placet-receipt:<base64 of an Ed25519 public key>, found {line:?}",
                    i + 1
                )
            })?;
            keys.add(key);
        }
        Ok(keys)
    }

    /// The text that [`ReceiptKeys::parse`] reads. A distrusted key is named in a comment: which of its receipts count is
    /// in the log, so that who has the text alone counts none of them.
    pub fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (id, key) in &self.0 {
            // Writing into a string cannot fail.
            let _ = match &key.distrusted {
                None => writeln!(text, "{}", key_text(&key.key)),
                Some(d) => writeln!(text, "# {id} is distrusted from record {} on", d.from),
            };
        }
        text
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
    key.key.verify(&signed_bytes(place, &stamp), &signature).map_err(|_| StampProblem::WrongSignature)?;
    if key.distrusted.as_ref().is_some_and(|distrust| !distrust.spares(&stamp)) {
        return Err(StampProblem::DistrustedKey);
    }
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
            spec: spec.into(),
            ..StampText::new(
                Identity { user: "alice".into(), ..Identity::default() },
                "2026-11-01T00:00:00Z".parse().unwrap(),
            )
        }
    }

    #[test]
    fn of_a_distrusted_key_only_stamps_count_that_the_log_recorded_before() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let id = key_id(&key.verifying_key());
        let place = Place { cluster: "c", kind: Kind::Approval, namespace: Some("n"), name: "a" };
        let recorded = |record| StampText { record, ..stamp("sha256:1") };
        let mut keys = ReceiptKeys::new();
        keys.add(key.verifying_key());
        let other = SigningKey::from_bytes(&[8; 32]);
        keys.add(other.verifying_key());
        let check = |keys: &ReceiptKeys, by: &SigningKey, stamp: &StampText| {
            let text = serde_json::to_string(stamp).unwrap();
            verify(keys, place, Some(&text), Some(&sign(by, place, stamp)), "sha256:1").map(drop)
        };
        for record in [None, Some(3), Some(9)] {
            assert_eq!(check(&keys, &key, &recorded(record)), Ok(()), "trusted: {record:?}");
        }

        let digest = stamp("sha256:1").digest();
        assert_eq!(digest, recorded(Some(3)).digest(), "the index is not in the digest");
        let forged = StampText {
            creator: Identity { user: "eve".into(), ..Identity::default() },
            ..recorded(Some(3))
        };
        assert_ne!(digest, forged.digest());
        // Stamps at 3 and 9 are this one; that at 4 is another.
        let stamps = BTreeMap::from([(3, digest), (4, forged.digest()), (9, digest)]);
        assert!(keys.distrust(&id, Distrust { from: 5, stamps }));
        assert!(!keys.distrust("0000000000000000", Distrust::default()));
        for (what, stamp, wanted) in [
            ("recorded before", recorded(Some(3)), Ok(())),
            ("names no record", recorded(None), Err(StampProblem::DistrustedKey)),
            ("names a record that is another stamp's", recorded(Some(4)), Err(StampProblem::DistrustedKey)),
            ("names a record that is no stamp's", recorded(Some(2)), Err(StampProblem::DistrustedKey)),
            ("recorded later", recorded(Some(9)), Err(StampProblem::DistrustedKey)),
            ("another stamp that names the record", forged, Err(StampProblem::DistrustedKey)),
        ] {
            assert_eq!(check(&keys, &key, &stamp), wanted, "{what}");
            assert_eq!(check(&keys, &other, &stamp), Ok(()), "{what}, by a key that is trusted");
        }
        // Adding it again does not bring the trust back; who has the text alone does not know the key.
        keys.add(key.verifying_key());
        assert_eq!(check(&keys, &key, &recorded(None)), Err(StampProblem::DistrustedKey));
        let text = keys.to_text();
        assert!(text.contains(&format!("# {id} is distrusted from record 5 on")), "{text}");
        let read = ReceiptKeys::parse(&text).unwrap();
        assert_eq!(check(&read, &key, &recorded(Some(3))), Err(StampProblem::UnknownKey));
        assert_eq!(check(&read, &other, &recorded(Some(3))), Ok(()));
    }

    #[test]
    fn the_index_of_the_record_is_signed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let place = Place { cluster: "c", kind: Kind::Approval, namespace: Some("n"), name: "a" };
        let stamp = StampText { record: Some(7), ..stamp("sha256:1") };
        let (text, receipt) = (serde_json::to_string(&stamp).unwrap(), sign(&key, place, &stamp));
        let mut keys = ReceiptKeys::new();
        keys.add(key.verifying_key());
        assert_eq!(verify(&keys, place, Some(&text), Some(&receipt), "sha256:1"), Ok(stamp));
        let moved = text.replace("\"record\":7", "\"record\":6");
        assert_ne!(moved, text);
        let found = verify(&keys, place, Some(&moved), Some(&receipt), "sha256:1");
        assert_eq!(found, Err(StampProblem::WrongSignature));
    }

    #[test]
    fn a_key_that_is_written_is_read() {
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
        assert_eq!(parse_key(&key_text(&key)), Some(key));
        for bad in ["", "placet-receipt:", "placet-receipt:AAAA", "receipt:AAAA"] {
            assert_eq!(parse_key(bad), None, "{bad}");
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
