//! Rounded numbers, and bounds that may be infinite.

use serde::{Serialize, Serializer};

/// Steps per unit of every number that is compared, kept or shown: 1e-9.
const STEPS: f64 = 1e9;

/// Above this magnitude a number is a multiple of about 1e-9 already, and scaling it could overflow.
const COARSE: f64 = 4.0e6;

/// Rounds to the nearest multiple of 1e-9, halves away from zero; never gives negative zero.
///
/// Monotone: `a <= b` implies `round9(a) <= round9(b)`. Numbers beyond ±4,000,000 and numbers that are not
/// finite are returned as they are.
pub fn round9(value: f64) -> f64 {
    // (a comparison with NaN is false, so NaN too is returned as it is)
    if libm::fabs(value) < COARSE { libm::round(value * STEPS) / STEPS + 0.0 } else { value }
}

/// A count as a float. Exact, because counts are at most 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53 (MAX_ROWS), which f64 holds exactly")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// A finite number, or one without upper limit (a ratio whose denominator may be zero).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Extended {
    /// A finite number.
    Finite(f64),
    /// Greater than every finite number.
    Infinite,
}

impl Extended {
    /// Takes a float; positive infinity becomes [`Extended::Infinite`]. Rounded to 1e-9.
    pub(super) fn rounded(value: f64) -> Self {
        if value < f64::INFINITY { Self::Finite(round9(value)) } else { Self::Infinite }
    }

    /// The number, if finite.
    pub fn finite(self) -> Option<f64> {
        match self {
            Self::Finite(value) => Some(value),
            Self::Infinite => None,
        }
    }

    /// Whether the number is at most `limit`.
    pub fn at_most(self, limit: f64) -> bool {
        self.finite().is_some_and(|value| value <= limit)
    }

    /// Whether the number is below `limit`.
    pub fn below(self, limit: f64) -> bool {
        self.finite().is_some_and(|value| value < limit)
    }
}

impl std::fmt::Display for Extended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Finite(value) => std::fmt::Display::fmt(value, f),
            Self::Infinite => f.pad("infinite"),
        }
    }
}

/// A finite number is written as a number, the infinite one as the string `"infinite"`.
impl Serialize for Extended {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Finite(value) => serializer.serialize_f64(*value),
            Self::Infinite => serializer.serialize_str("infinite"),
        }
    }
}

/// A two-sided confidence interval, bounds rounded to 1e-9.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower bound, always finite.
    pub lower: f64,
    /// Upper bound.
    pub upper: Extended,
}

impl Interval {
    /// Rounds the bounds.
    pub(super) fn rounded(lower: f64, upper: f64) -> Self {
        Self { lower: round9(lower), upper: Extended::rounded(upper) }
    }
}
