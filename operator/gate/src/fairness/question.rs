//! What a bias test asks: attribute sets, criteria, and who is compared.

use std::collections::BTreeMap;

use super::error::FairnessError;
use super::normal::{z_bonferroni, z_two_sided};
use super::number::{Extended, Interval, round9};
use super::rates::{Metric, Scale};

/// The most groups of a report, and so of one attribute set: all pairs of 200 are 19,900.
pub const MAX_GROUPS: usize = 200;

/// A whole bias test. Its criteria all bind: it passes only if every comparison of every criterion passes.
#[derive(Debug, Clone, PartialEq)]
pub struct BiasTest {
    /// Attribute sets, for example `[sex]` and `[race, sex]`. Groups are compared within a set only, never a
    /// marginal with a cell. A set named twice (in any order) is judged once.
    pub attribute_sets: Vec<Vec<String>>,
    /// What must hold, in every attribute set. A criterion given twice is judged once.
    pub criteria: Vec<Criterion>,
    /// Groups that a risk acceptance names as too small to be judged. It counts only for groups below
    /// [`Eligibility::exclude_below_share`]; a group large enough to be compared is always compared.
    pub accepted_groups: Vec<BTreeMap<String, String>>,
    /// Binding metrics that are judged one by one on these groups, this question being one of them: what fails is held against that
    /// many times the comparisons here. 1 where the criteria here are all.
    pub metrics: u64,
}

/// One metric and its threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Criterion {
    /// What is measured.
    pub metric: Metric,
    /// For ratios t in (0, 1]: every ratio must lie in \[t, 1/t\]. For differences t in \[0, 1\]: every
    /// difference must lie in \[-t, t\]; of errors of a regression t is in their unit, and 0 or more.
    pub threshold: f64,
    /// Who is compared with whom.
    pub compare: Compare,
    /// Two-sided confidence, in \[0.5, 1); each bound is one-sided at half of the rest.
    pub confidence: f64,
    /// Which groups are large enough.
    pub eligibility: Eligibility,
}

/// Who is compared with whom. [`Metric::ImpactRatio`] always compares with the category selected most, as the
/// law that defines it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// All pairs.
    MinMax,
    /// Each group with the reference group, given as attribute to value for every attribute of the set.
    Reference(BTreeMap<String, String>),
}

/// When a group is large enough to be compared. Groups without rows never are.
#[derive(Debug, Clone, PartialEq)]
pub struct Eligibility {
    /// Least rows of a group of a single attribute.
    pub min_rows: u64,
    /// Least rows of a group of several attributes.
    pub min_intersection_rows: u64,
    /// Least actually positive rows, for metrics that look at them.
    pub min_positives: u64,
    /// Least actually negative rows, for metrics that look at them.
    pub min_negatives: u64,
    /// Share of all rows, in \[0, 1\], up to which ineligible groups of several attributes do not hold the
    /// test.
    pub ineligible_intersection_share: f64,
    /// Share of all rows below which the policy lets an accepted group be left out (New York City Local Law
    /// 144: 0.02); `None` if the policy excludes nobody.
    pub exclude_below_share: Option<f64>,
}

/// Suggested minimums: 100 rows per group, 50 per intersection, 20 actual positives and negatives, 5 % of rows
/// in ineligible intersections, nobody excluded.
impl Default for Eligibility {
    fn default() -> Self {
        Self {
            min_rows: 100,
            min_intersection_rows: 50,
            min_positives: 20,
            min_negatives: 20,
            ineligible_intersection_share: 0.05,
            exclude_below_share: None,
        }
    }
}

impl Criterion {
    /// Checks every number.
    ///
    /// # Errors
    /// [`FairnessError::OutOfRange`] for a threshold, confidence or share outside its range.
    pub fn check(&self) -> Result<(), FairnessError> {
        let threshold = round9(self.threshold);
        match self.metric.scale() {
            Scale::Ratio if !(threshold > 0.0 && threshold <= 1.0) => {
                return Err(out_of_range("threshold", "above 0 and at most 1", self.threshold));
            }
            Scale::Difference if !(0.0..=self.metric.highest_threshold()).contains(&threshold) => {
                let wanted = if self.metric.highest_threshold() > 1.0 { "0 or more" } else { "0 to 1" };
                return Err(out_of_range("threshold", wanted, self.threshold));
            }
            _ => {}
        }
        check_confidence(self.confidence)?;
        let shares =
            [Some(self.eligibility.ineligible_intersection_share), self.eligibility.exclude_below_share];
        for share in shares.into_iter().flatten() {
            if !(0.0..=1.0).contains(&share) {
                return Err(out_of_range("share of rows", "0 to 1", share));
            }
        }
        Ok(())
    }

    /// The bounds that an interval is compared with.
    pub(super) fn rule(&self) -> Rule {
        let threshold = round9(self.threshold);
        match self.metric.scale() {
            Scale::Ratio => Rule { low: threshold, high: round9(1.0 / threshold) },
            Scale::Difference => Rule { low: -threshold, high: threshold },
        }
    }

    /// z of the criterion's confidence, and z corrected for `family` comparisons.
    pub(super) fn quantiles(&self, family: u64) -> Option<(f64, f64)> {
        let confidence = round9(self.confidence);
        Some((z_two_sided(confidence)?, z_bonferroni(confidence, family)?))
    }
}

/// Checks a two-sided confidence: in \[0.5, 1), also once rounded to 1e-9.
pub(crate) fn check_confidence(confidence: f64) -> Result<(), FairnessError> {
    if (0.5..1.0).contains(&round9(confidence)) {
        Ok(())
    } else {
        Err(out_of_range("confidence", "at least 0.5 and below 1", confidence))
    }
}

/// A number outside its range.
pub(super) fn out_of_range(field: &'static str, wanted: &'static str, found: f64) -> FairnessError {
    FairnessError::OutOfRange { field, wanted, found }
}

/// The range in which a true value must lie. Infinite limits ask nothing on their side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Lowest allowed value.
    pub(super) low: f64,
    /// Highest allowed value.
    pub(super) high: f64,
}

impl Rule {
    /// Whether the whole interval lies in the range; equality passes.
    pub(super) fn passed_by(self, interval: Interval) -> bool {
        let below_high = match interval.upper {
            Extended::Finite(upper) => upper <= self.high,
            Extended::Infinite => self.high == f64::INFINITY,
        };
        interval.lower >= self.low && below_high
    }

    /// Whether the whole interval lies outside of the range, on one side.
    pub(super) fn failed_by(self, interval: Interval) -> bool {
        interval.upper.below(self.low) || interval.lower > self.high
    }
}
