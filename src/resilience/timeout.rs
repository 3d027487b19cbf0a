//! How long an attempt may take, learnt from how long answers took.

use std::time::Duration;

/// The answers that count.
const WINDOW: usize = 256;

/// Before so many answers nothing is known.
const MIN_SAMPLES: usize = 20;

/// No estimate is shorter: below, the scheduler and the network decide, not the node.
pub(super) const FLOOR: Duration = Duration::from_millis(500);

/// The estimate for one endpoint: `max(2·p99, SRTT + 4·RTTVAR, 500 ms)`, at most `max`, doubled
/// with each retry inside a poll. The doubling is what finds a node that has become slower: all
/// of its answers lie beyond the estimate, and it would never see one.
#[derive(Debug, Clone)]
pub struct Timeout {
    max: Duration,
    adaptive: bool,
    /// Whether the process was away, or silent for a whole poll, and has not answered since.
    cold: bool,
    /// The latest samples, a ring of slots: a fleet has many of these windows.
    window: Vec<Sample>,
    /// The slot of the next sample; it fits as there are [`WINDOW`].
    next: u8,
    /// Smoothed time and its smoothed deviation, as RFC 6298 §2 has them.
    smoothed: Option<(Duration, Duration)>,
}

/// A time of up to 71 minutes to a tenth of a percent, in two bytes: ten bits of its microseconds,
/// and how often they were halved. Of two samples the longer one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sample(u16);

impl Timeout {
    /// An estimate that knows nothing yet. One that is not `adaptive` is always `max`.
    pub fn new(max: Duration, adaptive: bool) -> Self {
        Self {
            max,
            adaptive,
            cold: false,
            window: Vec::new(),
            next: 0,
            smoothed: None,
        }
    }

    /// Has learnt what `old` had learnt, within bounds of its own.
    pub fn take_over(&mut self, old: Self) {
        let Self { max, adaptive, .. } = *self;
        *self = Self {
            max,
            adaptive,
            ..old
        };
    }

    /// The limit of an attempt after so many retries in the same poll.
    pub fn limit(&self, retries: u32) -> Duration {
        self.estimate()
            .saturating_mul(2_u32.saturating_pow(retries))
            .min(self.max)
    }

    /// The limit of a probe: a node that has just started must not be judged by its warm self.
    pub fn probe_limit(&self) -> Duration {
        self.max
    }

    /// Nobody listens, or a whole poll was too short for an answer: what answers next has just
    /// started or become slow, and what it was before says nothing of it.
    pub fn chill(&mut self) {
        self.cold = true;
    }

    /// An answer that was whole and good took so long. Nothing else is a sample: not a refusal (a
    /// dead node is fast), not a cut attempt (its time is ours). Karn's rule, no sample from a
    /// retry, is not needed: unlike TCP's segments, each answer belongs to one request, and
    /// after a shift the retries are the only ones that see the new latency.
    pub fn sample(&mut self, took: Duration) {
        // Longer ones say no more than this, and the sums below cannot overflow.
        let took = took.min(self.max);
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

    /// It was given up after so long, because another instance had answered. The rest of its time
    /// is not known: it keeps the place of a slow answer, so that what is usual does not become
    /// what comes sooner than others.
    pub fn outrun(&mut self, took: Duration, quantile: f64) {
        if self.usual(quantile).is_some_and(|usual| usual <= took) {
            let slow = self.quantile(0.99).unwrap_or_default().max(took);
            self.keep(slow.into());
        }
    }

    /// In this time comes such a share of the answers; none while too little is known.
    pub fn usual(&self, quantile: f64) -> Option<Duration> {
        let is_known = !self.cold && self.window.len() >= MIN_SAMPLES;
        self.quantile(quantile).filter(|_| is_known)
    }

    /// The median of the latest samples.
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    fn estimate(&self) -> Duration {
        if !self.adaptive || self.cold || self.window.len() < MIN_SAMPLES {
            return self.max;
        }
        let (time, deviation) = self.smoothed.unwrap_or_default();
        FLOOR
            .max(self.quantile(0.99).unwrap_or_default().saturating_mul(2))
            .max(time.saturating_add(deviation.saturating_mul(4)))
            .min(self.max)
    }

    /// Puts a sample in the place of the oldest.
    fn keep(&mut self, sample: Sample) {
        let slot = usize::from(self.next);
        self.next = self.next.wrapping_add(1);
        match self.window.get_mut(slot) {
            Some(oldest) => *oldest = sample,
            None => self.window.push(sample),
        }
    }

    /// By nearest rank; `share` is between 0 and 1.
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

/// Bits of a sample that are exact.
const EXACT_BITS: u32 = 10;

impl From<Duration> for Sample {
    fn from(time: Duration) -> Self {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        // One bit more stands for itself: it is always set.
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
}
