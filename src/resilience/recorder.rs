//! The latest decisions about one target, with the evidence for each: the answer to "why is it
//! open?" without logs.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer};

use super::{
    circuit::Level,
    outcome::Outcome,
    retry::Stop,
    state::{Reason, State, Transition},
};

/// How many decisions are kept.
pub const CAPACITY: usize = 64;

/// The latest decisions, oldest first.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Recorder {
    entries: VecDeque<Entry>,
    #[serde(skip)]
    recorded: u64,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Counts all decisions since the start, so that a gap shows what was forgotten.
    pub number: u64,
    /// When, in RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// The path of the endpoint; none for what concerns the whole host.
    pub endpoint: Option<String>,
    /// What was decided, on what evidence.
    #[serde(flatten)]
    pub event: Event,
}

/// What was decided, on what evidence. Times are written in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An attempt ended and was judged.
    Attempt {
        /// 1 for the first of a poll.
        attempt: u32,
        /// Whether it decided about a half-open breaker.
        probe: bool,
        /// The limit that it ran under, in seconds.
        #[serde(serialize_with = "seconds")]
        timeout: Duration,
        /// How long it took, in seconds.
        #[serde(serialize_with = "seconds")]
        took: Duration,
        /// Its `error.type`; none for a success.
        error_type: Option<String>,
        /// What it was to the endpoint's breaker.
        endpoint_outcome: Outcome,
        /// What it was to the host's breaker.
        host_outcome: Outcome,
    },
    /// Another attempt follows.
    Retry {
        /// The wait before it, in seconds.
        #[serde(serialize_with = "seconds")]
        delay: Duration,
    },
    /// No other attempt follows.
    NoRetry {
        /// Why not.
        reason: Stop,
    },
    /// Nothing was sent.
    Refused {
        /// Whose breaker refused; none where the server asked for a pause.
        level: Option<Level>,
        /// How long it will go on refusing, in seconds; none while a probe decides.
        #[serde(serialize_with = "optional_seconds")]
        retry_in: Option<Duration>,
    },
    /// A breaker changed its state.
    Transition {
        /// Whose.
        level: Level,
        /// The state before.
        from: State,
        /// The state after.
        to: State,
        /// Why.
        reason: Reason,
        /// The consecutive failures known then.
        failures: u32,
    },
    /// The suspicion that the fault is ours came or went.
    Guard {
        /// Whether it is there now.
        suspect: bool,
    },
    /// An older answer was served.
    ServedStale {
        /// How old it was, in seconds.
        #[serde(serialize_with = "seconds")]
        age: Duration,
    },
}

impl Recorder {
    /// Notes a decision; the oldest one beyond [`CAPACITY`] is forgotten.
    pub fn record(&mut self, at: SystemTime, endpoint: Option<String>, event: Event) {
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        self.recorded += 1;
        self.entries.push_back(Entry {
            number: self.recorded,
            at,
            endpoint,
            event,
        });
    }

    /// The kept decisions, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

impl Event {
    /// A transition of a breaker at this level.
    pub fn transition(level: Level, transition: &Transition) -> Self {
        Self::Transition {
            level,
            from: transition.from,
            to: transition.to,
            reason: transition.reason,
            failures: transition.failures,
        }
    }
}

fn rfc3339<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    let at = jiff::Timestamp::try_from(*at).map_err(serde::ser::Error::custom)?;
    to.collect_str(&at)
}

fn seconds<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(span.as_secs_f64())
}

fn optional_seconds<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_secs_f64()).serialize(to)
}
