//! Rates of one group as (successes, trials), and the metrics that compare them between groups.

use serde::Serialize;

use super::counts::Counts;

/// A share of a group's rows. Kept as successes out of trials, so that an interval belongs to it.
///
/// Definitions as in Fairlearn's user guide ("Common fairness metrics") and Verma & Rubin, "Fairness
/// definitions explained", `FairWare` 2018.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Rate {
    /// Predicted positive out of all rows: (TP + FP) / n.
    Selection,
    /// Predicted positive out of the actually positive, recall: TP / (TP + FN).
    TruePositive,
    /// Predicted positive out of the actually negative: FP / (FP + TN).
    FalsePositive,
    /// Predicted negative out of the actually positive: FN / (TP + FN).
    FalseNegative,
    /// Actually positive out of the predicted positive, precision: TP / (TP + FP).
    PositivePredictive,
    /// Actually positive out of all rows: (TP + FN) / n.
    Base,
}

impl Rate {
    /// Every rate, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Selection,
        Self::TruePositive,
        Self::FalsePositive,
        Self::FalseNegative,
        Self::PositivePredictive,
        Self::Base,
    ];

    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Selection => "selection rate",
            Self::TruePositive => "true positive rate",
            Self::FalsePositive => "false positive rate",
            Self::FalseNegative => "false negative rate",
            Self::PositivePredictive => "positive predictive value",
            Self::Base => "base rate",
        }
    }

    /// Successes and trials of this rate. Without trials the rate is undefined, neither 0 nor 1.
    pub fn of(self, counts: Counts) -> (u64, u64) {
        match self {
            Self::Selection => (counts.predicted_positives(), counts.n()),
            Self::TruePositive => (counts.tp(), counts.positives()),
            Self::FalsePositive => (counts.fp(), counts.negatives()),
            Self::FalseNegative => (counts.fn_(), counts.positives()),
            Self::PositivePredictive => (counts.tp(), counts.predicted_positives()),
            Self::Base => (counts.positives(), counts.n()),
        }
    }
}

/// Whether two rates are compared by their ratio or by their difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Scale {
    /// p1 / p2; thresholds t in (0, 1], and 1/t on the other side.
    Ratio,
    /// p1 - p2; thresholds t in \[0, 1\], and -t on the other side.
    Difference,
}

/// What a metric is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Source {
    /// Confusion matrices.
    Counts,
    /// Scores by label.
    Scores,
    /// Errors of a regression.
    Errors,
}

/// Rows below which nothing is said of a mean of numbers of unknown shape.
pub(super) const LEAST_ROWS_OF_A_MEAN: u64 = 30;

/// What is shown and cannot bind, since nothing says how certain it is: the name that a policy might use, and why.
pub const UNBINDABLE: [(&str, &str); 4] = [
    (
        "ExpectedCalibrationError",
        "it grows with the number of bins and has no interval; CalibrationInTheLarge has one",
    ),
    ("ScoreQuantileDifference", "quantiles of binned scores have no interval here; AucDifference has one"),
    (
        "ErrorQuantileDifference",
        "quantiles of binned errors have no interval here; MeanErrorDifference has one",
    ),
    (
        "RootMeanSquaredErrorDifference",
        "its interval needs fourth powers, which no report holds; MeanAbsoluteErrorDifference has one",
    ),
];

/// A measure of fairness between groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Metric {
    /// Ratio of selection rates ("demographic parity ratio", "disparate impact"). The four-fifths rule of 29
    /// CFR 1607.4(D) is a threshold of 0.8 on it.
    SelectionRateRatio,
    /// Difference of selection rates ("demographic parity difference", "statistical parity difference").
    SelectionRateDifference,
    /// Difference of true positive rates; Hardt, Price & Srebro, "Equality of opportunity in supervised
    /// learning", NIPS 2016.
    EqualOpportunityDifference,
    /// Differences of true and of false positive rates, each a comparison of its own; the value is the larger
    /// (Hardt, Price & Srebro 2016). A mean of the two, as some libraries take, can cancel to 0.
    EqualizedOdds,
    /// Difference of positive predictive values; Chouldechova, "Fair prediction with disparate impact", Big
    /// Data 5(2), 2017.
    PredictiveParityDifference,
    /// Difference of false positive rates ("predictive equality").
    FalsePositiveRateDifference,
    /// Difference of false negative rates.
    FalseNegativeRateDifference,
    /// Selection rate of each category over that of the category selected most: New York City Local Law 144
    /// of 2021 and 6 RCNY § 5-300.
    ImpactRatio,
    /// Difference of the areas under the ROC curves; see [`super::ScoreCounts::auc`].
    AucDifference,
    /// Mean label less mean score, of each group by itself; see [`super::ScoreCounts::calibration`].
    CalibrationInTheLarge,
    /// Difference of the mean errors of a regression; see [`super::ErrorCounts::mean_error`].
    MeanErrorDifference,
    /// Difference of the mean absolute errors of a regression.
    MeanAbsoluteErrorDifference,
}

