//! ReleasePolicy: what a release of a class must have before it runs.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::aisystem::Categories;
use crate::approval::Covers;
use crate::common::{Class, Condition, Level};
use crate::controlrule::ControlsRule;
use crate::customgate::CustomGate;
use crate::datarule::DataRule;
use crate::guard::{MinimumClass, PolicyGuard, PolicyWaiting};
use crate::impactassessment::{Section, StakeholderKind, Threat};
use crate::lifecycle::{
    ChangeRule, DocumentationRule, OversightRule, TransparencyRule, ValidationRule, VerificationRule,
};
use crate::obligation::{Obligation, ProhibitedFrom};
use crate::scalar::{Decimal, Digest, Explanation, Id, Line, Name, PlatformImageRef, Title};
pub use crate::separation::{Alias, HighDefaults, SeparationOfDuties, WildcardGrants};
use crate::testreport::TestType;
pub use crate::validity::{RoleLoss, Validity};

pub use crate::selector::{LabelOperator, LabelRequirement, LabelSelector};

/// What releases of the named classes must have before they run. All policies that match a release apply together, with
/// the strictest value of each field. A release that no policy matches is Unknown, which blocks.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "ReleasePolicy",
    plural = "releasepolicies",
    shortname = "rp",
    category = "placet",
    status = "ReleasePolicyStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"Applies To","type":"string","jsonPath":".status.appliesTo","description":"Classes, and the namespaces if not all"}"#,
    printcolumn = r#"{"name":"Appetite","type":"string","jsonPath":".spec.riskAppetite"}"#,
    printcolumn = r#"{"name":"Usable","type":"string","jsonPath":".status.conditions[?(@.type==\"Usable\")].status"}"#,
    printcolumn = r#"{"name":"In-Force","type":"string","jsonPath":".status.conditions[?(@.type==\"InForce\")].status"}"#,
    printcolumn = r#"{"name":"Time-Trusted","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"TimeTrusted\")].status"}"#,
    printcolumn = r#"{"name":"Evidence-Writable","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"EvidenceWritable\")].status"}"#,
    printcolumn = r#"{"name":"Evidence-Space","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"EvidenceSpace\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("!self.appliesTo.classes.exists(c, c == 'High') || !self.approvals.exists(a, has(a.emptyDigest) && a.emptyDigest == 'Fill')").message("emptyDigest: Fill is for policies that do not apply to the class High: there, who approves names the digest that they looked at"))]
