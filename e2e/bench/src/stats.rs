//! Latencies and rates.

use std::time::{Duration, Instant};

/// The time, for measuring. One place, so that the rest stays free of it.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Latencies of answers and how long they took together.
#[derive(Debug, Default)]
pub struct Run {
    seconds: f64,
    nanos: Vec<u64>,
}

impl Run {
    /// From latencies that were measured over `seconds`.
    pub fn new(nanos: Vec<u64>, seconds: f64) -> Self {
        Self { seconds, nanos }
    }

    /// Adds another slice.
    pub fn extend(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.nanos.extend(other.nanos);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.nanos.len()
    }

    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.nanos.len() as f64 / self.seconds } else { 0.0 }
    }

    /// The latency in milliseconds that `thousandths` of the answers do not exceed (nearest rank); 0 without any.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of minutes are far below 2^52")]
    pub fn millis(&self, thousandths: usize) -> f64 {
        let mut sorted = self.nanos.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * thousandths).div_ceil(1000).max(1) - 1;
        sorted.get(rank).copied().unwrap_or(0) as f64 / 1e6
    }
}

/// Nanoseconds since `since`.
pub fn nanos(since: Instant) -> u64 {
    u64::try_from(now().saturating_duration_since(since).as_nanos()).unwrap_or(u64::MAX)
}

/// Calls `work` for at least `duration` and gives the microseconds of one call.
pub fn micros_each(duration: Duration, mut work: impl FnMut()) -> f64 {
    const BATCH: u32 = 64;
    for _ in 0..BATCH {
        work();
    }
    let (start, mut calls) = (now(), 0.0);
    loop {
        for _ in 0..BATCH {
            work();
        }
        calls += f64::from(BATCH);
        let passed = now().saturating_duration_since(start);
        if passed >= duration {
            return passed.as_secs_f64() * 1e6 / calls;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut run = Run::new((1..=100).map(|n| n * 1_000_000).rev().collect(), 2.0);
        assert!((run.millis(500) - 50.0).abs() < 1e-9);
        assert!((run.millis(990) - 99.0).abs() < 1e-9);
        assert!((run.millis(1000) - 100.0).abs() < 1e-9);
        run.extend(Run::new(vec![1; 50], 1.0));
        assert_eq!(run.len(), 150);
        assert!((run.rate() - 50.0).abs() < 1e-9);
        assert!(Run::default().millis(990).abs() < 1e-9);
    }
}
