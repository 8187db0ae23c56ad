//! Which controls may lower a risk, as a policy says it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::impactassessment::RiskDomain;
use crate::scalar::{Line, Title};

/// Which controls may lower a risk, beside those of the catalogue of its domain (ISO/IEC 42001 Annex A for AI, ISO/IEC 27001
/// Annex A for Information), and which may not.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlsRule {
    /// Further controls, each for risks of one domain. Of several policies that apply, each must list it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["control".into(), "domain".into()]))]
    pub also_accepted: Option<Vec<AcceptedControl>>,
    /// Controls that lower no risk here, with the reason: what a statement of applicability excludes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 131))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["control".into()]))]
    pub excluded: Option<Vec<ExcludedControl>>,
}

/// A control that may lower risks of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptedControl {
    /// Catalogue and number as assessments cite it, for example NISTAIRMF/MEASURE-2.11, or ISO27001/A.8.29 for a risk of
    /// domain AI.
    #[schemars(regex(pattern = r"^[A-Za-z0-9]+/[A-Za-z0-9.()-]+$"))]
    pub control: Line,
    /// The domain whose risks it may lower.
    pub domain: RiskDomain,
    /// What it is, in a few words.
    pub title: Title,
}

/// A control that lowers no risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExcludedControl {
    /// Catalogue and number, for example ISO27001/A.7.4.
    #[schemars(regex(pattern = r"^[A-Za-z0-9]+/[A-Za-z0-9.()-]+$"))]
    pub control: Line,
    /// Why it does not apply.
    pub reason: Title,
}