#[x_kube(validation = Rule::new("self.appliesTo.classes.all(c, c in ['Minimal', 'Limited']) || !has(self.tests) || !self.tests.exists(t, has(t.whenIndeterminate) && t.whenIndeterminate == 'Warn')").message("whenIndeterminate: Warn is for policies that apply to the classes Minimal and Limited alone: elsewhere, what is not shown holds"))]
#[x_kube(validation = Rule::new("!self.approvals.exists(a, has(a.covers) && a.covers == 'Classification')").message("approvals cover Content or Evidence; who confirms the class is said by classification.approvedBy"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleasePolicySpec {
    /// Which releases it applies to.
    pub applies_to: AppliesTo,
    /// Who confirms a class below High.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<ClassificationRule>,
    /// Whether an impact assessment is asked for, and how old it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<AssessmentRule>,
    /// Tests that are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub tests: Option<Vec<TestRule>>,
    /// What is asked of the datasets that a release names. Left out: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataRule>,
    /// Who may report tests of a type: a report shows that a test passes if whoever made it held the verb `report` on this
    /// ApprovalRole (`approvalroles.placet.dev/ROLE`) then. What fails in a report counts whoever made it. Left out: whoever may
    /// create TestReports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub reporters: Option<Vec<ReporterRule>>,
    /// Sets of protected attributes that every bias test looks at, beside those of the AISystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 4)))]
    pub attribute_sets: Option<Vec<Vec<Id>>>,
    /// Values of protected attributes that every bias report must have a group of, beside those of the AISystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub categories: Option<BTreeMap<String, Categories>>,
    /// What the release's documentation holds. Left out, as each of the next five: the gate is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<DocumentationRule>,
    /// What shows that the release was built right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationRule>,
    /// Who shows that it does what it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationRule>,
    /// How the system is overseen and stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oversight: Option<OversightRule>,
    /// What people are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transparency: Option<TransparencyRule>,
    /// What is asked of changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeRule>,
    /// The highest residual level that needs no acceptance. Left out: residual risks are not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_appetite: Option<Level>,
    /// The matrix that levels are looked up in: five rows for likelihood 1 to 5, each with five levels for severity 1
    /// to 5; never falling along either axis. Left out: the 5×5 matrix of ISO/IEC 27005 practice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 5, max = 5), inner(length(min = 5, max = 5)))]
    pub risk_matrix: Option<Vec<Vec<Level>>>,
    /// Which controls may lower a risk, beside those of the catalogue of its domain, and which may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controls: Option<ControlsRule>,
    /// Which roles may accept a residual risk of which level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["level".into()]))]
    pub acceptance_authority: Option<Vec<AcceptanceAuthority>>,
    /// Approvals that are asked for, by role. At least one: a policy that asks nobody approves everything.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["role".into()]))]
    pub approvals: Vec<ApprovalRule>,
    /// Who may not approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separation_of_duties: Option<SeparationOfDuties>,
    /// How long approvals stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
    /// Images that hold no model and may run beside one: sidecars, caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["image".into()]))]
    pub platform_images: Option<Vec<PlatformImage>>,
    /// Whether this version of the policy applies at once to releases that are cleared. Left out: no; each stands, until its
    /// approvals end, on the version that it was cleared under, so that an edit or an upgrade voids nothing by accident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies_to_cleared: Option<bool>,
    /// What happens to replacements of running pods after a clearance was taken back by a withdrawal, a Reject, changed
    /// content or a prohibition. Left out: Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacements: Option<Replacements>,
    /// What law, contracts and your own rules attach to the systems that this policy applies to, with dates and sources. Each
    /// AISystem's status lists those that apply and the next to come; `assessment.freshness` asks assessments about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub obligations: Option<Vec<Obligation>>,
    /// Practices of AI Act Article 5(1) that are refused from some day on only, where every policy for the class High in the
    /// namespace says so; of several days the earliest. Left out: all of them are refused at once, those with a future date
    /// included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["letter".into()]))]
    pub prohibited_from: Option<Vec<ProhibitedFrom>>,
    /// The least class of systems in the namespaces that `appliesTo` selects, whatever classes it names. Left out: the class
    /// that a system's triggers give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_class: Option<MinimumClass>,
    /// Gates of your own. Those of several policies are all asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub custom_gates: Option<Vec<CustomGate>>,
    /// Who has a say when this policy is loosened or deleted. Left out: a change that loosens it waits until a second person,
    /// who holds a role whose approval it asks for, has approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<PolicyGuard>,
}

impl ReleasePolicySpec {
    /// What the digest of an approval must cover under one of the rules.
    pub fn covers(&self, rule: &ApprovalRule) -> Covers {
        let high = self.applies_to.classes.contains(&Class::High);
        rule.covers.unwrap_or(if high { Covers::Evidence } else { Covers::Content })
    }

    /// Whether an approval counts no more once its giver has lost the role.
    pub fn voids_on_role_loss(&self) -> bool {
        match self.validity.as_ref().and_then(|v| v.role_loss) {
            Some(said) => said == RoleLoss::Void,
            None => self.applies_to.classes.contains(&Class::High),
        }
    }

    /// Who does not count, with what holds for class High where it is left out.
    pub fn duties(&self) -> SeparationOfDuties {
        let mut duties = self.separation_of_duties.clone().unwrap_or_default();
        if self.separates_by_default() {
            duties.barred_groups =
                duties.barred_groups.or_else(|| Some(Title::new("auditors").into_iter().collect()));
            duties.acceptor_not_approver_as = duties
                .acceptor_not_approver_as
                .or_else(|| Some(Name::new("model-owner").into_iter().collect()));
            duties.policy_change_days = duties.policy_change_days.or(Some(7));
            duties.author_may_report = duties.author_may_report.or(Some(false));
        }
        duties
    }

