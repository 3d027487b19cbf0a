//! Selects the snapshots to log when many arrive at once. It has no clock.

use std::time::Duration;

use tokio::time::Instant;

/// The length of the window in which snapshots are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// In each second it selects the first `initial` snapshots, and then every `thereafter`-th one.
#[derive(Debug)]
pub(super) struct Sampler {
    initial: u64,
    thereafter: u64,
    window: Option<Instant>,
    seen: u64,
}

impl Sampler {
    pub(super) fn new(initial: u64, thereafter: u64) -> Self {
        Self {
            initial,
            thereafter,
            window: None,
            seen: 0,
        }
    }

    /// Whether to log a snapshot at `now`. With `thereafter` 0, only the first `initial` ones are
    /// logged.
    pub(super) fn shows(&mut self, now: Instant) -> bool {
        if self.window.is_none_or(|start| now - start >= WINDOW) {
            self.window = Some(now);
            self.seen = 0;
        }
        self.seen += 1;
        let after = self.seen.saturating_sub(self.initial);
        after == 0 || after.checked_rem(self.thereafter) == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(initial: u64, thereafter: u64) -> Vec<u64> {
        let (mut sampler, now) = (Sampler::new(initial, thereafter), Instant::now());
        (1..=10).filter(|_| sampler.shows(now)).collect()
    }

    #[test]
    fn logs_the_first_snapshots_of_a_second_and_then_every_nth() {
        assert_eq!(shown(2, 3), [1, 2, 5, 8]);
        assert_eq!(shown(2, 0), [1, 2]);
        assert_eq!(shown(2, 1).len(), 10);
    }

    #[test]
    fn each_second_starts_a_new_window() {
        let (mut sampler, now) = (Sampler::new(1, 0), Instant::now());
        assert!(sampler.shows(now));
        assert!(!sampler.shows(now));
        assert!(sampler.shows(now + WINDOW));
    }
}
