//! What was measured of a dataset, against what the policies ask: quality, and who is in it.

use placet_api::dataset::{DatasetSpec, QualityMeasure};
use placet_api::scalar::Decimal;

use super::{CUSTODIAN, Found, GATE, mend};
use crate::fairness::{self, Limit, Measured, Verdict};
use crate::finding::Reason;
use crate::gates::{Context, Outcome};
use crate::policy::{DataRules, Limits};

/// Two-sided confidence of the interval of what was measured on a sample.
const CONFIDENCE: f64 = 0.95;

/// Each measure that is asked for is there and within its limits. What was measured on all rows is compared as it is; what was
/// measured on a sample is decided by its interval.
pub(super) fn quality(
    cx: &Context<'_>,
    rules: &DataRules,
    item: &str,
    (dataset, spec): Found<'_>,
    out: &mut Outcome,
) {
    let mut met = 0;
    for (metric, limits) in &rules.quality {
        let item = format!("{item} {metric}");
        let wanted = format!("{metric} {}, as {} asks", in_words(limits), cx.policy_names());
        let Some(measure) = spec.quality.iter().flatten().find(|m| m.metric.as_str() == metric) else {
            out.not_met(
                GATE,
                Reason::QualityNotMeasured,
                item,
                wanted,
                format!("Dataset {} does not say it", dataset.name()),
                CUSTODIAN,
                format!("measure it; {}", mend(cx, dataset.name())),
            )
            .about([dataset.name()]);
            continue;
        };
        let (verdict, found) = decide(measure, limits, spec);
        let found = format!("Dataset {}: {found}", dataset.name());
        match verdict {
            Verdict::Pass => {
                met += 1;
                continue;
            }
            Verdict::Fail => out.not_met(
                GATE,
                Reason::QualityNotMet,
                item,
                wanted,
                found,
                "data scientist",
                cx.new_release("of a model that was trained and evaluated on data that is mended, or of which there is more"),
            ),
            Verdict::Indeterminate => out.unknown(
                GATE,
                Reason::QualityIndeterminate,
                item,
                wanted,
                found,
                CUSTODIAN,
                format!("measure more rows, or all of them; {}", mend(cx, dataset.name())),
            ),
        }
        .about([dataset.name(), dataset.digest()]);
    }
    if !rules.quality.is_empty() {
        let asked = rules.quality.len();
        out.notes.push(format!("{item}: {met} of {asked} measures of quality are within their limits"));
    }
}

fn in_words(limits: &Limits) -> String {
    let side = |word: &str, limit: &Option<Decimal>| limit.as_ref().map(|l| format!("{word} {l}"));
    let rows = limits.min_rows.map(|rows| format!("on at least {rows} rows"));
    let parts = [side("at least", &limits.at_least), side("at most", &limits.at_most), rows];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The verdict on a measure, with what was found.
fn decide(measure: &QualityMeasure, limits: &Limits, spec: &DatasetSpec) -> (Verdict, String) {
    let whole = spec.rows == Some(measure.rows);
    let rows = u64::try_from(measure.rows).unwrap_or_default();
    let count = measure.count.and_then(|count| u64::try_from(count).ok());
    let value = measure.value.value();
    let (measured, how) = match count {
        // What is counted on all rows is no estimate, and more exact than what is written.
        #[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53, which a double holds")]
        Some(count) if whole => (Measured::Exact { value: count as f64 / rows as f64 }, "all rows"),
        Some(successes) => (Measured::Proportion { successes, n: rows }, "a sample"),
        None if whole => (Measured::Exact { value }, "all rows"),
        None => (
            Measured::Alone { value, n: Some(rows) },
            "a sample, without a count that says how certain it is",
        ),
    };
    let mut shown = format!("{} on {} rows ({how})", measure.value, measure.rows);
    if whole && limits.min_rows.is_some_and(|min| measure.rows < i64::from(min)) {
        // Nobody can measure more rows than there are.
        return (Verdict::Fail, format!("{shown}, and the dataset has no more"));
    }
    if limits.min_rows.is_some_and(|min| measure.rows < i64::from(min)) {
        return (Verdict::Indeterminate, shown);
    }
    let limits = [
        limits.at_least.as_ref().map(|l| Limit::AtLeast(l.value())),
        limits.at_most.as_ref().map(|l| Limit::AtMost(l.value())),
    ];
    let mut worst = Verdict::Pass;
    for limit in limits.into_iter().flatten() {
        let verdict = match fairness::decide_single(measured, limit, CONFIDENCE) {
            Ok(result) => {
                if let Some((interval, upper)) =
                    result.interval.filter(|_| !whole).and_then(|i| Some((i, i.upper.finite()?)))
                {
                    shown = format!(
                        "{} on {} rows ({how}; 95 %: {:.4} to {upper:.4})",
                        measure.value, measure.rows, interval.lower
                    );
                }
                result.verdict
            }
            Err(why) => {
                shown = format!("{shown}: {why}");
                Verdict::Indeterminate
            }
        };
        worst = match (worst, verdict) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Indeterminate, _) | (_, Verdict::Indeterminate) => Verdict::Indeterminate,
            _ => Verdict::Pass,
        };
    }
    (worst, shown)
}

