//! How long an attempt may take, learnt from how long answers took.

use std::{collections::VecDeque, time::Duration};

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
    /// Whether the process was away and has not answered since.
    cold: bool,
    /// The latest samples in microseconds, oldest first: a fleet has many of these windows.
    window: VecDeque<u32>,
    /// Their 99th percentile.
    p99: Duration,
    /// Smoothed time and its smoothed deviation, as RFC 6298 §2 has them.
    smoothed: Option<(Duration, Duration)>,
}

impl Timeout {
    /// An estimate that knows nothing yet. One that is not `adaptive` is always `max`.
    pub fn new(max: Duration, adaptive: bool) -> Self {
        Self {
            max,
            adaptive,
            cold: false,
            window: VecDeque::new(),
            p99: Duration::ZERO,
            smoothed: None,
        }
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

    /// Nobody listens: what answers next has just started, and its warm self says nothing of it.
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
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.window.push_back(micros);
        self.p99 = self.quantile(99).unwrap_or_default();
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
        self.quantile(50)
    }

    fn estimate(&self) -> Duration {
        if !self.adaptive || self.cold || self.window.len() < MIN_SAMPLES {
            return self.max;
        }
        let (time, deviation) = self.smoothed.unwrap_or_default();
        FLOOR
            .max(self.p99.saturating_mul(2))
            .max(time.saturating_add(deviation.saturating_mul(4)))
            .min(self.max)
    }

    /// By nearest rank.
    fn quantile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.window.len() * percent).div_ceil(100);
        let mut samples: Vec<u32> = self.window.iter().copied().collect();
        let (_, found, _) = samples.select_nth_unstable(rank.checked_sub(1)?);
        Some(Duration::from_micros(u64::from(*found)))
    }
}
