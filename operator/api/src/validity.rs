//! How long approvals stand, as a policy says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long approvals stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validity {
    /// Days within which the first pod must be admitted.
    #[schemars(range(min = 1, max = 3650))]
    pub first_use_days: i32,
    /// Days that an approval stands once the release is used.
    #[schemars(range(min = 1, max = 3650))]
    pub running_days: i32,
    /// Days before the end of a risk acceptance at which its condition Expiring says so. Left out: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 365))]
    pub warn_days: Option<i32>,
    /// What becomes of an approval or acceptance whose giver loses the role. Left out: Void where the policy applies to class
    /// High, otherwise Keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_loss: Option<RoleLoss>,
}

/// What becomes of an approval or acceptance whose giver loses the role that they gave it in. A Reject stands in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoleLoss {
    /// It does not count for as long as its giver does not hold the role. The API server is asked again every half minute,
    /// with the groups that they had when they gave it.
    Void,
    /// It counts: that they held the role when they gave it is enough.
    Keep,
}
