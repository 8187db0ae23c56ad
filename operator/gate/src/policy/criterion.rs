//! What a rule on a test asks for, and why it could never be met.

use std::collections::BTreeMap;

use placet_api::releasepolicy::{Compare as PolicyCompare, TestRule};
use placet_api::scalar::Decimal;
use placet_api::testreport::TestType;

use crate::fairness::{Compare, Criterion, Eligibility, Metric, Scale, UNBINDABLE};

/// The confidence that a rule asks for, or the one that holds where it asks for none.
pub(crate) fn confidence(rule: &TestRule) -> f64 {
    rule.confidence.as_ref().map_or(0.95, Decimal::value)
}

/// Which groups a rule on a bias test compares, with what holds where it says nothing.
pub(crate) fn eligibility(rule: &TestRule) -> Eligibility {
    let usual = Eligibility::default();
    let number = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok());
    let share = |d: &Option<Decimal>| d.as_ref().map(Decimal::value);
    let min_rows = number(rule.min_group_size).unwrap_or(usual.min_rows);
    Eligibility {
        min_rows,
        min_intersection_rows: number(rule.min_intersection_size)
            .unwrap_or_else(|| usual.min_intersection_rows.min(min_rows)),
        min_positives: number(rule.min_positives).unwrap_or(usual.min_positives),
        min_negatives: number(rule.min_negatives).unwrap_or(usual.min_negatives),
        ineligible_intersection_share: share(&rule.ineligible_intersection_share)
            .unwrap_or(usual.ineligible_intersection_share),
        exclude_below_share: share(&rule.exclude_below_share),
    }
}

/// What a rule on a bias test asks for.
///
/// # Errors
/// What no counts could ever meet, or what would be left out of account: an unknown metric or one without an interval, a
/// threshold on the wrong side or out of its range, no reference group. What was wanted and found, in words.
pub(crate) fn criterion(rule: &TestRule) -> Result<Criterion, String> {
    let asked = format!("{} {}", rule.type_, rule.metric);
    if let Some((name, why)) = UNBINDABLE.iter().find(|(name, _)| *name == rule.metric.as_str()) {
        return Err(format!(
            "{asked}: wanted a metric with an interval, found {name}, which is shown and cannot bind: {why}"
        ));
    }
    let metric = Metric::by_name(&rule.metric).ok_or_else(|| {
        let known: Vec<&str> = Metric::ALL.iter().map(|m| m.name()).collect();
        format!("{asked}: wanted one of the metrics {}, found {}", known.join(", "), rule.metric)
    })?;
    let (threshold, other, (side, none)) = match metric.scale() {
        Scale::Ratio => (&rule.at_least, &rule.at_most, ("atLeast", "atMost")),
        Scale::Difference => (&rule.at_most, &rule.at_least, ("atMost", "atLeast")),
    };
    let (Some(threshold), None) = (threshold, other) else {
        return Err(format!(
            "{asked}: wanted {side} alone, which bounds it on both sides, found {}",
            if other.is_some() { none } else { "neither" }
        ));
    };
    let compare = match (rule.compare, &rule.reference) {
        (Some(PolicyCompare::Reference), _) if metric.of_each_group() => {
            return Err(format!(
                "{asked}: wanted no compare, since each group is held against zero by itself, found Reference"
            ));
        }
        (Some(PolicyCompare::Reference), Some(reference)) => Compare::Reference(
            reference.iter().map(|(k, v)| (k.clone(), v.to_string())).collect::<BTreeMap<_, _>>(),
        ),
        (Some(PolicyCompare::Reference), None) => {
            return Err(format!(
                "{asked}: wanted the reference group that compare: Reference compares with, found none"
            ));
        }
        _ => Compare::MinMax,
    };
    let threshold = threshold.value();
    let eligibility = eligibility(rule);
    let criterion = Criterion { metric, threshold, compare, confidence: confidence(rule), eligibility };
    criterion.check().map_err(|error| format!("{asked}: {error}"))?;
    Ok(criterion)
}

/// Metrics by these names are shares, or means of shares, and estimated from rows.
const SHARES: [&str; 9] = [
    "Accuracy",
    "BalancedAccuracy",
    "Precision",
    "Recall",
    "Sensitivity",
    "Specificity",
    "F1",
    "RocAuc",
    "Brier",
];

/// Whether a metric lies between 0 and 1 by what it is.
pub(crate) fn is_share(metric: &str) -> bool {
    SHARES.contains(&metric)
}

/// Why nothing could ever satisfy a rule, if so.
pub(crate) fn impossible(rule: &TestRule) -> Option<String> {
    if rule.type_ == TestType::Bias {
        return criterion(rule).err();
    }
    let asked = format!("{} {}", rule.type_, rule.metric);
    if let Err(error) = crate::fairness::check_confidence(confidence(rule)) {
        return Some(format!("{asked}: {error}"));
    }
    if rule.exact == Some(true) && rule.confidence.is_some() {
        return Some(format!(
            "{asked}: wanted exact without confidence, since the value is compared as it is, found both"
        ));
    }
    if rule.at_least.is_none() && rule.at_most.is_none() {
        return Some(format!("{asked}: wanted atLeast or atMost, found neither"));
    }
    if is_share(&rule.metric) {
        let limits = [&rule.at_least, &rule.at_most].into_iter().flatten();
        if let Some(beyond) = limits.into_iter().find(|v| !(0.0..=1.0).contains(&v.value())) {
            return Some(format!(
                "{asked}: wanted a limit from 0 to 1, between which {} lies, found {beyond}",
                rule.metric
            ));
        }
        if rule.exact == Some(true) {
            return Some(format!(
                "{asked}: wanted no exact, which is for what is counted and not estimated; {} is a share of some rows, and others \
                 would give another",
                rule.metric
            ));
        }
    }
    let (low, high) = (rule.at_least.as_ref()?, rule.at_most.as_ref()?);
    (low.value() > high.value()).then(|| format!("{asked}: atLeast {low} is above atMost {high}"))
}
