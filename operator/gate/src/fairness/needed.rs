//! How many more rows would decide what is Indeterminate, if the observed rates stayed as they are.

use serde::Serialize;

use super::estimate::{Measure, interval};
use super::number::{Interval, float};
use super::question::{Criterion, Rule};
use super::rates::Scale;
use super::result::{Comparison, Ineligible, IneligibleReason, Side};

/// More data that would settle one open point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// Index of the attribute set in [`super::BiasTest::attribute_sets`].
    pub set: usize,
    /// Index of the criterion in [`super::BiasTest::criteria`].
    pub criterion: usize,
    /// Label of the group that needs more.
    pub group: String,
    /// How many more, at least 1. Searched to three digits, rounded up.
    pub more: u64,
    /// More of what.
    pub unit: NeededUnit,
    /// What would then be the case.
    pub towards: Towards,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum NeededUnit {
    /// Rows of any kind.
    Rows,
    /// Rows that are actually positive.
    ActualPositives,
    /// Rows that are actually negative.
    ActualNegatives,
}

/// What more data would bring, at the observed rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Towards {
    /// The group can be compared.
    Eligible,
    /// The comparison passes.
    Pass,
    /// The comparison fails.
    Fail,
}

/// The most rows per group that are tried: 2^40, about 10^12. What more could not decide, nothing realistic
/// can.
const MOST_ROWS: u64 = 1 << 40;

/// Halvings after the doublings: the answer is at most 1/2048 too high.
const HALVINGS: u32 = 12;

/// What an ineligible group lacks to be compared.
pub(super) fn for_ineligible(group: &Ineligible) -> Needed {
    let (more, unit) = match group.reason {
        IneligibleReason::Empty { wanted } => (wanted, NeededUnit::Rows),
        IneligibleReason::TooFewRows { wanted, found } => (wanted.saturating_sub(found), NeededUnit::Rows),
        IneligibleReason::TooFewPositives { wanted, found } => {
            (wanted.saturating_sub(found), NeededUnit::ActualPositives)
        }
        IneligibleReason::TooFewNegatives { wanted, found } => {
            (wanted.saturating_sub(found), NeededUnit::ActualNegatives)
        }
    };
    Needed {
        set: group.set,
        criterion: group.criterion,
        group: group.group.clone(),
        more,
        unit,
        towards: Towards::Eligible,
    }
}

/// Rows that would decide one Indeterminate comparison, for one or both of its groups; `family` is
/// [`super::BiasResult::family`] and `criterion` the one that the comparison belongs to.
///
/// Every group is brought up to the same number of rows, the smaller one first, each at its observed rate;
/// the least such number is found by doubling and halving, in at most 53 evaluations. Empty when no number up
/// to 2^40 decides: an undefined comparison, or a rate exactly at the threshold.
pub fn for_comparison(comparison: &Comparison, criterion: &Criterion, family: u64) -> Vec<Needed> {
    let sides = || [Some(&comparison.a), comparison.b.as_ref()].into_iter().flatten();
    let pair = Pair::new(comparison, criterion, family);
    let Some((rows, towards)) = pair.and_then(|pair| {
        let start = sides().map(|side| side.rows).min()?;
        search(start, |rows| pair.judged_at(rows))
    }) else {
        return Vec::new();
    };
    sides()
        .filter(|side| side.rows < rows)
        .map(|side| Needed {
            set: comparison.set,
            criterion: comparison.criterion,
            group: side.label.clone(),
            more: rows - side.rows,
            unit: NeededUnit::Rows,
            towards,
        })
        .collect()
}

/// A comparison whose groups can be scaled.
struct Pair {
    a: (Measure, f64),
    b: Option<(Measure, f64)>,
    scale: Scale,
    rule: Rule,
    z: f64,
    z_corrected: f64,
}

impl Pair {
    fn new(comparison: &Comparison, criterion: &Criterion, family: u64) -> Option<Self> {
        let measure = |side: &Side| Some((Measure::of(side)?, float(side.rows.max(1))));
        let (z, z_corrected) = criterion.quantiles(family)?;
        let b = match &comparison.b {
            Some(side) => Some(measure(side)?),
            None => None,
        };
        Some(Self {
            a: measure(&comparison.a)?,
            b,
            scale: criterion.metric.scale(),
            rule: criterion.rule(),
            z,
            z_corrected,
        })
    }

    /// The verdict if both groups had at least `rows` rows.
    fn judged_at(&self, rows: u64) -> Option<Towards> {
        let grown = |(measure, has): (Measure, f64)| measure.scaled((float(rows) / has).max(1.0));
        let (a, b) = (grown(self.a), self.b.map(grown));
        let at = |z| interval(a, b, self.scale, z).map(|(_, interval)| interval);
        judged(self.rule, at(self.z)?, at(self.z_corrected)?)
    }
}

/// Pass by the interval, Fail by the corrected one, or neither.
pub(super) fn judged(rule: Rule, interval: Interval, corrected: Interval) -> Option<Towards> {
    if rule.passed_by(interval) {
        Some(Towards::Pass)
    } else if rule.failed_by(corrected) {
        Some(Towards::Fail)
    } else {
        None
    }
}

/// The least number above `start` at which `judged` decides, at most 1/2048 too high; `None` if it does not
/// at [`MOST_ROWS`]. What it returns was always judged, so it holds even where `judged` is not monotone.
pub(super) fn search(start: u64, judged: impl Fn(u64) -> Option<Towards>) -> Option<(u64, Towards)> {
    let mut low = start.max(1);
    if low >= MOST_ROWS {
        return None;
    }
    let (mut high, mut found) = (MOST_ROWS, judged(MOST_ROWS)?);
    // from 1 to 2^40 in at most 40 doublings
    while low < MOST_ROWS / 2 {
        if let Some(towards) = judged(low * 2) {
            (high, found) = (low * 2, towards);
            break;
        }
        low *= 2;
    }
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2;
        if middle == low {
            break;
        }
        match judged(middle) {
            Some(towards) => (high, found) = (middle, towards),
            None => low = middle,
        }
    }
    Some((high, found))
}
