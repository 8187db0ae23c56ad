//! What can be wrong with the numbers or the question, each with what was wanted and what was found.

use std::fmt;

use super::counts::MAX_ROWS;

/// Why counts or a test cannot be judged at all.
///
/// These are faults of the input. What the input merely leaves open (groups too small, empty denominators)
/// is no error: it is the verdict Indeterminate.
#[derive(Debug, Clone, PartialEq)]
pub enum FairnessError {
    /// A count is below zero.
    NegativeCount {
        /// Which of `n`, `tp`, `fp`, `fn`, `tn`.
        field: &'static str,
        /// The count as given.
        found: i64,
    },
    /// A count is above [`MAX_ROWS`], beyond which a 64-bit float no longer holds every integer.
    CountTooLarge {
        /// Which of `n`, `tp`, `fp`, `fn`, `tn`.
        field: &'static str,
        /// The count as given.
        found: i64,
    },
    /// `tp + fp + fn + tn` is not `n`.
    CountsDoNotAddUp {
        /// The `n` as given.
        wanted: u64,
        /// The sum of the four cells.
        found: u64,
    },
    /// The rows of all groups together exceed [`MAX_ROWS`].
    TooManyRows,
    /// There is no group at all.
    NoGroups,
    /// The groups' rows do not add up to the number of rows that the report states.
    RowsDoNotAddUp {
        /// Rows that the report states.
        wanted: u64,
        /// Rows of all groups together.
        found: u64,
    },
    /// A group is described by other attributes than the first one.
    AttributesDiffer {
        /// Attributes of the first group.
        wanted: Vec<String>,
        /// Attributes of the group that differs.
        found: Vec<String>,
    },
    /// Two groups have the same attributes and values.
    DuplicateGroup {
        /// Label of the group.
        group: String,
    },
    /// The test asks for an attribute by which the counts are not broken down.
    AttributeMissing {
        /// The attribute asked for.
        wanted: String,
        /// The attributes that the counts have.
        found: Vec<String>,
    },
    /// An attribute set names no attribute, or one attribute twice.
    BadAttributeSet {
        /// The set as given.
        found: Vec<String>,
    },
    /// More eligible groups in one attribute set than are compared pair by pair.
    TooManyGroups {
        /// The most that are compared.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// A number of the test lies outside its range, or is not a number.
    OutOfRange {
        /// Which number.
        field: &'static str,
        /// The range that it must lie in.
        wanted: &'static str,
        /// The number as given.
        found: f64,
    },
    /// Bounds of a reported interval are out of order, or do not hold the reported value.
    BadInterval {
        /// Reported lower bound.
        lower: f64,
        /// Reported value.
        value: f64,
        /// Reported upper bound.
        upper: f64,
    },
    /// Bins of a histogram that are none.
    BadBins {
        /// What they must be.
        wanted: &'static str,
        /// What they are.
        found: String,
    },
    /// A histogram has another number of bins than its report says.
    BinsDiffer {
        /// Which histogram.
        field: &'static str,
        /// Bins of the report.
        wanted: usize,
        /// Bins of the histogram.
        found: usize,
    },
    /// The counts of a histogram do not add up to the rows of the group.
    HistogramDoesNotAddUp {
        /// Rows of the group.
        wanted: u64,
        /// Sum of the counts.
        found: u64,
    },
    /// Sums that the errors of no regression have.
    BadSums {
        /// What must hold between them.
        wanted: &'static str,
    },
    /// A metric of another source is asked for than what was counted.
    OtherSource {
        /// Name of the metric.
        metric: &'static str,
    },
    /// More successes than trials.
    MoreSuccessesThanTrials {
        /// Trials.
        wanted: u64,
        /// Successes.
        found: u64,
    },
}

impl fmt::Display for FairnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NegativeCount { field, found } => {
                write!(f, "count {field}: wanted 0 or more, found {found}; give raw counts of rows")
            }
            Self::CountTooLarge { field, found } => {
                write!(f, "count {field}: wanted at most {MAX_ROWS}, found {found}; give raw counts of rows")
            }
            Self::CountsDoNotAddUp { wanted, found } => write!(
                f,
                "tp + fp + fn + tn: wanted n = {wanted}, found {found}; every row of the group belongs to exactly one of the four"
            ),
            Self::TooManyRows => {
                write!(f, "rows of all groups together: wanted at most {MAX_ROWS}, found more")
            }
            Self::NoGroups => {
                write!(f, "groups: wanted at least one, found none; give the counts of every group")
            }
            Self::RowsDoNotAddUp { wanted, found } => write!(
                f,
                "rows of all groups together: wanted {wanted} as the report states, found {found}; list every group, those with a missing attribute too"
            ),
            Self::AttributesDiffer { wanted, found } => write!(
                f,
                "attributes of a group: wanted {} as in the first group, found {}; describe every group by the same attributes",
                wanted.join(", "),
                found.join(", ")
            ),
            Self::DuplicateGroup { group } => {
                write!(f, "group {group}: wanted once, found twice; add its counts together")
            }
            Self::AttributeMissing { wanted, found } => write!(
                f,
                "attribute {wanted}: wanted in every group, found only {}; count the groups by {wanted} too",
                found.join(", ")
            ),
            Self::BadAttributeSet { found } => write!(
                f,
                "attribute set: wanted one or more different attributes, found [{}]",
                found.join(", ")
            ),
            Self::TooManyGroups { wanted, found } => write!(
                f,
                "groups of one attribute set: wanted at most {wanted}, found {found}; use coarser categories or fewer attributes"
            ),
            Self::OutOfRange { field, wanted, found } => {
                write!(f, "{field}: wanted {wanted}, found {found}")
            }
            Self::BadInterval { lower, value, upper } => write!(
                f,
                "interval: wanted lower <= value <= upper, found {lower} <= {value} <= {upper}; report the interval that belongs to the value"
            ),
            Self::BadBins { wanted, found } => {
                write!(f, "bins: wanted {wanted}, found {found}; the same bins hold for every group")
            }
            Self::BinsDiffer { field, wanted, found } => write!(
                f,
                "histogram {field}: wanted a count for each of the {wanted} bins, found {found}; bins without rows have the count 0"
            ),
            Self::HistogramDoesNotAddUp { wanted, found } => write!(
                f,
                "histogram: wanted counts that add up to rows = {wanted}, found {found}; what lies beyond the first or last bin needs wider bins"
            ),
            Self::BadSums { wanted } => {
                write!(f, "sums of errors: wanted {wanted}, found others; no errors add up so")
            }
            Self::OtherSource { metric } => {
                write!(f, "{metric}: wanted what it is computed from, found something else counted")
            }
            Self::MoreSuccessesThanTrials { wanted, found } => {
                write!(f, "successes: wanted at most the {wanted} trials, found {found}")
            }
        }
    }
}

impl std::error::Error for FairnessError {}
