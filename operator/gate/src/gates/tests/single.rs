//! Tests of one value: quality, robustness, resistance to attack, suites for language models, drift.

use placet_api::releasepolicy::TestRule;
use placet_api::scalar::Decimal;
use placet_api::testreport::{GroupCounts, MetricValue, TestReportSpec};

use super::groups::of_rows;
use super::verdict::{Judged, Mend, to_digits};
use crate::fairness::{self, Counts, Limit, Measured, Verdict};
use crate::policy::{Test, confidence, is_share};

/// Metrics that are recomputed where a report has raw counts.
const RECOMPUTED: [&str; 2] = ["Accuracy", "BalancedAccuracy"];

/// What a report says of a metric, as it is written.
#[derive(Debug, PartialEq)]
pub(super) struct Says<'a> {
    groups: Option<&'a [GroupCounts]>,
    value: Option<&'a MetricValue>,
}

/// What a report says of the metric of a rule; None if nothing, and the rule asks somebody else.
pub(super) fn says<'a>(rule: &TestRule, spec: &'a TestReportSpec) -> Option<Says<'a>> {
    let groups = spec.groups.as_deref().filter(|_| RECOMPUTED.contains(&rule.metric.as_str()));
    let named = spec.metrics.iter().flatten().find(|m| m.name == rule.metric);
    // What is recomputed is not read.
    let value = named.filter(|_| groups.is_none());
    (groups.is_some() || value.is_some()).then_some(Says { groups, value })
}

/// Judges a single value against its limits.
pub(super) fn single(test: &Test, spec: &TestReportSpec) -> Result<Judged, String> {
    let rule = &test.rule;
    let (name, confidence) = (rule.metric.as_str(), confidence(rule));
    let says =
        says(rule, spec).ok_or_else(|| format!("wanted the metric {name}, found none of this name"))?;
    let (measured, lacks) = if rule.exact == Some(true) {
        (Measured::Exact { value: value(&says, name)? }, None)
    } else {
        measured(&says, name, confidence)?
    };
    let limits = [
        rule.at_least.as_ref().map(|v| Limit::AtLeast(v.value())),
        rule.at_most.as_ref().map(|v| Limit::AtMost(v.value())),
    ];
    let mut verdict = Verdict::Pass;
    let mut shown = String::new();
    let mut more = None;
    for limit in limits.into_iter().flatten() {
        let result = fairness::decide_single(measured, limit, confidence).map_err(|e| e.to_string())?;
        verdict = match (verdict, result.verdict) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Indeterminate, _) | (_, Verdict::Indeterminate) => Verdict::Indeterminate,
            _ => Verdict::Pass,
        };
        let value = result.value.map_or("undefined".into(), |v| format!("{v:.3}"));
        let interval = match (result.interval, rule.exact) {
            (_, Some(true)) => "compared as it is".to_owned(),
            (Some(i), _) => {
                let percent = fairness::round9(confidence * 100.0);
                format!("{percent} %: {:.3} to {}", i.lower, to_digits(i.upper, 2))
            }
            (None, _) => lacks.clone().unwrap_or_else(|| "without an interval".to_owned()),
        };
        shown = format!("{name} {value} ({interval})");
        if let Some((rows, _)) = result.needed {
            more = more.max(Some(rows));
        }
    }
    let mut more = more.filter(|_| verdict == Verdict::Indeterminate).map(|rows| {
        let rows_of = if rows == 1 { "row" } else { "rows" };
        format!("{rows} more {rows_of} would decide at the observed value")
    });
    let mut mend = if lacks.is_some() { Mend::Report } else { Mend::MoreData };
    if let Some(min) = rule.min_rows {
        let rows = rows(&says)?;
        if rows < i64::from(min) {
            (verdict, mend, more) = (Verdict::Indeterminate, Mend::MoreData, None);
            shown = format!("{rows} rows; wanted at least {min}");
        }
    }
    Ok(Judged { verdict, text: shown, mend, more, absent: false, hides: false, notes: Vec::new() })
}

/// Rows that a value was computed from.
fn rows(says: &Says<'_>) -> Result<i64, String> {
    let groups = says.groups.into_iter().flatten().map(|g| g.rows);
    let mut all = groups.chain(says.value.map(|v| v.rows));
    all.try_fold(0_i64, i64::checked_add).ok_or_else(|| "the counts are too large to add".to_owned())
}

