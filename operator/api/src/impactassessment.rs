//! ImpactAssessment: harms to people and society, and the risks that follow, with scores that Placet computes.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{Condition, DatasetRef, Level};
use crate::modelrelease::ArtifactKind;
use crate::obligation::ConsideredObligation;
use crate::scalar::{Digest, Id, Line, Moment, Name, Paragraph, Title};

/// An impact assessment of an AI system (ISO/IEC 42001 clauses 6.1.4 and 8.4): who is affected, which harms can come,
/// which risks remain after controls. Levels are computed from what is written here, never typed.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "ImpactAssessment",
    plural = "impactassessments",
    shortname = "ia",
    category = "placet",
    namespaced,
    status = "ImpactAssessmentStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"System","type":"string","jsonPath":".spec.system"}"#,
    printcolumn = r#"{"name":"Assessed","type":"string","jsonPath":".spec.assessedAt"}"#,
    printcolumn = r#"{"name":"Level","type":"string","jsonPath":".status.level","description":"Highest residual level"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImpactAssessmentSpec {
    /// The AISystem in this namespace that was assessed.
    pub system: Name,
    /// When it was assessed. Without it the assessment counts as stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessed_at: Option<Moment>,
    /// The assessment of the same system that this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Name>,
    /// What was looked at.
    pub scope: Scope,
    /// Obligations that were considered, by id and version as the policies give them (`kubectl get ais NAME -o yaml`, under
    /// status, lists those that apply). A policy may ask for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub obligations: Option<Vec<ConsideredObligation>>,
    /// Groups that were considered, or excluded with a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["group".into()]))]
    pub stakeholders: Option<Vec<Stakeholder>>,
    /// Harms that the system can do.
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub harms: Vec<Harm>,
    /// Risks, of information security and of AI, in one register.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub risks: Vec<Risk>,
}

/// What an assessment looked at.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// Datasets by digest. A release that uses another dataset needs a new assessment.
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub datasets: Vec<DatasetRef>,
    /// Regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub regions: Option<Vec<Line>>,
    /// Groups of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub affected_groups: Option<Vec<Line>>,
    /// Purposes, each in the words of the system's purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub purposes: Option<Vec<Paragraph>>,
    /// Kinds of artefacts: a model that comes as an image is deployed otherwise than one that is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub artifact_kinds: Option<Vec<ArtifactKind>>,
}

/// A group that was considered or excluded.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.considered || has(self.reason)").message("a stakeholder group that was not considered needs a reason"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stakeholder {
    /// The group.
    pub group: Title,
    /// Whether it was considered.
    pub considered: bool,
    /// How it was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<Line>,
    /// Why it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Line>,
}

/// Whom a harm falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HarmOn {
    /// Single persons.
    Individuals,
    /// Groups of persons.
    Groups,
    /// Society.
    Society,
}

/// How hard a harm is to undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reversibility {
    /// Counts 1 of 5.
    Easy,
    /// Counts 3 of 5.
    Moderate,
    /// Counts 4 of 5.
    Difficult,
    /// Counts 5 of 5.
    Irreversible,
}

/// A harm that the system can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Harm {
    /// Identifier within this assessment, for example H1.
    pub id: Id,
    /// Whom it falls on.
    pub affects: HarmOn,
    /// What happens.
    pub description: Paragraph,
    /// Whether it comes from misuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misuse: Option<bool>,
    /// Likelihood without controls, 1 (unlikely) to 5 (almost certain).
    #[schemars(range(min = 1, max = 5))]
    pub likelihood: i32,
    /// Severity without controls, 1 (minor) to 5 (catastrophic).
    #[schemars(range(min = 1, max = 5))]
    pub severity: i32,
    /// How many people it reaches, 1 (few) to 5 (the public).
    #[schemars(range(min = 1, max = 5))]
    pub reach: i32,
    /// How hard it is to undo.
    pub reversibility: Reversibility,
    /// Whether it falls on a vulnerable group; true counts 4 of 5, false 1.
    pub vulnerable: bool,
}

/// Domain of a risk: which set of criteria scores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RiskDomain {
    /// Information security (ISO/IEC 27001): severity is the worst of three impacts.
    Information,
    /// Artificial intelligence (ISO/IEC 42001): likelihood and severity are the worst of its harms.
    AI,
}

/// A risk.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.domain == 'AI' ? (has(self.harms) && size(self.harms) > 0 && !has(self.impacts)) : (has(self.impacts) && !has(self.harms))")
    .message("a risk of domain AI names its harms; one of domain Information gives its impacts instead"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Risk {
    /// Identifier within this assessment, for example R1.
    pub id: Id,
    /// Domain.
    pub domain: RiskDomain,
    /// What the risk is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Paragraph>,
    /// Domain AI: ids of the harms that it can lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub harms: Option<Vec<Id>>,
    /// Domain Information: likelihood and impacts without controls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impacts: Option<Impacts>,
    /// What remains after controls. Left out: the inherent values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<Residual>,
    /// Controls that lower the risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["control".into()]))]
    pub controls: Option<Vec<RiskControl>>,
}

/// Impacts of an information-security risk, each 1 (minor) to 5 (catastrophic).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Impacts {
    /// Likelihood without controls, 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub likelihood: i32,
    /// Loss of confidentiality, 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub confidentiality: i32,
    /// Loss of integrity, 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub integrity: i32,
    /// Loss of availability, 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub availability: i32,
}

/// Likelihood and severity that remain after controls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Residual {
    /// Likelihood, 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub likelihood: i32,
    /// Severity, 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub severity: i32,
}

/// A control that lowers a risk.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.status != 'Implemented' || (has(self.owner) && has(self.implementedAt))")
    .message("an implemented control names its owner and since when (implementedAt)"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RiskControl {
    /// Catalogue and number, for example ISO42001/A.6.2.4 or ISO27001/A.8.32.
    #[schemars(regex(pattern = r"^[A-Za-z0-9]+/[A-Za-z0-9.()-]+$"))]
    pub control: Line,
    /// Whether it works yet. Only an implemented control lowers a risk.
    pub status: ControlStatus,
    /// Function that answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Line>,
    /// Since when it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implemented_at: Option<Moment>,
    /// Objects in this namespace that show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub evidence: Option<Vec<EvidenceRef>>,
}

/// Whether a control works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ControlStatus {
    /// Decided, not yet started.
    Planned,
    /// Being built.
    InProgress,
    /// Works.
    Implemented,
}

/// An object that shows that a control works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceRef {
    /// Kind of the object, for example TestReport.
    pub kind: Id,
    /// Its name.
    pub name: Name,
}

/// What Placet computed for an assessment.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImpactAssessmentStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digest of the content, which RiskAcceptances name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Levels per risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub risks: Option<Vec<RiskScore>>,
    /// Highest residual level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Conditions, among them Ready (judged at this generation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}

/// The computed levels of a risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RiskScore {
    /// Identifier of the risk.
    pub id: Id,
    /// Level without controls.
    pub inherent: Level,
    /// Level after controls.
    pub residual: Level,
    /// How the residual level was looked up.
    pub arithmetic: Line,
    /// Digest of the risk with its harms and controls, which an acceptance names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}
