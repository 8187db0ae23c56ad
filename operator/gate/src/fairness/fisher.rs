//! Fisher's exact test, for people to see. It never decides: it asks whether two rates are equal, and the gate
//! asks whether their ratio or difference is small enough.

use super::number::{float, round9};

/// The most rows of both groups together for which the exact sum is computed. Beyond, it would tell nothing
/// that the interval does not.
const MOST_ROWS: u64 = 1_000_000;

/// Tables as likely as the observed one up to rounding count as as likely: the tolerance of R's `fisher.test`.
const TOLERANCE: f64 = 1.0 + 1e-7;

/// Two-sided p of Fisher's exact test that the rates `x1/n1` and `x2/n2` are equal: the probability, given all
/// margins, of the tables that are at most as likely as the observed one (R. A. Fisher, "On the interpretation
/// of χ² from contingency tables, and the calculation of P", JRSS 85, 1922). Rounded to 1e-9.
///
/// `None` without trials, with more successes than trials, or above 1,000,000 rows.
pub fn two_sided(x1: u64, n1: u64, x2: u64, n2: u64) -> Option<f64> {
    let all = n1.checked_add(n2)?;
    if n1 == 0 || n2 == 0 || x1 > n1 || x2 > n2 || all > MOST_ROWS {
        return None;
    }
    let successes = x1 + x2;
    let (first, last) = (successes.saturating_sub(n2), successes.min(n1));
    // log of the hypergeometric probability of k successes in the first group, up to a constant of the margins
    let log_weight = |k: u64| {
        let log_factorial = |count: u64| libm::lgamma(float(count) + 1.0);
        -(log_factorial(k)
            + log_factorial(n1 - k)
            + log_factorial(successes - k)
            + log_factorial(n2 + k - successes))
    };
    // relative to the most likely table (the mode of the hypergeometric distribution), no weight exceeds 1
    let mode = (u128::from(successes + 1) * u128::from(n1 + 1) / u128::from(all + 2)).min(u128::from(last));
    let peak = log_weight(u64::try_from(mode).ok()?.max(first));
    let observed = libm::exp(log_weight(x1) - peak) * TOLERANCE;
    let (mut total, mut as_extreme) = (0.0, 0.0);
    for k in first..=last {
        let weight = libm::exp(log_weight(k) - peak);
        total += weight;
        if weight <= observed {
            as_extreme += weight;
        }
    }
    Some(round9((as_extreme / total).min(1.0)))
}
