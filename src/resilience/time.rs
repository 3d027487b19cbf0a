//! Sums and products of times that cannot overflow, and jitter.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

/// What a decision depends on beside state and settings: the time, and chance.
#[derive(Debug)]
pub struct DecisionInputs<'r> {
    /// The time.
    pub now: Instant,
    /// The source of random numbers.
    pub rng: &'r mut Rng,
}

impl DecisionInputs<'_> {
    /// The same for one of several decisions.
    pub(super) fn reborrow(&mut self) -> DecisionInputs<'_> {
        DecisionInputs {
            now: self.now,
            rng: self.rng,
        }
    }
}

/// `duration` times a random factor between `1 - jitter` and `1 + jitter`; `jitter` from 0 to 1.
pub(super) fn jittered(duration: Duration, jitter: f64, rng: &mut Rng) -> Duration {
    times(
        duration,
        1.0 + jitter.clamp(0.0, 1.0) * (2.0 * rng.f64() - 1.0),
    )
}

/// `duration * factor`, or the longest duration if the product is none.
pub(super) fn times(duration: Duration, factor: f64) -> Duration {
    // This is exact without a factor: a schedule without jitter is right to the nanosecond.
    if factor == 1.0 {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// `at + wait`. A wait beyond the range of an instant becomes thirty years.
pub(super) fn later(at: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    at.checked_add(wait).unwrap_or_else(|| at + FAR)
}
