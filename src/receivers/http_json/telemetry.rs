//! What a receiver says of itself.

use std::sync::Arc;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter, UpDownCounter},
};

use crate::{pipeline::Poll, telemetry::names};

/// The receiver's own instruments.
#[derive(Debug, Clone)]
pub(super) struct Telemetry {
    receiver: Arc<[KeyValue]>,
    polls: Counter<u64>,
    in_flight: UpDownCounter<i64>,
    targets: UpDownCounter<i64>,
}

/// Counts requests in flight.
#[derive(Debug, Clone)]
pub(super) struct InFlight(Telemetry);

/// A request in flight until it is dropped.
#[derive(Debug)]
pub(super) struct Guard<'a>(&'a Telemetry);

impl Telemetry {
    pub(super) fn new(meter: &Meter, receiver: &str) -> Self {
        let new = Self {
            receiver: Arc::new([KeyValue::new(names::RECEIVER, receiver.to_owned())]),
            polls: names::POLLS.counter(meter),
            in_flight: names::REQUESTS_IN_FLIGHT.up_down_counter(meter),
            targets: names::TARGETS.up_down_counter(meter),
        };
        for outcome in ["up", "down"] {
            new.polls.add(0, &new.with_outcome(outcome));
        }
        new.in_flight.add(0, &new.receiver);
        new
    }

    /// A target came or went.
    pub(super) fn targets(&self, change: i64) {
        self.targets.add(change, &self.receiver);
    }

    /// A poll has ended.
    pub(super) fn polled(&self, poll: &Poll) {
        let outcome = if poll.is_up() { "up" } else { "down" };
        self.polls.add(1, &self.with_outcome(outcome));
    }

    /// What counts requests in flight.
    pub(super) fn in_flight(&self) -> InFlight {
        InFlight(self.clone())
    }

    fn with_outcome(&self, outcome: &'static str) -> [KeyValue; 2] {
        let receiver = self
            .receiver
            .first()
            .map(|r| r.value.clone())
            .unwrap_or_else(|| "".into());
        [
            KeyValue::new(names::OUTCOME, outcome),
            KeyValue::new(names::RECEIVER, receiver),
        ]
    }
}

impl InFlight {
    /// A request begins.
    pub(super) fn enter(&self) -> Guard<'_> {
        self.0.in_flight.add(1, &self.0.receiver);
        Guard(&self.0)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.in_flight.add(-1, &self.0.receiver);
    }
}
