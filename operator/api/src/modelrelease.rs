//! ModelRelease: one version of a model, by the digests of its artefacts, that asks to be deployed.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::Covers;
use crate::common::{Class, Condition, DatasetRef};
use crate::lifecycle::{ChangeImpact, Document, Environment, Training};
use crate::scalar::{DateTime, Digest, Explanation, Id, Line, Name, Paragraph, Reference, Title};

/// One version of a model that asks to be deployed. A workload names it by the label `placet.dev/release`. Its spec
/// does not change after creation, except that `withdrawn` may become true: a new version is a new ModelRelease.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "ModelRelease",
    plural = "modelreleases",
    shortname = "mr",
    category = "placet",
    namespaced,
    status = "ModelReleaseStatus",
    derive = "PartialEq",
    selectable = ".spec.system",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since workloads carry it as a label value"),
    printcolumn = r#"{"name":"System","type":"string","jsonPath":".spec.system"}"#,
    printcolumn = r#"{"name":"Class","type":"string","jsonPath":".status.class"}"#,
    printcolumn = r#"{"name":"Cleared","type":"string","jsonPath":".status.conditions[?(@.type==\"Cleared\")].status"}"#,
    printcolumn = r#"{"name":"Open","type":"string","jsonPath":".status.open","description":"Gates that are not met"}"#,
    printcolumn = r#"{"name":"Valid Until","type":"string","jsonPath":".status.validUntil"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self.system == oldSelf.system && self.version == oldSelf.version && self.change == oldSelf.change && self.artifacts == oldSelf.artifacts")
    .message("spec is immutable: create a new ModelRelease for a new version (only withdrawn may become true)"))]
#[x_kube(validation = Rule::new("has(self.datasets) == has(oldSelf.datasets) && (!has(self.datasets) || self.datasets == oldSelf.datasets)")
    .message("spec.datasets is immutable: create a new ModelRelease for a new version"))]
#[x_kube(validation = Rule::new("has(self.developers) == has(oldSelf.developers) && (!has(self.developers) || self.developers == oldSelf.developers)")
    .message("spec.developers is immutable: create a new ModelRelease for a new version"))]
#[x_kube(validation = Rule::new("has(self.documentation) == has(oldSelf.documentation) && (!has(self.documentation) || self.documentation == oldSelf.documentation)")
    .message("spec.documentation is immutable: create a new ModelRelease for a new version"))]
#[x_kube(validation = Rule::new("has(self.training) == has(oldSelf.training) && (!has(self.training) || self.training == oldSelf.training)")
    .message("spec.training is immutable: create a new ModelRelease for a new version"))]
#[x_kube(validation = Rule::new("has(self.environment) == has(oldSelf.environment) && (!has(self.environment) || self.environment == oldSelf.environment)")
    .message("spec.environment is immutable: create a new ModelRelease for a new version"))]
#[x_kube(validation = Rule::new("has(self.previous) == has(oldSelf.previous) && (!has(self.previous) || self.previous == oldSelf.previous)")
    .message("spec.previous is immutable: create a new ModelRelease for a new version"))]
#[x_kube(validation = Rule::new("has(self.rollbackTarget) == has(oldSelf.rollbackTarget) && (!has(self.rollbackTarget) || self.rollbackTarget == oldSelf.rollbackTarget)")
    .message("spec.rollbackTarget is immutable: create a new ModelRelease for a new version"))]
#[x_kube(validation = Rule::new("!(has(oldSelf.withdrawn) && oldSelf.withdrawn) || (has(self.withdrawn) && self.withdrawn)")
    .message("spec.withdrawn goes from false to true only: what was withdrawn stays withdrawn"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelReleaseSpec {
    /// The AISystem in this namespace that the model belongs to.
    pub system: Name,
    /// Version, for example 2.4.0.
    pub version: Id,
    /// What kind of change this release is.
    pub change: Change,
    /// What is deployed, by digest. At least one has the role Model (an image with the model inside is one).
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = Rule::new("self.exists(a, a.role == 'Model')").message("at least one artefact has the role Model (an image with the model inside is one)"))]
    pub artifacts: Vec<Artifact>,
    /// Datasets that the model was trained and evaluated on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into(), "use".into()]))]
    pub datasets: Option<Vec<ReleaseDataset>>,
    /// Its documentation, by part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["part".into()]))]
    pub documentation: Option<Vec<Document>>,
    /// What the model was made with: what it takes to make it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// What it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// User names of the people who developed it. None of them, nor the creator of this object, counts as an approver.
    /// Personal: kept out of evidence leaves and snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub developers: Option<Vec<Title>>,
    /// The release that this one follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Name>,
    /// The release to go back to when this one fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_target: Option<Name>,
    /// Set to true to withdraw the release for good. Never goes back to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<bool>,
}

/// What kind of change a release is (ISO/IEC 27001 A.8.32).
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.also) || (self.kind != 'Initial' && !self.also.exists(k, k == 'Initial' || k == self.kind))").message("also names further kinds of change; Initial stands alone"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Kind of the change.
    pub kind: ChangeKind,
    /// Further kinds, where it is several at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub also: Option<Vec<ChangeKind>>,
    /// Why it is made.
    pub reason: Title,
    /// Assessment of the change's effects, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Paragraph>,
    /// Assessment of its effects by part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<ChangeImpact>,
    /// Why there is no release to go back to, and what is done instead when this one fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_rollback: Option<Explanation>,
}

