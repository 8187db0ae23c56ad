//! AISystem: the inventory entry of an AI system, and the facts that its class follows from.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{Class, Condition, Level};
use crate::lifecycle::{DocumentRef, Notice, Overseer};
use crate::scalar::{DateTime, Digest, Id, Line, Moment, Name, Paragraph, Title};
use crate::testreport::PositiveMeans;

/// An AI system as your organisation uses or offers it: owner, purpose, and the facts from which its regulatory class
/// is derived. Every ModelRelease belongs to one AISystem.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "AISystem",
    plural = "aisystems",
    shortname = "ais",
    category = "placet",
    namespaced,
    status = "AISystemStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"Class","type":"string","jsonPath":".status.class","description":"Derived from the triggers"}"#,
    printcolumn = r#"{"name":"Stage","type":"string","jsonPath":".spec.stage"}"#,
    printcolumn = r#"{"name":"Cleared","type":"string","jsonPath":".status.releases.cleared","description":"Newest cleared release"}"#,
    printcolumn = r#"{"name":"Pending","type":"integer","jsonPath":".status.releases.pending","description":"Releases that wait"}"#,
    printcolumn = r#"{"name":"Owner","type":"string","jsonPath":".spec.owner.function","priority":1}"#,
    printcolumn = r#"{"name":"Risk-Rank","type":"integer","jsonPath":".status.riskRank.value","priority":1,"description":"Which system to look at first: the highest"}"#,
    printcolumn = r#"{"name":"Next-Obligation","type":"string","jsonPath":".status.obligations.nextFrom","priority":1,"description":"When the next obligation begins to apply"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AISystemSpec {
    /// Human-readable title of the system.
    pub title: Title,
    /// Who answers for the system.
    pub owner: Owner,
    /// The roles that your organisation has for this system (ISO/IEC 42001 clause 4.1, AI Act Article 3).
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub organisation_roles: Vec<OrganisationRole>,
    /// What the system is for, in one or two sentences.
    pub purpose: Paragraph,
    /// Sector in which it is used, for example Banking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector: Option<Line>,
    /// The use that it is meant for.
    pub intended_use: IntendedUse,
    /// Regulatory facts. Each is answered; one that is not answered makes the class Unknown, which blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<Triggers>,
    /// The documented assessment of AI Act Article 6(3), under which an Annex III system is not high-risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derogation: Option<Derogation>,
    /// Exceptions that Article 5 or a point of Annex III itself names, one record each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["point".into()]))]
    pub exceptions: Option<Vec<PointException>>,
    /// The class that you believe it has. Never decides; one below the derived class is an error with its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_class: Option<Class>,
    /// When the system was or will be placed on the market or put into service. With a derogation due from stage Deployment on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_on_market_at: Option<Moment>,
    /// When its design was last changed significantly after it was placed on the market (AI Act Article 111(2)): some
    /// obligations that passed over older systems apply from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design_changed_at: Option<Moment>,
    /// Datasets that the system uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub datasets: Option<Vec<NamedDataset>>,
    /// Suppliers that the system depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub suppliers: Option<Vec<NamedSupplier>>,
    /// What a bias test must look at. The tester does not choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// How people oversee and stop the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oversight: Option<Oversight>,
    /// What people are told of the system, by duty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["duty".into()]))]
    pub transparency: Option<Vec<Notice>>,
    /// Stage of the life cycle.
    pub stage: Stage,
}

/// Who answers for a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    /// The accountable function, for example Head of Lending.
    pub function: Title,
    /// How to reach it. Personal: it is kept out of evidence leaves and snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Line>,
}

/// Role of your organisation for a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrganisationRole {
    /// Develops it.
    Developer,
    /// Places it on the market or puts it into service under its own name.
    Provider,
    /// Uses it under its own authority.
    Deployer,
    /// Imports it.
    Importer,
    /// Makes it available on the market.
    Distributor,
}

/// Kind of an organisation that uses a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeployerKind {
    /// A public authority, or a body governed by public law.
    PublicAuthority,
    /// A private organisation that provides public services.
    PublicServiceProvider,
    /// Any other.
    Private,
}

