//! What a file says, before it is a report: values as the tool has them, and how certain the tool says that they are.

use placet_gate::fairness::{Group, PositiveMeans, intervals};

use super::node::Reading;

/// What was read from a file.
#[derive(Debug, Default)]
pub struct Found {
    /// Name and version of the tool, where the file says them.
    pub tool: Option<(String, String)>,
    /// When the test ended (RFC 3339), where the file says it.
    pub ran_at: Option<String>,
    /// What the file says was tested, in its own words.
    pub model: Option<String>,
    /// Digests of what was tested, where the file names them.
    pub artifacts: Vec<String>,
    /// Digest of the dataset, where the file names it.
    pub dataset: Option<String>,
    /// What a positive prediction means, where the file says it.
    pub positive_means: Option<PositiveMeans>,
    /// Counts per group.
    pub groups: Vec<Group>,
    /// Values of metrics.
    pub metrics: Vec<Metric>,
    /// What people should know of it.
    pub notes: Vec<String>,
}

/// A metric as a file has it.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// Its name: what `--metric` takes.
    pub name: String,
    /// Its value.
    pub value: Reading,
    /// Rows that it was computed from, where the file says it.
    pub rows: Option<u64>,
    /// How certain it is.
    pub spread: Spread,
}

/// How certain a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Spread {
    /// A share of trials: the interval is Wilson's.
    Share {
        /// Successes.
        successes: u64,
        /// Trials.
        trials: u64,
    },
    /// A standard error: the interval is the value and as many standard errors on both sides as the confidence asks for.
    Error(f64),
    /// Not known: without an interval a value decides nothing.
    Unknown,
}

/// Two numbers that are the same but for how floats are added up.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9
}

/// Doubles of counts, which are at most 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53, which a double holds")]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// The successes that a share of trials stands for; `None` where no whole number of them gives the value.
pub fn successes(share: f64, trials: u64) -> Option<u64> {
    if !(0.0..=1.0).contains(&share) || trials == 0 {
        return None;
    }
    let count = super::node::whole((share * float(trials)).round())?;
    same(float(count) / float(trials), share).then_some(count)
}

impl Spread {
    /// Of successes among trials.
    pub fn share(successes: u64, trials: u64) -> Self {
        if trials == 0 { Self::Unknown } else { Self::Share { successes, trials } }
    }

    /// Of a mean over rows with its standard error, as tools write it.
    ///
    /// A mean of zeros and ones has exactly the standard error √(p(1-p)/(n-1)) (or with n, where a tool does not correct for
    /// the sample), and of values in `[0, 1]` only zeros and ones have one so large: then it is a share, whose interval is
    /// Wilson's also near 0 and 1, where the standard error is too small. A standard error of zero says that all rows have
    /// one value: of a metric that is a share by its name all rows are 0 or 1; of any other it says nothing about other rows.
    pub fn of_mean(value: f64, error: f64, rows: Option<u64>, share: bool) -> Self {
        let trials = rows.unwrap_or(0);
        if let Some(successes) = successes(value, trials) {
            let variance = value * (1.0 - value);
            let fits = |n: u64| n > 0 && same((variance / float(n)).sqrt(), error);
            let extreme = successes == 0 || successes == trials;
            if (extreme && share && error == 0.0) || (!extreme && (fits(trials - 1) || fits(trials))) {
                return Self::share(successes, trials);
            }
        }
        if error > 0.0 && error.is_finite() { Self::Error(error) } else { Self::Unknown }
    }

    /// How that interval is computed, as the report says it.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Share { .. } => "Wilson",
            Self::Error(_) => "value ± z · standard error",
            Self::Unknown => "none",
        }
    }

    /// The interval of a value at a confidence of `z` standard errors.
    pub fn interval(&self, value: f64, z: f64) -> Option<(f64, f64)> {
        match self {
            Self::Share { successes, trials } => {
                let interval = intervals::wilson(*successes, *trials, z)?;
                // Where trials are fewer than rows (many outputs of one prompt), the share is not exactly the value.
                Some((interval.lower.min(value), interval.upper.finite()?.max(value)))
            }
            Self::Error(error) => Some((value - z * error, value + z * error)),
            Self::Unknown => None,
        }
    }
}

/// How a number is rounded to the nine digits that the API keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// To the nearest.
    Nearest,
    /// Towards minus infinity: a lower bound.
    Down,
    /// Towards plus infinity: an upper bound.
    Up,
}

/// From here on two neighbouring doubles are further apart than 1e-9, so that the shortest text that reads back as the number
/// has at most nine digits after the point; below, a billion times the number is less than 2^53.
const EXACT: f64 = 9.0e6;