impl Metric {
    /// Every metric, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::SelectionRateRatio,
        Self::SelectionRateDifference,
        Self::EqualOpportunityDifference,
        Self::EqualizedOdds,
        Self::PredictiveParityDifference,
        Self::FalsePositiveRateDifference,
        Self::FalseNegativeRateDifference,
        Self::ImpactRatio,
        Self::AucDifference,
        Self::CalibrationInTheLarge,
        Self::MeanErrorDifference,
        Self::MeanAbsoluteErrorDifference,
    ];

    /// Those of confusion matrices, in the order in which they are shown.
    pub const OF_COUNTS: [Self; 8] = [
        Self::SelectionRateRatio,
        Self::SelectionRateDifference,
        Self::EqualOpportunityDifference,
        Self::EqualizedOdds,
        Self::PredictiveParityDifference,
        Self::FalsePositiveRateDifference,
        Self::FalseNegativeRateDifference,
        Self::ImpactRatio,
    ];

    /// Its name in a policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::SelectionRateRatio => "SelectionRateRatio",
            Self::SelectionRateDifference => "SelectionRateDifference",
            Self::EqualOpportunityDifference => "EqualOpportunityDifference",
            Self::EqualizedOdds => "EqualizedOdds",
            Self::PredictiveParityDifference => "PredictiveParityDifference",
            Self::FalsePositiveRateDifference => "FalsePositiveRateDifference",
            Self::FalseNegativeRateDifference => "FalseNegativeRateDifference",
            Self::ImpactRatio => "ImpactRatio",
            Self::AucDifference => "AucDifference",
            Self::CalibrationInTheLarge => "CalibrationInTheLarge",
            Self::MeanErrorDifference => "MeanErrorDifference",
            Self::MeanAbsoluteErrorDifference => "MeanAbsoluteErrorDifference",
        }
    }

    /// The metric that a policy names so, if there is one.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::SelectionRateRatio => "selection-rate ratio",
            Self::SelectionRateDifference => "selection-rate difference",
            Self::EqualOpportunityDifference => "equal-opportunity difference",
            Self::EqualizedOdds => "equalized-odds difference",
            Self::PredictiveParityDifference => "predictive-parity difference",
            Self::FalsePositiveRateDifference => "false-positive-rate difference",
            Self::FalseNegativeRateDifference => "false-negative-rate difference",
            Self::ImpactRatio => "impact ratio",
            Self::AucDifference => "AUC difference",
            Self::CalibrationInTheLarge => "calibration in the large",
            Self::MeanErrorDifference => "mean-error difference",
            Self::MeanAbsoluteErrorDifference => "mean-absolute-error difference",
        }
    }

    /// What it is computed from.
    pub fn source(self) -> Source {
        match self {
            Self::AucDifference | Self::CalibrationInTheLarge => Source::Scores,
            Self::MeanErrorDifference | Self::MeanAbsoluteErrorDifference => Source::Errors,
            _ => Source::Counts,
        }
    }

    /// Whether it looks at each group by itself, and not at two of them.
    pub fn of_each_group(self) -> bool {
        self == Self::CalibrationInTheLarge
    }

    /// The highest threshold that means anything; what is no share of anything has none.
    pub(super) fn highest_threshold(self) -> f64 {
        if self.source() == Source::Errors { f64::MAX } else { 1.0 }
    }

    /// Rows below which no group is compared, whatever a policy says.
    pub(super) fn least_rows(self) -> u64 {
        if self.source() == Source::Errors { LEAST_ROWS_OF_A_MEAN } else { 0 }
    }

    /// The rates that it compares: one, or two for [`Metric::EqualizedOdds`]; none where it compares no rates.
    pub fn rates(self) -> &'static [Rate] {
        match self {
            Self::SelectionRateRatio | Self::SelectionRateDifference | Self::ImpactRatio => {
                &[Rate::Selection]
            }
            Self::EqualOpportunityDifference => &[Rate::TruePositive],
            Self::EqualizedOdds => &[Rate::TruePositive, Rate::FalsePositive],
            Self::PredictiveParityDifference => &[Rate::PositivePredictive],
            Self::FalsePositiveRateDifference => &[Rate::FalsePositive],
            Self::FalseNegativeRateDifference => &[Rate::FalseNegative],
            Self::AucDifference
            | Self::CalibrationInTheLarge
            | Self::MeanErrorDifference
            | Self::MeanAbsoluteErrorDifference => &[],
        }
    }

    /// Ratio or difference.
    pub fn scale(self) -> Scale {
        match self {
            Self::SelectionRateRatio | Self::ImpactRatio => Scale::Ratio,
            _ => Scale::Difference,
        }
    }

    /// Whether it looks at the actually positive rows, of which a group may have too few.
    pub fn needs_positives(self) -> bool {
        self == Self::AucDifference
            || self.rates().iter().any(|rate| matches!(rate, Rate::TruePositive | Rate::FalseNegative))
    }

    /// Whether it looks at the actually negative rows, of which a group may have too few.
    pub fn needs_negatives(self) -> bool {
        self == Self::AucDifference || self.rates().contains(&Rate::FalsePositive)
    }
}