/// The use that a system is meant for.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntendedUse {
    /// Who works with it.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub users: Vec<Line>,
    /// Which decisions it informs or takes.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub decisions: Vec<Line>,
    /// Groups of people whom these decisions touch.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub affected_groups: Vec<Line>,
    /// Regions in which it is used: EU, countries by ISO 3166 code (DE, US), or what obligations name. Any other may be any.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub regions: Vec<Line>,
    /// Kinds of organisations that use it. Left out: it may be any, and obligations of each of them apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub deployers: Option<Vec<DeployerKind>>,
    /// Uses that are excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub out_of_scope: Option<Vec<Line>>,
}

/// Facts from which the class follows. An empty list is an answer ("none applies"); a field that is left out is not.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Triggers {
    /// Practices of AI Act Article 5(1) whose definition is met, by letter: `a` to `h`, `ba`, `bb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), inner(regex(pattern = r"^(a|b|ba|bb|c|d|e|f|g|h)$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub article5: Option<Vec<Id>>,
    /// Annex I: the system is a safety component of, or is, a product under a listed act that needs a third-party
    /// conformity assessment. Names the acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "annexI")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub annex_i: Option<Vec<Line>>,
    /// Annex III: high-risk uses by point and letter, for example `5(b)` for creditworthiness or `4(a)` for recruitment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "annexIII")]
    #[schemars(length(max = 25), inner(length(max = 8), regex(pattern = r"^[1-8](\([a-g]\))?$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub annex_iii: Option<Vec<Line>>,
    /// Article 50: transparency duties by paragraph: `1` direct interaction, `2` synthetic content, `3` emotion
    /// recognition or biometric categorisation, `4` deep fakes and public-interest text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), inner(regex(pattern = r"^[1-4]$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub article50: Option<Vec<Id>>,
    /// Whether the system profiles natural persons. Profiling excludes the derogation of Article 6(3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiling: Option<bool>,
    /// Whether personal data is processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal_data: Option<bool>,
}

/// The documented assessment of AI Act Article 6(3) and (4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Derogation {
    /// The condition that is met: NarrowProceduralTask (a), ImprovesCompletedActivity (b), DetectsPatterns (c),
    /// PreparatoryTask (d).
    pub condition: DerogationCondition,
    /// Why the system poses no significant risk of harm to health, safety or fundamental rights.
    pub no_significant_risk: Paragraph,
    /// Why it does not materially influence the outcome of decision making.
    pub no_material_influence: Paragraph,
    /// When this was assessed; it must be before the system is placed on the market.
    pub assessed_at: Moment,
    /// Reference of the registration under Article 49(2), due once on the market, in stage Deployment or later, or used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Line>,
}

/// A condition of AI Act Article 6(3), second subparagraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DerogationCondition {
    /// (a) narrow procedural task.
    NarrowProceduralTask,
    /// (b) improves the result of a completed human activity.
    ImprovesCompletedActivity,
    /// (c) detects decision-making patterns or deviations from them.
    DetectsPatterns,
    /// (d) preparatory task.
    PreparatoryTask,
}

/// An exception that the law itself names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PointException {
    /// The point that it excepts from: `5(1)(f)` for Article 5(1)(f), or an Annex III point such as `5(b)`.
    pub point: Line,
    /// The ground, for example Medical, Safety, FraudDetection.
    pub ground: Title,
    /// The legal basis, in words.
    pub legal_basis: Title,
}

/// A dataset by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedDataset {
    /// Name of the dataset.
    pub name: Name,
}

/// A supplier by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedSupplier {
    /// Name of the supplier.
    pub name: Name,
    /// What it supplies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplies: Option<Line>,
    /// Whether and how you changed the model that it supplies. A High system with a Substantial one has you as its provider
    /// (AI Act Article 25(1)(b)), whatever organisationRoles says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modification: Option<Modification>,
}

/// Whether and how a supplier's model was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Modification {
    /// It is used as it is supplied.
    Unmodified,
    /// It was changed within what its provider foresaw and assessed.
    Foreseen,
    /// It was changed in a way that its provider did not foresee and that touches its compliance or its purpose (AI Act
    /// Article 3(23)).
    Substantial,
}

