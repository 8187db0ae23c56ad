//! Records of stamping and of the keys that receipts are signed with.

use serde::{Deserialize, Serialize};

use super::Operation;
use crate::hash::Digest;

/// Body of `stamp`: who wrote a version of an object was written on it and signed. The version may still have been
/// refused afterwards; what was admitted has an `object`, `withdrawal` or `policy.change` record besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stamped {
    /// What was done with the object.
    pub op: Operation,
    /// Kind.
    pub kind: String,
    /// Namespace; absent for cluster kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Content digest of the version.
    pub content: Digest,
    /// Id of the key that signed the receipt.
    pub key: String,
    /// Digest of the stamp, without the index of this record, which the stamp names.
    pub stamp: Digest,
}

/// Body of `key.rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRotate {
    /// What the key is for: `checkpoints`, `receipts` or `people`.
    pub purpose: String,
    /// The old public key or its id; empty for the first.
    pub old: String,
    /// The new public key or its id.
    pub new: String,
    /// Why.
    pub reason: String,
    /// Id of the order that this carries out; absent where nobody ordered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// Body of `key.distrust`: what the key signed counts only where the log holds a record of it below an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyDistrust {
    /// What the key is for: `receipts`.
    pub purpose: String,
    /// Id of the key.
    pub key: String,
    /// Records with this index and later ones are not believed to be of the key's owner.
    pub from: u64,
    /// Why.
    pub reason: String,
    /// Id of the order that this carries out.
    pub order: String,
}
