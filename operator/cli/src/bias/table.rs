//! Groups of each attribute set, and what is computed of them.

use std::collections::BTreeMap;

use placet_gate::fairness::intervals::{newcombe, ratio, wilson};
use placet_gate::fairness::{
    Counts, Extended, Interval, LabelledCounts, Metric, PositiveMeans, Rate, Scale, unrounded_value,
};

use super::count::{Cell, Cells, SCALE};

/// A group of an attribute set.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its values, in the order of the set.
    pub label: String,
    /// Its counts, with the favourable outcome as "positive".
    pub counts: Counts,
    /// Weights, where there are any.
    pub weighted: Option<Weighted>,
}

/// Weighted rates of a group. They are shown and judge nothing.
#[derive(Debug, Clone, Copy)]
pub struct Weighted {
    /// The sum of the weights.
    pub sum: f64,
    /// Sums of weights by outcome: TN, FN, FP, TP.
    sums: [f64; 4],
    /// How many rows of one weight would be as certain: (Σw)² / Σw² (L. Kish, "Survey Sampling", Wiley 1965, section 8.2).
    pub effective: f64,
}

/// The groups of an attribute set.
#[derive(Debug, Clone)]
pub struct Set {
    /// Its attributes.
    pub names: Vec<String>,
    /// Its groups, by their values.
    pub groups: Vec<Group>,
}

/// A rate and its interval; None without trials.
pub fn rate(counts: Counts, rate: Rate, z: f64) -> Option<(f64, f64, f64)> {
    let (x, n) = rate.of(counts);
    let interval = wilson(x, n, z)?;
    Some((share(x, n), interval.lower, interval.upper.finite().unwrap_or(1.0)))
}

#[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53, which a double holds")]
fn share(x: u64, n: u64) -> f64 {
    x as f64 / n as f64
}

impl Weighted {
    /// A rate, weighted; None without weight.
    pub fn rate(&self, rate: Rate) -> Option<f64> {
        let [tn, fn_, fp, tp] = self.sums;
        let (x, n) = match rate {
            Rate::Selection => (tp + fp, self.sum),
            Rate::TruePositive => (tp, tp + fn_),
            Rate::FalsePositive => (fp, fp + tn),
            Rate::FalseNegative => (fn_, tp + fn_),
            Rate::PositivePredictive => (tp, tp + fp),
            Rate::Base => (tp + fn_, self.sum),
        };
        (n > 0.0).then(|| x / n)
    }
}

/// Counts as the gate has them; None beyond what it counts.
pub fn counts(cell: &Cell) -> Option<Counts> {
    let [tn, fn_, fp, tp] = cell.counts.map(|c| i64::try_from(c).ok());
    Counts::new(i64::try_from(cell.rows()).ok()?, tp?, fp?, fn_?, tn?).ok()
}

/// The groups of an attribute set, given by the places of its attributes.
pub fn set(names: &[String], cells: &Cells, attributes: &[usize], means: PositiveMeans) -> Set {
    let mut sums: BTreeMap<Vec<&str>, Cell> = BTreeMap::new();
    for (values, cell) in cells {
        let values = attributes.iter().map(|at| values[*at].as_str()).collect();
        sums.entry(values).or_default().merge(cell);
    }
    let groups = sums.into_iter().filter_map(|(values, cell)| {
        let weighted = cell.weights.as_ref().map(|w| {
            let mut sums = w.sums.each_ref().map(super::exact::Exact::value);
            if means == PositiveMeans::Unfavourable {
                // TN and TP, FN and FP change places.
                sums.reverse();
            }
            let (sum, squares): (f64, _) = (sums.iter().sum(), w.squares.value());
            let scaled = sum * SCALE;
            Weighted { sum, sums, effective: if squares > 0.0 { scaled * scaled / squares } else { 0.0 } }
        });
        Some(Group { label: values.join(", "), counts: counts(&cell)?.favourable(means), weighted })
    });
    Set { names: attributes.iter().map(|at| names[*at].clone()).collect(), groups: groups.collect() }
}

/// A metric over all groups of a set, and between which two it is largest.
#[derive(Debug, Clone)]
pub struct Value {
    /// The metric.
    pub metric: Metric,
    /// What it comes to; None where it is undefined.
    pub estimate: Option<f64>,
    /// Its interval for the two groups that are farthest apart.
    pub interval: Option<Interval>,
    /// These two.
    pub between: Option<(String, String)>,
}

impl Set {
    /// What the set is called.
    pub fn title(&self) -> String {
        self.names.join(" × ")
    }

    /// Each metric that is one comparison; what the gate shows, with the interval beside it.
    pub fn values(&self, z: f64) -> Vec<Value> {
        let labelled: Vec<LabelledCounts> =
            self.groups.iter().map(|g| LabelledCounts { label: g.label.clone(), counts: g.counts }).collect();
        Metric::OF_COUNTS
            .into_iter()
            .filter(|m| *m != Metric::ImpactRatio)
            .map(|m| value(m, &labelled, z))
            .collect()
    }
}

fn value(metric: Metric, groups: &[LabelledCounts], z: f64) -> Value {
    let estimate = unrounded_value(metric, groups);
    let none = Value { metric, estimate, interval: None, between: None };
    let (Some(_), [rate]) = (estimate, metric.rates()) else { return none };
    let of = |group: &LabelledCounts| {
        let (x, n) = rate.of(group.counts);
        share(x, n)
    };
    let with_rows = || groups.iter().filter(|g| g.counts.n() > 0);
    let smallest = with_rows().min_by(|a, b| of(a).total_cmp(&of(b)));
    let largest = with_rows().max_by(|a, b| of(a).total_cmp(&of(b)));
    let (Some(small), Some(large)) = (smallest, largest) else { return none };
    let ((x1, n1), (x2, n2)) = (rate.of(small.counts), rate.of(large.counts));
    let (interval, between) = match metric.scale() {
        Scale::Ratio => (ratio(x1, n1, x2, n2, z).map(|(_, i)| i), (&small.label, &large.label)),
        Scale::Difference => (newcombe(x2, n2, x1, n1, z), (&large.label, &small.label)),
    };
    Value { interval, between: Some((between.0.clone(), between.1.clone())), ..none }
}

/// A bound with three digits.
pub fn bound(bound: Extended) -> String {
    bound.finite().map_or("infinite".to_owned(), |b| format!("{b:.3}"))
}
