//! What a report counts of a group, as far as the decision asks for it.

use serde::Serialize;

use super::counts::Counts;
use super::estimate::Estimate;
use super::metrics::{MetricValue, all_metrics};
use super::number::round9;
use super::rates::{Metric, Rate, Source};
use super::result::Shown;
use super::table::Labelled;

/// What was observed of one group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Observed {
    /// A share of trials.
    Rate {
        /// Successes of the compared rate.
        successes: u64,
        /// Trials of the compared rate; 0 leaves it undefined.
        trials: u64,
    },
    /// A value with its variance.
    Estimate(Estimate),
    /// Too little of it to say anything: no two actual positives and negatives, or too few rows.
    Undefined,
}

/// What is counted of a group. Tallies of disjoint groups add up without rounding, so that a group of fewer attributes is
/// the exact sum of its cells in any order.
pub trait Tally: Clone {
    /// What a metric must be taken from for this to measure it.
    const SOURCE: Source;

    /// Rows.
    fn rows(&self) -> u64;

    /// Rows that are actually positive; `None` where labels are no outcomes.
    fn positives(&self) -> Option<u64>;

    /// Rows that are actually negative; `None` where labels are no outcomes.
    fn negatives(&self) -> Option<u64>;

    /// Two disjoint groups together; `None` above [`super::MAX_ROWS`] rows.
    fn joined(self, other: &Self) -> Option<Self>;

    /// What a metric compares; `rate` is one of [`Metric::rates`], and `None` for metrics of other sources.
    fn observed(&self, metric: Metric, rate: Option<Rate>) -> Observed;

    /// Every metric of the source over all groups of one attribute set.
    fn values(groups: &[Labelled<Self>]) -> Vec<MetricValue>;

    /// What is shown of all groups of one attribute set and can bind nobody; see [`super::UNBINDABLE`].
    fn shown(groups: &[Labelled<Self>]) -> Vec<Shown>;
}

impl Tally for Counts {
    const SOURCE: Source = Source::Counts;

    fn rows(&self) -> u64 {
        self.n()
    }

    fn positives(&self) -> Option<u64> {
        Some(Self::positives(*self))
    }

    fn negatives(&self) -> Option<u64> {
        Some(Self::negatives(*self))
    }

    fn joined(self, other: &Self) -> Option<Self> {
        self.checked_add(*other)
    }

    fn observed(&self, _: Metric, rate: Option<Rate>) -> Observed {
        rate.map_or(Observed::Undefined, |rate| {
            let (successes, trials) = rate.of(*self);
            Observed::Rate { successes, trials }
        })
    }

    fn values(groups: &[Labelled<Self>]) -> Vec<MetricValue> {
        all_metrics(groups)
    }

    fn shown(_: &[Labelled<Self>]) -> Vec<Shown> {
        Vec::new()
    }
}

/// The quantiles of which the largest distance between groups is shown.
const QUANTILES: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

/// The largest distance between groups of any of some quantiles; `None` with fewer than two groups that have them.
pub(super) fn quantile_gap<C: Tally>(
    groups: &[Labelled<C>],
    quantile: impl Fn(&C, f64) -> Option<f64>,
) -> Option<f64> {
    let with_rows = || groups.iter().filter(|group| group.counts.rows() > 0);
    if with_rows().count() < 2 {
        return None;
    }
    let mut widest = 0.0_f64;
    for at in QUANTILES {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for group in with_rows() {
            let value = quantile(&group.counts, at)?;
            (low, high) = (low.min(value), high.max(value));
        }
        widest = widest.max(high - low);
    }
    Some(round9(widest))
}

/// The largest value of all groups that have rows; `None` where one of them has none.
pub(super) fn largest<C: Tally>(groups: &[Labelled<C>], value: impl Fn(&C) -> Option<f64>) -> Option<f64> {
    let values = groups.iter().filter(|group| group.counts.rows() > 0).map(|group| value(&group.counts));
    values.reduce(|a, b| Some(a?.max(b?))).flatten()
}

/// Values of metrics that are estimates: the largest distance between groups, or from zero where a metric looks at each
/// group by itself. A group without rows is skipped; one that leaves the value open makes it undefined.
pub(super) fn estimated<C: Tally>(groups: &[Labelled<C>]) -> Vec<MetricValue> {
    let with_rows: Vec<&Labelled<C>> = groups.iter().filter(|group| group.counts.rows() > 0).collect();
    let of_source = Metric::ALL.into_iter().filter(|metric| metric.source() == C::SOURCE);
    of_source
        .map(|metric| {
            let mut undefined_in = Vec::new();
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for group in &with_rows {
                match group.counts.observed(metric, None) {
                    Observed::Estimate(estimate) => {
                        (low, high) = (low.min(estimate.value()), high.max(estimate.value()));
                    }
                    _ => undefined_in.push(group.label.clone()),
                }
            }
            let defined = undefined_in.is_empty() && with_rows.len() >= 2;
            let value = if metric.of_each_group() { high.max(-low) } else { high - low };
            MetricValue { metric, value: defined.then(|| round9(value)), undefined_in }
        })
        .collect()
}