/// A value that is compared as it is.
fn value(says: &Says<'_>, name: &str) -> Result<f64, String> {
    says.value.map(|v| v.value.value()).ok_or_else(|| {
        format!("wanted the value of {name}, which the policy compares as it is, found counts")
    })
}

/// The counts of all groups together.
fn total(all: &[GroupCounts]) -> Result<Counts, String> {
    let mut total: Option<Counts> = None;
    for group in of_rows(all)? {
        total = match total {
            None => Some(group.counts),
            Some(sum) => Some(sum.checked_add(group.counts).ok_or("the counts are too large to add")?),
        };
    }
    total.ok_or_else(|| "wanted at least one group, found none".to_owned())
}

/// What a report says about a metric, with what it lacks to decide: from raw counts where they are given, else the value with
/// what says how certain it is.
fn measured(says: &Says<'_>, name: &str, confidence: f64) -> Result<(Measured, Option<String>), String> {
    if let Some(groups) = says.groups {
        let counts = total(groups)?;
        let recomputed = if name == "Accuracy" {
            Measured::Proportion { successes: counts.tp() + counts.tn(), n: counts.n() }
        } else if counts.positives() == 0 || counts.negatives() == 0 {
            return Err(format!("{name} is undefined without actual positives and negatives"));
        } else {
            Measured::Balanced { counts }
        };
        return Ok((recomputed, None));
    }
    let Some(said) = says.value else { return Err(format!("wanted the metric {name}, found none")) };
    let (value, n) = (said.value.value(), u64::try_from(said.rows).ok());
    if is_share(name) && !(0.0..=1.0).contains(&value) {
        return Err(format!("{name}: wanted a value from 0 to 1, found {}", said.value));
    }
    if let Some(successes) = said.successes {
        return share(name, said, successes).map(|m| (m, None));
    }
    if let Some(error) = &said.standard_error {
        let z = fairness::normal::z_two_sided(confidence).ok_or("the confidence is out of range")?;
        if error.value() <= 0.0 {
            return Err(format!(
                "{name}: wanted a standard error above 0, found {error}: rows that are all alike say nothing of others"
            ));
        }
        let half = z * error.value();
        return Ok((Measured::WithInterval { value, n, lower: value - half, upper: value + half }, None));
    }
    let alone = Measured::Alone { value, n };
    let (Some(lower), Some(upper)) = (&said.lower, &said.upper) else {
        let lacks = "without successes, a standard error or an interval, which say how certain it is";
        return Ok((alone, Some(lacks.to_owned())));
    };
    let (Some(stated), Some(_)) = (&said.confidence, &said.method) else {
        let lacks = match (&said.confidence, &said.method) {
            (None, None) => "confidence and method",
            (None, _) => "confidence",
            _ => "method",
        };
        return Ok((
            alone,
            Some(format!("its interval does not say its {lacks}, so that it decides nothing")),
        ));
    };
    // An interval of lower confidence than asked for is too narrow to decide.
    if stated.value() < confidence {
        let lacks = format!("its interval is of confidence {stated}; wanted at least {confidence}");
        return Ok((alone, Some(lacks)));
    }
    if lower.value() >= upper.value() {
        return Err(format!(
            "{name}: wanted an interval from a lower to a higher number, found {lower} to {upper}: rows that are all alike say nothing \
             of others"
        ));
    }
    Ok((Measured::WithInterval { value, n, lower: lower.value(), upper: upper.value() }, None))
}

/// A share of the rows, which the value must be as far as it is written.
fn share(name: &str, said: &MetricValue, successes: i64) -> Result<Measured, String> {
    let known = u64::try_from(successes).ok().zip(u64::try_from(said.rows).ok());
    let (successes, n) = known
        .filter(|(x, n)| x <= n && *n > 0)
        .ok_or_else(|| format!("{name}: wanted at most {} successes, found {successes}", said.rows))?;
    #[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53, which a double holds")]
    let share = successes as f64 / n as f64;
    if (share - said.value.value()).abs() > rounding(&said.value) {
        return Err(format!(
            "{name}: wanted the value {share:.6}, as {successes} of {n} rows give it, found {}",
            said.value
        ));
    }
    Ok(Measured::Proportion { successes, n })
}

/// By how much a number may differ from what it was rounded from: half a unit of its last digit.
fn rounding(value: &Decimal) -> f64 {
    let digits = value.as_str().split_once('.').map_or(0, |(_, after)| after.len());
    let unit = (0..digits).fold(1.0, |unit, _| unit / 10.0);
    unit / 2.0 + 1e-12
}
