//! The adaptive timeout of an attempt, learned from response times.

use std::time::Duration;

use super::config::TimeoutConfig;

/// The number of answers that count.
const WINDOW: usize = 256;

/// With fewer answers there is no estimate.
const MIN_SAMPLES: usize = 20;

/// The shortest estimate: below this, the scheduler and the network decide, not the node.
pub(super) const FLOOR: Duration = Duration::from_millis(500);

/// What is known of the response times of one endpoint. The estimate is `max(2·p99, SRTT + 4·RTTVAR, 500 ms)`, at most `max`, doubled
/// with each retry within a poll. The doubling finds a node that has become slower: all of its
/// answers would take longer than the estimate, and none would ever be seen.
#[derive(Debug, Clone, Default)]
pub struct Timeout {
    /// Whether the process was down, or silent for a whole poll, and has not answered since.
    cold: bool,
    /// The latest samples, in a ring: a receiver has many of these windows.
    window: Vec<Sample>,
    /// The greatest of them.
    slowest: Sample,
    /// The slot of the next sample. The type fits, because there are [`WINDOW`] slots.
    next: u8,
    /// The smoothed time and its smoothed deviation, as in RFC 6298 §2.
    smoothed: Option<(Duration, Duration)>,
}

/// A time of up to 71 minutes with an error of a tenth of a percent, in two bytes: ten bits of its
/// microseconds, and the number of halvings. The longer one of two samples is the greater one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Sample(u16);

impl Timeout {
    /// The limit of an attempt after this number of retries in the same poll.
    pub fn limit(&self, config: &TimeoutConfig, retries: u32) -> Duration {
        self.estimate(config)
            .saturating_mul(2_u32.saturating_pow(retries))
            .min(config.max.get())
    }

    /// The node is down, or a whole poll was too short for an answer. The next answer comes from a
    /// process that has just started or become slow, and its past says nothing about it.
    pub fn back_off(&mut self) {
        self.cold = true;
    }

    /// Records the time of a complete, good answer. Nothing else is a sample: not a refusal (a dead
    /// node is fast), not a cancelled attempt (its time depends on us). Karn's rule, no sample from
    /// a retry, is not needed: other than TCP's segments, each answer belongs to one request, and
    /// after a shift only the retries see the new latency.
    pub fn sample(&mut self, took: Duration) {
        self.cold = false;
        self.keep(took.into());
        self.smoothed = Some(match self.smoothed {
            None => (took, took / 2),
            Some((time, deviation)) => (
                time / 8 * 7 + took / 8,
                deviation / 4 * 3 + time.abs_diff(took) / 4,
            ),
        });
    }

    /// The median of the latest samples.
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// The latest samples, oldest first, at most so many.
    pub fn latest(&self, most: usize) -> Vec<Duration> {
        // Until the ring is full its next slot lies behind the last one.
        let oldest = usize::from(self.next) % self.window.len().max(1);
        let (newer, older) = self.window.split_at(oldest);
        let in_order = older.iter().chain(newer);
        let skipped = self.window.len().saturating_sub(most);
        in_order
            .skip(skipped)
            .map(|sample| (*sample).into())
            .collect()
    }

    fn estimate(&self, config: &TimeoutConfig) -> Duration {
        let max = config.max.get();
        if !config.adaptive || self.cold || self.window.len() < MIN_SAMPLES {
            return max;
        }
        let (time, deviation) = self.smoothed.unwrap_or_default();
        let least = FLOOR.max(time.saturating_add(deviation.saturating_mul(4)));
        // Nearly every node answers so fast that no quantile of its times counts. To sort them
        // would take longer than all else that is decided about a request.
        if Duration::from(self.slowest).saturating_mul(2) <= least {
            return least.min(max);
        }
        least
            .max(self.quantile(0.99).unwrap_or_default().saturating_mul(2))
            .min(max)
    }

    /// Replaces the oldest sample.
    fn keep(&mut self, sample: Sample) {
        let slot = usize::from(self.next);
        self.next = self.next.wrapping_add(1);
        let replaced = match self.window.get_mut(slot) {
            Some(oldest) => std::mem::replace(oldest, sample),
            None => {
                self.window.push(sample);
                Sample::default()
            }
        };
        if sample >= self.slowest {
            self.slowest = sample;
        } else if replaced == self.slowest {
            self.slowest = self.window.iter().max().copied().unwrap_or_default();
        }
    }

    /// The value by nearest rank. `share` is between 0 and 1.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a rank is no more than the window"
    )]
    fn quantile(&self, share: f64) -> Option<Duration> {
        let mut samples = [Sample(0); WINDOW];
        let samples = samples.get_mut(..self.window.len())?;
        samples.copy_from_slice(&self.window);
        let rank = (samples.len() as f64 * share).ceil() as usize;
        let rank = rank.checked_sub(1).filter(|rank| *rank < samples.len())?;
        let (_, sample, _) = samples.select_nth_unstable(rank);
        Some((*sample).into())
    }
}

/// The number of exact bits of a sample.
const EXACT_BITS: u32 = 10;

impl From<Duration> for Sample {
    fn from(time: Duration) -> Self {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        // One more bit is implicit: it is always set.
        let halvings = (u32::BITS - micros.leading_zeros()).saturating_sub(EXACT_BITS + 1);
        let code = (halvings << EXACT_BITS) + (micros >> halvings);
        Self(u16::try_from(code).unwrap_or(u16::MAX))
    }
}

impl From<Sample> for Duration {
    fn from(Sample(code): Sample) -> Self {
        let code = u64::from(code);
        let halvings = (code >> EXACT_BITS).saturating_sub(1);
        Self::from_micros((code - (halvings << EXACT_BITS)) << halvings)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sample_is_right_to_a_tenth_of_a_percent(
            micros in prop_oneof![0_u32..5000, any::<u32>()], more in 0_u32..5000
        ) {
            let time = Duration::from_micros(u64::from(micros));
            let sample = Sample::from(time);
            let back = Duration::from(sample);
            prop_assert!(back <= time && time - back <= time / 1024, "{time:?} {back:?}");
            prop_assert!(Sample::from(time + Duration::from_micros(u64::from(more))) >= sample);
            if micros < 2048 {
                prop_assert_eq!(back, time);
            }
        }
    }

    proptest! {
        #[test]
        fn the_slowest_sample_is_the_greatest_of_the_window(
            times in proptest::collection::vec(0_u64..40, 1..3 * WINDOW)
        ) {
            let mut timeout = Timeout::default();
            for time in times {
                timeout.sample(Duration::from_secs(time));
                prop_assert_eq!(Some(&timeout.slowest), timeout.window.iter().max());
            }
        }
    }

    #[test]
    fn the_latest_samples_come_in_the_order_of_time() {
        let mut timeout = Timeout::default();
        assert!(timeout.latest(3).is_empty());
        for (samples, expected) in [(2_u64, vec![0, 1]), (1000, vec![997, 998, 999])] {
            timeout.window.clear();
            timeout.next = 0;
            (0..samples).for_each(|n| timeout.sample(Duration::from_micros(n)));
            let latest = timeout.latest(3).into_iter();
            assert_eq!(latest.map(|t| t.as_micros()).collect::<Vec<_>>(), expected);
        }
    }
}
