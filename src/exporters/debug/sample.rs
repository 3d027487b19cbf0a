//! Which snapshots are shown when many come at once. No clock.

use std::time::Duration;

use tokio::time::Instant;

/// What is counted together.
const WINDOW: Duration = Duration::from_secs(1);

/// In each second shows the first `initial` and then every `thereafter`-th.
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

    /// Whether to show one that comes at `now`. After the first `initial`, a `thereafter` of 0
    /// shows none.
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
    fn the_first_of_a_second_and_then_some() {
        assert_eq!(shown(2, 3), [1, 2, 5, 8]);
        assert_eq!(shown(2, 0), [1, 2]);
        assert_eq!(shown(2, 1).len(), 10);
    }

    #[test]
    fn each_second_begins_anew() {
        let (mut sampler, now) = (Sampler::new(1, 0), Instant::now());
        assert!(sampler.shows(now));
        assert!(!sampler.shows(now));
        assert!(sampler.shows(now + WINDOW));
    }
}
