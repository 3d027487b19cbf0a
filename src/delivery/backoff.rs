//! Waiting times between the attempts of a batch. It has no clock and no random numbers of its own.

use std::time::Duration;

use tokio::time::Instant;

use super::config::RetryOnFailure;

/// The longest wait that a server may ask for: a mistake there must not stop sending for good.
const MAX_SERVER_DELAY: Duration = Duration::from_secs(3600);

/// The retries of one batch.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    started: Instant,
    interval: Duration,
    due: Instant,
}

impl Backoff {
    /// The retries of a batch whose first attempt started at `started`.
    pub(super) fn new(settings: &RetryOnFailure, started: Instant) -> Self {
        Self {
            started,
            interval: settings.initial_interval.get(),
            due: started,
        }
    }

    /// Plans the next attempt after a failure at `now`, not before the delay that the server asked
    /// for. Returns false if the time is over. The last attempt is always made when the time is
    /// over, not later.
    pub(super) fn plan(
        &mut self,
        settings: &RetryOnFailure,
        now: Instant,
        server_delay: Option<Duration>,
        rng: &mut fastrand::Rng,
    ) -> bool {
        let factor = 1.0 + settings.randomization_factor * rng.f64().mul_add(2.0, -1.0);
        let server_delay = server_delay.unwrap_or_default().min(MAX_SERVER_DELAY);
        let wait = times(self.interval, factor).max(server_delay);
        self.interval = times(self.interval, settings.multiplier).min(settings.max_interval.get());

        let limit = settings.limit();
        let remaining = limit.saturating_sub(now - self.started);
        let wait = if limit.is_zero() {
            wait
        } else {
            wait.min(remaining)
        };
        self.due = now + wait;
        limit.is_zero() || !remaining.is_zero()
    }

    /// When the next attempt is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }
}

/// `duration * factor`, or the longest duration if the product is none.
fn times(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings;

    fn waits(settings: &RetryOnFailure, server: Option<Duration>, seed: u64) -> Vec<Duration> {
        let start = Instant::now();
        let (mut now, mut waits) = (start, Vec::new());
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut backoff = Backoff::new(settings, start);
        while waits.len() < 100 && backoff.plan(settings, now, server, &mut rng) {
            waits.push(backoff.due() - now);
            now = backoff.due();
        }
        waits
    }

    #[test]
    fn intervals_grow_up_to_the_longest() {
        let settings = RetryOnFailure {
            randomization_factor: 0.0,
            max_elapsed_time: Some(settings::Duration::from_secs(0)),
            ..RetryOnFailure::default()
        };
        let seconds: Vec<f64> = waits(&settings, None, 1)
            .iter()
            .map(Duration::as_secs_f64)
            .collect();
        assert_eq!(seconds[..6], [5.0, 7.5, 11.25, 16.875, 25.3125, 30.0]);
        assert_eq!(seconds.len(), 100, "it always retries");
    }

    #[test]
    fn the_server_may_ask_for_a_longer_wait_up_to_a_limit() {
        let settings = RetryOnFailure::default();
        let asked = |seconds| waits(&settings, Some(Duration::from_secs(seconds)), 1);
        assert_eq!(
            asked(60),
            [Duration::from_secs(60); 5],
            "then the 5 minutes are over"
        );
        assert_eq!(asked(1000), [Duration::from_secs(300)]);
        let settings = RetryOnFailure {
            max_elapsed_time: Some(settings::Duration::from_secs(0)),
            ..settings
        };
        assert_eq!(
            waits(&settings, Some(Duration::MAX), 1)[0],
            MAX_SERVER_DELAY
        );
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(seed: u64) {
            let waits = waits(&RetryOnFailure::default(), None, seed);
            let (last, others) = waits.split_last().unwrap();
            prop_assert_eq!(waits.iter().sum::<Duration>(), Duration::from_secs(300));
            prop_assert!(*last <= Duration::from_secs(45));
            for wait in others {
                prop_assert!((2.5..=45.0).contains(&wait.as_secs_f64()));
            }
        }
    }
}
