//! Growing, jittered, bounded waiting between attempts.

use std::time::Duration;

/// A wait that doubles from `min` to `max` and is spread over its upper half, so that replicas that lost the same
/// server do not come back in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `min`, never waits longer than `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// How long to wait before the next attempt: between half and all of the present step, which then doubles.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.max);
        step / 2 + jitter(step / 2)
    }

    /// Back to the shortest wait, after an attempt that worked.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

/// A random duration between zero and `span`. Without a source of randomness it is `span` itself: a longer wait is
/// never wrong, only slower.
pub fn jitter(span: Duration) -> Duration {
    let part = getrandom::u32().unwrap_or(u32::MAX);
    span.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_and_starts_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for (low, high) in [(50, 100), (100, 200), (175, 350), (175, 350)] {
            let wait = backoff.next_wait().as_millis();
            assert!((low..=high).contains(&wait), "{wait} is outside {low}..={high}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }

    #[test]
    fn jitter_stays_within_its_span_and_varies() {
        let span = Duration::from_secs(10);
        let seen: std::collections::BTreeSet<_> = (0..32).map(|_| jitter(span)).collect();
        assert!(seen.iter().all(|wait| *wait <= span));
        assert!(seen.len() > 1);
    }
}
