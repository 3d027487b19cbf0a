//! The receiver's own metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, UpDownCounter},
};

use crate::{
    definition::{EndpointLabels, Method},
    discovery::ShownShard,
    pipeline::{EndpointPoll, ErrorType, PollOutcome},
    resilience::receiver_resilience::ReceiverResilience,
    telemetry::{Meter, names},
};

/// The receiver's own instruments.
#[derive(Debug, Clone)]
pub(crate) struct ReceiverTelemetry {
    receiver: Arc<[KeyValue]>,
    polls: Counter<u64>,
    in_flight: UpDownCounter<i64>,
    requests: Histogram<f64>,
    poll_duration: Histogram<f64>,
    poll_attempts: Histogram<f64>,
    retry_delay: Histogram<f64>,
    body_size: Histogram<f64>,
    repaired: Counter<u64>,
    served_stale: Histogram<f64>,
    start_delay: Histogram<f64>,
    targets: UpDownCounter<i64>,
    refused: Counter<u64>,
    panics: Counter<u64>,
    probed_suspects: Counter<u64>,
    dropped_polls: Arc<AtomicU64>,
    /// The shard of the receiver.
    pub(crate) shard: ShownShard,
}

/// Why a configured or discovered target is not polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetRefusal {
    /// Another target has the same name.
    Duplicate,
    /// No request can be sent to it.
    Invalid,
}

/// A poll in progress.
#[derive(Debug)]
pub(crate) struct PollUnderWay<'a>(Option<&'a AtomicU64>);

