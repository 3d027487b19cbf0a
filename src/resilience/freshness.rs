//! Measures how long the data was within the freshness objective. It measures time, not polls: a
//! count of successes would see nothing in an outage.

use std::time::Duration;

use tokio::time::Instant;

use super::time::later;

/// The objective that the data of one source is never older than `max_age`, and the time it was
/// met.
#[derive(Debug, Clone)]
pub struct FreshnessObjective {
    max_age: Duration,
    /// When the data will be too old. `None` before the first data.
    fresh_until: Option<Instant>,
    /// The time up to which the measurement is done.
    booked: Instant,
    time: Time,
}

/// The measured time. The sum is the age of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time {
    /// The data was within the objective.
    pub within: Duration,
    /// The data was older, or there was none.
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

    /// Changes the objective. The time until now counts under the old one.
    pub fn set_max_age(&mut self, max_age: Duration, now: Instant) {
        self.book(now);
        let less = self.max_age.saturating_sub(max_age);
        let more = max_age.saturating_sub(self.max_age);
        let moved = |until: Instant| later(until, more).checked_sub(less);
        self.fresh_until = self.fresh_until.and_then(moved);
        self.max_age = max_age;
    }

    /// Data arrived with this age: the time since its request was sent, plus its `Age` at that
    /// time.
    pub fn updated(&mut self, now: Instant, age: Duration) {
        self.book(now);
        let left = self.max_age.saturating_sub(age);
        self.fresh_until = self.fresh_until.max(Some(later(now, left)));
    }

    /// The measured time until now.
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
