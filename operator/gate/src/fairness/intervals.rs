//! Confidence intervals for a rate, a difference of two rates and a ratio of two rates.
//!
//! Every function takes `z` (see [`super::normal::z_two_sided`]) and gives a two-sided interval that always
//! contains the observed value, rounded to 1e-9. `None` means that there is no such interval: no trials, more
//! successes than trials, a ratio of two zero rates, counts above [`MAX_ROWS`], or a `z` that is no quantile.

use serde::Serialize;

use super::counts::MAX_ROWS;
use super::number::{Interval, float};

/// By which formula an interval was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Method {
    /// Wilson score interval of one rate.
    Wilson,
    /// Newcombe's hybrid score interval of a difference.
    Newcombe,
    /// Katz' log interval of a ratio.
    Katz,
    /// MOVER-R interval of a ratio, from Wilson limits.
    MoverR,
    /// Interval of a mean of numbers that differ by at most 1, or of the difference of two: [`super::Estimate`].
    BoundedMean,
    /// Welch's interval of a difference of means.
    Welch,
    /// Interval of the mean of two rates from their Wilson limits.
    Mover,
    /// The interval that the report states.
    Reported,
}

/// The smallest count at which the log interval of Katz is used; below it the normal approximation of the
/// log ratio is poor, and at zero it does not exist.
const KATZ_MINIMUM: f64 = 5.0;

/// Above every quantile that a 64-bit tail probability can have (38.5).
const MOST_Z: f64 = 40.0;

/// Successes out of trials. Fractional, so that a search may scale a group at its observed rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    x: f64,
    n: f64,
}

impl Sample {
    /// Checks that there are trials, and no more successes than trials.
    pub(super) fn new(x: u64, n: u64) -> Option<Self> {
        (n > 0 && x <= n && n <= MAX_ROWS).then(|| Self { x: float(x), n: float(n) })
    }

    /// The same rate with `factor` times the trials.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { x: self.x * factor, n: self.n * factor }
    }

    /// The observed rate.
    pub(super) fn rate(self) -> f64 {
        self.x / self.n
    }

    /// See [`wilson`].
    pub(super) fn wilson(self, z: f64) -> Interval {
        let (lower, upper) = wilson_limits(self, z);
        Interval::rounded(lower, upper)
    }
}

/// Wilson score interval of `x` successes in `n` trials: E. B. Wilson, "Probable inference, the law of
/// succession, and statistical inference", JASA 22, 1927.
pub fn wilson(x: u64, n: u64, z: f64) -> Option<Interval> {
    quantile(z)?;
    Some(Sample::new(x, n)?.wilson(z))
}

/// Newcombe's hybrid score interval of the difference `x1/n1 - x2/n2`, built from the Wilson limits of each
/// rate: method 10 of R. G. Newcombe, "Interval estimation for the difference between independent
/// proportions", Statistics in Medicine 17, 1998.
pub fn newcombe(x1: u64, n1: u64, x2: u64, n2: u64, z: f64) -> Option<Interval> {
    quantile(z)?;
    Some(newcombe_samples(Sample::new(x1, n1)?, Sample::new(x2, n2)?, z))
}

/// Log interval of the ratio `(x1/n1) / (x2/n2)`: D. Katz, J. Baptista, S. P. Azen & M. C. Pike, "Obtaining
/// confidence intervals for the risk ratio in cohort studies", Biometrics 34, 1978. `None` when either
/// number of successes is zero, where it does not exist.
pub fn katz(x1: u64, n1: u64, x2: u64, n2: u64, z: f64) -> Option<Interval> {
    quantile(z)?;
    if x1 == 0 || x2 == 0 {
        return None;
    }
    Some(katz_samples(Sample::new(x1, n1)?, Sample::new(x2, n2)?, z))
}

/// MOVER-R interval of the ratio `(x1/n1) / (x2/n2)` from the Wilson limits of each rate: A. Donner & G. Y.
/// Zou, "Closed-form confidence intervals for functions of the normal mean and standard deviation",
/// Statistical Methods in Medical Research 21, 2012. The upper bound is infinite when the denominator's lower
/// limit is zero. `None` when both rates are zero.
pub fn mover_r(x1: u64, n1: u64, x2: u64, n2: u64, z: f64) -> Option<Interval> {
    quantile(z)?;
    if x1 == 0 && x2 == 0 {
        return None;
    }
    Some(mover_r_samples(Sample::new(x1, n1)?, Sample::new(x2, n2)?, z))
}

/// Interval of the ratio `(x1/n1) / (x2/n2)`: [`katz`] when `x1`, `x2`, `n1 - x1` and `n2 - x2` are all at
/// least 5, otherwise [`mover_r`].
pub fn ratio(x1: u64, n1: u64, x2: u64, n2: u64, z: f64) -> Option<(Method, Interval)> {
    quantile(z)?;
    ratio_samples(Sample::new(x1, n1)?, Sample::new(x2, n2)?, z)
}

