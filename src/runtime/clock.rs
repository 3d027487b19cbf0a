//! The wall clock. It is an argument, so that tests control it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The source of wall-clock time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The clock of the machine.
    System,
    /// A clock that starts at a given time and moves with tokio's clock, which tests can pause.
    Virtual {
        /// The time at `origin`.
        start: SystemTime,
        /// The monotonic time that corresponds to `start`.
        origin: Instant,
    },
}

impl Clock {
    /// A clock that is at `start` now and moves with tokio's time.
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
                reason = "the only place that reads the wall clock"
            )]
            Self::System => SystemTime::now(),
            Self::Virtual { start, origin } => *start + origin.elapsed(),
        }
    }

    /// Time since the Unix epoch. Zero if the clock of the machine is before it.
    pub fn since_epoch(&self) -> Duration {
        since_epoch(self.now())
    }
}

/// `time` as a duration since the Unix epoch. Zero if it is before.
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
