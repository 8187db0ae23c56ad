//! Criteria of fairness that cannot hold together.
//!
//! A group's selection rate is p·TPR + (1 − p)·FPR, where p is its base rate. Groups with equal selection rates and equal TPR and
//! FPR therefore have equal base rates, or TPR = FPR, which is a prediction that says nothing (Kleinberg, Mullainathan &
//! Raghavan 2017; Chouldechova 2017). With one of the two error rates equal, the other one differs.

use std::collections::BTreeSet;

use placet_api::releasepolicy::{ReleasePolicySpec, TestRule};
use placet_api::testreport::TestType;

use super::tests_of;
use crate::fairness::{Metric, Rate};

/// What these tests ask for that cannot hold together, in words; empty if it can.
pub fn incompatible<'a>(tests: impl IntoIterator<Item = &'a TestRule>) -> Vec<String> {
    let bias = tests.into_iter().filter(|t| t.type_ == TestType::Bias);
    let metrics: BTreeSet<Metric> = bias.filter_map(|t| Metric::by_name(&t.metric)).collect();
    let of = |wanted: &[Rate]| -> Vec<&'static str> {
        let some = metrics.iter().filter(|m| m.rates().iter().any(|rate| wanted.contains(rate)));
        some.map(|m| m.name()).collect()
    };
    let selection = of(&[Rate::Selection]);
    let positives = of(&[Rate::TruePositive, Rate::FalseNegative]);
    let negatives = of(&[Rate::FalsePositive]);
    let errors: BTreeSet<&str> = positives.iter().chain(&negatives).copied().collect();
    if selection.is_empty() || errors.is_empty() {
        return Vec::new();
    }
    let errors: Vec<&str> = errors.into_iter().collect();
    let but = if positives.is_empty() || negatives.is_empty() {
        "where base rates differ, both can hold only if the other error rate differs between groups"
    } else {
        "where base rates differ, no model that predicts anything meets both exactly, and the thresholds decide whether any does"
    };
    vec![format!(
        "tests: parity of selection ({}) and parity of errors ({}) are both binding: {but}; say in why which one is meant, or \
         bind one of them",
        selection.join(", "),
        errors.join(", ")
    )]
}

/// What a policy asks for by itself that cannot hold together.
pub fn warnings(spec: &ReleasePolicySpec) -> Vec<String> {
    incompatible(&tests_of(spec.tests.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(metrics: &[(&str, &str)]) -> Vec<String> {
        let rules = metrics.iter().map(|(type_, metric)| {
            serde_json::from_value(serde_json::json!({"type": type_, "metric": metric, "atMost": "0.1"}))
                .unwrap()
        });
        incompatible(&rules.collect::<Vec<TestRule>>())
    }

    #[test]
    fn parity_of_selection_and_of_errors_are_warned_of_together_and_not_alone() {
        for selection in ["SelectionRateRatio", "SelectionRateDifference", "ImpactRatio"] {
            assert!(said(&[("Bias", selection)]).is_empty());
            for errors in [
                "EqualOpportunityDifference",
                "EqualizedOdds",
                "FalsePositiveRateDifference",
                "FalseNegativeRateDifference",
            ] {
                assert!(said(&[("Bias", errors)]).is_empty());
                let both = said(&[("Bias", errors), ("Bias", selection)]);
                assert!(
                    both.len() == 1 && both[0].contains(selection) && both[0].contains(errors),
                    "{both:?}"
                );
                assert_eq!(both[0].contains("no model"), errors == "EqualizedOdds", "{both:?}");
                assert!(said(&[("Performance", errors), ("Bias", selection)]).is_empty());
            }
            assert!(said(&[("Bias", selection), ("Bias", "PredictiveParityDifference")]).is_empty());
        }
        let apart = ["FalsePositiveRateDifference", "EqualOpportunityDifference", "ImpactRatio"];
        let all = said(&apart.map(|metric| ("Bias", metric)));
        assert!(all[0].contains("no model"), "two error rates, each by its own metric: {all:?}");
    }
}
