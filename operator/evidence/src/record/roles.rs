//! Records of roles that people lost, and hold again.

use serde::{Deserialize, Serialize};

use crate::hash::Digest;

/// Words that one record names at most: with names of the greatest length they take two thirds of what a record may.
pub const MOST_WORDS: usize = 32;

/// Body of `role.standing`: somebody lost the role that the record is about, or holds it again. Who it is is the record's
/// commitment to [`HOLDER`](super::HOLDER). What they said in the role counts no more, or counts again, where a policy says
/// that losing a role voids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleStanding {
    /// Whether it was lost; otherwise it is held again.
    pub lost: bool,
    /// The namespace in which the role is held; absent for one that is held in the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_in: Option<String>,
    /// Namespace of what was said in the role.
    pub namespace: String,
    /// What was said in the role. Further words are in further records.
    pub words: Vec<Word>,
}

/// An Approval or a RiskAcceptance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Word {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its content digest.
    pub content: Digest,
    /// Kind of what it is about.
    pub about: String,
    /// Name of what it is about.
    pub about_name: String,
    /// Digest of its stored form as decisions read it from now on. Nothing is stored with this record: a decision that reads
    /// it stores it.
    pub version: Digest,
}
