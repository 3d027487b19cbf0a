//! The latest decisions about one target, with the evidence for each: the answer to "why is it
//! open?" without logs.

use std::{
    collections::VecDeque,
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

use super::{
    balancer::SelectionReason,
    circuit::BreakerLevel,
    outcome::BreakerOutcome,
    retry::RetryStop,
    state::{BreakerState, Transition, TransitionReason},
};
use crate::pipeline::ErrorType;

/// How many decisions are kept.
pub const CAPACITY: usize = 64;

/// What an instance is called that is no more.
const GONE: &str = "gone";

/// The latest decisions, oldest first. Noting one costs no memory once there are [`CAPACITY`].
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    entries: VecDeque<Decision>,
    recorded: u64,
}

/// One decision. 32 bytes: a fleet keeps hundreds of thousands of them.
#[derive(Debug, Clone, Copy)]
struct Decision {
    /// When, in microseconds since 1970.
    at: u64,
    place: DecisionScope,
    event: DecisionEvent,
}

const _: () = assert!(size_of::<Decision>() <= 32);

/// A span of time as evidence: to seven digits, in four bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(f32);

/// What a decision concerns, by its position counted from 1. Small, as many of them are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecisionScope {
    /// None for what concerns a whole instance or target.
    endpoint: Option<NonZeroU16>,
    /// None where there is only one, or it concerns all.
    instance: Option<NonZeroU16>,
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
struct DescribedDecision<'r> {
    /// Counts all decisions since the start, so that a gap shows what was forgotten.
    number: u64,
    /// In RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    at: u64,
    /// The path.
    endpoint: Option<&'r str>,
    /// Which of several instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'r str>,
    #[serde(flatten)]
    event: DecisionEvent,
}

/// What was decided, on what evidence. Times are written in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DecisionEvent {
    /// An attempt ended and was judged.
    Attempt {
        /// 1 for the first of a poll.
        attempt: u16,
        /// Whether it decided about a half-open breaker.
        probe: bool,
        /// The limit that it ran under, in seconds.
        timeout: Seconds,
        /// How long it took, in seconds.
        took: Seconds,
        /// Its `error.type`; none for a success.
        #[serde(serialize_with = "name")]
        error_type: Option<ErrorType>,
        /// What it was to the endpoint's breaker.
        endpoint_outcome: BreakerOutcome,
        /// What it was to the host's breaker.
        host_outcome: BreakerOutcome,
    },
    /// Of several instances this one was chosen.
    Chosen {
        /// Why.
        because: SelectionReason,
        /// The time that its answer is expected to take, in seconds.
        expected: Seconds,
        /// The time of the other one that was drawn, in seconds.
        expected_of_other: Option<Seconds>,
    },
    /// Another instance is asked as well, since this one is slower than it mostly is.
    Hedge {
        /// After so long without an answer, in seconds.
        after: Seconds,
    },
    /// The attempt was dropped, since another instance had answered.
    Outrun {
        /// How long it had taken, in seconds.
        took: Seconds,
    },
    /// Another attempt follows.
    Retry {
        /// The wait before it, in seconds.
        delay: Seconds,
    },
    /// No other attempt follows.
    NoRetry {
        /// Why not.
        reason: RetryStop,
    },
    /// Nothing was sent.
    Refused {
        /// Whose breaker refused; none where the server asked for a pause.
        level: Option<BreakerLevel>,
        /// How long it will go on refusing, in seconds; none while a probe decides.
        retry_in: Option<Seconds>,
    },
    /// A breaker changed its state.
    Transition {
        /// Whose.
        level: BreakerLevel,
        /// The state before.
        from: BreakerState,
        /// The state after.
        to: BreakerState,
        /// Why.
        reason: TransitionReason,
        /// The consecutive failures known then.
        failures: u32,
    },
    /// The suspicion that the fault is ours came or went.
    Guard {
        /// Whether it is there now.
        suspect: bool,
    },
    /// An endpoint came under suspicion of making the host hang, or was cleared.
    Suspicion {
        /// Whether it is suspected now.
        is_suspect: bool,
    },
    /// An older answer was served.
    ServedStale {
        /// How old it was, in seconds.
        age: Seconds,
    },
}

impl Recorder {
    /// Notes a decision; the oldest one beyond [`CAPACITY`] is forgotten.
    pub fn record(&mut self, at: SystemTime, place: DecisionScope, event: DecisionEvent) {
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        self.recorded += 1;
        self.entries.push_back(Decision { at, place, event });
    }

    /// The instances stand elsewhere from now on, as `moved` says by their positions; those of
    /// which it says nothing are gone.
    pub fn move_instances(&mut self, moved: impl Fn(usize) -> Option<usize>) {
        for entry in &mut self.entries {
            if let Some(at) = entry.place.instance {
                let now = moved(usize::from(at.get() - 1)).and_then(counted);
                entry.place.instance = Some(now.unwrap_or(NonZeroU16::MAX));
            }
        }
    }

    /// The kept decisions for people, oldest first.
    pub fn told<'r>(&'r self, names: Names<'r>) -> impl Serialize + 'r {
        let forgotten = self.recorded.saturating_sub(self.entries.len() as u64);
        let told = (forgotten + 1..)
            .zip(&self.entries)
            .map(move |(number, entry)| {
                let (endpoint, instance) = names.of(entry.place);
                DescribedDecision {
                    number,
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
    pub fn of(self, place: DecisionScope) -> (Option<&'n str>, Option<&'n str>) {
        let name = |all: &'n [Arc<str>], at: Option<NonZeroU16>| {
            let position = usize::from(at?.get() - 1);
            Some(all.get(position).map_or(GONE, |name| &**name))
        };
        (
            name(self.endpoints, place.endpoint),
            name(self.instances, place.instance),
        )
    }
}

impl DecisionScope {
    /// An endpoint, at any instance.
    pub fn endpoint(position: usize) -> Self {
        Self {
            endpoint: counted(position),
            instance: None,
        }
    }

    /// The same at one instance.
    pub fn at(self, instance: Option<usize>) -> Self {
        let instance = instance.and_then(counted);
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

impl DecisionEvent {
    /// A transition of a breaker at this level.
    pub fn transition(level: BreakerLevel, transition: &Transition) -> Self {
        Self::Transition {
            level,
            from: transition.from,
            to: transition.to,
            reason: transition.reason,
            failures: transition.failures,
        }
    }
}

fn counted(position: usize) -> Option<NonZeroU16> {
    NonZeroU16::new(u16::try_from(position + 1).ok()?)
}

impl From<Duration> for Seconds {
    fn from(span: Duration) -> Self {
        Self(span.as_secs_f32())
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // A tenth stays 0.1: more digits than are known are not shown.
        to.serialize_f64((f64::from(self.0) * 1e6).round() / 1e6)
    }
}

fn rfc3339<S: Serializer>(micros: &u64, to: S) -> Result<S::Ok, S::Error> {
    let micros = i64::try_from(*micros).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(micros).map_err(serde::ser::Error::custom)?;
    to.collect_str(&at)
}

fn name<S: Serializer>(error_type: &Option<ErrorType>, to: S) -> Result<S::Ok, S::Error> {
    error_type.map(ErrorType::name).serialize(to)
}