impl PollUnderWay<'_> {
    /// The poll has ended.
    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for PollUnderWay<'_> {
    fn drop(&mut self) {
        if let Some(dropped) = self.0 {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A request in flight. Dropping it ends the request.
#[derive(Debug)]
pub(crate) struct InFlightRequest<'a>(&'a ReceiverTelemetry);

impl ReceiverTelemetry {
    pub(crate) fn new(meter: &Meter, receiver: &str) -> Self {
        let new = Self {
            receiver: Arc::new([KeyValue::new(names::RECEIVER, receiver.to_owned())]),
            polls: names::POLLS.counter(meter),
            in_flight: names::REQUESTS_IN_FLIGHT.up_down_counter(meter),
            targets: names::TARGETS.up_down_counter(meter),
            refused: names::TARGETS_REFUSED.counter(meter),
            panics: names::POLL_PANICS.counter(meter),
            probed_suspects: names::PROBED_SUSPECTS.counter(meter),
            dropped_polls: Arc::default(),
            shard: ShownShard::new(receiver, meter),
            requests: names::REQUEST_DURATION.histogram(meter),
            poll_duration: names::POLL_DURATION.histogram(meter),
            poll_attempts: names::POLL_ATTEMPTS.histogram(meter),
            retry_delay: names::POLL_RETRY_DELAY.histogram(meter),
            body_size: names::RESPONSE_BODY_SIZE.histogram(meter),
            repaired: names::RESPONSE_REPAIRED.counter(meter),
            served_stale: names::SERVED_STALE_AGE.histogram(meter),
            start_delay: names::POLL_START_DELAY.histogram(meter),
        };
        for outcome in ["up", "down"] {
            new.polls.add(0, &new.with_outcome(outcome));
        }
        for refusal in [TargetRefusal::Duplicate, TargetRefusal::Invalid] {
            new.refused.add(0, &new.with(names::REASON, refusal.name()));
        }
        new.in_flight.add(0, &new.receiver);
        new.panics.add(0, &new.receiver);
        new
    }

    /// Counts what became of the knowledge that a host hangs since a probe.
    pub(super) fn probed_suspect(&self, result: &'static str) {
        self.probed_suspects
            .add(1, &self.with(names::RESULT, result));
    }

    /// Registers the metric of the remaining retries, as long as the fleet exists.
    pub(crate) fn observe_budget(&self, meter: &Meter, fleet: &Arc<ReceiverResilience>) {
        let receiver = Arc::clone(&self.receiver);
        names::RETRY_BUDGET.observe(meter, fleet, move |fleet, observer| {
            observer.observe(fleet.retries_available(), &receiver);
        });
    }

    /// Counts a target that was added or removed.
    pub(crate) fn targets(&self, change: i64) {
        self.targets.add(change, &self.receiver);
    }

    /// Counts a target that is not polled.
    pub(crate) fn refused(&self, refusal: TargetRefusal) {
        self.refused
            .add(1, &self.with(names::REASON, refusal.name()));
    }

    /// Counts a panic in the task of a target.
    pub(crate) fn panicked(&self) {
        self.panics.add(1, &self.receiver);
    }

    /// A poll begins. If its end is not recorded, it was dropped in progress, and is counted.
    pub(crate) fn poll(&self) -> PollUnderWay<'_> {
        PollUnderWay(Some(&self.dropped_polls))
    }

    /// The number of polls that were dropped in progress.
    pub(crate) fn dropped_polls(&self) -> u64 {
        self.dropped_polls.load(Ordering::Relaxed)
    }

    /// Records a poll that has ended.
    pub(crate) fn polled(&self, is_up: bool) {
        let outcome = if is_up { "up" } else { "down" };
        self.polls.add(1, &self.with_outcome(outcome));
    }

    /// Counts a request in flight.
    pub(crate) fn request(&self) -> InFlightRequest<'_> {
        self.in_flight.add(1, &self.receiver);
        InFlightRequest(self)
    }

    /// Records an attempt that has ended.
    pub(crate) fn requested(
        &self,
        (method, endpoint): (Method, &EndpointLabels),
        took: Duration,
        error_type: Option<ErrorType>,
    ) {
        let method = KeyValue::new(names::HTTP_REQUEST_METHOD, method.name());
        let ([id, path], took) = (endpoint.attributes(), took.as_secs_f64());
        match error_type {
            None => self.requests.record(took, &[method, id, path]),
            Some(kind) => {
                let kind = KeyValue::new(names::ERROR_TYPE, kind.name());
                self.requests.record(took, &[method, id, path, kind]);
            }
        }
    }

    /// Records the result of one endpoint of a poll.
    pub(crate) fn endpoint_polled(&self, endpoint: &EndpointLabels, polled: &EndpointPoll) {
        let Some(outcome) = polled.outcome_name() else {
            return;
        };
        let of = endpoint.attributes();
        let [id, path] = of.clone();
        let attributes = [KeyValue::new(names::OUTCOME, outcome), id, path];
        self.poll_duration
            .record(polled.duration.as_secs_f64(), &attributes);
        if polled.attempts > 0 {
            self.poll_attempts
                .record(f64::from(polled.attempts), &attributes);
        }
        if !polled.retry_delay.is_zero() {
            self.retry_delay
                .record(polled.retry_delay.as_secs_f64(), &of);
        }
        if let PollOutcome::Fresh(body) = &polled.outcome {
            self.body_size.record(body.size as f64, &of);
            self.repaired.add(body.repaired, &of);
        }
        if let Some(age) = polled.stale_age {
            self.served_stale.record(age.as_secs_f64(), &of);
        }
    }

    /// Records how long after its due time a poll began.
    pub(crate) fn started(&self, late: Duration) {
        self.start_delay.record(late.as_secs_f64(), &self.receiver);
    }

    fn with_outcome(&self, outcome: &'static str) -> [KeyValue; 2] {
        self.with(names::OUTCOME, outcome)
    }

    fn with(&self, key: &'static str, value: &'static str) -> [KeyValue; 2] {
        let receiver = self
            .receiver
            .first()
            .map(|r| r.value.clone())
            .unwrap_or_else(|| "".into());
        [
            KeyValue::new(key, value),
            KeyValue::new(names::RECEIVER, receiver),
        ]
    }
}

impl TargetRefusal {
    fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Invalid => "invalid",
        }
    }
}

impl Drop for InFlightRequest<'_> {
    fn drop(&mut self) {
        self.0.in_flight.add(-1, &self.0.receiver);
    }
}
