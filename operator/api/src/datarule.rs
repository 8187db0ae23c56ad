//! What a ReleasePolicy asks of the datasets that a release was made with.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::modelrelease::DatasetUse;
use crate::scalar::{Decimal, Id, Title};

/// What is asked of datasets. An empty rule (`data: {}`) asks: the release names at least one, and for each there is a Dataset of its
/// digest and name, which permits the use made and the system's purpose, whose `validUntil` has not come, and which says on which basis
/// it holds special categories, if any.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataRule {
    /// Uses of which the release names a dataset. Left out: at least one dataset, of any use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub uses: Option<Vec<DatasetUse>>,
    /// Fields that each Dataset fills in beside those that each must have. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub facts: Option<Vec<DataFact>>,
    /// How old the data may be, in days of 24 hours since `provenance.collectedUntil`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub max_age_days: Option<i32>,
    /// Measures of quality that each Dataset has, and their limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["metric".into()]))]
    pub quality: Option<Vec<QualityRule>>,
    /// Who must be in the data, and how many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub representativeness: Option<RepresentativenessRule>,
}

/// A field of a Dataset that a policy may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DataFact {
    /// `custodian`.
    Custodian,
    /// `provenance.acquisition`.
    Acquisition,
    /// `provenance.collectedFrom` and `collectedUntil`.
    CollectionPeriod,
    /// `provenance.process`.
    Process,
    /// `preprocessing`.
    Preprocessing,
    /// `licence`.
    Licence,
    /// `personalData.legalBasis`, where it holds personal data.
    LegalBasis,
}

/// Limits of a measure of quality.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.atLeast) || has(self.atMost)").message("a measure has atLeast or atMost"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QualityRule {
    /// The measure, for example MissingRate.
    pub metric: Id,
    /// The smallest acceptable value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Decimal>,
    /// The largest acceptable value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Decimal>,
    /// Rows that were looked at, at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_rows: Option<i32>,
}

/// Who must be in the data. Shares are of all rows of a dataset, those of an unknown value included.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.maxGap) || has(self.minShare) || has(self.minRows)").message("representativeness has maxGap, minShare or minRows"))]
#[x_kube(validation = Rule::new("!has(self.maxGap) || self.attributes.exists(a, a.groups.exists(g, has(g.share)))").message("maxGap is the distance from shares: give the share of a group"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepresentativenessRule {
    /// Attributes of people, and the groups that must be there.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["attribute".into()]))]
    pub attributes: Vec<ExpectedGroups>,
    /// The largest distance of a group's share from the one expected, up or down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gap: Option<Decimal>,
    /// The smallest share of each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_share: Option<Decimal>,
    /// The smallest number of rows of each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_rows: Option<i32>,
}

/// Groups that must be in the data.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedGroups {
    /// The attribute, for example sex.
    pub attribute: Id,
    /// Its values, for example female.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["value".into()]))]
    pub groups: Vec<ExpectedGroup>,
}

/// A group that must be in the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedGroup {
    /// The value, for example female.
    pub value: Title,
    /// Its share among the people whom the system is for, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Decimal>,
}
