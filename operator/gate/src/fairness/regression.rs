//! Errors of a regression in one group: sums from which means, their intervals and what is shown beside them follow.

use std::sync::Arc;

use super::counts::MAX_ROWS;
use super::error::FairnessError;
use super::estimate::Estimate;
use super::metrics::MetricValue;
use super::number::{float, round9};
use super::rates::{LEAST_ROWS_OF_A_MEAN, Metric, Rate, Source};
use super::result::Shown;
use super::scores::{Bins, adds_up, histogram};
use super::table::Labelled;
use super::tally::{Observed, Tally, estimated, largest, quantile_gap};

/// One billionth: sums are kept as whole numbers of it.
const UNIT: f64 = 1e-9;

/// The largest sum, in billionths: 10^12, with 200 groups of it far from overflow.
const MOST: i128 = 1_000_000_000_000_000_000_000;

/// How far sums may miss what must hold between them, relative to the larger side: they are given with nine digits.
const TOLERANCE: f64 = 1e-6;

/// Sums over the rows of one group of the error e = prediction - label, in billionths: whole numbers, so that groups add up
/// exactly in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErrorSums {
    /// Σe.
    pub sum: i128,
    /// Σe².
    pub squares: i128,
    /// Σ|e|.
    pub absolutes: i128,
}

/// Errors of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorCounts {
    rows: u64,
    sums: ErrorSums,
    histogram: Option<(Arc<Bins>, Vec<u64>)>,
}

impl ErrorCounts {
    /// Checks what a report gives of a group: its rows, its sums and, if there is one, the histogram of its errors.
    ///
    /// # Errors
    /// Sums that no errors have: Σe² or Σ|e| below zero, |Σe| above Σ|e|, (Σ|e|)² above n·Σe²; a sum beyond 10^12; a histogram
    /// that does not add up to the rows.
    pub fn new(
        rows: i64,
        sums: ErrorSums,
        counted: Option<(Arc<Bins>, &[i64])>,
    ) -> Result<Self, FairnessError> {
        let n =
            u64::try_from(rows).map_err(|_| FairnessError::NegativeCount { field: "rows", found: rows })?;
        if n > MAX_ROWS {
            return Err(FairnessError::CountTooLarge { field: "rows", found: rows });
        }
        let ErrorSums { sum, squares, absolutes } = sums;
        if [sum.abs(), squares.abs(), absolutes.abs()].into_iter().any(|s| s > MOST) {
            return Err(FairnessError::BadSums { wanted: "sums of at most 10^12; use a larger unit" });
        }
        if squares < 0 || absolutes < 0 {
            return Err(FairnessError::BadSums { wanted: "Σe² and Σ|e| of at least 0" });
        }
        if real(sum.abs()) > real(absolutes) * (1.0 + TOLERANCE) + UNIT {
            return Err(FairnessError::BadSums { wanted: "|Σe| of at most Σ|e|" });
        }
        // Cauchy and Schwarz
        let (absolute, most) = (real(absolutes), float(n) * real(squares));
        if absolute * absolute > most * (1.0 + TOLERANCE) + float(n.max(1)) * UNIT {
            return Err(FairnessError::BadSums { wanted: "(Σ|e|)² of at most n·Σe²" });
        }
        let histogram = match counted {
            None => None,
            Some((bins, counts)) => {
                let counts = histogram(&bins, "histogram", counts)?;
                adds_up(rows, counts.iter().sum())?;
                Some((bins, counts))
            }
        };
        Ok(Self { rows: n, sums, histogram })
    }

    /// Mean error with its variance (Σe² - (Σe)²/n) / (n(n - 1)); `None` below 30 rows, where neither Student's nor the normal
    /// distribution says anything of errors of unknown shape.
    pub fn mean_error(&self) -> Option<Estimate> {
        self.mean(self.sums.sum)
    }

    /// Mean absolute error with its variance, from Σ|e| and Σ|e|² = Σe²; `None` below 30 rows.
    pub fn mean_absolute_error(&self) -> Option<Estimate> {
        self.mean(self.sums.absolutes)
    }

    fn mean(&self, sum: i128) -> Option<Estimate> {
        if self.rows < LEAST_ROWS_OF_A_MEAN {
            return None;
        }
        let (n, sum, squares) = (float(self.rows), real(sum), real(self.sums.squares));
        let mean = sum / n;
        // one rounding instead of two where nearly all cancels
        let about_mean = libm::fma(-sum, mean, squares);
        Some(Estimate::mean(mean, about_mean / (n - 1.0) / n, self.rows))
    }

    /// Root of the mean squared error; `None` without rows. Its variance would need fourth powers: shown, never binding.
    pub fn root_mean_squared_error(&self) -> Option<f64> {
        (self.rows > 0).then(|| round9(libm::sqrt(real(self.sums.squares) / float(self.rows))))
    }

    /// Middle of the bin in which a quantile of the errors lies (nearest rank); `None` without a histogram or rows.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let (bins, counts) = self.histogram.as_ref()?;
        bins.quantile(counts, quantile).map(round9)
    }
}

/// Billionths as a number.
#[expect(
    clippy::cast_precision_loss,
    reason = "a relative error of 1e-16 of a sum is far below what is rounded"
)]
fn real(billionths: i128) -> f64 {
    billionths as f64 * UNIT
}

impl Tally for ErrorCounts {
    const SOURCE: Source = Source::Errors;

    fn rows(&self) -> u64 {
        self.rows
    }

    fn positives(&self) -> Option<u64> {
        None
    }

    fn negatives(&self) -> Option<u64> {
        None
    }

    fn joined(self, other: &Self) -> Option<Self> {
        let rows = self.rows + other.rows; // two numbers of at most 2^53
        let sums = ErrorSums {
            sum: self.sums.sum.checked_add(other.sums.sum)?,
            squares: self.sums.squares.checked_add(other.sums.squares)?,
            absolutes: self.sums.absolutes.checked_add(other.sums.absolutes)?,
        };
        let histogram = match (self.histogram, &other.histogram) {
            (Some((bins, mut counts)), Some((others, more))) if bins == *others => {
                for (sum, more) in counts.iter_mut().zip(more) {
                    *sum += more;
                }
                Some((bins, counts))
            }
            _ => None,
        };
        (rows <= MAX_ROWS).then_some(Self { rows, sums, histogram })
    }

    fn observed(&self, metric: Metric, _: Option<Rate>) -> Observed {
        let estimate = match metric {
            Metric::MeanErrorDifference => self.mean_error(),
            Metric::MeanAbsoluteErrorDifference => self.mean_absolute_error(),
            _ => None,
        };
        estimate.map_or(Observed::Undefined, Observed::Estimate)
    }

    fn values(groups: &[Labelled<Self>]) -> Vec<MetricValue> {
        estimated(groups)
    }

    fn shown(groups: &[Labelled<Self>]) -> Vec<Shown> {
        vec![
            Shown {
                words: "largest root mean squared error of a group",
                value: largest(groups, Self::root_mean_squared_error),
            },
            Shown { words: "largest gap of error quantiles", value: quantile_gap(groups, Self::quantile) },
        ]
    }
}