/// Each group that is asked for is there, with the share and the rows that are asked for. The counts are of all rows, so they are
/// compared as they are.
pub(super) fn groups(
    cx: &Context<'_>,
    rules: &DataRules,
    item: &str,
    (dataset, spec): Found<'_>,
    out: &mut Outcome,
) {
    for (attribute, wanted) in &rules.groups {
        let counted = spec.groups.iter().flatten().find(|g| g.attribute.as_str() == attribute);
        let (Some(counted), Some(total)) = (counted, spec.rows) else {
            out.not_met(
                GATE,
                Reason::GroupCountsMissing,
                format!("{item} {attribute}"),
                format!("rows by {attribute} in spec.groups, as {} asks", cx.policy_names()),
                format!("Dataset {} does not count them", dataset.name()),
                CUSTODIAN,
                format!("count them; {}", mend(cx, dataset.name())),
            )
            .about([dataset.name()]);
            continue;
        };
        for (value, share) in wanted {
            let rows = counted.counts.iter().find(|c| c.value.as_str() == value).map_or(0, |c| c.rows);
            let wrong = unlike(rules, share.as_ref(), (rows, total));
            if wrong.is_empty() {
                continue;
            }
            out.not_met(
                GATE,
                Reason::GroupNotRepresented,
                format!("{item} {attribute}={value}"),
                format!("{}, as {} asks", wrong.join(", "), cx.policy_names()),
                format!(
                    "Dataset {}: {rows} of {total} rows, a share of {}",
                    dataset.name(),
                    thousandths(rows, total)
                ),
                "data scientist",
                cx.new_release("of a model that was trained and evaluated on data with more of them"),
            )
            .about([dataset.name().to_owned(), rows.to_string(), total.to_string()]);
        }
    }
}

/// In which ways a group is not in the data as it is asked for. In whole numbers, so that equality passes exactly.
fn unlike(rules: &DataRules, expected: Option<&Decimal>, (rows, total): (i64, i64)) -> Vec<String> {
    // A share in billionths, times the rows of the dataset.
    let scaled = |share: &Decimal| share.billionths() * i128::from(total);
    let here = i128::from(rows) * 1_000_000_000;
    let mut wrong = Vec::new();
    if let Some(min) = rules.min_rows.filter(|min| rows < i64::from(*min)) {
        wrong.push(format!("at least {min} rows"));
    }
    if let Some(min) = rules.min_share.as_ref().filter(|min| here < scaled(min)) {
        wrong.push(format!("a share of at least {min}"));
    }
    if let (Some(gap), Some(expected)) = (&rules.max_gap, expected)
        && (here - scaled(expected)).abs() > scaled(gap)
    {
        wrong.push(format!("a share of {expected}, give or take {gap}"));
    }
    // One that is not there at all is not represented, whatever distance is allowed.
    if wrong.is_empty() && rows == 0 {
        wrong.push("at least one row".to_owned());
    }
    wrong
}

/// A share to three digits.
fn thousandths(rows: i64, total: i64) -> String {
    let (rows, total) = (i128::from(rows), i128::from(total).max(1));
    let rounded = (rows * 1000 + total / 2) / total;
    format!("{}.{:03}", rounded / 1000, rounded % 1000)
}
