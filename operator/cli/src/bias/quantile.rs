//! Which scores are a positive prediction: those of at least a number, or those above a quantile of all scores, which is
//! found exactly without keeping the scores.

use anyhow::{Context as _, bail};

use super::rows::{Batch, Sink};

/// What `--threshold` asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// At least this.
    Number(f64),
    /// Above the median: New York City Local Law 144 counts who scores above the sample's median (6 RCNY § 5-301).
    Median,
    /// Above this quantile, by nearest rank.
    Quantile(Share),
}

/// A share between 0 and 1 as it was written: `part` of `whole`, which is a power of ten. As a float, 0.55 is a little more,
/// and of 100 scores the 56th would be the quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    part: u128,
    whole: u128,
}

/// Digits of a share at most: 10^18 times 2^64 rows is less than 2^128.
const MOST_DIGITS: usize = 18;

impl Share {
    /// Reads `0.9` or `.9`.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0.").or_else(|| text.strip_prefix('.'))?;
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let whole = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
        Some(Self { part: digits.parse().ok()?, whole })
    }

    /// So much of some rows, rounded up.
    fn of(self, rows: u64) -> u64 {
        // A share is below 1, so that it is at most all of them.
        u64::try_from((self.part * u128::from(rows)).div_ceil(self.whole)).unwrap_or(rows)
    }
}

impl Threshold {
    /// Reads it.
    ///
    /// # Errors
    /// What was wanted instead.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wanted = || {
            format!(
                "--threshold: wanted a number, median, or a quantile between q0 and q1 such as q0.9, found {text:?}"
            )
        };
        if text == "median" {
            return Ok(Self::Median);
        }
        if let Some(share) = text.strip_prefix('q') {
            return Share::parse(share).map(Self::Quantile).with_context(wanted);
        }
        let number: f64 = text.parse().ok().with_context(wanted)?;
        if number.is_finite() { Ok(Self::Number(number)) } else { bail!(wanted()) }
    }

    /// Whether the scores have to be read first.
    pub fn cut(self) -> Option<Cut> {
        match self {
            Self::Number(number) => Some(Cut::AtLeast(number)),
            Self::Median | Self::Quantile(_) => None,
        }
    }
}

/// Which scores are a positive prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// Those of at least this.
    AtLeast(f64),
    /// Those above this.
    Above(f64),
}

impl Cut {
    /// Whether a score is.
    pub fn positive(self, score: f64) -> bool {
        match self {
            Self::AtLeast(limit) => score >= limit,
            Self::Above(limit) => score > limit,
        }
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(limit) => write!(f, "at least {limit}"),
            Self::Above(limit) => write!(f, "above {limit}"),
        }
    }
}

/// Bits of a score that one pass settles.
const STEP: u32 = 16;

