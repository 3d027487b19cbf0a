//! The wall clock, passed in so that tests own it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Where the wall-clock time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that starts at a given moment and moves with tokio's, which tests can pause.
    Virtual {
        /// What the wall clock says at `origin`.
        start: SystemTime,
        /// The monotonic moment that corresponds to `start`.
        origin: Instant,
    },
}

impl Clock {
    /// A clock that says `start` now and moves with tokio's time.
    pub fn starting_at(start: SystemTime) -> Self {
        Self::Virtual {
            start,
            origin: Instant::now(),
        }
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place that reads the wall clock"
            )]
            Self::System => SystemTime::now(),
            Self::Virtual { start, origin } => *start + origin.elapsed(),
        }
    }

    /// Time since the Unix epoch; zero on a machine whose clock stands before it.
    pub fn since_epoch(&self) -> Duration {
        since_epoch(self.now())
    }
}

/// `time` as a duration since the Unix epoch; zero where it lies before.
pub fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_virtual_clock_moves_with_tokio() {
        let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(100));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.since_epoch(), Duration::from_secs(3700));
    }
}