/// A number as the API writes it: at most twelve digits before and nine after the point. `None` where it is larger.
pub fn decimal(value: f64, round: Round) -> Option<String> {
    if value.is_nan() || value.abs() >= 1e12 {
        return None;
    }
    if value.abs() >= EXACT {
        return Some(value.to_string());
    }
    // Bounds that the gate has rounded to nine digits already are not moved by another unit.
    let steps = value * 1e9;
    let nearest = steps.round();
    let rounded = match round {
        _ if (steps - nearest).abs() <= 1e-4 => nearest,
        Round::Nearest => nearest,
        Round::Down => steps.floor(),
        Round::Up => steps.ceil(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 9 * 10^15")]
    let rounded = rounded as i64;
    let (whole, rest) = (rounded.unsigned_abs() / 1_000_000_000, rounded.unsigned_abs() % 1_000_000_000);
    let sign = if rounded < 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{rest:09}");
    Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_of_zeros_and_ones_is_a_share() {
        // lm-eval 0.4.13, 21 of 40, and inspect 0.3.285, 16 of 20.
        assert_eq!(Spread::of_mean(0.525, 0.079_963_934_178_045_33, Some(40), false), Spread::share(21, 40));
        assert_eq!(Spread::of_mean(0.8, 0.091_766_293_548_224_7, Some(20), false), Spread::share(16, 20));
        // Halves have a smaller one.
        assert_eq!(Spread::of_mean(0.5, 0.05, Some(20), true), Spread::Error(0.05));
        // Too many decimals for so few rows.
        assert_eq!(Spread::of_mean(0.123, 0.1, Some(10), true), Spread::Error(0.1));
        assert_eq!(
            Spread::of_mean(0.8, 0.091_766_293_548_224_7, None, true),
            Spread::Error(0.091_766_293_548_224_7)
        );
    }

    #[test]
    fn no_error_is_no_certainty() {
        assert_eq!(Spread::of_mean(1.0, 0.0, Some(40), true), Spread::share(40, 40));
        assert_eq!(Spread::of_mean(0.0, 0.0, Some(40), true), Spread::share(0, 40));
        // A perplexity of 1, or a mean of equal scores: other rows may differ.
        assert_eq!(Spread::of_mean(1.0, 0.0, Some(40), false), Spread::Unknown);
        assert_eq!(Spread::of_mean(0.5, 0.0, Some(40), true), Spread::Unknown);
        assert_eq!(Spread::of_mean(3.0, f64::NAN, Some(40), true), Spread::Unknown);
        assert_eq!(Spread::of_mean(3.0, -1.0, Some(40), true), Spread::Unknown);
        assert_eq!(Spread::share(0, 0), Spread::Unknown);
        let (lower, upper) = Spread::share(40, 40).interval(1.0, 1.959_963_984_540_054).unwrap();
        // Wilson, by hand: n / (n + z²).
        assert!(
            (lower - 40.0 / (40.0 + 3.841_458_820_694_124)).abs() < 1e-9 && same(upper, 1.0),
            "{lower} {upper}"
        );
    }

    #[test]
    fn decimals_are_those_of_the_api() {
        for (value, round, wanted) in [
            (0.525, Round::Nearest, "0.525"),
            (-0.0, Round::Nearest, "0"),
            (4.17e-19, Round::Nearest, "0"),
            (4.17e-10, Round::Up, "0.000000001"),
            (-4.17e-10, Round::Down, "-0.000000001"),
            (4.17e-10, Round::Down, "0"),
            (2.0 / 3.0, Round::Down, "0.666666666"),
            (2.0 / 3.0, Round::Up, "0.666666667"),
            (0.371_234_567, Round::Down, "0.371234567"),
            (0.371_234_567, Round::Up, "0.371234567"),
            (-12.5, Round::Nearest, "-12.5"),
            (999_999_999_999.0, Round::Nearest, "999999999999"),
            (100.0, Round::Nearest, "100"),
            (123_456_789.125, Round::Down, "123456789.125"),
            (123_456_789.125, Round::Up, "123456789.125"),
            (9_000_000.123_456_79, Round::Up, "9000000.12345679"),
            (-8_999_999.125, Round::Up, "-8999999.125"),
        ] {
            let text = decimal(value, round).unwrap();
            assert_eq!(text, wanted);
            placet_api::scalar::Decimal::new(text).unwrap();
        }
        for value in [1e12, -1e12, 1e308, -1e308, 9.3e18, f64::INFINITY, f64::NAN] {
            assert_eq!(decimal(value, Round::Nearest), None, "{value}");
        }
    }
}
