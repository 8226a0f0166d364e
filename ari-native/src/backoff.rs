//! How long to wait before the next attempt.

use std::time::Duration;

/// Upper limit of the first wait.
const FIRST: Duration = Duration::from_millis(250);

/// Upper limit of every wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Exponential backoff with full jitter: each wait is somewhere between nothing and a limit that doubles,
/// so that clients that lost the same Asterisk do not come back all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    random: fastrand::Rng,
    failures: u32,
    longest: Duration,
}

impl Backoff {
    pub(crate) const fn new(random: fastrand::Rng) -> Self {
        Self {
            random,
            failures: 0,
            longest: LONGEST,
        }
    }

    /// No waits: the other side makes the attempts.
    pub(crate) fn none(self) -> Self {
        Self {
            longest: Duration::ZERO,
            ..self
        }
    }

    /// The next wait.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let limit = self.limit();
        self.failures = self.failures.saturating_add(1);
        limit.mul_f64(self.random.f64())
    }

    /// Starts over, after a spell of health.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    fn limit(&self) -> Duration {
        FIRST
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(1));
        let mut limits = Vec::new();
        for _ in 0..9 {
            let limit = backoff.limit();
            limits.push(limit.as_millis());
            assert!(backoff.next_wait() <= limit);
        }
        assert_eq!(
            limits,
            [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
        );
        backoff.failures = u32::MAX;
        assert_eq!(backoff.limit(), LONGEST);
        backoff.next_wait();
        backoff.reset();
        assert_eq!(backoff.limit(), FIRST);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let waits: Vec<_> = (0..100)
            .map(|seed| Backoff::new(fastrand::Rng::with_seed(seed)).next_wait())
            .collect();
        assert!(waits.iter().any(|wait| *wait < FIRST / 4));
        assert!(waits.iter().any(|wait| *wait > FIRST * 3 / 4));
    }
}