    /// Groups whose members do not count in the role of a rule, with what holds for class High where it is left out.
    pub fn not_in_groups(&self, rule: &ApprovalRule) -> Vec<Title> {
        let validates = rule.role.as_str() == "validator" && self.separates_by_default();
        let left_out = || Title::new("developers").into_iter().filter(|_| validates).collect();
        rule.not_in_groups.clone().unwrap_or_else(left_out)
    }

    fn separates_by_default(&self) -> bool {
        let said = self.separation_of_duties.as_ref().and_then(|d| d.high_defaults);
        self.applies_to.classes.contains(&Class::High) && said != Some(HighDefaults::Ignore)
    }
}

/// Which releases a policy applies to.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppliesTo {
    /// Classes of the release's AISystem. Prohibited needs no policy: it is always refused.
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("!self.exists(c, c == 'Prohibited')").message("Prohibited systems are always refused; no policy applies to them"))]
    pub classes: Vec<Class>,
    /// Namespaces, by label. Left out or empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

impl AppliesTo {
    /// As lists show it: `High`, or `Minimal, Limited; namespaces with tier=prod`.
    pub fn in_words(&self) -> String {
        let classes: Vec<String> = self.classes.iter().map(ToString::to_string).collect();
        let mut out = classes.join(", ");
        let selector = self.namespace_selector.as_ref();
        let mut wanted: Vec<String> = selector
            .and_then(|s| s.match_labels.as_ref())
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={}", value.as_str()))
            .collect();
        wanted.extend(selector.and_then(|s| s.match_expressions.as_ref()).into_iter().flatten().map(|one| {
            let values: Vec<&str> = one.values.iter().flatten().map(Line::as_str).collect();
            match one.operator {
                LabelOperator::In => format!("{} in ({})", one.key, values.join(", ")),
                LabelOperator::NotIn => format!("{} not in ({})", one.key, values.join(", ")),
                LabelOperator::Exists => one.key.to_string(),
                LabelOperator::DoesNotExist => format!("no {}", one.key),
            }
        }));
        if !wanted.is_empty() {
            out.push_str("; namespaces with ");
            out.push_str(&wanted.join(", "));
        }
        out
    }
}

/// Who confirms a class below High.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassificationRule {
    /// The role whose Approval (covers: Classification) a class below High needs.
    pub approved_by: Name,
    /// The role whose Approval (covers: Classification) a class needs that is lower than one that the system, or another
    /// system with the same artefact, had before. Left out: the role of `approvedBy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowered_by: Option<Name>,
}

/// What is asked of the impact assessment.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssessmentRule {
    /// Whether one is asked for.
    pub required: bool,
    /// Kinds of interested parties, of each of which a stakeholder was considered, or left out with a reason. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub stakeholders: Option<Vec<StakeholderKind>>,
    /// Sections that have harms, or say why there are none. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub sections: Option<Vec<Section>>,
    /// Threats to AI systems, each of which is a risk or excluded with a reason. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub threats: Option<Vec<Threat>>,
    /// Whether the sections (a) to (f) of AI Act Article 27 are asked for where the system's facts bring it under the article,
    /// whether or not its date of application has come. Left out: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub article27: Option<bool>,
    /// Whether it says when the risks were evaluated (`risksEvaluatedAt`). Left out: no; where it says so, the day is not
    /// before the assessment all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_evaluation: Option<bool>,
    /// The role whose Approval of it is asked for, by nobody who wrote it, before the release is approved. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<Name>,
    /// How old it may be, in days of 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub max_age_days: Option<i32>,
    /// What makes it stale beside its age and other datasets. Left out: nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<FreshnessRule>,
}

/// What makes an assessment stale beside its age and other datasets.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FreshnessRule {
    /// Parts of its scope that must hold whatever the release and its system have of them. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub scope: Option<Vec<ScopePart>>,
    /// Obligations that apply now, or will within so many days of 24 hours, must be among those that it considered, in the
    /// version that the policies give. Left out: the assessment is not asked about obligations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3650))]
    pub obligations_lead_days: Option<i32>,
}

/// A part of an assessment's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ScopePart {
    /// Kinds of the release's artefacts.
    ArtifactKinds,
    /// The system's purpose.
    Purpose,
    /// Regions of intended use.
    Regions,
    /// Groups of people whom the system's decisions touch.
    AffectedGroups,
}

