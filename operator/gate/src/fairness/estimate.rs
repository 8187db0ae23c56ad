//! Values that are no shares of trials (an area under a curve, a mean), and intervals of them and of their differences.

use serde::Serialize;

use super::intervals::{Method, Sample, newcombe_samples, ratio_samples};
use super::number::{Extended, Interval, float, round9};
use super::rates::Scale;
use super::result::Side;
use super::tally::Observed;

/// A value of one group with its variance. How far the true value may be from it is said by [`Self::reach`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    value: f64,
    variance: f64,
    spread: Spread,
    slack: f64,
}

/// What is known of the distribution behind a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Spread {
    /// A mean of numbers that differ by at most 1.
    Bounded {
        /// How many independent ones there are at least.
        units: f64,
    },
    /// A mean of any numbers.
    Mean {
        /// Degrees of freedom of its variance.
        freedom: f64,
    },
}

impl Estimate {
    /// A mean of numbers that differ by at most 1, of which at least `units` are independent: an area under the ROC curve
    /// (of as many pairs as there are rows of the rarer label), a mean of labels less scores. `slack`: how far binning may
    /// have moved the value.
    pub(super) fn bounded(value: f64, variance: f64, units: u64, slack: f64) -> Self {
        Self {
            value,
            variance: variance.max(0.0),
            spread: Spread::Bounded { units: float(units.max(1)) },
            slack,
        }
    }

    /// A mean of `rows` numbers of any size.
    pub(super) fn mean(value: f64, variance: f64, rows: u64) -> Self {
        let freedom = float(rows.max(2)) - 1.0;
        Self { value, variance: variance.max(0.0), spread: Spread::Mean { freedom }, slack: 0.0 }
    }

    /// The value, rounded to 1e-9.
    pub fn value(&self) -> f64 {
        round9(self.value)
    }

    /// Variance of the value: the square of its standard error. Not rounded.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// The largest distance that binning may have put between this value and that of the exact scores, rounded to 1e-9.
    pub fn slack(&self) -> f64 {
        round9(self.slack)
    }

    /// The same with `factor` times the rows, each kind of them as often as before.
    fn scaled(self, factor: f64) -> Self {
        let spread = match self.spread {
            Spread::Bounded { units } => Spread::Bounded { units: units * factor },
            Spread::Mean { freedom } => Spread::Mean { freedom: (freedom + 1.0) * factor - 1.0 },
        };
        Self { variance: self.variance / factor, spread, ..self }
    }

    /// How far the interval of the value reaches to either side, without slack.
    ///
    /// Of bounded numbers: z²/2k + z·sqrt(v + z²/4k²), with the variance v of the value and k independent numbers. It is the
    /// outer limit of Wilson's score interval (1927), taken to both sides and with v in place of p(1 - p)/k. Where all numbers
    /// are the same, v is 0, and z·sqrt(v) alone would be an interval without width, as if 50 of 50 said that nobody is
    /// ever missed; this leaves z²/k, about what Wilson leaves.
    ///
    /// Of a mean: t·sqrt(v), with the quantile of Student's distribution.
    fn reach(&self, z: f64) -> f64 {
        match self.spread {
            Spread::Bounded { units } => {
                let half = z * z / (2.0 * units);
                half + z * libm::sqrt(self.variance + half / units / 2.0)
            }
            Spread::Mean { freedom } => student(z, freedom) * libm::sqrt(self.variance),
        }
    }
}

/// What an interval is made of: a rate or an estimate, of a group that may be thought larger.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    /// Successes out of trials.
    Rate(Sample),
    /// A value with its variance.
    Estimate(Estimate),
}

impl Measure {
    /// None where nothing was observed.
    pub(super) fn of(side: &Side) -> Option<Self> {
        match side.observed {
            Observed::Rate { successes, trials } => Sample::new(successes, trials).map(Self::Rate),
            Observed::Estimate(estimate) => Some(Self::Estimate(estimate)),
            Observed::Undefined => None,
        }
    }

