//! RiskAcceptance: a named person's acceptance of residual risks, at a level and until a date.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{Condition, Level};
use crate::scalar::{DateTime, Digest, Explanation, Id, Line, Name};
use crate::signed::Signed;

/// A person's acceptance of residual risks that lie above the policy's appetite, for one assessment, at a level, until a
/// date. Immutable; it is withdrawn by an Approval with decision Reject whose subject it is.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "RiskAcceptance",
    plural = "riskacceptances",
    shortname = "ra",
    category = "placet",
    namespaced,
    status = "RiskAcceptanceStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"Assessment","type":"string","jsonPath":".spec.assessment.name"}"#,
    printcolumn = r#"{"name":"Risks","type":"string","jsonPath":".status.risks"}"#,
    printcolumn = r#"{"name":"Level","type":"string","jsonPath":".spec.level"}"#,
    printcolumn = r#"{"name":"Role","type":"string","jsonPath":".spec.role"}"#,
    printcolumn = r#"{"name":"By","type":"string","jsonPath":".status.by"}"#,
    printcolumn = r#"{"name":"Counts","type":"string","jsonPath":".status.conditions[?(@.type==\"Counts\")].status"}"#,
    printcolumn = r#"{"name":"Why","type":"string","jsonPath":".status.conditions[?(@.type==\"Counts\")].reason","priority":1}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".spec.expiresAt"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec is immutable: create a new RiskAcceptance"))]
#[x_kube(validation = Rule::new("self.level != 'VeryHigh'").message("a VeryHigh risk cannot be accepted: treat it or withdraw the release"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RiskAcceptanceSpec {
    /// The assessment whose risks are accepted.
    pub assessment: AssessmentRef,
    /// The accepted risks, each by its own digest: another text, other harms or controls need another acceptance, changes
    /// elsewhere in the assessment do not.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub risks: Vec<AcceptedRisk>,
    /// The ApprovalRole in which you accept. You need the verb `approve` on it, and the policy says which level it may
    /// accept.
    pub role: Name,
    /// The highest residual level that is accepted.
    pub level: Level,
    /// Why the risk is acceptable. Personal: kept out of evidence leaves and snapshots.
    pub rationale: Explanation,
    /// Conditions of the acceptance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub conditions: Option<Vec<Line>>,
    /// When it ends.
    pub expires_at: DateTime,
    /// Your signature over all of this, where a robot applies it: it counts for the user of the TrustedSigner whose key
    /// signed, whoever applies it. Written by `placet accept-risk --sign-with KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// An assessment by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssessmentRef {
    /// Name of the ImpactAssessment in this namespace.
    pub name: Name,
}

/// A risk as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptedRisk {
    /// Its id in the assessment.
    pub id: Id,
    /// Digest of the risk with its harms and controls; `placet accept-risk` writes it, status.risks of the assessment
    /// shows it.
    pub digest: Digest,
}

/// What Placet found about an acceptance.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskAcceptanceStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Who accepted, from the request that created it, or from its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Line>,
    /// Ids of the accepted risks, joined by commas, as lists show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risks: Option<Line>,
    /// Digest of the content; a Reject of it names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Conditions: Ready (judged at this generation), Counts (it counts now) and Expiring (it ends within the days that a
    /// policy warns before, or 30).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}
