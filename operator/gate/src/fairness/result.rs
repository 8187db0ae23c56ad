//! What a bias test comes to.

use serde::Serialize;

use super::intervals::Method;
use super::metrics::MetricValue;
use super::needed::{Needed, Towards};
use super::number::{Extended, Interval};
use super::rates::{Metric, Rate, Scale};
use super::tally::Observed;

/// Outcome of a test or of one of its comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// Shown to hold.
    Pass,
    /// Shown not to hold.
    Fail,
    /// Not shown either way; it holds a release up.
    Indeterminate,
}

impl From<Towards> for Verdict {
    fn from(towards: Towards) -> Self {
        match towards {
            Towards::Pass => Self::Pass,
            Towards::Fail => Self::Fail,
            Towards::Eligible => Self::Indeterminate,
        }
    }
}

/// One of the two groups of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Name for people: `race=Asian, sex=Female`.
    pub label: String,
    /// Rows of the group.
    pub rows: u64,
    /// What is compared.
    #[serde(flatten)]
    pub observed: Observed,
}

/// Two groups compared by one rate or estimate, or one group held against zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Index of the attribute set in [`super::BiasTest::attribute_sets`].
    pub set: usize,
    /// Index of the criterion in [`super::BiasTest::criteria`].
    pub criterion: usize,
    /// What is measured.
    pub metric: Metric,
    /// The rate that is compared; `None` where the metric compares none.
    pub rate: Option<Rate>,
    /// Numerator of a ratio, minuend of a difference. Without a reference group, ratios put the smaller rate
    /// here and differences the larger.
    pub a: Side,
    /// Denominator, subtrahend; the reference group, if there is one. `None` where the metric looks at each group by itself.
    pub b: Option<Side>,
    /// Observed ratio or difference, rounded to 1e-9; `None` where undefined.
    pub estimate: Option<Extended>,
    /// How the interval was computed.
    pub method: Option<Method>,
    /// Interval at `confidence`, by which it passes.
    pub interval: Option<Interval>,
    /// Two-sided confidence of `interval`.
    pub confidence: f64,
    /// Interval at `corrected_confidence`, by which it fails.
    pub corrected: Option<Interval>,
    /// `1 - (1 - confidence) / family`.
    pub corrected_confidence: f64,
    /// The criterion's threshold, rounded to 1e-9.
    pub threshold: f64,
    /// Outcome.
    pub verdict: Verdict,
}

impl Comparison {
    /// How far the estimate lies beyond the threshold (positive) or within it (negative), in units of the
    /// metric; negative infinity where undefined. Orders comparisons only, and is never part of a result.
    pub(super) fn excess(&self) -> f64 {
        match (self.metric.scale(), self.estimate) {
            (_, None) => f64::NEG_INFINITY,
            (Scale::Difference, Some(estimate)) => {
                libm::fabs(estimate.finite().unwrap_or(f64::INFINITY)) - self.threshold
            }
            (Scale::Ratio, Some(Extended::Infinite)) => self.threshold,
            (Scale::Ratio, Some(Extended::Finite(ratio))) => {
                self.threshold - if ratio > 1.0 { 1.0 / ratio } else { ratio }
            }
        }
    }
}

/// Why a group cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum IneligibleReason {
    /// No rows at all.
    Empty {
        /// Least rows.
        wanted: u64,
    },
    /// Fewer rows than asked for.
    TooFewRows {
        /// Least rows.
        wanted: u64,
        /// Rows of the group.
        found: u64,
    },
    /// Fewer actually positive rows than asked for.
    TooFewPositives {
        /// Least actually positive rows.
        wanted: u64,
        /// Those of the group.
        found: u64,
    },
    /// Fewer actually negative rows than asked for.
    TooFewNegatives {
        /// Least actually negative rows.
        wanted: u64,
        /// Those of the group.
        found: u64,
    },
}

/// A group too small to be compared: never numerator, denominator or reference, but always listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ineligible {
    /// Index of the attribute set in [`super::BiasTest::attribute_sets`].
    pub set: usize,
    /// Index of the criterion in [`super::BiasTest::criteria`].
    pub criterion: usize,
    /// Name for people.
    pub group: String,
    /// Rows of the group.
    pub rows: u64,
    /// Its share of all rows, rounded to 1e-9.
    pub share: f64,
    /// Why it cannot be compared.
    pub reason: IneligibleReason,
    /// Left out by policy, with an accepted risk that names it.
    pub accepted: bool,
    /// Whether it makes the test Indeterminate.
    pub holds: bool,
}

/// What, besides comparisons, keeps a test from passing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Hold {
    /// The test has no criterion or no attribute set.
    NothingAsked,
    /// Fewer than two groups can be compared.
    TooFewGroups {
        /// Index of the attribute set.
        set: usize,
        /// Index of the criterion.
        criterion: usize,
        /// How many can be compared.
        eligible: usize,
    },
    /// The reference does not give a value for every attribute of the set, or no such group can be compared.
    NoReference {
        /// Index of the attribute set.
        set: usize,
        /// Index of the criterion.
        criterion: usize,
    },
    /// A group of a single attribute is too small, and not accepted as such.
    IneligibleGroup {
        /// Index in [`BiasResult::ineligible`].
        ineligible: usize,
    },
    /// Groups of several attributes that are too small cover more rows than tolerated.
    IneligibleIntersections {
        /// Index of the attribute set.
        set: usize,
        /// Index of the criterion.
        criterion: usize,
        /// Their share of all rows, rounded to 1e-9.
        share: f64,
        /// The share that is tolerated.
        tolerated: f64,
    },
    /// A comparison is undefined: both rates are zero, or a group has no trials.
    Undefined {
        /// Index in [`BiasResult::comparisons`].
        comparison: usize,
    },
}

/// The values of one attribute set, over all its groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetValues {
    /// Index of the attribute set in [`super::BiasTest::attribute_sets`].
    pub set: usize,
    /// All groups, small ones included.
    pub groups: usize,
    /// Every metric; those that no criterion names are for information.
    pub values: Vec<MetricValue>,
    /// What has no interval and can bind nobody.
    pub shown: Vec<Shown>,
}

/// A value without an interval, for people to see.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// What it is, in words.
    pub words: &'static str,
    /// The value, rounded to 1e-9; `None` where undefined.
    pub value: Option<f64>,
}

/// Everything that a bias test comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BiasResult {
    /// The verdict.
    pub verdict: Verdict,
    /// Every comparison, by attribute set, criterion, rate and groups.
    pub comparisons: Vec<Comparison>,
    /// Number of comparisons for which failing is corrected. Comparisons with the category selected most
    /// count as all pairs, because the data choose that category.
    pub family: u64,
    /// Index of the worst comparison: failed before Indeterminate before passed, then farthest beyond its
    /// threshold.
    pub worst: Option<usize>,
    /// What keeps the test from passing besides comparisons.
    pub holds: Vec<Hold>,
    /// Groups too small to be compared.
    pub ineligible: Vec<Ineligible>,
    /// All metrics over all groups, for people to see; no verdict is taken from them.
    pub values: Vec<SetValues>,
    /// If Indeterminate: what holding groups lack, and how many more rows would decide the worst Indeterminate
    /// comparison. [`super::needed::for_comparison`] answers for the others.
    pub needed: Vec<Needed>,
}