/// A test that is asked for, of each artefact of role Model or Adapter, on a dataset of use Evaluation.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.atLeast) || has(self.atMost)").message("a test gives atLeast or atMost"))]
#[x_kube(validation = Rule::new("!has(self.exact) || self.type != 'Bias'").message("exact is for other types than Bias, whose rates are estimates"))]
#[x_kube(validation = Rule::new("self.type == 'Bias' || !(has(self.minIntersectionSize) || has(self.minPositives) || has(self.minNegatives) || has(self.ineligibleIntersectionShare) || has(self.excludeBelowShare))")
    .message("minIntersectionSize, minPositives, minNegatives, ineligibleIntersectionShare and excludeBelowShare say which groups are compared: they are for type Bias"))]
#[x_kube(validation = Rule::new("!has(self.reference) || (has(self.compare) && self.compare == 'Reference')").message("reference is for compare: Reference"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestRule {
    /// Type of the test.
    #[serde(rename = "type")]
    pub type_: TestType,
    /// Metric, for example SelectionRateRatio for Bias or BalancedAccuracy for Performance.
    pub metric: Id,
    /// Bias: which groups are compared. MinMax (left out means this) compares all pairs, Reference compares each with
    /// the reference group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
    /// Bias with compare: Reference: attributes of the reference group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 4))]
    pub reference: Option<BTreeMap<String, Title>>,
    /// The smallest acceptable value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Decimal>,
    /// The largest acceptable value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Decimal>,
    /// Other types than Bias: the value is no estimate and is compared as it is, whatever interval a report gives: a count of
    /// open findings, a p-value. Left out: no; a value that nothing says the certainty of is Indeterminate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<bool>,
    /// Two-sided confidence of the intervals. Left out: 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Decimal>,
    /// Why it is this metric that binds, for whoever is held up by it. Criteria may exclude each other: with unequal base rates
    /// nobody has parity of selection and parity of errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Explanation>,
    /// Digests of the datasets that are tested on, each of them; reports on others do not count. Left out: any dataset of use
    /// Evaluation of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub datasets: Option<Vec<Digest>>,
    /// Bias: rows that a group needs to be compared. Left out: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_group_size: Option<i32>,
    /// Bias: rows that a group of several attributes needs to be compared. Left out: 50, or minGroupSize where that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_intersection_size: Option<i32>,
    /// Bias: actual positives that a group needs to be compared by a metric that looks at them. Left out: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_positives: Option<i32>,
    /// Bias: actual negatives that a group needs to be compared by a metric that looks at them. Left out: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_negatives: Option<i32>,
    /// Bias: share of all rows, 0 to 1, that groups of several attributes that are too small may have together without holding
    /// the test. Left out: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ineligible_intersection_share: Option<Decimal>,
    /// Bias: share of all rows, 0 to 1, below which a group that is too small to be compared is left out, where a RiskAcceptance
    /// that counts covers a risk of the assessment that names the group (risks[].groups). It is listed all the same. Left out:
    /// nobody is left out. New York City's Local Law 144 lets an auditor leave out groups below 0.02.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_below_share: Option<Decimal>,
    /// Rows that the whole report needs; of a single metric, rows that it was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_rows: Option<i32>,
    /// What an Indeterminate result does. Left out: Hold. Warn is for policies that apply to the classes Minimal and Limited
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_indeterminate: Option<WhenIndeterminate>,
    /// How old the result may be, in days of 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub max_age_days: Option<i32>,
}

/// Who may report tests of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReporterRule {
    /// Type of the tests.
    #[serde(rename = "type")]
    pub type_: TestType,
    /// The ApprovalRole in which they are reported.
    pub role: Name,
}

/// Which groups a bias test compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Compare {
    /// All pairs of groups, hence the lowest with the highest.
    MinMax,
    /// Each group with the reference group.
    Reference,
}

/// What an Indeterminate result does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WhenIndeterminate {
    /// The gate is met with a warning.
    Warn,
    /// The gate stays Unknown, which blocks.
    Hold,
}

