//! ImpactAssessment: harms to people and society, and the risks that follow, with scores that Placet computes.

use std::collections::BTreeMap;

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
#[x_kube(validation = Rule::new("!has(self.threatsExcluded) || !self.threatsExcluded.exists(t, self.risks.exists(r, has(r.threat) && r.threat == t.threat))")
    .message("threatsExcluded: a threat is one of the risks or excluded, not both"))]
#[x_kube(validation = Rule::new("!has(self.noHarms) || !self.noHarms.exists(n, self.harms.exists(h, n.section == 'Misuse' ? (has(h.misuse) && h.misuse) : h.affects == n.section))")
    .message("noHarms: a section has harms or none, not both"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImpactAssessmentSpec {
    /// The AISystem in this namespace that was assessed.
    pub system: Name,
    /// When it was assessed. Without it the assessment counts as stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessed_at: Option<Moment>,
    /// When the risks were evaluated: not before the assessment, which says whom they fall on (ISO/IEC 42001 clauses 6.1.2 and
    /// 6.1.4). A policy may ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risks_evaluated_at: Option<Moment>,
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
    /// Sections in which no harm was found, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["section".into()]))]
    pub no_harms: Option<Vec<NoHarm>>,
    /// Risks, of information security and of AI, in one register.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub risks: Vec<Risk>,
    /// Threats to AI systems that are no risk of this one, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["threat".into()]))]
    pub threats_excluded: Option<Vec<ExcludedThreat>>,
    /// The assessment of fundamental rights that AI Act Article 27 asks of deployers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fundamental_rights: Option<FundamentalRights>,
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
    /// The kind of interested party that it is. A policy may ask for each of the six.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<StakeholderKind>,
    /// Whether it was considered.
    pub considered: bool,
    /// How it was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<Line>,
    /// Why it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Line>,
}

/// A kind of interested party (ISO/IEC 42001 clause 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StakeholderKind {
    /// Those who buy or use what the system is part of.
    Customers,
    /// Those whose data is processed, and those whom its decisions touch.
    DataSubjects,
    /// Authorities that supervise it.
    Regulators,
    /// Those who work with it.
    Staff,
    /// Those who offer it together with you.
    Partners,
    /// Those who supply a part of it.
    Suppliers,
}

/// A section of an impact assessment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Section {
    /// Harms to single persons (ISO/IEC 42001 A.5.4).
    Individuals,
    /// Harms to groups of persons (A.5.4).
    Groups,
    /// Harms to society (A.5.5).
    Society,
    /// Harms that come from misuse, whomever they fall on.
    Misuse,
}

/// A section without harms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoHarm {
    /// The section.
    pub section: Section,
    /// Why there is none.
    pub reason: Title,
}

/// A threat to AI systems that each assessment of a class may be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Threat {
    /// Inputs made to mislead the model (evasion).
    InputManipulation,
    /// Training data or a model that somebody has tampered with.
    Poisoning,
    /// Sensitive data read out of what the model answers.
    SensitiveInference,
    /// A lack of transparency that hides manipulation.
    HiddenManipulation,
}

/// A threat that is no risk of this system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExcludedThreat {
    /// The threat.
    pub threat: Threat,
    /// Why it is none.
    pub reason: Title,
}

/// The fundamental rights impact assessment of AI Act Article 27(1), by letter. Each is optional here; where a policy asks
/// for it and the article applies, the gate names those that are missing.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FundamentalRights {
    /// (a) The deployer's processes in which the system will be used, in line with its intended purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Paragraph>,
    /// (b) For how long and how often it is meant to be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Paragraph>,
    /// (c) Categories of persons and groups that its use is likely to affect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub affected: Option<Vec<Line>>,
    /// (d) The risks of harm to them: ids of risks of this assessment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub risks: Option<Vec<Id>>,
    /// (e) How people oversee it, according to the instructions for use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oversight: Option<Paragraph>,
    /// (f) What is done when a risk materialises: internal governance and where to complain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<Paragraph>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// The threat to AI systems that it comes from, if it is one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threat: Option<Threat>,
    /// Domain AI: ids of the harms that it can lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub harms: Option<Vec<Id>>,
    /// Domain Information: likelihood and impacts without controls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impacts: Option<Impacts>,
    /// Groups that are too small for bias tests to compare, which is what this risk is about. Where a policy leaves out groups
    /// below a share of the rows (tests[].excludeBelowShare), those that a RiskAcceptance of this risk covers hold no test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub groups: Option<Vec<SmallGroup>>,
    /// What remains after controls. Left out: the inherent values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<Residual>,
    /// Controls that lower the risk. Without one that counts now, the inherent level is the level: it is in the catalogue of
    /// the risk's domain (ISO42001 for AI, ISO27001 for Information) or a policy lists it, no policy excludes it, it is
    /// Implemented since a day that has come, and each object of its evidence counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["control".into()]))]
    pub controls: Option<Vec<RiskControl>>,
}

/// A group of people by their attributes, as in a TestReport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmallGroup {
    /// Attributes of the group, for example race: Asian.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    pub attributes: BTreeMap<String, Title>,
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
    /// Objects in this namespace that show it: a TestReport, an Approval of the system, of an assessment of it or of an
    /// acceptance of its risks, or a RiskAcceptance. One that does not count, or is of another kind, takes the control's
    /// effect away.
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
    /// Its content digest (`placet digest KIND/NAME`). Left out: whatever bears the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
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
