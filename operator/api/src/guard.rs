//! What keeps one person alone from loosening a policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::Class;
use crate::scalar::Name;

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
