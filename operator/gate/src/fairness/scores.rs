//! Scores of one group as a histogram by label: area under the ROC curve, calibration, and what is shown beside them.

use std::sync::Arc;

use super::counts::MAX_ROWS;
use super::error::FairnessError;
use super::estimate::Estimate;
use super::metrics::MetricValue;
use super::number::{float, round9};
use super::rates::{Metric, Rate, Source};
use super::result::Shown;
use super::table::Labelled;
use super::tally::{Observed, Tally, estimated, largest, quantile_gap};

/// Bins of a histogram at most.
pub const MAX_BINS: usize = 1024;

/// The bins of a histogram, the same for every group.
#[derive(Debug, Clone, PartialEq)]
pub struct Bins {
    /// The middle of each bin.
    middles: Vec<f64>,
    /// Half its width; 0 where a bin is one value.
    halves: Vec<f64>,
    /// Lowest and highest number that a bin may hold.
    range: (f64, f64),
}

impl Bins {
    /// Bins between edges: the first from `edges[0]` to `edges[1]`, and so on. A number on an edge belongs to the bin above it,
    /// on the last edge to the last bin.
    ///
    /// # Errors
    /// Fewer than two edges, more than [`MAX_BINS`] bins, edges that do not rise, or one that is not finite.
    pub fn between(edges: &[f64]) -> Result<Self, FairnessError> {
        rising(edges)?;
        let (Some(first), Some(last), true) = (edges.first(), edges.last(), edges.len() >= 2) else {
            return Err(FairnessError::BadBins {
                wanted: "at least two edges",
                found: edges.len().to_string(),
            });
        };
        few(edges.len() - 1)?;
        let pairs = || edges.iter().zip(edges.iter().skip(1));
        Ok(Self {
            middles: pairs().map(|(low, high)| low + (high - low) / 2.0).collect(),
            halves: pairs().map(|(low, high)| (high - low) / 2.0).collect(),
            range: (*first, *last),
        })
    }

    /// Bins that hold one value each: scores of which there are few, such as deciles.
    ///
    /// # Errors
    /// No value, more than [`MAX_BINS`], values that do not rise, or one that is not finite.
    pub fn of_values(values: &[f64]) -> Result<Self, FairnessError> {
        rising(values)?;
        let (Some(first), Some(last)) = (values.first(), values.last()) else {
            return Err(FairnessError::BadBins { wanted: "at least one value", found: "none".to_owned() });
        };
        few(values.len())?;
        Ok(Self { middles: values.to_vec(), halves: vec![0.0; values.len()], range: (*first, *last) })
    }

    /// How many there are; never 0.
    pub fn count(&self) -> usize {
        self.middles.len()
    }

    /// Whether all that a bin may hold is a probability.
    pub fn probabilities(&self) -> bool {
        self.range.0 >= 0.0 && self.range.1 <= 1.0
    }

    /// Middle of the bin in which the `quantile` of all rows lies (nearest rank); `None` without rows.
    pub(super) fn quantile(&self, rows: &[u64], quantile: f64) -> Option<f64> {
        let all: u64 = rows.iter().sum();
        let rank = libm::ceil(quantile * float(all)).max(1.0);
        let mut below = 0;
        for (middle, here) in self.middles.iter().zip(rows) {
            below += here;
            if all > 0 && float(below) >= rank {
                return Some(*middle);
            }
        }
        None
    }
}

fn few(bins: usize) -> Result<(), FairnessError> {
    if bins <= MAX_BINS {
        return Ok(());
    }
    Err(FairnessError::BadBins { wanted: "at most 1,024 bins", found: bins.to_string() })
}

/// Refuses numbers that are not finite, or not above the one before.
fn rising(numbers: &[f64]) -> Result<(), FairnessError> {
    if let Some(bad) = numbers.iter().find(|number| !number.is_finite()) {
        return Err(FairnessError::BadBins { wanted: "finite numbers", found: bad.to_string() });
    }
    match numbers.iter().zip(numbers.iter().skip(1)).find(|(low, high)| low >= high) {
        None => Ok(()),
        Some((low, high)) => Err(FairnessError::BadBins {
            wanted: "numbers of which each is above the one before",
            found: format!("{high} after {low}"),
        }),
    }
}

/// Scores of one group: how many rows of each label lie in each bin.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreCounts {
    bins: Arc<Bins>,
    positive: Vec<u64>,
    negative: Vec<u64>,
}

