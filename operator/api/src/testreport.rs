//! TestReport: the raw result of a test, bound to an artefact and a dataset by digest. Never a verdict.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::Condition;
use crate::scalar::{Decimal, Digest, Id, Line, Moment, Name, Title};

/// Result of a test of one artefact on one dataset. It holds counts and values, never a verdict: Placet computes every
/// rate, interval and verdict from them. Immutable: a new result is a new TestReport.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "TestReport",
    plural = "testreports",
    shortname = "tr",
    category = "placet",
    namespaced,
    status = "TestReportStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.type"}"#,
    printcolumn = r#"{"name":"Artifact","type":"string","jsonPath":".spec.artifact","priority":1}"#,
    printcolumn = r#"{"name":"Dataset","type":"string","jsonPath":".spec.dataset","priority":1}"#,
    printcolumn = r#"{"name":"Tool","type":"string","jsonPath":".spec.tool.name"}"#,
    printcolumn = r#"{"name":"Ran","type":"string","jsonPath":".spec.ranAt"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec is immutable: create a new TestReport; to replace one, name it in spec.supersedes"))]
#[x_kube(validation = Rule::new("self.type != 'Bias' || (has(self.rows) && ((has(self.groups) && has(self.positiveMeans)) || (!has(self.groups) && (has(self.scores) || has(self.errors)))))")
    .message("a Bias report gives rows, and groups with raw counts and positiveMeans, or scores, or errors"))]
#[x_kube(validation = Rule::new("has(self.groups) || has(self.metrics) || has(self.scores) || has(self.errors)").message("a report gives groups (raw counts), scores, errors or metrics (values)"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestReportSpec {
    /// What was tested.
    #[serde(rename = "type")]
    pub type_: TestType,
    /// Digest of the artefact that was tested.
    pub artifact: Digest,
    /// Digest of the dataset that it was tested on.
    pub dataset: Digest,
    /// The tool that ran the test.
    pub tool: Tool,
    /// When the test ran.
    pub ran_at: Moment,
    /// Whether all of the dataset was tested, to the end. Left out: Whole. A report on any other run shows nothing, whatever
    /// its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Reports that this one replaces, and why. Counts only when its creator made none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Supersedes>,
    /// What a positive prediction means for the person. With Unfavourable, TP and TN, FP and FN change places before
    /// anything is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive_means: Option<PositiveMeans>,
    /// Number of rows tested. The counts of the groups sum to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub rows: Option<i64>,
    /// Raw counts per group of people. Rows whose attribute is not known are a group with the value `(missing)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub groups: Option<Vec<GroupCounts>>,
    /// Scores per group of people, as histograms by label. Beside `groups` they are of the same rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    /// Errors of a regression per group of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// Values of other metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub metrics: Option<Vec<MetricValue>>,
}

/// Type of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TestType {
    /// Bias between groups of people.
    Bias,
    /// Quality of predictions.
    Performance,
    /// Stability under changed input, for example accuracy under perturbation.
    Robustness,
    /// Resistance to attack: adversarial tests, red teams, scans.
    Security,
    /// Other evaluations of behaviour: suites for language models (toxicity, refusals, stereotypes, hallucination).
    Safety,
    /// Drift of data or predictions.
    Drift,
}

impl std::fmt::Display for TestType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// How much of a test was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Run {
    /// All of the dataset, to the end.
    Whole,
    /// A part of the dataset that somebody chose: a limit, a sample.
    Limited,
    /// It broke off, or some rows have no result.
    Incomplete,
    /// It was declared invalid afterwards.
    Invalidated,
}

/// A tool and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    /// Name of the tool.
    pub name: Title,
    /// Version of the tool.
    pub version: Title,
}

/// Reports that a report replaces.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Supersedes {
    /// Names of the replaced TestReports in this namespace.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub reports: Vec<Name>,
    /// Why they are replaced.
    pub reason: Title,
}

/// What a positive prediction means for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PositiveMeans {
    /// The favourable outcome, for example credit granted.
    Favourable,
    /// The unfavourable outcome, for example flagged as high risk.
    Unfavourable,
}

/// Raw counts of one group: a confusion matrix.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.tp + self.fp + self.fn + self.tn == self.rows").message("tp + fp + fn + tn must equal rows"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupCounts {
    /// Attributes of the group, for example sex: female.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    pub attributes: BTreeMap<String, Title>,
    /// Rows in the group.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub rows: i64,
    /// True positives.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub tp: i64,
    /// False positives.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub fp: i64,
    /// False negatives.
    #[serde(rename = "fn")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub fn_: i64,
    /// True negatives.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub tn: i64,
}