/// Which roles may accept a residual risk of a level.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.level != 'VeryHigh'").message("a VeryHigh risk cannot be accepted"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptanceAuthority {
    /// The level.
    pub level: Level,
    /// Roles that may accept it: each of them alone, or all together (see `needs`).
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub roles: Vec<Name>,
    /// Whether one of the roles is enough, or each must accept, by a different person. Left out: AnyRole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<AcceptanceNeeds>,
    /// Roles that are heard before: of each a holder approves the acceptance (`placet approve ra/NAME`), who did not accept
    /// the risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub consulted: Option<Vec<Name>>,
    /// Days of 24 hours that an acceptance stands at most, whatever end it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub max_days: Option<i32>,
    /// What must prove who accepted a risk of this level, and who was heard on it. Left out: Stamp, whatever `approvals` asks
    /// of the same role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// How many of the roles must accept a risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AcceptanceNeeds {
    /// One of them.
    AnyRole,
    /// Each of them, by a different person.
    EveryRole,
}

/// Approvals that are asked for from one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRule {
    /// The ApprovalRole.
    pub role: Name,
    /// How many distinct people.
    #[schemars(range(min = 1, max = 16))]
    pub count: i32,
    /// What their digest must cover. Left out: Evidence where the policy applies to the class High, otherwise Content. With
    /// Evidence an approval is void as soon as the assessment, a report, the class or a requirement changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Covers>,
    /// What happens to an Approval or a Reject without a digest. Left out: Refuse. Fill is for policies that do not apply to
    /// the class High.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_digest: Option<EmptyDigest>,
    /// Only when this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<ApprovalWhen>,
    /// Groups whose members do not count in this role: a validator who is a developer, for example. As the API server
    /// saw the groups when the approval was made. Left out: developers for the role validator and class High (see
    /// `separationOfDuties.highDefaults`), otherwise none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub not_in_groups: Option<Vec<Title>>,
    /// What must prove who approved. Left out: Stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// What happens to a decision that names no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EmptyDigest {
    /// It is refused, with the command that writes the digest.
    Refuse,
    /// Of a person who sends it unsigned, the webhook fills in the digest that the subject has at that moment: they decide on
    /// what is there, not on what they looked at.
    Fill,
}

/// What proves who approved or accepted. Each asks for more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Proof {
    /// The operator's stamp: the API server authenticated the sender as this user.
    Stamp,
    /// A stamp of a request that named the credential it was authenticated with, which a request by plain impersonation
    /// (`kubectl --as`) does not. It does not stop who may impersonate user extras as well.
    Credential,
    /// The signature of a TrustedSigner over the approval or the acceptance itself: then nobody who can impersonate decides
    /// as somebody else, a cluster-admin without the key included. One without it does not count, through kubectl either.
    Signed,
}

/// When an approval is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalWhen {
    /// The system processes personal data.
    PersonalData,
    /// A residual risk is High or VeryHigh.
    ResidualHighOrAbove,
}

/// An image that holds no model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlatformImage {
    /// repository@sha256:…, or a repository alone where every image of it may run (pinned by digest all the same).
    pub image: PlatformImageRef,
    /// Why it holds no model.
    pub reason: Title,
}

/// What happens to replacements of running pods after a clearance was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Replacements {
    /// They start, as after expiry.
    Start,
    /// They are held.
    Hold,
}

/// What Placet found about a policy.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePolicyStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digest of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Digest of the version that decides: that of this one, unless it waits for an approval. Left out: no version does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Digest>,
    /// What this version waits for, where it does not decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<PolicyWaiting>,
    /// Classes, and the namespaces where not all, as lists show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies_to: Option<Line>,
    /// Conditions: Ready (judged at this generation), Usable (understood, without contradiction, and every role that it
    /// names exists), InForce (this version decides; otherwise the one before does, until somebody approves this one), and three that are the same on every policy and speak of the whole installation: TimeTrusted (the
    /// operator's clock is within 30 s of the API server's; otherwise every decision is Unknown), EvidenceWritable (the
    /// evidence log takes records; otherwise enforcing namespaces start no pods) and EvidenceSpace (neither the log's
    /// volume nor a namespace's write budget is 80 % used).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}

#[cfg(test)]
#[path = "releasepolicy_tests.rs"]
mod tests;
