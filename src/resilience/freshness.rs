//! For how long the data was as young as promised. It is time that counts, not polls: what is
//! counted at successes only is blind exactly in an outage.

use std::time::Duration;

use tokio::time::Instant;

use super::time::later;

/// The promise that the data of one source is never older than `max_age`, and how it is kept.
#[derive(Debug, Clone)]
pub struct FreshnessObjective {
    max_age: Duration,
    /// When the data will be too old; none before the first.
    fresh_until: Option<Instant>,
    /// Until when time is booked.
    booked: Instant,
    time: Time,
}

/// The booked time; adds up to the age of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time {
    /// The data was no older than promised.
    pub within: Duration,
    /// It was older, or there was none.
    pub without: Duration,
}

impl FreshnessObjective {
    /// A source without data.
    pub fn new(max_age: Duration, now: Instant) -> Self {
        Self {
            max_age,
            fresh_until: None,
            booked: now,
            time: Time::default(),
        }
    }

    /// Goes on with what `old` has booked until now; its own promise counts from now on.
    pub fn take_over(&mut self, mut old: Self, now: Instant) {
        old.book(now);
        let less = old.max_age.saturating_sub(self.max_age);
        let more = self.max_age.saturating_sub(old.max_age);
        let moved = |until: Instant| later(until, more).checked_sub(less);
        *self = Self {
            max_age: self.max_age,
            fresh_until: old.fresh_until.and_then(moved),
            ..old
        };
    }

    /// Data arrived that is so old: the time since its request was sent, and its `Age` then.
    pub fn updated(&mut self, now: Instant, age: Duration) {
        self.book(now);
        let left = self.max_age.saturating_sub(age);
        self.fresh_until = self.fresh_until.max(Some(later(now, left)));
    }

    /// The time until now.
    pub fn read(&self, now: Instant) -> Time {
        let mut current = self.clone();
        current.book(now);
        current.time
    }

    fn book(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.booked);
        let left = |until: Instant| until.saturating_duration_since(self.booked);
        let within = passed.min(self.fresh_until.map(left).unwrap_or_default());
        self.time.within += within;
        self.time.without += passed - within;
        self.booked = self.booked.max(now);
    }
}