impl ScoreCounts {
    /// Checks a histogram as a report gives it: `rows` of the group, and for each bin how many of them are actually positive
    /// and actually negative.
    ///
    /// # Errors
    /// Another number of bins; counts that are negative, above [`MAX_ROWS`], or do not add up to `rows`.
    pub fn new(
        bins: Arc<Bins>,
        rows: i64,
        positive: &[i64],
        negative: &[i64],
    ) -> Result<Self, FairnessError> {
        let positive = histogram(&bins, "positive", positive)?;
        let negative = histogram(&bins, "negative", negative)?;
        // each sum is at most 2^53
        let sum = positive.iter().sum::<u64>() + negative.iter().sum::<u64>();
        adds_up(rows, sum)?;
        Ok(Self { bins, positive, negative })
    }

    /// Area under the ROC curve of the binned score: the share of pairs of an actual positive and an actual negative in which
    /// the positive has the higher score, pairs within one bin counting half. Its variance is that of E. R. `DeLong`, D. M.
    /// `DeLong` & D. L. Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic
    /// curves: a nonparametric approach", Biometrics 44, 1988, formula 4 for one curve: with the m positives' placements
    /// V10 (share of the negatives below, ties half) and the n negatives' placements V01,
    /// S10/m + S01/n, S10 = Σ(V10 - AUC)²/(m - 1) and S01 likewise. Placements of a bin follow from the counts below it, as X.
    /// Sun & W. Xu, "Fast implementation of `DeLong`'s algorithm", IEEE Signal Processing Letters 21, 2014, get them from
    /// midranks.
    ///
    /// Its slack is the largest distance from the area of the scores before binning: pairs within a bin that is not one value
    /// may each be in order or out of order, ½·Σ p·q of a bin over all pairs.
    ///
    /// `None` with fewer than two actual positives or negatives, which have no variance.
    pub fn auc(&self) -> Option<Estimate> {
        let (m, n) = (self.positives(), self.negatives());
        if m < 2 || n < 2 {
            return None;
        }
        let (positives, negatives) = (float(m), float(n));
        let (mut below_p, mut below_n) = (0_u64, 0_u64);
        let mut placed = Vec::with_capacity(self.bins.count());
        let (mut area, mut tied) = (0.0, 0.0);
        for ((p, q), half) in self.positive.iter().zip(&self.negative).zip(&self.bins.halves) {
            let v10 = (float(below_n) + float(*q) / 2.0) / negatives;
            let v01 = (float(m - below_p) - float(*p) / 2.0) / positives;
            area += float(*p) * v10;
            if *half > 0.0 {
                tied += float(*p) / positives * (float(*q) / negatives);
            }
            placed.push((float(*p), v10, float(*q), v01));
            (below_p, below_n) = (below_p + p, below_n + q);
        }
        area /= positives;
        let (mut s10, mut s01) = (0.0, 0.0);
        for (p, v10, q, v01) in placed {
            s10 += p * (v10 - area) * (v10 - area);
            s01 += q * (v01 - area) * (v01 - area);
        }
        let variance = s10 / (positives - 1.0) / positives + s01 / (negatives - 1.0) / negatives;
        Some(Estimate::bounded(area, variance, m.min(n), tied / 2.0))
    }

    /// Calibration in the large: mean label less mean score (D. R. Cox, "Two further applications of a model for binary
    /// regression", Biometrika 45, 1958; the name is of E. W. Steyerberg, "Clinical Prediction Models", 2009). Each score is
    /// taken for the middle of its bin; its slack is how far the mean of the scores may be from that: the mean of half the bins'
    /// widths.
    ///
    /// `None` with fewer than two rows, or where bins reach beyond 0 and 1: then the score is no probability.
    pub fn calibration(&self) -> Option<Estimate> {
        let rows = self.rows();
        if rows < 2 || !self.bins.probabilities() {
            return None;
        }
        let n = float(rows);
        let (mut sum, mut slack) = (0.0, 0.0);
        for (((p, q), middle), half) in
            self.positive.iter().zip(&self.negative).zip(&self.bins.middles).zip(&self.bins.halves)
        {
            sum += float(*p) * (1.0 - middle) - float(*q) * middle;
            slack += float(p + q) * half;
        }
        let mean = sum / n;
        let mut squares = 0.0;
        for ((p, q), middle) in self.positive.iter().zip(&self.negative).zip(&self.bins.middles) {
            let (of_p, of_q) = (1.0 - middle - mean, -middle - mean);
            squares += float(*p) * of_p * of_p + float(*q) * of_q * of_q;
        }
        Some(Estimate::bounded(mean, squares / (n - 1.0) / n, rows, slack / n))
    }

