//! Bins that scores are counted in.

use anyhow::{Context as _, bail};
use placet_api::scalar::Decimal;
use placet_gate::fairness::{MAX_BINS, round9};

/// Edges of bins of one width, as a report writes them: with at most nine digits after the point.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreBins {
    edges: Vec<f64>,
}

impl ScoreBins {
    /// `FROM:TO:COUNT`, for example `0:1:100`.
    ///
    /// # Errors
    /// What was wanted and what was found.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wanted = || {
            format!(
                "--score-bins: wanted FROM:TO:COUNT with 1 to {MAX_BINS} bins, for example 0:1:100, found {text:?}"
            )
        };
        let parts: Vec<&str> = text.split(':').collect();
        let [from, to, count] = parts.as_slice() else { bail!(wanted()) };
        let number = |part: &str| Decimal::new(part).map(|d| d.value()).with_context(wanted);
        let (from, to) = (number(from)?, number(to)?);
        let count: u32 = count.parse().with_context(wanted)?;
        if from >= to || count == 0 || usize::try_from(count).map_or(true, |count| count > MAX_BINS) {
            bail!(wanted());
        }
        let edge = |at: u32| round9(from + (to - from) * f64::from(at) / f64::from(count));
        let edges: Vec<f64> = (0..=count).map(edge).collect();
        if edges.iter().zip(edges.iter().skip(1)).any(|(low, high)| low >= high) {
            bail!("{}: bins that narrow cannot be written with nine digits", wanted());
        }
        Ok(Self { edges })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.edges.len() - 1
    }

    /// The edges as a report writes them.
    pub fn edges(&self) -> Vec<String> {
        self.edges.iter().map(ToString::to_string).collect()
    }

    /// The bin of a score: on an edge that above it, on the last edge the last.
    ///
    /// # Errors
    /// A score beyond the bins.
    pub fn of(&self, score: f64) -> anyhow::Result<usize> {
        let below = self.edges.partition_point(|edge| *edge <= score);
        let (first, last) = (self.edges[0], self.edges[self.count()]);
        if below == 0 || score > last {
            bail!(
                "--score-bins: wanted bins for all scores, found {score} beyond those from {first} to {last}; no row is left out"
            );
        }
        Ok((below - 1).min(self.count() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_on_an_edge_is_in_the_bin_above_it() {
        let bins = ScoreBins::parse("0:1:10").unwrap();
        assert_eq!(bins.edges()[..4], ["0", "0.1", "0.2", "0.3"]);
        assert_eq!((bins.count(), bins.edges().len()), (10, 11));
        for (score, bin) in [(0.0, 0), (0.05, 0), (0.1, 1), (0.3, 3), (0.999, 9), (1.0, 9)] {
            assert_eq!(bins.of(score).unwrap(), bin, "{score}");
        }
        for beyond in [-1e-12, 1.000_001] {
            assert!(bins.of(beyond).unwrap_err().to_string().contains("beyond those from 0 to 1"));
        }
        assert_eq!(ScoreBins::parse("-1:2:3").unwrap().edges(), ["-1", "0", "1", "2"]);
        assert_eq!(ScoreBins::parse("0:1:3").unwrap().edges(), ["0", "0.333333333", "0.666666667", "1"]);
    }

    #[test]
    fn bins_that_are_none_are_refused() {
        for bad in [
            "",
            "0:1",
            "0:1:0",
            "0:1:1025",
            "1:0:5",
            "0:0:1",
            "0:NaN:5",
            "0:1e308:5",
            "0:1:-1",
            "0:0.000000001:2",
        ] {
            let error = format!("{:#}", ScoreBins::parse(bad).unwrap_err());
            assert!(error.contains("wanted FROM:TO:COUNT"), "{bad}: {error}");
        }
        assert!(ScoreBins::parse("0:1:1024").is_ok());
    }
}
