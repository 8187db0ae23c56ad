//! What keeps one person alone from loosening a policy, a role or whose signature counts.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{Class, Condition};
use crate::scalar::{Digest, Line, Name};

/// Who has a say when a policy is loosened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyGuard {
    /// The ApprovalRole whose holder, other than who edited the policy, approves a version that loosens this one, and its
    /// deletion. Left out: any role whose approval the policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    /// What happens to a version that loosens this one, and to a deletion. Left out: Wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loosening: Option<Loosening>,
}

/// What happens to a change that loosens a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Loosening {
    /// It takes effect at once, and is recorded: whoever may edit the policy decides alone.
    Apply,
    /// The version in force decides until a second person has approved the change.
    Wait,
}

/// The least class of systems in some namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum MinimumClass {
    /// At least Limited.
    Limited,
    /// At least High.
    High,
}

impl MinimumClass {
    /// The class.
    pub fn class(self) -> Class {
        match self {
            MinimumClass::Limited => Class::Limited,
            MinimumClass::High => Class::High,
        }
    }
}

/// A version that waits.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyWaiting {
    /// The digest that the approval names.
    pub digest: Digest,
    /// Roles of which one holder, who did not make the change, is asked now.
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub roles: Vec<Name>,
    /// In which ways it asks for less; the first twenty.
    #[schemars(length(max = 20))]
    pub loosens: Vec<Line>,
}

/// What Placet found about a role or a signer.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardedStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digest of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Digest of the version that decides: that of this one, unless it waits for an approval. Left out: no version does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Digest>,
    /// What this version waits for, where it does not decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<PolicyWaiting>,
    /// TrustedSigner: the roles in which its signatures count, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Line>,
    /// Conditions: Ready (judged at this generation) and InForce (this version decides; otherwise the one before does, if
    /// there was one, until somebody approves this one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}