/// What a bias test of this system must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evaluation {
    /// Sets of protected attributes: `[sex]` asks for each sex, `[sex, ageBand]` for each combination.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 4)))]
    pub attribute_sets: Vec<Vec<Id>>,
    /// The outcome that is favourable for the person, for example `granted`.
    pub favourable_outcome: Title,
    /// What a positive prediction of the system's models means for the person. Left out: Favourable. A report on a bias test
    /// that says otherwise is not judged: who tests does not choose the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive_means: Option<PositiveMeans>,
    /// Values of attributes that every bias report must have a group of, for example `sex: [female, male]`, so that nobody is
    /// left out of a test. Others may be there too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub categories: Option<BTreeMap<String, Categories>>,
    /// Digests of the datasets that bias is tested on, each of them; reports on others do not count. Left out: any dataset of
    /// use Evaluation of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub datasets: Option<Vec<Digest>>,
}

/// Values of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Categories(
    /// The values.
    #[schemars(length(min = 1, max = 200))]
    pub Vec<Title>,
);

/// How people oversee and stop a system (AI Act Article 14).
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Oversight {
    /// How people take part.
    pub mode: OversightMode,
    /// How the system is stopped or rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_procedure: Option<Line>,
    /// When stopping was last practised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<Moment>,
    /// The report on that drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_report: Option<DocumentRef>,
    /// Who oversees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["function".into()]))]
    pub overseers: Option<Vec<Overseer>>,
    /// How a single result is disregarded or overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_procedure: Option<Line>,
    /// Where whoever is affected contests a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appeal_channel: Option<Line>,
}

/// How people take part in decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OversightMode {
    /// A person decides each case.
    HumanInTheLoop,
    /// A person watches and can step in.
    HumanOnTheLoop,
    /// A person decides when and how it is used.
    HumanInCommand,
    /// Nobody watches single decisions.
    Autonomous,
}

/// Stage of a system's life cycle (ISO/IEC 22989, clause 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// Inception.
    Inception,
    /// Design and development.
    Development,
    /// Verification and validation.
    Validation,
    /// Deployment.
    Deployment,
    /// Operation and monitoring.
    Operation,
    /// Retirement.
    Retirement,
}

/// What Placet computed for a system.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AISystemStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The class that follows from the triggers; absent while it is Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Why it has this class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub class_basis: Option<Vec<Line>>,
    /// Digests that approvals of this system name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<SystemDigests>,
    /// Obligations of the policies that match it, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obligations: Option<SystemObligations>,
    /// Which system to look at first, and what that follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_rank: Option<RiskRank>,
    /// Its releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<ReleaseCounts>,
    /// Conditions, among them Ready (judged at this generation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}

/// Obligations of a system.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemObligations {
    /// Those that apply today, by date; the first 64.
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub apply: Vec<SystemObligation>,
    /// How many apply today.
    pub total: i32,
    /// The next to come, by date; at most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub next: Option<Vec<SystemObligation>>,
    /// When the first of `next` begins to apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_from: Option<DateTime>,
    /// Why obligations of a provider apply although organisationRoles does not say Provider (AI Act Article 25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_because: Option<Line>,
}

/// An obligation of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemObligation {
    /// Its id.
    pub id: Id,
    /// Its version; an assessment that considered it names both.
    pub version: Title,
    /// What is to be done.
    pub title: Title,
    /// Where it stands.
    pub article: Title,
    /// From when it applies to this system.
    pub from: DateTime,
}

/// Which system to look at first. A rank orders, it measures nothing: class before residual level before inherent level,
/// and what is not known before what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RiskRank {
    /// Three digits: class (1 Minimal to 4 Prohibited, 5 not known), highest residual level and highest inherent level (each 1
    /// VeryLow to 5 VeryHigh, 6 not known).
    pub value: i32,
    /// The class, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The highest residual level of the current assessment, where every risk of it can be scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<Level>,
    /// The highest inherent level of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherent: Option<Level>,
    /// The current assessment, where there is exactly one that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Name>,
}

/// Digests of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemDigests {
    /// Digest of the whole content.
    pub content: Digest,
    /// Digest of what the class depends on; approvals that cover Classification name it.
    pub classification: Digest,
}

/// Releases of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCounts {
    /// The release that was cleared last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared: Option<Name>,
    /// When it was cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<DateTime>,
    /// How many releases are not cleared and not withdrawn.
    pub pending: i32,
}
