//! The latest decisions about one target, with their evidence: the answer to "why is it open?"
//! without logs.

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
    positions::Positions,
    retry::RetryStop,
    state::{BreakerState, Transition, TransitionReason},
};
use crate::{definition::EndpointLabels, pipeline::ErrorType};

/// The number of stored decisions.
pub const CAPACITY: usize = 64;

/// The name of an endpoint or instance that no longer exists.
const GONE: &str = "gone";

/// The latest decisions, oldest first. After [`CAPACITY`] decisions, recording another one needs no
/// memory.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    entries: VecDeque<Decision>,
    recorded: u64,
}

/// One decision. It needs 32 bytes, because a receiver has hundreds of thousands of them.
#[derive(Debug, Clone, Copy)]
struct Decision {
    /// The time in microseconds since 1970.
    at: u64,
    place: DecisionScope,
    event: DecisionEvent,
}

const _: () = assert!(size_of::<Decision>() <= 32);

/// A duration as evidence: seven digits, in four bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(f32);

/// What a decision is about, by positions counted from 1. It is small, because there are many of
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecisionScope {
    /// `None` if it is about a whole instance or target.
    endpoint: Option<NonZeroU16>,
    /// `None` if there is only one instance, or it is about all.
    instance: Option<NonZeroU16>,
}

/// The names for the positions.
#[derive(Debug, Clone, Copy)]
pub struct Names<'n> {
    /// The endpoints of the target.
    pub endpoints: &'n [EndpointLabels],
    /// The instances, if there are several.
    pub instances: &'n [Arc<str>],
}

/// One decision, for users.
#[derive(Serialize)]
struct DescribedDecision<'r> {
    /// The number of the decision since the start. A gap shows that older ones were forgotten.
    number: u64,
    /// The time in RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    at: u64,
    /// The name of the endpoint in the definition.
    endpoint: Option<&'r str>,
    /// The name of the instance, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'r str>,
    #[serde(flatten)]
    event: DecisionEvent,
}

/// A decision with its evidence. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DecisionEvent {
    /// An attempt ended and was classified.
    Attempt {
        /// The number of the attempt; 1 for the first one of a poll.
        attempt: u16,
        /// Whether it was a trial request of a half-open breaker.
        probe: bool,
        /// Its timeout in seconds.
        timeout: Seconds,
        /// Its duration in seconds.
        took: Seconds,
        /// Its `error.type`; none for a success.
        #[serde(serialize_with = "name")]
        error_type: Option<ErrorType>,
        /// What it meant to the endpoint's breaker.
        endpoint_outcome: BreakerOutcome,
        /// What it meant to the host's breaker.
        host_outcome: BreakerOutcome,
    },
    /// This instance was chosen among several.
    Chosen {
        /// Why it was chosen.
        because: SelectionReason,
        /// Its expected response time in seconds.
        expected: Seconds,
        /// The expected response time of the other instance that was drawn, in seconds.
        expected_of_other: Option<Seconds>,
    },
    /// Another attempt follows.
    Retry {
        /// The wait before it, in seconds.
        delay: Seconds,
    },
    /// No other attempt follows.
    NoRetry {
        /// Why no attempt follows.
        reason: RetryStop,
    },
    /// Nothing was sent.
    Refused {
        /// The level of the breaker that refused. `None` if the server asked for a pause.
        level: Option<BreakerLevel>,
        /// How long it will continue to refuse, in seconds. `None` while a trial request is in
        /// progress.
        retry_in: Option<Seconds>,
        /// How often in a row; the time and the wait are those of the last time.
        times: u32,
    },
    /// A breaker changed its state.
    Transition {
        /// The level of the breaker.
        level: BreakerLevel,
        /// The state before the change.
        from: BreakerState,
        /// The state after the change.
        to: BreakerState,
        /// The reason of the change.
        reason: TransitionReason,
        /// The consecutive failures at that time.
        failures: u32,
    },
    /// The suspicion of a fault on the collector's side started or ended.
    Guard {
        /// Whether it exists now.
        suspect: bool,
    },
    /// The suspicion that an endpoint makes the host hang started or ended.
    Suspicion {
        /// Whether it exists now.
        is_suspect: bool,
    },
    /// An older answer was served.
    ServedStale {
        /// Its age in seconds, at the last time.
        age: Seconds,
        /// How often in a row.
        times: u32,
    },
}