    /// Expected calibration error: the mean over rows of the distance between the share of positives in a bin and the bin's
    /// middle (M. P. Naeini, G. F. Cooper & M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning",
    /// AAAI 2015). It is biased upwards by the chance differences of small bins and has no interval: shown, never binding.
    pub fn expected_calibration_error(&self) -> Option<f64> {
        let rows = self.rows();
        if rows == 0 || !self.bins.probabilities() {
            return None;
        }
        let mut sum = 0.0;
        for ((p, q), middle) in self.positive.iter().zip(&self.negative).zip(&self.bins.middles) {
            sum += libm::fabs(float(*p) - float(p + q) * middle);
        }
        Some(round9(sum / float(rows)))
    }

    /// Middle of the bin in which a quantile of the scores lies (nearest rank); `None` without rows.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let rows: Vec<u64> = self.positive.iter().zip(&self.negative).map(|(p, q)| p + q).collect();
        self.bins.quantile(&rows, quantile).map(round9)
    }

    /// Rows that are actually positive.
    pub fn positives(&self) -> u64 {
        self.positive.iter().sum()
    }

    /// Rows that are actually negative.
    pub fn negatives(&self) -> u64 {
        self.negative.iter().sum()
    }
}

impl Tally for ScoreCounts {
    const SOURCE: Source = Source::Scores;

    fn rows(&self) -> u64 {
        Self::positives(self) + Self::negatives(self)
    }

    fn positives(&self) -> Option<u64> {
        Some(Self::positives(self))
    }

    fn negatives(&self) -> Option<u64> {
        Some(Self::negatives(self))
    }

    fn joined(mut self, other: &Self) -> Option<Self> {
        if self.rows() + other.rows() > MAX_ROWS || self.bins != other.bins {
            return None;
        }
        for (sum, more) in self.positive.iter_mut().zip(&other.positive) {
            *sum += more;
        }
        for (sum, more) in self.negative.iter_mut().zip(&other.negative) {
            *sum += more;
        }
        Some(self)
    }

    fn observed(&self, metric: Metric, _: Option<Rate>) -> Observed {
        let estimate = match metric {
            Metric::AucDifference => self.auc(),
            Metric::CalibrationInTheLarge => self.calibration(),
            _ => None,
        };
        estimate.map_or(Observed::Undefined, Observed::Estimate)
    }

    fn values(groups: &[Labelled<Self>]) -> Vec<MetricValue> {
        estimated(groups)
    }

    fn shown(groups: &[Labelled<Self>]) -> Vec<Shown> {
        let auc_slack = |counts: &Self| counts.auc().map(|auc| auc.slack());
        vec![
            Shown {
                words: "largest expected calibration error of a group",
                value: largest(groups, Self::expected_calibration_error),
            },
            Shown { words: "largest gap of score quantiles", value: quantile_gap(groups, Self::quantile) },
            Shown { words: "AUC of no group moved by bins by more than", value: largest(groups, auc_slack) },
        ]
    }
}

/// Counts of a histogram, checked.
pub(super) fn histogram(bins: &Bins, field: &'static str, counts: &[i64]) -> Result<Vec<u64>, FairnessError> {
    if counts.len() != bins.count() {
        return Err(FairnessError::BinsDiffer { field, wanted: bins.count(), found: counts.len() });
    }
    let mut sum = 0_u64;
    let mut out = Vec::with_capacity(counts.len());
    for found in counts {
        let count =
            u64::try_from(*found).map_err(|_| FairnessError::NegativeCount { field, found: *found })?;
        // no more than 2^53 before, so that the sum cannot wrap
        sum = sum.saturating_add(count);
        if sum > MAX_ROWS {
            return Err(FairnessError::CountTooLarge { field, found: *found });
        }
        out.push(count);
    }
    Ok(out)
}

/// Refuses counts that do not add up to the rows of the group.
pub(super) fn adds_up(rows: i64, sum: u64) -> Result<(), FairnessError> {
    let wanted =
        u64::try_from(rows).map_err(|_| FairnessError::NegativeCount { field: "rows", found: rows })?;
    if wanted == sum { Ok(()) } else { Err(FairnessError::HistogramDoesNotAddUp { wanted, found: sum }) }
}
