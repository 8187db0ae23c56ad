//! Tests that policies ask for, and who reports them.

use placet_api::releasepolicy::{ReleasePolicySpec, TestRule, WhenIndeterminate};

use super::{Requirements, Test, smaller};

/// Adds the roles in which a policy has tests reported.
pub(super) fn join_reporters(out: &mut Requirements, spec: &ReleasePolicySpec) {
    for rule in spec.reporters.iter().flatten() {
        out.reporters.entry(rule.type_).or_default().insert(rule.role.to_string());
    }
}

/// The tests that one policy asks for, those that are the same taken together.
pub(crate) fn tests_of(rules: Option<&[TestRule]>) -> Vec<TestRule> {
    let mut out = Vec::new();
    for rule in rules.unwrap_or_default() {
        add_test(&mut out, rule, "");
    }
    out.into_iter().map(|t| t.rule).collect()
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
    let Some(known) = tests.iter_mut().find(|t| same_test(&t.rule, rule)) else {
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
    k.min_group_size = Some(k.min_group_size.unwrap_or(100).max(rule.min_group_size.unwrap_or(100)));
    k.min_rows = k.min_rows.max(rule.min_rows);
    k.max_age_days = smaller(k.max_age_days, rule.max_age_days);
    let hold = WhenIndeterminate::Hold;
    k.when_indeterminate =
        Some(k.when_indeterminate.unwrap_or(hold).max(rule.when_indeterminate.unwrap_or(hold)));
}