impl Recorder {
    /// Records a decision. The oldest one beyond [`CAPACITY`] is removed.
    pub fn record(&mut self, at: SystemTime, place: DecisionScope, event: DecisionEvent) {
        if self.repeats(at, place, event) {
            return;
        }
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        let at = micros(at);
        self.recorded += 1;
        self.entries.push_back(Decision { at, place, event });
    }

    /// Counts a decision that repeats the latest one for its place, if nothing else happened since.
    /// Otherwise an outage would fill the recorder with what says nothing new.
    fn repeats(&mut self, at: SystemTime, place: DecisionScope, event: DecisionEvent) -> bool {
        if event.times().is_none() {
            return false;
        }
        let latest = self.entries.iter_mut().rev();
        let mut latest = latest.take_while(|entry| entry.event.times().is_some());
        let same = latest.find(|entry| entry.place == place && entry.event.is_like(&event));
        let Some(entry) = same else {
            return false;
        };
        let before = entry.event.times().unwrap_or_default();
        entry.at = micros(at);
        entry.event = event.after(before);
        true
    }

    /// Changes the positions of what the decisions are about.
    pub fn arrange(&mut self, endpoints: &Positions, instances: &Positions) {
        let moved = |at: NonZeroU16, positions: &Positions| {
            let now = positions.now_at(usize::from(at.get() - 1));
            now.and_then(counted).unwrap_or(NonZeroU16::MAX)
        };
        for Decision { place, .. } in &mut self.entries {
            place.endpoint = place.endpoint.map(|at| moved(at, endpoints));
            place.instance = place.instance.map(|at| moved(at, instances));
        }
    }

    /// The stored decisions for users, oldest first.
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
    /// The names of the endpoint and of the instance.
    pub fn of(self, place: DecisionScope) -> (Option<&'n str>, Option<&'n str>) {
        let position = |at: NonZeroU16| usize::from(at.get() - 1);
        let endpoint = place.endpoint.map(|at| {
            let labels = self.endpoints.get(position(at));
            labels.map_or(GONE, |labels| labels.id.as_str())
        });
        let instance = place.instance.map(|at| {
            let name = self.instances.get(position(at));
            name.map_or(GONE, |name| &**name)
        });
        (endpoint, instance)
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

    /// The same endpoint at one instance.
    pub fn at(self, instance: Option<usize>) -> Self {
        let instance = instance.and_then(counted);
        Self { instance, ..self }
    }

    /// All endpoints at the same instance.
    pub fn of_host(self) -> Self {
        Self {
            endpoint: None,
            ..self
        }
    }
}

impl DecisionEvent {
    /// How often it happened in a row, for what repeats at each poll of an outage.
    fn times(&self) -> Option<u32> {
        match self {
            Self::Refused { times, .. } | Self::ServedStale { times, .. } => Some(*times),
            _ => None,
        }
    }

    /// Whether another decision says the same, but for waits and ages.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused { level, .. }, Self::Refused { level: other, .. }) => level == other,
            (Self::ServedStale { .. }, Self::ServedStale { .. }) => true,
            _ => false,
        }
    }

    /// It, once more than `before`.
    fn after(mut self, before: u32) -> Self {
        if let Self::Refused { times, .. } | Self::ServedStale { times, .. } = &mut self {
            *times = before.saturating_add(1);
        }
        self
    }

    /// A state change of a breaker at this level.
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

/// Microseconds since 1970.
fn micros(at: SystemTime) -> u64 {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
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
        // A tenth stays 0.1: the output has no more digits than are known.
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
