//! Who does not count in an approval or an acceptance: separation of duties, as a policy says it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Name, Title};

/// Rules on who may not approve.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeparationOfDuties {
    /// Whether the creator and the listed developers of a release may approve it. Left out: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_may_approve: Option<bool>,
    /// Whether a TestReport by the creator of the release, a listed developer or a service account that is none of `pipelines`
    /// shows that a test passes. What fails in one counts in any case. Left out: no for class High (see `highDefaults`),
    /// otherwise yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_may_report: Option<bool>,
    /// Accounts of pipelines that test, by user name (`system:serviceaccount:NAMESPACE:NAME`): their reports count, though the
    /// same account made the release. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub pipelines: Option<Vec<Title>>,
    /// Whether a person counts in one role only per release. Left out: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_role_per_person: Option<bool>,
    /// Groups whose members neither approve nor accept risks, auditors for example. As the API server saw the groups when
    /// the object was made. Left out: auditors for class High (see `highDefaults`), otherwise none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub barred_groups: Option<Vec<Title>>,
    /// Roles whose holders, where they approved the release in one of them, cannot accept its risks. Left out: model-owner for
    /// class High (see `highDefaults`), otherwise none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub acceptor_not_approver_as: Option<Vec<Name>>,
    /// Whoever changed a policy that applies does not count in an approval given within so many days of 24 hours after
    /// that change. Left out: 7 for class High (see `highDefaults`), otherwise the change of a policy bars nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 365))]
    pub policy_change_days: Option<i32>,
    /// Service accounts that may approve and accept, by user name (`system:serviceaccount:NAMESPACE:NAME`). Left out:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub service_accounts: Option<Vec<Title>>,
    /// Whether a role counts that somebody holds only because they may do everything: a wildcard in RBAC, or the group
    /// system:masters. Left out: Ignore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wildcard_grants: Option<WildcardGrants>,
    /// Whether, where the policy applies to class High, what is left out means `barredGroups: [auditors]`,
    /// `acceptorNotApproverAs: [model-owner]`, `policyChangeDays: 7`, `authorMayReport: false`, and for the role validator `notInGroups: [developers]`.
    /// Left out: Apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_defaults: Option<HighDefaults>,
    /// User names that are the same person: a plain name and the name of an OIDC provider, for example. Personal: kept out
    /// of evidence leaves and snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub aliases: Option<Vec<Alias>>,
}

/// User names of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alias {
    /// The names, exactly as the API server sees them (`kubectl auth whoami`).
    #[schemars(length(min = 2, max = 8))]
    pub names: Vec<Title>,
}

/// Whether rules that are left out hold for class High.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HighDefaults {
    /// They do.
    Apply,
    /// Only what is said holds.
    Ignore,
}

/// Whether a role counts that is held by a wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WildcardGrants {
    /// It counts as if it had been granted by name.
    Count,
    /// It does not: being all-powerful is not being a risk officer.
    Ignore,
}
