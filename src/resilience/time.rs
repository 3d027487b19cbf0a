//! Sums and products of times that cannot overflow, and jitter.

use std::time::Duration;

use tokio::time::Instant;

/// `duration` times a factor drawn evenly from `1 - jitter` to `1 + jitter`; `jitter` from 0 to 1.
pub(super) fn jittered(duration: Duration, jitter: f64, rng: &mut fastrand::Rng) -> Duration {
    times(
        duration,
        1.0 + jitter.clamp(0.0, 1.0) * (2.0 * rng.f64() - 1.0),
    )
}

/// `duration * factor`, where a product that is no duration is the longest one.
pub(super) fn times(duration: Duration, factor: f64) -> Duration {
    // Exact where nothing is to be done: a schedule without jitter is kept to the nanosecond.
    if factor == 1.0 {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// `at + wait`; a wait that no instant can hold is one of thirty years.
pub(super) fn later(at: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    at.checked_add(wait).unwrap_or_else(|| at + FAR)
}