    /// The same with `factor` times the rows.
    pub(super) fn scaled(self, factor: f64) -> Self {
        match self {
            Self::Rate(sample) => Self::Rate(sample.scaled(factor)),
            Self::Estimate(estimate) => Self::Estimate(estimate.scaled(factor)),
        }
    }

    /// The value, not rounded.
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Rate(sample) => sample.rate(),
            Self::Estimate(estimate) => estimate.value,
        }
    }
}

/// What a comparison comes to, rounded: `a / b` or `a - b`, or `a` itself where there is no `b`.
pub(super) fn compared(a: Measure, b: Option<Measure>, scale: Scale) -> Extended {
    let other = b.map(Measure::value);
    match (scale, other) {
        (Scale::Ratio, Some(other)) if other > 0.0 => Extended::rounded(a.value() / other),
        (Scale::Ratio, _) => Extended::Infinite,
        (Scale::Difference, other) => Extended::rounded(a.value() - other.unwrap_or(0.0)),
    }
}

/// The interval of a comparison; None where there is none: both rates are zero, or the sides are not of one kind.
///
/// Of two estimates: the reaches of both are put together as the root of the sum of their squares (G. Y. Zou & A. Donner,
/// "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008, for independent groups); of two
/// means Welch's interval (B. L. Welch, Biometrika 34, 1947, with the degrees of freedom of F. E. Satterthwaite, 1946). What
/// binning may have moved is added to both ends in full.
pub(super) fn interval(a: Measure, b: Option<Measure>, scale: Scale, z: f64) -> Option<(Method, Interval)> {
    match (a, b, scale) {
        (Measure::Rate(a), Some(Measure::Rate(b)), Scale::Ratio) => ratio_samples(a, b, z),
        (Measure::Rate(a), Some(Measure::Rate(b)), Scale::Difference) => {
            Some((Method::Newcombe, newcombe_samples(a, b, z)))
        }
        (Measure::Estimate(a), None, Scale::Difference) => {
            let reach = a.reach(z) + a.slack;
            Some((a.method(), within(&a, a.value, reach)))
        }
        (Measure::Estimate(a), Some(Measure::Estimate(b)), Scale::Difference) => {
            let reach = match (a.spread, b.spread) {
                (Spread::Mean { freedom: of_a }, Spread::Mean { freedom: of_b }) => {
                    let variance = a.variance + b.variance;
                    let parts = a.variance * a.variance / of_a + b.variance * b.variance / of_b;
                    // without any variance there is nothing that degrees of freedom would matter to
                    let freedom = if parts > 0.0 { variance * variance / parts } else { of_a + of_b };
                    student(z, freedom) * libm::sqrt(variance)
                }
                _ => libm::hypot(a.reach(z), b.reach(z)),
            };
            Some((a.method(), within(&a, a.value - b.value, reach + a.slack + b.slack)))
        }
        _ => None,
    }
}

impl Estimate {
    fn method(&self) -> Method {
        match self.spread {
            Spread::Bounded { .. } => Method::BoundedMean,
            Spread::Mean { .. } => Method::Welch,
        }
    }
}

/// From `reach` below to `reach` above; what is bounded lies between -1 and 1.
fn within(of: &Estimate, value: f64, reach: f64) -> Interval {
    match of.spread {
        Spread::Bounded { .. } => Interval::rounded((value - reach).max(-1.0), (value + reach).min(1.0)),
        Spread::Mean { .. } => Interval::rounded(value - reach, value + reach),
    }
}

/// The quantile of Student's distribution that leaves above it what `z` leaves above it of the normal one: M. Abramowitz & I.
/// A. Stegun, "Handbook of Mathematical Functions", 1964, 26.7.5. For z up to 5 and 29 degrees of freedom, the least that is
/// asked of groups, the error is below 1e-3; it falls with the fifth power of the degrees of freedom.
fn student(z: f64, freedom: f64) -> f64 {
    let (z2, v) = (z * z, freedom);
    let first = z * (z2 + 1.0) / 4.0;
    let second = z * ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    let third = z * (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
    let fourth = z * ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92_160.0;
    z + (first + (second + (third + fourth / v) / v) / v) / v
}