/// Bins of a histogram, the same for every group: `edges` or `values`.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.edges) != has(self.values)").message("bins are given by edges or by values"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bins {
    /// Edges between bins, rising: n edges make n - 1 bins. A number on an edge belongs to the bin above it, on the last edge
    /// to the last bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1025))]
    #[x_kube(validation = Rule::new("self.map(e, double(e)).isSorted()").message("edges rise"))]
    pub edges: Option<Vec<Decimal>>,
    /// The values that there are, rising, where they are few (deciles): each is a bin of its own, and nothing is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.map(v, double(v)).isSorted()").message("values rise"))]
    pub values: Option<Vec<Decimal>>,
}

/// Scores of the rows tested, as histograms by label.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scores {
    /// Bins of every histogram.
    pub bins: Bins,
    /// Histograms per group of people. Rows whose attribute is not known are a group with the value `(missing)`.
    #[schemars(length(min = 1, max = 200))]
    pub groups: Vec<GroupScores>,
}

/// Scores of one group.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("size(self.positive) == size(self.negative)").message("positive and negative have a count for each bin"))]
#[x_kube(validation = Rule::new("self.positive.sum() + self.negative.sum() == self.rows").message("the counts of positive and negative must add up to rows"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupScores {
    /// Attributes of the group, for example sex: female.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    pub attributes: BTreeMap<String, Title>,
    /// Rows in the group.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub rows: i64,
    /// Rows of each bin that are actually positive.
    #[schemars(length(min = 1, max = 1024), inner(range(min = 0, max = 9_007_199_254_740_991_i64)))]
    pub positive: Vec<i64>,
    /// Rows of each bin that are actually negative.
    #[schemars(length(min = 1, max = 1024), inner(range(min = 0, max = 9_007_199_254_740_991_i64)))]
    pub negative: Vec<i64>,
}

/// Errors of a regression: e = prediction - label.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.groups.all(g, has(g.histogram) == has(self.bins))").message("histograms come with bins"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Errors {
    /// Bins of every histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bins: Option<Bins>,
    /// Sums per group of people. Rows whose attribute is not known are a group with the value `(missing)`.
    #[schemars(length(min = 1, max = 200))]
    pub groups: Vec<GroupErrors>,
}

/// Errors of one group.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.histogram) || self.histogram.sum() == self.rows").message("the counts of the histogram must add up to rows"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupErrors {
    /// Attributes of the group, for example sex: female.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    pub attributes: BTreeMap<String, Title>,
    /// Rows in the group.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub rows: i64,
    /// Sum of the errors.
    pub sum: Decimal,
    /// Sum of their squares.
    pub sum_of_squares: Decimal,
    /// Sum of their absolute values.
    pub sum_of_absolutes: Decimal,
    /// Rows of each bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), inner(range(min = 0, max = 9_007_199_254_740_991_i64)))]
    pub histogram: Option<Vec<i64>>,
}

/// Value of a metric.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.lower) == has(self.upper)").message("lower and upper come together"))]
#[x_kube(validation = Rule::new("has(self.lower) || !(has(self.confidence) || has(self.method))").message("confidence and method are those of the interval lower to upper"))]
#[x_kube(validation = Rule::new("(has(self.successes) ? 1 : 0) + (has(self.standardError) ? 1 : 0) + (has(self.lower) ? 1 : 0) <= 1").message("a value has successes, a standardError or an interval, not several of them"))]
#[x_kube(validation = Rule::new("!has(self.successes) || self.successes <= self.rows").message("successes are among the rows"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricValue {
    /// Name of the metric, for example BalancedAccuracy.
    pub name: Id,
    /// Its value.
    pub value: Decimal,
    /// Number of rows that it was computed from.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub rows: i64,
    /// Where the value is a share of the rows: how many of them. Placet computes the share and its interval (Wilson) from these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub successes: Option<i64>,
    /// Standard error of the value, above 0. Placet computes the interval from it, as wide as the policy asks (value ± z · standard
    /// error).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<Decimal>,
    /// Lower bound of the interval that the tool computed. It counts with its confidence and method only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<Decimal>,
    /// Upper bound of that interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<Decimal>,
    /// Two-sided confidence of that interval, for example 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Decimal>,
    /// How that interval was computed, for example bootstrap of 1000 samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Title>,
}

/// What Placet found about a report.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestReportStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digest of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Metrics computed from the counts, for display. They do not decide; a policy's tests do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub computed: Option<Vec<Line>>,
    /// Conditions, among them Ready (judged at this generation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}
