//! The retry budget of all targets of a receiver, so that an outage does not multiply the load that
//! it causes.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The number of intervals that count. A shorter window would have less than one poll of each
/// target.
const WINDOW: u64 = 5;

/// One retry for this number of attempts: 20 %.
const ATTEMPTS_PER_RETRY: u64 = 5;

/// The minimum of retries per interval, however few targets there are.
const MIN_FLOOR: u64 = 10;

/// The retry budget of all targets together. It counts when requests start: counting results would
/// notice an outage only after its timeouts.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    epoch: Instant,
    /// The number of the interval that starts at `epoch`.
    first: u64,
    interval: Duration,
    floor: u64,
    /// The latest intervals with any request, oldest first.
    buckets: VecDeque<Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    interval: u64,
    attempts: u64,
    retries: u64,
}

impl RetryBudget {
    /// A budget for `targets`, each polled once per `interval`.
    pub fn new(targets: usize, interval: Duration, now: Instant) -> Self {
        Self {
            epoch: now,
            first: 0,
            interval: interval.max(Duration::from_nanos(1)),
            floor: floor(targets),
            buckets: VecDeque::new(),
        }
    }

    /// Sets the number of targets.
    pub fn set_targets(&mut self, targets: usize) {
        self.floor = floor(targets);
    }

    /// Sets the interval of polls. The counts stay.
    pub fn set_interval(&mut self, interval: Duration, now: Instant) {
        (self.first, self.epoch) = (self.interval_at(now), now);
        self.interval = interval.max(Duration::from_nanos(1));
    }

    /// Counts an attempt, the first one or a retry.
    pub fn attempt(&mut self, now: Instant) {
        if let Some(bucket) = self.bucket(now) {
            bucket.attempts += 1;
        }
    }

    /// Takes one retry (or second request), if there is one.
    pub fn try_retry(&mut self, now: Instant) -> bool {
        let is_granted = self.available(now) > 0;
        if is_granted && let Some(bucket) = self.bucket(now) {
            bucket.retries += 1;
        }
        is_granted
    }

    /// The retries that are left now.
    pub fn available(&self, now: Instant) -> u64 {
        let current = self.interval_at(now);
        let recent = self
            .buckets
            .iter()
            .filter(|bucket| bucket.counts_in(current));
        let (attempts, retries) = recent.fold((0, 0), |(attempts, retries), bucket| {
            (attempts + bucket.attempts, retries + bucket.retries)
        });
        let allowed = self.floor.saturating_mul(WINDOW) + attempts / ATTEMPTS_PER_RETRY;
        allowed.saturating_sub(retries)
    }

    /// The bucket of `now`. A new one removes those before the window.
    fn bucket(&mut self, now: Instant) -> Option<&mut Bucket> {
        let current = self.interval_at(now);
        let latest = self.buckets.back();
        if latest.is_none_or(|last| last.interval < current) {
            self.buckets.retain(|bucket| bucket.counts_in(current));
            self.buckets.push_back(Bucket {
                interval: current,
                attempts: 0,
                retries: 0,
            });
        }
        self.buckets.back_mut()
    }

    fn interval_at(&self, now: Instant) -> u64 {
        // In 64 bits, because a division of 128 bits takes many times as long.
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let age = now.saturating_duration_since(self.epoch);
        let passed = nanos(age) / nanos(self.interval).max(1);
        self.first.saturating_add(passed)
    }
}

impl Bucket {
    fn counts_in(&self, current: u64) -> bool {
        self.interval.saturating_add(WINDOW) > current
    }
}

/// The retries per interval that are always allowed: 10, or one for each 10 targets.
pub fn floor(targets: usize) -> u64 {
    MIN_FLOOR.max(u64::try_from(targets / 10).unwrap_or(u64::MAX))
}
