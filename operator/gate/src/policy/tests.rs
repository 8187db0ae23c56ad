//! The tests that policies ask for together, and who reports them.

use placet_api::common::Class;
use placet_api::releasepolicy::{ReleasePolicySpec, TestRule, WhenIndeterminate};
use placet_api::testreport::TestType;

use super::criterion::eligibility;
use super::{Requirements, Test, criterion, smaller};

/// Adds what a policy says of tests, of categories and of who reports; gives what contradicts itself in it.
pub(super) fn join(out: &mut Requirements, name: &str, spec: &ReleasePolicySpec) -> Vec<String> {
    let mut conflicts = Vec::new();
    for (attribute, values) in spec.categories.iter().flatten() {
        let known = out.categories.entry(attribute.clone()).or_default();
        known.extend(values.0.iter().map(ToString::to_string));
    }
    for rule in spec.tests.iter().flatten() {
        if let Some(why) = criterion::impossible(rule) {
            conflicts.push(format!("policy {name}: {why}"));
        }
        add_test(&mut out.tests, &effective(rule, &spec.applies_to.classes), name);
    }
    for rule in spec.reporters.iter().flatten() {
        out.reporters.entry(rule.type_).or_default().insert(rule.role.to_string());
    }
    conflicts
}

/// The tests that one policy asks for, those that are the same taken together.
pub(crate) fn tests_of(rules: Option<&[TestRule]>) -> Vec<TestRule> {
    let mut out = Vec::new();
    for rule in rules.unwrap_or_default() {
        add_test(&mut out, rule, "");
    }
    out.into_iter().map(|t| t.rule).collect()
}

/// A rule as it counts in a policy for these classes: what is not shown may pass with a warning for the lower classes alone.
pub(crate) fn effective(rule: &TestRule, classes: &[Class]) -> TestRule {
    let low = classes.iter().all(|class| *class < Class::High);
    let when_indeterminate = rule.when_indeterminate.filter(|when| low || *when == WhenIndeterminate::Hold);
    TestRule { when_indeterminate, ..rule.clone() }
}

/// Whether two rules are of one test: the same of the same is measured, whatever is wanted of it.
pub(crate) fn same_test(one: &TestRule, other: &TestRule) -> bool {
    let exact = |rule: &TestRule| rule.exact == Some(true);
    one.type_ == other.type_
        && one.metric == other.metric
        && one.compare == other.compare
        && one.reference == other.reference
        && exact(one) == exact(other)
}

/// Adds a test; where the same is measured, the strictest thresholds are taken together.
pub(crate) fn add_test(tests: &mut Vec<Test>, rule: &TestRule, policy: &str) {
    let alike = |t: &&mut Test| same_test(&t.rule, rule) && same_groups(&t.rule, rule);
    let Some(known) = tests.iter_mut().find(alike) else {
        tests.push(Test { rule: rule.clone(), policy: policy.to_owned(), then: None });
        return;
    };
    let k = &mut known.rule;
    if let Some(at_least) = &rule.at_least
        && k.at_least.as_ref().is_none_or(|v| at_least.value() > v.value())
    {
        k.at_least = Some(at_least.clone());
        policy.clone_into(&mut known.policy);
    }
    if let Some(at_most) = &rule.at_most
        && k.at_most.as_ref().is_none_or(|v| at_most.value() < v.value())
    {
        k.at_most = Some(at_most.clone());
        policy.clone_into(&mut known.policy);
    }
    let confidence = |r: &TestRule| r.confidence.as_ref().map_or(0.95, placet_api::scalar::Decimal::value);
    if confidence(rule) > confidence(k) {
        k.confidence.clone_from(&rule.confidence);
    }
    if rule.type_ == TestType::Bias {
        stricter_groups(k, rule);
    }
    k.min_rows = k.min_rows.max(rule.min_rows);
    k.max_age_days = smaller(k.max_age_days, rule.max_age_days);
    if k.why.is_none() {
        k.why.clone_from(&rule.why);
    }
    for dataset in rule.datasets.iter().flatten() {
        let known = k.datasets.get_or_insert_default();
        if !known.contains(dataset) {
            known.push(dataset.clone());
            known.sort();
        }
    }
    let hold = WhenIndeterminate::Hold;
    k.when_indeterminate =
        Some(k.when_indeterminate.unwrap_or(hold).max(rule.when_indeterminate.unwrap_or(hold)));
}

/// Whether two rules of one test compare the same small groups. Where they do not, neither stands for both: whom one of them
/// finds too small to compare may be who fails by the other.
pub(crate) fn same_groups(one: &TestRule, other: &TestRule) -> bool {
    let (a, b) = (eligibility(one), eligibility(other));
    let excluding = a.exclude_below_share.is_some() && b.exclude_below_share.is_some();
    one.type_ != TestType::Bias
        || (a.min_intersection_rows == b.min_intersection_rows
            && a.min_positives == b.min_positives
            && a.min_negatives == b.min_negatives
            && (a.min_rows == b.min_rows || !excluding))
}

/// Takes the stricter of what two rules say of groups that are too small, where they compare the same.
fn stricter_groups(known: &mut TestRule, rule: &TestRule) {
    let (k, r) = (eligibility(known), eligibility(rule));
    known.min_intersection_size = i32::try_from(k.min_intersection_rows).ok();
    known.min_group_size = i32::try_from(k.min_rows.max(r.min_rows)).ok();
    if r.ineligible_intersection_share < k.ineligible_intersection_share {
        known.ineligible_intersection_share.clone_from(&rule.ineligible_intersection_share);
    }
    known.exclude_below_share = match (&known.exclude_below_share, &rule.exclude_below_share) {
        (Some(one), Some(other)) => Some(if other.value() < one.value() { other } else { one }.clone()),
        _ => None,
    };
}
