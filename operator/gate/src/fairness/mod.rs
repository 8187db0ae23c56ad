//! The statistics of the bias gate: from per-group counts to Pass, Fail or Indeterminate.
//!
//! Nothing here knows a Kubernetes kind. A caller maps a report's groups onto [`Group`], a policy's
//! thresholds onto [`Criterion`], and reads a [`BiasResult`]:
//!
//! 1. [`Table`] checks the counts, turns them so that "positive" is the favourable outcome, and sums cells
//!    to the groups of each attribute set. What is counted of a group is a [`Tally`]: a confusion matrix
//!    ([`Counts`]), scores by label ([`ScoreCounts`]) or sums of the errors of a regression ([`ErrorCounts`]);
//! 2. [`Rate`] and [`Metric`] say which (successes, trials) of two groups are compared, and how;
//! 3. [`intervals`] gives Wilson, Newcombe, Katz and MOVER-R intervals of rates; an [`Estimate`] has its own;
//! 4. [`decide()`] compares bounds with thresholds; [`needed`] says how many more rows would decide;
//!    [`fisher`] gives an exact p for people to see.
//!
//! The same input gives the same bytes on every platform: transcendental functions come from `libm`, and
//! every bound and value is rounded to 1e-9 *before* it is compared, kept or shown. No result is NaN or
//! infinite: what is undefined is `None`, and an upper bound without limit is [`Extended::Infinite`].

mod counts;
mod decide;
mod error;
mod estimate;
pub mod fisher;
pub mod intervals;
mod metrics;
pub mod needed;
pub mod normal;
mod number;
mod question;
mod rates;
mod regression;
mod result;
mod scores;
mod single;
mod table;
mod tally;

pub use counts::{Counts, MAX_ROWS, PositiveMeans};
pub use decide::decide;
pub use error::FairnessError;
pub use estimate::Estimate;
pub use metrics::{MetricValue, all_metrics, unrounded_value};
pub use needed::{Needed, NeededUnit, Towards};
pub use number::{Extended, Interval, round9};
pub(crate) use question::check_confidence;
pub use question::{BiasTest, Compare, Criterion, Eligibility, MAX_GROUPS};
pub use rates::{Metric, Rate, Scale, Source, UNBINDABLE};
pub use regression::{ErrorCounts, ErrorSums};
pub use result::{
    BiasResult, Comparison, Hold, Ineligible, IneligibleReason, SetValues, Shown, Side, Verdict,
};
pub use scores::{Bins, MAX_BINS, ScoreCounts};
pub use single::{Limit, Measured, SingleResult, decide_single};
pub use table::{Group, Labelled, LabelledCounts, Table, label};
pub use tally::{Observed, Tally};
