//! The latest decisions about one target, with the evidence for each: the answer to "why is it
//! open?" without logs.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer};

use super::{
    balancer::Because,
    circuit::Level,
    outcome::Outcome,
    retry::Stop,
    state::{Reason, State, Transition},
};
use crate::pipeline::ErrorType;

/// How many decisions are kept.
pub const CAPACITY: usize = 64;

/// The latest decisions, oldest first. Noting one costs no memory once there are [`CAPACITY`].
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    entries: VecDeque<Entry>,
    recorded: u64,
}

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Counts all decisions since the start, so that a gap shows what was forgotten.
    pub number: u64,
    /// When.
    pub at: SystemTime,
    /// What it concerns.
    pub place: Place,
    /// What was decided, on what evidence.
    pub event: Event,
}

/// What a decision concerns, by its position. Small, as many of them are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// None for what concerns a whole instance or target.
    endpoint: Option<u16>,
    /// None where there is only one, or it concerns all.
    instance: Option<u16>,
}

/// What the positions stand for.
#[derive(Debug, Clone, Copy)]
pub struct Names<'n> {
    /// The paths of the endpoints.
    pub endpoints: &'n [Arc<str>],
    /// The instances, if there are several.
    pub instances: &'n [Arc<str>],
}

/// One decision, for people.
#[derive(Serialize)]
struct Told<'r> {
    number: u64,
    /// In RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    at: SystemTime,
    /// The path.
    endpoint: Option<&'r str>,
    /// Which of several instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'r str>,
    #[serde(flatten)]
    event: Event,
}

/// What was decided, on what evidence. Times are written in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
        #[serde(serialize_with = "name")]
        error_type: Option<ErrorType>,
        /// What it was to the endpoint's breaker.
        endpoint_outcome: Outcome,
        /// What it was to the host's breaker.
        host_outcome: Outcome,
    },
    /// Of several instances this one was chosen.
    Chosen {
        /// Why.
        because: Because,
        /// The time that its answer is expected to take, in seconds.
        #[serde(serialize_with = "seconds")]
        expected: Duration,
        /// The time of the other one that was drawn, in seconds.
        #[serde(serialize_with = "optional_seconds")]
        expected_of_other: Option<Duration>,
    },
    /// Another instance is asked as well, since this one is slower than it mostly is.
    Hedge {
        /// After so long without an answer, in seconds.
        #[serde(serialize_with = "seconds")]
        after: Duration,
    },
    /// The attempt was dropped, since another instance had answered.
    Outrun {
        /// How long it had taken, in seconds.
        #[serde(serialize_with = "seconds")]
        took: Duration,
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
    pub fn record(&mut self, at: SystemTime, place: Place, event: Event) {
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        self.recorded += 1;
        self.entries.push_back(Entry {
            number: self.recorded,
            at,
            place,
            event,
        });
    }

    /// The kept decisions, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The same for people.
    pub fn told<'r>(&'r self, names: Names<'r>) -> impl Serialize + 'r {
        let told = self.entries().map(move |entry| {
            let (endpoint, instance) = names.of(entry.place);
            Told {
                number: entry.number,
                at: entry.at,
                endpoint,
                instance,
                event: entry.event,
            }
        });
        told.collect::<Vec<_>>()
    }
}

impl<'n> Names<'n> {
    /// The path and the instance.
    pub fn of(self, place: Place) -> (Option<&'n str>, Option<&'n str>) {
        let name =
            |all: &'n [Arc<str>], at: Option<u16>| all.get(usize::from(at?)).map(|name| &**name);
        (
            name(self.endpoints, place.endpoint),
            name(self.instances, place.instance),
        )
    }
}

impl Place {
    /// An endpoint, at any instance.
    pub fn endpoint(position: usize) -> Self {
        let endpoint = u16::try_from(position).ok();
        Self {
            endpoint,
            instance: None,
        }
    }

    /// The same at one instance.
    pub fn at(self, instance: Option<usize>) -> Self {
        let instance = instance.and_then(|position| u16::try_from(position).ok());
        Self { instance, ..self }
    }

    /// All endpoints, at the same instance.
    pub fn of_host(self) -> Self {
        Self {
            endpoint: None,
            ..self
        }
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

fn name<S: Serializer>(error_type: &Option<ErrorType>, to: S) -> Result<S::Ok, S::Error> {
    error_type.map(ErrorType::name).serialize(to)
}

fn seconds<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(span.as_secs_f64())
}

fn optional_seconds<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_secs_f64()).serialize(to)
}