/// Whether `z` can be a quantile: positive, and not beyond what a tail probability gives.
fn quantile(z: f64) -> Option<()> {
    (z > 0.0 && z <= MOST_Z).then_some(())
}

/// See [`newcombe`].
pub(super) fn newcombe_samples(a: Sample, b: Sample, z: f64) -> Interval {
    let (p1, p2) = (a.rate(), b.rate());
    let ((l1, u1), (l2, u2)) = (wilson_limits(a, z), wilson_limits(b, z));
    let difference = p1 - p2;
    let below = libm::sqrt(square(p1 - l1) + square(u2 - p2));
    let above = libm::sqrt(square(u1 - p1) + square(p2 - l2));
    Interval::rounded(difference - below, difference + above)
}

/// See [`ratio`].
pub(super) fn ratio_samples(a: Sample, b: Sample, z: f64) -> Option<(Method, Interval)> {
    let smallest = a.x.min(b.x).min(a.n - a.x).min(b.n - b.x);
    if smallest >= KATZ_MINIMUM {
        Some((Method::Katz, katz_samples(a, b, z)))
    } else if a.x > 0.0 || b.x > 0.0 {
        Some((Method::MoverR, mover_r_samples(a, b, z)))
    } else {
        None
    }
}

/// Both Wilson limits, not rounded.
///
/// The textbook form (2x + z² ∓ z·sqrt(z² + 4x(n-x)/n)) / (2(n + z²)) loses all digits of the lower limit for
/// small x. The two roots multiply to x² / (n(n + z²)), which gives the lower one without subtraction; the
/// upper limit is one minus the lower limit of the failures. So the limits are exactly 0 for x = 0 and 1 for
/// x = n.
fn wilson_limits(sample: Sample, z: f64) -> (f64, f64) {
    let Sample { x, n } = sample;
    let failures = n - x;
    let spread = z * libm::sqrt(z * z + 4.0 * x * (failures / n));
    let lower_of = |count: f64| {
        let larger_root = 2.0 * count + z * z + spread;
        // count, n and z are positive or zero; a zero count gives exactly 0
        if count > 0.0 { 2.0 * (count / n) * count / larger_root } else { 0.0 }
    };
    let rate = sample.rate();
    (lower_of(x).min(rate), (1.0 - lower_of(failures)).max(rate))
}

/// See [`katz`]; both samples have successes.
fn katz_samples(a: Sample, b: Sample, z: f64) -> Interval {
    let estimate = a.rate() / b.rate();
    // 1/x - 1/n, without the subtraction that would lose digits when every trial is a success
    let variance_of = |sample: Sample| (sample.n - sample.x) / sample.n / sample.x;
    let factor = libm::exp(z * libm::sqrt(variance_of(a) + variance_of(b)));
    Interval::rounded(estimate / factor, estimate * factor)
}

/// See [`mover_r`]; one of the samples has successes.
///
/// With A = p1·p2, B = l1(2·p1 - l1), C = u2(2·p2 - u2), D = u1(2·p1 - u1) and E = l2(2·p2 - l2):
/// lower = B / (A + sqrt(A² - B·C)), and 0 if B <= 0; upper = (A + sqrt(A² - D·E)) / E, and infinite if E = 0.
/// With the half widths a = p1 - l1 and b = u2 - p2, B = p1² - a² and C = p2² - b², so A² - B·C equals
/// b²·B + p2²·a², a sum of terms that are never negative; likewise A² - D·E equals d²·E + p1²·e².
fn mover_r_samples(a: Sample, b: Sample, z: f64) -> Interval {
    let (p1, p2) = (a.rate(), b.rate());
    let ((l1, u1), (l2, u2)) = (wilson_limits(a, z), wilson_limits(b, z));
    let product = p1 * p2;
    let below = l1 * (2.0 * p1 - l1);
    let lower = if below > 0.0 {
        below / (product + libm::sqrt(square(u2 - p2) * below + square(p2 * (p1 - l1))))
    } else {
        0.0
    };
    let above = l2 * (2.0 * p2 - l2);
    let upper = if above > 0.0 {
        (product + libm::sqrt(square(u1 - p1) * above + square(p1 * (p2 - l2)))) / above
    } else {
        f64::INFINITY
    };
    // p2 = 0 makes the observed ratio infinite, and so is the upper bound
    let estimate = if p2 > 0.0 { p1 / p2 } else { f64::INFINITY };
    Interval::rounded(lower.min(estimate), upper.max(estimate))
}

fn square(x: f64) -> f64 {
    x * x
}
