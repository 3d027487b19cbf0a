//! Endpoints that are asked less often than at every tick.

use crate::pipeline::EndpointPoll;

/// How many ticks each endpoint still waits. Empty where all are asked at every tick.
#[derive(Debug, Default)]
pub(crate) struct Pace(Vec<u32>);

impl Pace {
    /// A tick: which endpoints are asked, each of them at every so many ticks. The first tick asks
    /// all.
    pub(crate) fn tick(&mut self, every: impl Iterator<Item = u32> + Clone) -> Vec<bool> {
        if every.clone().all(|every| every <= 1) {
            self.0.clear();
            return every.map(|_| true).collect();
        }
        self.0.resize(every.count(), 0);
        let waits = self.0.iter_mut().map(|wait| {
            let is_due = *wait == 0;
            *wait = wait.saturating_sub(1);
            is_due
        });
        waits.collect()
    }

    /// What was asked at a tick: one that answered waits, one that did not is asked again at the
    /// next tick.
    pub(crate) fn asked(
        &mut self,
        every: impl Iterator<Item = u32>,
        asked: &[bool],
        polled: &[EndpointPoll],
    ) {
        let endpoints = self.0.iter_mut().zip(every).zip(asked).zip(polled);
        for (((wait, every), asked), polled) in endpoints {
            if *asked {
                *wait = match polled.body() {
                    Some(_) => every.saturating_sub(1),
                    None => 0,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use bytes::Bytes;

    use super::*;
    use crate::pipeline::{Body, PollFailure, PollOutcome};

    fn answered() -> EndpointPoll {
        let body = Body::new(Bytes::new(), UNIX_EPOCH, |_| None);
        EndpointPoll::new(PollOutcome::Fresh(body))
    }

    #[test]
    fn one_that_answered_waits_and_one_that_did_not_is_asked_again() {
        let every = || [1, 3].into_iter();
        let mut pace = Pace::default();
        let mut ticks = Vec::new();
        for tick in 0..8 {
            let asked = pace.tick(every());
            let second = match tick {
                3 => EndpointPoll::new(PollOutcome::Failed(PollFailure::lost())),
                _ => answered(),
            };
            pace.asked(every(), &asked, &[answered(), second]);
            ticks.push(asked);
        }
        let second: Vec<_> = ticks.iter().map(|asked| asked[1]).collect();
        assert!(ticks.iter().all(|asked| asked[0]));
        assert_eq!(second, [true, false, false, true, true, false, false, true]);
    }

    #[test]
    fn where_all_are_asked_at_every_tick_nothing_is_kept() {
        let mut pace = Pace::default();
        assert_eq!(pace.tick([1, 1].into_iter()), [true, true]);
        pace.asked([1, 1].into_iter(), &[true, true], &[answered(), answered()]);
        assert!(pace.0.is_empty());
    }
}
