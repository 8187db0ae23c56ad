//! A test of one value (accuracy, attack success rate, …) against one limit.

use serde::Serialize;

use super::counts::Counts;
use super::error::FairnessError;
use super::intervals::{Method, Sample, wilson};
use super::needed::{Towards, judged, search};
use super::normal::z_two_sided;
use super::number::{Extended, Interval, float, round9};
use super::question::{Rule, check_confidence, out_of_range};
use super::result::Verdict;

/// What a report says about one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measured {
    /// A share of trials; its interval is computed here (Wilson).
    Proportion {
        /// Successes.
        successes: u64,
        /// Trials.
        n: u64,
    },
    /// Balanced accuracy: the mean of the true positive and the true negative rate (K. H. Brodersen and others, "The balanced
    /// accuracy and its posterior distribution", ICPR 2010).
    Balanced {
        /// The confusion matrix.
        counts: Counts,
    },
    /// A value with the interval that the report states. Whether its confidence is enough is the caller's to
    /// check.
    WithInterval {
        /// The value.
        value: f64,
        /// Trials behind it, where known.
        n: Option<u64>,
        /// Reported lower bound.
        lower: f64,
        /// Reported upper bound.
        upper: f64,
    },
    /// A value that is no estimate (a number of open findings), by the policy's word, not the report's.
    Exact {
        /// The value.
        value: f64,
    },
    /// A value without anything that says how certain it is.
    Alone {
        /// The value.
        value: f64,
        /// Trials behind it, where known.
        n: Option<u64>,
    },
}

/// The limit of a single value; equality passes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Limit {
    /// Pass if the lower bound is at least this, Fail if the upper bound is below.
    AtLeast(f64),
    /// Pass if the upper bound is at most this, Fail if the lower bound is above.
    AtMost(f64),
}

/// The verdict on a single value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SingleResult {
    /// The verdict.
    pub verdict: Verdict,
    /// The value, rounded to 1e-9; `None` for a share of no trials.
    pub value: Option<f64>,
    /// Trials behind it, where known.
    pub n: Option<u64>,
    /// Its interval, where there is one; for an exact value the value itself.
    pub interval: Option<Interval>,
    /// How the interval came about; `None` for an exact value.
    pub method: Option<Method>,
    /// If Indeterminate: how many more trials would decide at the observed value, and how. Of an interval that the report
    /// states it is taken that it narrows with the root of the trials.
    pub needed: Option<(u64, Towards)>,
}

/// Judges a single value at a two-sided confidence in \[0.5, 1).
///
/// # Errors
/// Numbers out of range or not finite; more successes than trials; an interval that does not hold its value.
pub fn decide_single(
    measured: Measured,
    limit: Limit,
    confidence: f64,
) -> Result<SingleResult, FairnessError> {
    check_confidence(confidence)?;
    let rule = match limit {
        Limit::AtLeast(low) => Rule { low: finite("atLeast", low)?, high: f64::INFINITY },
        Limit::AtMost(high) => Rule { low: f64::NEG_INFINITY, high: finite("atMost", high)? },
    };
    let mut result = SingleResult {
        verdict: Verdict::Indeterminate,
        value: None,
        n: None,
        interval: None,
        method: None,
        needed: None,
    };
    match measured {
        Measured::Proportion { successes, n } => {
            if successes > n {
                return Err(FairnessError::MoreSuccessesThanTrials { wanted: n, found: successes });
            }
            if n > super::MAX_ROWS {
                return Err(FairnessError::TooManyRows);
            }
            result.n = Some(n);
            // check_confidence has refused what has no z
            if let (Some(sample), Some(z)) = (Sample::new(successes, n), z_two_sided(round9(confidence))) {
                result.value = Some(round9(sample.rate()));
                result.interval = wilson(successes, n, z);
                result.method = Some(Method::Wilson);
                if let Some(interval) = result.interval {
                    result.needed = more_trials(rule, n, interval, |factor| sample.scaled(factor).wilson(z));
                }
            }
        }
        Measured::Balanced { counts } => {
            let z = z_two_sided(round9(confidence));
            let rates = Sample::new(counts.tp(), counts.positives())
                .zip(Sample::new(counts.tn(), counts.negatives()));
            result.n = Some(counts.n());
            if let (Some((positive, negative)), Some(z)) = (rates, z) {
                let at = |factor| balanced(positive.scaled(factor), negative.scaled(factor), z);
                result.value = Some(round9(f64::midpoint(positive.rate(), negative.rate())));
                result.interval = Some(at(1.0));
                result.method = Some(Method::Mover);
                result.needed = more_trials(rule, counts.n(), at(1.0), at);
            }
        }
        Measured::WithInterval { value, n, lower, upper } => {
            let value = finite("value", value)?;
            let (lower, upper) = (finite("lower", lower)?, finite("upper", upper)?);
            if !(lower <= value && value <= upper) {
                return Err(FairnessError::BadInterval { lower, value, upper });
            }
            result.value = Some(value);
            result.n = n;
            let narrowed = |factor: f64| {
                let root = libm::sqrt(factor);
                Interval::rounded(value - (value - lower) / root, value + (upper - value) / root)
            };
            if let Some(n) = n.filter(|n| *n > 0 && *n <= super::MAX_ROWS) {
                result.needed =
                    more_trials(rule, n, Interval { lower, upper: Extended::Finite(upper) }, narrowed);
            }
            result.interval = Some(Interval { lower, upper: Extended::Finite(upper) });
            result.method = Some(Method::Reported);
        }
        Measured::Exact { value } => {
            let value = finite("value", value)?;
            result.value = Some(value);
            result.interval = Some(Interval { lower: value, upper: Extended::Finite(value) });
        }
        Measured::Alone { value, n } => {
            result.value = Some(finite("value", value)?);
            result.n = n;
        }
    }
    result.verdict = result
        .interval
        .and_then(|interval| judged(rule, interval, interval))
        .map_or(Verdict::Indeterminate, Verdict::from);
    Ok(result)
}

/// Trials beyond `n` that would decide what `interval` leaves open; `at` is the interval of so many times as many.
fn more_trials(
    rule: Rule,
    n: u64,
    interval: Interval,
    at: impl Fn(f64) -> Interval,
) -> Option<(u64, Towards)> {
    if judged(rule, interval, interval).is_some() {
        return None;
    }
    let found = search(n, |rows| {
        let interval = at(float(rows) / float(n));
        judged(rule, interval, interval)
    });
    found.map(|(rows, towards)| (rows - n, towards))
}

/// Interval of the mean of two rates of different rows, from the Wilson limits of each: G. Y. Zou & A. Donner, "Construction of
/// confidence limits about effect measures", Statistics in Medicine 27, 2008.
fn balanced(positive: Sample, negative: Sample, z: f64) -> Interval {
    let (p, q) = (positive.rate(), negative.rate());
    let (of_p, of_q) = (positive.wilson(z), negative.wilson(z));
    // Wilson's limits are finite
    let above = |interval: Interval, rate: f64| interval.upper.finite().unwrap_or(1.0) - rate;
    let middle = f64::midpoint(p, q);
    Interval::rounded(
        middle - libm::hypot(p - of_p.lower, q - of_q.lower) / 2.0,
        middle + libm::hypot(above(of_p, p), above(of_q, q)) / 2.0,
    )
}

/// Rounded to 1e-9, if finite.
fn finite(field: &'static str, value: f64) -> Result<f64, FairnessError> {
    if value.is_finite() { Ok(round9(value)) } else { Err(out_of_range(field, "a finite number", value)) }
}