impl Change {
    /// The kinds that it is said to be.
    pub fn kinds(&self) -> impl Iterator<Item = ChangeKind> {
        [self.kind].into_iter().chain(self.also.iter().flatten().copied())
    }
}

/// Kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ChangeKind {
    /// First release of the system.
    Initial,
    /// Trained again: other weights or other data.
    Retrain,
    /// Other settings: code, training configuration, seed, or an artefact of role Other.
    Configuration,
    /// Other infrastructure: runtime, pinned libraries, driver, class of nodes.
    Infrastructure,
}

impl std::fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Something that is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    /// Name within this release.
    pub name: Id,
    /// What part it plays.
    pub role: ArtifactRole,
    /// What kind of thing it is.
    pub kind: ArtifactKind,
    /// Where it lies, without tag or digest.
    pub reference: Reference,
    /// SHA-256 digest of the artefact: the manifest's for images and OCI artefacts, the content's otherwise.
    pub digest: Digest,
}

/// Part that an artefact plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ArtifactRole {
    /// Holds the model. Tests are asked for it.
    Model,
    /// Changes the model's behaviour (LoRA, adapter). Tests are asked for it.
    Adapter,
    /// Serves the model.
    Runtime,
    /// Anything else.
    Other,
}

/// Kind of an artefact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ArtifactKind {
    /// Container image.
    Image,
    /// OCI artefact that is no image.
    OCI,
    /// Model on Hugging Face.
    HuggingFace,
    /// Any other URI.
    URI,
}

/// A dataset and what it was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseDataset {
    /// Name of the dataset.
    pub name: Name,
    /// SHA-256 digest of its content.
    pub digest: Digest,
    /// What it was used for. Test reports count on Evaluation datasets only.
    #[serde(rename = "use")]
    pub use_: DatasetUse,
}

impl ReleaseDataset {
    /// Name and digest, without the use.
    pub fn dataset(&self) -> DatasetRef {
        DatasetRef { name: self.name.clone(), digest: self.digest.clone() }
    }
}

/// What a dataset was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DatasetUse {
    /// Training.
    Training,
    /// Choosing between models.
    Validation,
    /// Testing what is released.
    Evaluation,
}

/// What Placet decided about a release.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelReleaseStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digests that approvals name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<ReleaseDigests>,
    /// Class of the system, absent while Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Policies that apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub policies: Option<Vec<AppliedPolicy>>,
    /// Roles whose approval is asked for, and what the digest of each must cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["role".into()]))]
    pub approvers: Option<Vec<Approver>>,
    /// Gates that are not met, joined by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Line>,
    /// Verdict of each gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 24))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["gate".into()]))]
    pub gates: Option<Vec<GateStatus>>,
    /// What keeps nothing from being cleared and should be seen by whoever decides: warnings, and metrics that were computed
    /// and bind nobody. At most 10 are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub notes: Option<Vec<Line>>,
    /// Until when the clearance stands if nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<DateTime>,
    /// The recorded decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionRef>,
    /// Conditions: Ready (judged at this generation) and Cleared (all gates are met); TimeTrusted is there, and False,
    /// while decisions are Unknown because the operator's clock differs from the API server's by more than 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}

/// Digests of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseDigests {
    /// Digest of the content: approvals that cover Content name it.
    pub content: Digest,
    /// Digest of the content with class, assessment, reports and requirements: approvals that cover Evidence name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// Part of the evidence: digest of why the system has its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_basis: Option<Digest>,
    /// Part of the evidence: digest of what the policies ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Digest>,
}

/// A role whose approval is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approver {
    /// The ApprovalRole.
    pub role: Name,
    /// What the digest of its approvals must cover.
    pub covers: Covers,
}

/// A policy that applies, by the digest of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedPolicy {
    /// Name of the ReleasePolicy.
    pub name: Name,
    /// Digest of its content.
    pub digest: Digest,
}

/// The recorded decision that this status shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRef {
    /// Index of the record in the evidence log.
    pub record: i64,
    /// Digest of everything that the decision read.
    pub digest: Digest,
}

/// Verdict of one gate.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// Name of the gate.
    pub gate: Id,
    /// Met, NotMet or Unknown.
    pub verdict: GateVerdict,
    /// Reason code of the first finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Id>,
    /// How many findings there are in all; at most 20 are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i32>,
    /// What is missing, and who can supply it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub findings: Option<Vec<FindingStatus>>,
}

/// Verdict of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GateVerdict {
    /// What the gate asks for exists.
    Met,
    /// It is not yet known whether it exists. Blocks.
    Unknown,
    /// It does not exist.
    NotMet,
}

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingStatus {
    /// Stable reason code.
    pub reason: Id,
    /// What it is about, for example a risk id or a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Line>,
    /// What was wanted.
    pub wanted: Paragraph,
    /// What was found.
    pub found: Paragraph,
    /// Who can supply it.
    pub who: Line,
    /// The command or change that does.
    pub command: Paragraph,
}
