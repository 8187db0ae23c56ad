//! The confusion matrix of one group.

use serde::Serialize;

use super::error::FairnessError;

/// The most rows that are counted: 2^53, up to which a 64-bit float holds every integer exactly.
pub const MAX_ROWS: u64 = 1 << 53;

/// What the report's "positive" prediction means for the person concerned.
///
/// Ratios of selection and of non-selection are no reciprocals of each other, so the side matters: of the
/// published COMPAS counts, the ratio of "flagged" is 0.592 and that of "not flagged" 0.632.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum PositiveMeans {
    /// Positive is what one hopes for (a loan granted).
    Favourable,
    /// Positive is what one fears (flagged as a risk).
    Unfavourable,
}

/// Counts of one group: rows, and how prediction and truth fall together. Valid by construction: the four
/// cells add up to `n`, and `n` is at most [`MAX_ROWS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    n: u64,
    tp: u64,
    fp: u64,
    #[serde(rename = "fn")]
    fn_: u64,
    tn: u64,
}

impl Counts {
    /// Checks counts as a report gives them: `n` rows; predicted and actually positive `tp`; predicted only
    /// `fp`; actually only `fn_`; neither `tn`.
    ///
    /// # Errors
    /// A count that is negative or above [`MAX_ROWS`]; cells that do not add up to `n`.
    pub fn new(n: i64, tp: i64, fp: i64, fn_: i64, tn: i64) -> Result<Self, FairnessError> {
        let checked = |field, found: i64| {
            let count = u64::try_from(found).map_err(|_| FairnessError::NegativeCount { field, found })?;
            if count > MAX_ROWS { Err(FairnessError::CountTooLarge { field, found }) } else { Ok(count) }
        };
        let counts = Self {
            n: checked("n", n)?,
            tp: checked("tp", tp)?,
            fp: checked("fp", fp)?,
            fn_: checked("fn", fn_)?,
            tn: checked("tn", tn)?,
        };
        // four numbers of at most 2^53 each cannot overflow 64 bits
        let sum = counts.tp + counts.fp + counts.fn_ + counts.tn;
        if sum == counts.n {
            Ok(counts)
        } else {
            Err(FairnessError::CountsDoNotAddUp { wanted: counts.n, found: sum })
        }
    }

    /// The same counts with the favourable outcome as "positive": when positive means unfavourable, TP and
    /// TN, and FP and FN, change places.
    #[must_use]
    pub fn favourable(self, means: PositiveMeans) -> Self {
        match means {
            PositiveMeans::Favourable => self,
            PositiveMeans::Unfavourable => {
                Self { n: self.n, tp: self.tn, fp: self.fn_, fn_: self.fp, tn: self.tp }
            }
        }
    }

    /// Counts of two disjoint groups together; `None` above [`MAX_ROWS`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let n = self.n + other.n; // two numbers of at most 2^53
        (n <= MAX_ROWS).then(|| Self {
            n,
            tp: self.tp + other.tp,
            fp: self.fp + other.fp,
            fn_: self.fn_ + other.fn_,
            tn: self.tn + other.tn,
        })
    }

    /// Rows.
    pub fn n(self) -> u64 {
        self.n
    }

    /// True positives.
    pub fn tp(self) -> u64 {
        self.tp
    }

    /// False positives.
    pub fn fp(self) -> u64 {
        self.fp
    }

    /// False negatives.
    pub fn fn_(self) -> u64 {
        self.fn_
    }

    /// True negatives.
    pub fn tn(self) -> u64 {
        self.tn
    }

    /// Rows that are actually positive: TP + FN.
    pub fn positives(self) -> u64 {
        self.tp + self.fn_
    }

    /// Rows that are actually negative: FP + TN.
    pub fn negatives(self) -> u64 {
        self.fp + self.tn
    }

    /// Rows that are predicted positive: TP + FP.
    pub fn predicted_positives(self) -> u64 {
        self.tp + self.fp
    }
}