/// A float as a whole number of the same order; -0 and 0 are the same.
fn key(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The float of a [`key`].
fn score(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

/// One of 65,536 parts of the scores that are still in question.
#[derive(Debug, Clone, Copy)]
struct Bin {
    count: u64,
    low: u64,
    high: u64,
}

const EMPTY: Bin = Bin { count: 0, low: u64::MAX, high: 0 };

/// Counts the scores that begin with the bits known so far, by their next bits.
#[derive(Debug)]
pub struct Pass {
    known: u32,
    prefix: u64,
    bins: Vec<Bin>,
    below: u64,
    /// The smallest key beyond those that begin so.
    beyond: u64,
}

impl Pass {
    fn new(known: u32, prefix: u64) -> Self {
        Self { known, prefix, bins: vec![EMPTY; 1 << STEP], below: 0, beyond: u64::MAX }
    }

    fn add(&mut self, key: u64) {
        let begins = if self.known == 0 { 0 } else { key >> (64 - self.known) };
        match begins.cmp(&self.prefix) {
            std::cmp::Ordering::Less => self.below += 1,
            std::cmp::Ordering::Greater => self.beyond = self.beyond.min(key),
            std::cmp::Ordering::Equal => {
                let bin = usize::try_from((key << self.known) >> (64 - STEP)).unwrap_or(0);
                let bin = &mut self.bins[bin];
                bin.count += 1;
                bin.low = bin.low.min(key);
                bin.high = bin.high.max(key);
            }
        }
    }

    fn merge(mut self, other: &Self) -> Self {
        self.below += other.below;
        self.beyond = self.beyond.min(other.beyond);
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.count += more.count;
            bin.low = bin.low.min(more.low);
            bin.high = bin.high.max(more.high);
        }
        self
    }
}

impl Sink for Pass {
    fn take(&mut self, batch: &Batch) -> anyhow::Result<()> {
        batch.scores.iter().for_each(|score| self.add(key(*score)));
        Ok(())
    }
}

/// Finds the cut of a quantile: two passes as a rule, four at most, each with 65,536 bins. `read` reads all scores with
/// passes that `new` makes, one for each thread.
///
/// # Errors
/// Those of reading; a file without a row.
pub fn find(
    threshold: Threshold,
    mut read: impl FnMut(&(dyn Fn() -> Pass + Sync)) -> anyhow::Result<Vec<Pass>>,
) -> anyhow::Result<(Cut, u32)> {
    let (mut known, mut prefix, mut passes, mut rows) = (0, 0, 0, 0);
    loop {
        let parts = read(&|| Pass::new(known, prefix))?;
        passes += 1;
        let pass = parts.iter().fold(Pass::new(known, prefix), Pass::merge);
        if known == 0 {
            rows = pass.bins.iter().map(|b| b.count).sum();
        }
        if rows == 0 {
            bail!("wanted rows below the header, found none");
        }
        let rank = rank(threshold, rows);
        let mut before = pass.below;
        let at = pass.bins.iter().position(|bin| {
            let here = before + bin.count >= rank;
            if !here {
                before += bin.count;
            }
            here
        });
        let at = at.context("wanted a file that stays as it is while it is read, found that it changed")?;
        let bin = pass.bins[at];
        if bin.low == bin.high {
            let value = score(bin.low);
            let median_between =
                threshold == Threshold::Median && rows.is_multiple_of(2) && before + bin.count == rank;
            if !median_between {
                return Ok((Cut::Above(value), passes));
            }
            // The median of an even number of scores lies between the two in the middle: above it is the upper one.
            let next = pass.bins[at + 1..].iter().find(|b| b.count > 0).map_or(pass.beyond, |b| b.low);
            return Ok((Cut::AtLeast(score(next)), passes));
        }
        known += STEP;
        prefix = bin.low >> (64 - known);
    }
}

/// The rank, from 1, of the score that is asked for.
fn rank(threshold: Threshold, rows: u64) -> u64 {
    match threshold {
        Threshold::Quantile(share) => share.of(rows).max(1),
        Threshold::Number(_) | Threshold::Median => rows.div_ceil(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cut of some scores, read in parts of three.
    fn cut(threshold: &str, scores: &[f64]) -> (Cut, u32) {
        find(Threshold::parse(threshold).unwrap(), |new| {
            let part = |part: &[f64]| {
                let mut pass = new();
                pass.take(&Batch { scores: part.to_vec(), ..Batch::default() }).unwrap();
                pass
            };
            Ok(scores.chunks(3).map(part).collect())
        })
        .unwrap()
    }

    #[test]
    fn quantiles_are_those_of_sorted_scores() {
        // A generator of numbers, each within a hair of others, some of them twice, and negative ones.
        let mut state = 7_u64;
        let mut scores: Vec<f64> = (0..5_001)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let part = f64::from(u32::try_from(state >> 40).unwrap());
                (part / f64::from(1 << 24) - 0.3) * 1e-3 + 0.5
            })
            .collect();
        scores.extend_from_slice(&[-3.0, -0.0, 0.0, 0.0, 0.5, 0.5, -1e300, 1e300]);
        for rows in [5_009, 5_008, 7, 2, 1] {
            let some = &scores[scores.len() - rows..];
            let mut sorted = some.to_vec();
            sorted.sort_by(f64::total_cmp);
            for (text, part) in [("q0.1", 100), ("q0.5", 500), ("q0.999", 999), ("q.55", 550), ("q0.070", 70)]
            {
                let (cut, passes) = cut(text, some);
                assert_eq!(
                    cut,
                    Cut::Above(sorted[(part * rows).div_ceil(1_000).max(1) - 1] + 0.0),
                    "{text} of {rows}"
                );
                assert!(passes <= 4);
            }
            let middle = f64::midpoint(sorted[(rows - 1) / 2], sorted[rows / 2]);
            let (cut, _) = cut("median", some);
            for score in &sorted {
                assert_eq!(cut.positive(*score), *score > middle, "{score} of {rows}: {cut}");
            }
        }
    }

    #[test]
    fn a_quantile_is_of_the_rank_that_is_written() {
        // In doubles 0.55 · 100 is 55.00000000000001, and 0.07 · 100 is 7.000000000000001.
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for (text, rank) in
            [("q0.55", 55.0), ("q0.07", 7.0), ("q0.56", 56.0), ("q0.001", 1.0), ("q0.9", 90.0)]
        {
            assert_eq!(cut(text, &hundred).0, Cut::Above(rank), "{text}");
        }
        let share = |text: &str| Share::parse(text).unwrap();
        assert_eq!(share("0.55").of(20_000), 11_000);
        assert_eq!(share("0.999999999999999999").of(u64::MAX), u64::MAX - 18);
    }

    #[test]
    fn a_threshold_is_a_number_or_a_quantile() {
        for bad in
            ["", "q", "q0", "q1", "q-1", "NaN", "inf", "middle", "q0.5x", "q0.+5", "q5e-1", "q0.0", "q1.5"]
        {
            assert!(Threshold::parse(bad).unwrap_err().to_string().contains("--threshold"), "{bad}");
        }
        assert_eq!(Threshold::parse("-2.5").unwrap().cut(), Some(Cut::AtLeast(-2.5)));
        assert_eq!(Threshold::parse("median").unwrap().cut(), None);
    }

    #[test]
    fn keys_are_in_the_order_of_scores() {
        let scores = [-1e300, -2.0, -1e-310, 0.0, 1e-310, 0.1, 1.0, f64::MAX];
        for pair in scores.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        for s in scores {
            assert_eq!(score(key(s)).to_bits(), s.to_bits());
        }
        assert_eq!(key(-0.0), key(0.0));
    }
}
