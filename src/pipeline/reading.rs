//! The values that the mapping found in the bodies of a poll.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::KeyValue;

pub use crate::definition::Number;
use crate::telemetry::target_metrics::TargetMetric;

/// The value of one series in one poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Index of the instrument in the [`Schema`](super::Schema).
    pub instrument: usize,
    /// The attributes, sorted by key. No key is there twice.
    pub attributes: Vec<KeyValue>,
    /// The value.
    pub value: Number,
    /// When it was measured, if the body says so; else when its poll was answered.
    pub time: Option<SystemTime>,
    /// The histogram that the body holds, of which `value` is how many observations it has.
    pub histogram: Option<Arc<HistogramValue>>,
}

/// A histogram that a process counts itself.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramValue {
    /// The upper bounds of its buckets, ascending and finite.
    pub bounds: Vec<f64>,
    /// How many observations each bucket has, and behind the last bound.
    pub counts: Vec<u64>,
    /// The sum of all observations, if that is known.
    pub sum: Option<f64>,
}

impl HistogramValue {
    /// How many observations it has.
    pub fn count(&self) -> u64 {
        let counts = self.counts.iter();
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A value of a report metric: the collector's own metrics about a target.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnReading {
    /// The metric.
    pub metric: TargetMetric,
    /// The attributes, sorted by key. No key is there twice.
    pub attributes: Vec<KeyValue>,
    /// The value.
    pub value: Number,
}

/// What the mapping found in one body, or in all bodies of a poll.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// The values, grouped by instrument in no particular order.
    pub values: Vec<Reading>,
    /// When the process behind the API started, if a body says so.
    pub start: Option<ProcessStart>,
    /// Values that could not be read. Each affects only its own series.
    pub problems: Vec<Problem>,
}

impl Readings {
    /// Adds what another body gave.
    pub fn append(&mut self, mut other: Self) {
        self.values.append(&mut other.values);
        self.problems.append(&mut other.problems);
        self.start = other.start.or(self.start);
    }
}

/// When a process started, as a body says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessStart {
    /// At this time.
    At(SystemTime),
    /// This long before the body arrived.
    Before(Duration),
}

impl ProcessStart {
    /// The same as a time. The body was `received` then.
    #[must_use]
    pub fn resolved(self, received: SystemTime) -> Self {
        match self {
            Self::Before(uptime) => match received.checked_sub(uptime) {
                Some(start) => Self::At(start),
                None => self,
            },
            Self::At(_) => self,
        }
    }

    /// The time, if it is known.
    pub fn time(self) -> Option<SystemTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Before(_) => None,
        }
    }
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Index of the mapping rule in the definition; behind the last one, of something else.
    pub rule: usize,
    /// Index of the subject ([`Definition::subject`](crate::definition::Definition::subject)): an
    /// instrument, or what follows them.
    pub instrument: usize,
    /// Why it could not be read.
    pub reason: ProblemReason,
    /// The number of values with this problem.
    pub count: u64,
    /// The path and what was found there, for `check` and the debug log.
    pub detail: String,
}

/// Why a value could not be read. The list is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemReason {
    /// The path finds nothing, or `null`, or there is no element at all.
    Missing,
    /// The path finds several values where one is expected.
    Several,
    /// The value has another type than the rule expects.
    Type,
    /// The value is out of range: a negative counter, a fraction in an integer instrument, an
    /// unknown state.
    Range,
    /// The series is above the metric's `max_series`.
    MaxSeries,
    /// Two elements have the same attributes. The first one counts.
    Duplicate,
    /// Finding the value takes more steps than a path may.
    Steps,
    /// There are more pages than `pages: {max}` reads.
    MaxPages,
    /// There are more elements than `for_each: {max}` makes requests for.
    MaxRequests,
    /// A request for an element failed, and others did not.
    Request,
}

impl ProblemReason {
    /// The value of the `reason` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::Type => "type",
            Self::Range => "range",
            Self::MaxSeries => "max_series",
            Self::Duplicate => "duplicate",
            Self::Steps => "steps",
            Self::MaxPages => "max_pages",
            Self::MaxRequests => "max_requests",
            Self::Request => "request",
        }
    }

    /// All reasons, so that every counter starts at zero.
    pub const ALL: [Self; 10] = [
        Self::Missing,
        Self::Several,
        Self::Type,
        Self::Range,
        Self::MaxSeries,
        Self::Duplicate,
        Self::Steps,
        Self::MaxPages,
        Self::MaxRequests,
        Self::Request,
    ];
}
