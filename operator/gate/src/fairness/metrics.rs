//! The value of a metric over all groups, shown beside the verdict and never deciding it.

use serde::Serialize;

use super::number::{float, round9};
use super::rates::{Metric, Rate, Scale};
use super::table::LabelledCounts;

/// What a metric comes to over all groups, small ones included.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricValue {
    /// The metric.
    pub metric: Metric,
    /// Smallest rate over largest, or largest minus smallest, rounded to 1e-9; `None` where undefined.
    pub value: Option<f64>,
    /// Groups that have rows but no trials for a rate of this metric (no actual positives, no predicted
    /// positives, …); they make the value undefined.
    pub undefined_in: Vec<String>,
}

/// Every metric over all groups of one attribute set.
///
/// The values are Fairlearn's (`MetricFrame.difference()` and `.ratio()` with `method="between_groups"`),
/// worst case over groups, except where Fairlearn 0.15 hides that a value is undefined:
///
/// | case | Fairlearn | here |
/// |---|---|---|
/// | one group | ratio 1.0, difference 0.0: looks perfect | `None` |
/// | no actual positives in a group | its TPR and FNR count as 0.0, without a warning | `None` |
/// | no actual negatives in a group | its FPR counts as 0.0, without a warning | `None` |
/// | no predicted positives in a group | its precision counts as 0.0, with a warning | `None` |
/// | all selection rates 0 | ratio NaN | `None` |
///
/// A group without any row is skipped, as Fairlearn skips an empty intersection.
pub fn all_metrics(groups: &[LabelledCounts]) -> Vec<MetricValue> {
    Metric::OF_COUNTS
        .into_iter()
        .map(|metric| {
            let undefined = groups.iter().filter(|group| {
                group.counts.n() > 0 && metric.rates().iter().any(|rate| rate.of(group.counts).1 == 0)
            });
            MetricValue {
                metric,
                value: unrounded_value(metric, groups).map(round9),
                undefined_in: undefined.map(|group| group.label.clone()).collect(),
            }
        })
        .collect()
}

/// The value of one metric of counts over all groups, not rounded; see [`all_metrics`].
pub fn unrounded_value(metric: Metric, groups: &[LabelledCounts]) -> Option<f64> {
    let mut worst = None;
    for rate in metric.rates() {
        let (smallest, largest) = range(*rate, groups)?;
        let value = match metric.scale() {
            Scale::Ratio if largest > 0.0 => smallest / largest,
            Scale::Ratio => return None,
            Scale::Difference => largest - smallest,
        };
        // two rates only in equalized odds, a difference: the larger is the worse
        worst = Some(worst.map_or(value, |before: f64| before.max(value)));
    }
    worst
}

/// Smallest and largest rate; `None` with fewer than two groups that have rows, or one without trials.
fn range(rate: Rate, groups: &[LabelledCounts]) -> Option<(f64, f64)> {
    let mut seen = 0_usize;
    let mut range = (f64::INFINITY, f64::NEG_INFINITY);
    for group in groups.iter().filter(|group| group.counts.n() > 0) {
        let (successes, trials) = rate.of(group.counts);
        if trials == 0 {
            return None;
        }
        let value = float(successes) / float(trials);
        range = (range.0.min(value), range.1.max(value));
        seen += 1;
    }
    (seen >= 2).then_some(range)
}
