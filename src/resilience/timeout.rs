//! How long an attempt may take, learnt from how long answers took.

use std::time::Duration;

/// The answers that count; the number of a slot fits a `u8`.
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
    /// The latest samples in microseconds, a ring of slots: a fleet has many of these windows.
    window: Vec<u32>,
    /// The slot of the next sample.
    next: u8,
    /// The slots by rising time, so that a quantile is one look.
    by_time: Vec<u8>,
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
            window: Vec::new(),
            next: 0,
            by_time: Vec::new(),
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
        self.keep(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
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
            self.keep(u32::try_from(slow.as_micros()).unwrap_or(u32::MAX));
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
    fn keep(&mut self, micros: u32) {
        let slot = self.next;
        self.next = slot.wrapping_add(1);
        if self.window.len() < WINDOW {
            self.window.push(micros);
        } else {
            if let Ok(rank) = self.rank(slot) {
                self.by_time.remove(rank);
            }
            self.window[usize::from(slot)] = micros;
        }
        if let Err(rank) = self.rank(slot) {
            self.by_time.insert(rank, slot);
        }
    }

    /// Where a slot stands in `by_time`, or where it belongs.
    fn rank(&self, slot: u8) -> Result<usize, usize> {
        let key = |slot: u8| (self.window[usize::from(slot)], slot);
        self.by_time
            .binary_search_by_key(&key(slot), |slot| key(*slot))
    }

    /// By nearest rank; `share` is between 0 and 1.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a rank is no more than the window"
    )]
    fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (self.by_time.len() as f64 * share).ceil() as usize;
        let slot = self.by_time.get(rank.checked_sub(1)?)?;
        let micros = self.window[usize::from(*slot)];
        Some(Duration::from_micros(u64::from(micros)))
    }
}
