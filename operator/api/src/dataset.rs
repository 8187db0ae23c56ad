//! Dataset: what is known of one content of a dataset, by its digest.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::Condition;
use crate::modelrelease::DatasetUse;
use crate::scalar::{Decimal, Digest, Explanation, Id, Line, Moment, Name, Paragraph, Title};

/// What is known of one content of a dataset: where it is from, what was done to it, what it may be used for, how good it is and whom
/// it holds. Releases name it by digest. Immutable: another content, or other facts about the same content, is a new Dataset.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "Dataset",
    plural = "datasets",
    shortname = "dset",
    category = "placet",
    namespaced,
    status = "DatasetStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"Dataset","type":"string","jsonPath":".spec.name"}"#,
    printcolumn = r#"{"name":"Uses","type":"string","jsonPath":".status.uses"}"#,
    printcolumn = r#"{"name":"Personal","type":"boolean","jsonPath":".spec.personalData.contained"}"#,
    printcolumn = r#"{"name":"Collected","type":"string","jsonPath":".spec.provenance.collectedUntil"}"#,
    printcolumn = r#"{"name":"Rows","type":"integer","jsonPath":".spec.rows","priority":1}"#,
    printcolumn = r#"{"name":"Digest","type":"string","jsonPath":".spec.digest","priority":1}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec is immutable: create a new Dataset; to correct one, name it in spec.supersedes"))]
#[x_kube(validation = Rule::new("!has(self.groups) || (has(self.rows) && self.groups.all(g, g.counts.map(c, c.rows).sum() == self.rows))").message("the counts of each attribute add up to rows; rows of which it is not known are the value (missing)"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatasetSpec {
    /// Name of the dataset, as releases and assessments name it. The object may have another one: several may be about the same
    /// dataset.
    pub name: Name,
    /// SHA-256 digest of its content.
    pub digest: Digest,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Paragraph>,
    /// The function that answers for it, for example Head of Data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custodian: Option<Title>,
    /// Where it is from.
    pub provenance: Provenance,
    /// What was done to the data since, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub preprocessing: Option<Vec<Step>>,
    /// Licence or contract under which it is used, for example CC-BY-4.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<Title>,
    /// What it may be used for by those who make models.
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub permitted_uses: Vec<DatasetUse>,
    /// Purposes that it may serve, each in the words of the AISystem (`spec.purpose`).
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub permitted_purposes: Vec<Explanation>,
    /// Whether it holds data about people, and on which grounds.
    pub personal_data: PersonalData,
    /// Number of its rows (documents, images).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub rows: Option<i64>,
    /// What was measured of its quality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["metric".into()]))]
    pub quality: Option<Vec<QualityMeasure>>,
    /// How many rows are about whom, by attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["attribute".into()]))]
    pub groups: Option<Vec<AttributeCounts>>,
    /// When it may no longer be used: the licence ends, a retention period is over. Left out: no such day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Moment>,
    /// Datasets of the same content that this one corrects, and why. Counts only when its creator wrote none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<SupersedesDatasets>,
}

/// Where a dataset is from.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provenance {
    /// Where the data is from, for example the loan ledger, or a publisher and its dataset.
    pub source: Title,
    /// How it was acquired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquisition: Option<Acquisition>,
    /// First day that the data is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_from: Option<Moment>,
    /// Last day that the data is of. Its age is counted from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_until: Option<Moment>,
    /// The written procedure by which it was acquired and labelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Document>,
}

/// How data was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Acquisition {
    /// Collected by your organisation from people or devices.
    Collected,
    /// Kept from your organisation's own operations.
    Operations,
    /// Bought or licensed from somebody.
    Licensed,
    /// Published for anybody.
    Public,
    /// Taken from web pages.
    Scraped,
    /// Made by a program.
    Synthetic,
}

/// A document, by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Title of the document.
    pub title: Title,
    /// SHA-256 digest of its content.
    pub digest: Digest,
}

/// Something that was done to data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// What was done, for example duplicates removed by account number.
    pub title: Title,
    /// SHA-256 digest of the program, or of the written procedure, that did it.
    pub digest: Digest,
    /// SHA-256 digest of what it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Digest>,
}

/// Data about people in a dataset.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.contained || size(self.specialCategories) == 0").message("special categories are of personal data: contained is true"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonalData {
    /// Whether it holds data about identified or identifiable people (GDPR Article 4(1)), pseudonyms included.
    pub contained: bool,
    /// The provision that allows it to be used, for example GDPR Article 6(1)(b).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<Title>,
    /// Special categories (GDPR Articles 9(1) and 10) that it holds. An empty list is an answer: none.
    #[schemars(length(max = 9))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub special_categories: Vec<SpecialCategory>,
    /// Why special categories may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub special_basis: Option<SpecialBasis>,
}

/// A special category of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SpecialCategory {
    /// Racial or ethnic origin.
    RacialOrEthnicOrigin,
    /// Political opinions.
    PoliticalOpinions,
    /// Religious or philosophical beliefs.
    Beliefs,
    /// Membership of a trade union.
    TradeUnionMembership,
    /// Genetic data.
    Genetic,
    /// Biometric data that identifies somebody.
    Biometric,
    /// Health.
    Health,
    /// Sex life or sexual orientation.
    SexLifeOrOrientation,
    /// Criminal convictions and offences (Article 10).
    CriminalConvictions,
}

/// Why special categories may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecialBasis {
    /// The provisions that allow it, for example AI Act Article 10(5) with GDPR Article 9(2)(g).
    pub provision: Title,
    /// Why other data, synthetic or anonymised, would not do, and what protects these.
    pub justification: Explanation,
}

/// A measure of quality.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.count) || self.count <= self.rows").message("count is among the rows"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QualityMeasure {
    /// What was measured, for example MissingRate, DuplicateRate or LabelErrorRate.
    pub metric: Id,
    /// Its value.
    pub value: Decimal,
    /// Rows that were looked at: all of the dataset, or a sample.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub rows: i64,
    /// Where the value is a share of the rows: how many of them. Of a sample Placet computes the interval from it (Wilson); a value
    /// of a sample without it decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub count: Option<i64>,
}

/// How many rows have which value of an attribute.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttributeCounts {
    /// The attribute, for example sex.
    pub attribute: Id,
    /// Rows by value. Rows of which it is not known have the value `(missing)`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["value".into()]))]
    pub counts: Vec<ValueCount>,
}

/// Rows with one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValueCount {
    /// The value, for example female.
    pub value: Title,
    /// Rows.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub rows: i64,
}

/// Datasets that a Dataset corrects.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SupersedesDatasets {
    /// Names of the Dataset objects in this namespace.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub datasets: Vec<Name>,
    /// What was wrong with them.
    pub reason: Title,
}

/// What Placet found about a dataset.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digest of the object's content: of what it says, not of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What it may be used for, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<Line>,
    /// Conditions, among them Ready (judged at this generation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}
