//! What is recorded of how a model is made, documented, overseen and changed, and what policies ask of it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Commit, Digest, Explanation, Name, Reference, Title};
use crate::testreport::TestType;

/// One part of a release's documentation: its text, or the digest of the document that holds it. Either way it is part of
/// what is approved.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.text) != has(self.digest)").message("a part of the documentation gives text, or the digest of a document, and not both"))]
#[x_kube(validation = Rule::new("!has(self.reference) || has(self.digest)").message("reference says where the document of digest lies"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Which part it is.
    pub part: DocumentPart,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Explanation>,
    /// SHA-256 digest of the document that says it. One document may hold several parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Where the document lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// Part of a release's documentation (ISO/IEC 42001 A.6.2.3 and A.6.2.7, AI Act Article 11 and Annex IV).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DocumentPart {
    /// The model card as a whole.
    ModelCard,
    /// The technical documentation as a whole.
    TechnicalDocumentation,
    /// What the model is meant for, and what it is not.
    IntendedUse,
    /// Architecture and decision logic.
    Architecture,
    /// Parameters of the training.
    TrainingParameters,
    /// Where the training data comes from and how it was prepared.
    TrainingData,
    /// Known limitations.
    Limitations,
    /// How a single result is explained: intrinsic, SHAP, counterfactuals, …, and what that leaves out.
    ExplanationMethod,
    /// Why it was designed so.
    DesignRationale,
    /// Instructions for those who use it (AI Act Article 13).
    InstructionsForUse,
}

/// What the model was made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Training {
    /// Repository of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Reference>,
    /// Commit of the code, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// SHA-256 digest of the training configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Digest>,
    /// Seed of the random numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub seed: Option<i64>,
}

/// What the release runs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// SHA-256 digest of the list of pinned libraries (a lock file).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libraries: Option<Digest>,
    /// Driver and its version, for example nvidia 570.124.06.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Title>,
    /// Class of the nodes, for example gpu-h100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_class: Option<Title>,
}

/// Effects of a change, as its author assessed them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeImpact {
    /// What changes technically: quality, robustness, operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technical: Option<Explanation>,
    /// What it means for security.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Explanation>,
    /// What it means for people and society.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub societal: Option<Explanation>,
}

/// Somebody who oversees a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Overseer {
    /// The function, not the person: Loan officer on duty.
    pub function: Title,
    /// What makes its holders competent: training, experience (AI Act Article 26(2)).
    pub competence: Title,
    /// Whether they may stop the system by themselves.
    pub may_stop: bool,
}

/// What an oversight plan holds beside overseers and the stop procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum OversightPart {
    /// How a single result is disregarded or overridden (AI Act Article 14(4)(d)).
    OverrideProcedure,
    /// Where whoever is affected contests a decision.
    AppealChannel,
    /// The report on the last stop drill, by digest.
    DrillReport,
}

/// A document by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentRef {
    /// SHA-256 digest of the document.
    pub digest: Digest,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// How one duty of transparency is met: what people are told, or why the law excepts the system from it.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.text), has(self.digest), has(self.exception)].filter(given, given).size() == 1").message("a notice gives text, the digest of a document, or an exception, one of them"))]
#[x_kube(validation = Rule::new("has(self.shownAt) != has(self.exception)").message("a notice says where it is shown (shownAt), an exception does not"))]
#[x_kube(validation = Rule::new("!has(self.reference) || has(self.digest)").message("reference says where the document of digest lies"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notice {
    /// The duty.
    pub duty: TransparencyDuty,
    /// What people are told, or how content is marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Explanation>,
    /// SHA-256 digest of the document that they get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Where the document lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Where and when they see it: the page, the first message, the metadata of each image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_at: Option<Title>,
    /// Why the article itself excepts the system, for example that it is obvious. Counts where the duty follows from the
    /// system's triggers, and not where a policy names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Explanation>,
}

/// A duty of transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TransparencyDuty {
    /// People learn that they deal with an AI system: AI Act Article 50(1).
    DirectInteraction,
    /// Synthetic content is marked so that machines can read it: Article 50(2).
    SyntheticContent,
    /// People learn of emotion recognition or biometric categorisation: Article 50(3).
    EmotionOrBiometric,
    /// Deep fakes and texts of public interest are disclosed: Article 50(4).
    DeepFakeOrPublicText,
    /// Deployers get instructions for use: Article 13.
    InstructionsForUse,
    /// Workers learn that a High system is used at work: Article 26(7).
    WorkersInformed,
    /// People learn that a High system takes part in decisions on them: Article 26(11).
    PersonsInformed,
    /// People learn how to have a decision explained: Article 86.
    RightToExplanation,
}

/// What is asked of a release's documentation.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentationRule {
    /// Parts that are there.
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub parts: Vec<DocumentPart>,
}

/// What shows that a release was built right: records by which it could be built again, and tests.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationRule {
    /// Records that the release holds. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub records: Option<Vec<BuildRecord>>,
    /// Types of tests that verify: what `tests` asks of them is judged by this gate. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tests: Option<Vec<TestType>>,
}

/// A record of how a release was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum BuildRecord {
    /// training.commit.
    CodeCommit,
    /// training.configuration.
    TrainingConfiguration,
    /// training.seed.
    Seed,
    /// environment.libraries.
    Libraries,
    /// environment.driver.
    Driver,
    /// environment.nodeClass.
    NodeClass,
}

/// Who shows that a release does what it is meant for: a validator, who neither made nor develops it.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidationRule {
    /// The role whose Approval (covers: Evidence) is asked for, by one person who neither made nor develops the release,
    /// whatever separationOfDuties.authorMayApprove says.
    pub role: Name,
    /// Groups whose members do not count as validators. Left out: developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub not_in_groups: Option<Vec<Title>>,
    /// Types of tests that validate: what `tests` asks of them is judged by this gate, and each has a report by a person who
    /// neither made nor develops the release. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tests: Option<Vec<TestType>>,
}

/// What is asked of a system's oversight plan, beside the stop procedure, an overseer who may stop it, and a mode in which
/// somebody watches.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OversightRule {
    /// How many overseers there are at least. Left out: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub overseers: Option<i32>,
    /// How old the last stop drill may be, in days of 24 hours. Left out: no drill is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub drill_max_age_days: Option<i32>,
    /// What else the plan holds. Left out: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub parts: Option<Vec<OversightPart>>,
}

/// Which notices are asked for.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransparencyRule {
    /// Whether each paragraph of AI Act Article 50 that is among the system's triggers needs a notice, or the exception that
    /// the article makes. Left out: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub article50: Option<bool>,
    /// Duties that need a notice whatever the triggers are; no exception counts. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub duties: Option<Vec<TransparencyDuty>>,
}

/// What is asked of changes, beside that each kind of change is declared that follows from the difference with the release
/// before.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeRule {
    /// Parts of change.impact that are there. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub parts: Option<Vec<ChangePart>>,
    /// Whether a release that follows another names one to go back to, or says why there is none (change.noRollback). Left
    /// out: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_target: Option<bool>,
}

/// Part of a change's assessment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ChangePart {
    /// change.impact.technical.
    Technical,
    /// change.impact.security.
    Security,
    /// change.impact.societal.
    Societal,
}
