//! The receiver's own metrics.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{
        BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Histogram, UpDownCounter,
    },
};

use crate::{
    definition::{EndpointLabels, Method},
    discovery::ShownShard,
    pipeline::{EndpointPoll, ErrorType, PollOutcome},
    resilience::receiver_resilience::ReceiverResilience,
    telemetry::{Meter, names},
};

/// The receiver's own instruments.
#[derive(Debug)]
pub(crate) struct ReceiverTelemetry {
    receiver: Arc<[KeyValue]>,
    /// Polls that gave anything, and polls that gave nothing.
    polls: [BoundCounter<u64>; 2],
    in_flight: BoundUpDownCounter<i64>,
    requests: Histogram<f64>,
    poll_duration: Histogram<f64>,
    poll_attempts: Histogram<f64>,
    retry_delay: Histogram<f64>,
    body_size: Histogram<f64>,
    repaired: Counter<u64>,
    served_stale: Histogram<f64>,
    start_delay: SeriesOfHistogram,
    targets: UpDownCounter<i64>,
    refused: Counter<u64>,
    panics: Counter<u64>,
    probed_suspects: Counter<u64>,
    dropped_polls: AtomicU64,
    endpoints: Mutex<Vec<Weak<EndpointTelemetry>>>,
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
        let named = KeyValue::new(names::RECEIVER, receiver.to_owned());
        let receiver_only = std::slice::from_ref(&named);
        let polls = names::POLLS.counter(meter);
        let polls = ["up", "down"].map(|outcome| {
            let outcome = KeyValue::new(names::OUTCOME, outcome);
            polls.bind(&[outcome, named.clone()])
        });
        let in_flight = names::REQUESTS_IN_FLIGHT.up_down_counter(meter);
        let start_delay = names::POLL_START_DELAY.histogram(meter);
        let new = Self {
            polls,
            in_flight: in_flight.bind(receiver_only),
            start_delay: SeriesOfHistogram::new(&start_delay, receiver_only),
            endpoints: Mutex::default(),
            receiver: Arc::new([named]),
            targets: names::TARGETS.up_down_counter(meter),
            refused: names::TARGETS_REFUSED.counter(meter),
            panics: names::POLL_PANICS.counter(meter),
            probed_suspects: names::PROBED_SUSPECTS.counter(meter),
            dropped_polls: AtomicU64::new(0),
            shard: ShownShard::new(receiver, meter),
            requests: names::REQUEST_DURATION.histogram(meter),
            poll_duration: names::POLL_DURATION.histogram(meter),
            poll_attempts: names::POLL_ATTEMPTS.histogram(meter),
            retry_delay: names::POLL_RETRY_DELAY.histogram(meter),
            body_size: names::RESPONSE_BODY_SIZE.histogram(meter),
            repaired: names::RESPONSE_REPAIRED.counter(meter),
            served_stale: names::SERVED_STALE_AGE.histogram(meter),
        };
        new.polls.iter().for_each(|polls| polls.add(0));
        for refusal in [TargetRefusal::Duplicate, TargetRefusal::Invalid] {
            new.refused.add(0, &new.with(names::REASON, refusal.name()));
        }
        new.in_flight.add(0);
        new.panics.add(0, &new.receiver);
        new
    }

    /// The metrics of an endpoint that is asked with this method.
    pub(crate) fn endpoint(
        &self,
        method: Method,
        labels: &EndpointLabels,
    ) -> Arc<EndpointTelemetry> {
        // The list is consistent at every moment, so a panic elsewhere does no damage.
        let mut all = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut known = all.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.find(|known| known.is_of(method, labels)) {
            return known;
        }
        let new = Arc::new(EndpointTelemetry::new(self, method, labels));
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&new));
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
        let [up, down] = &self.polls;
        let polls = if is_up { up } else { down };
        polls.add(1);
    }

    /// Counts a request in flight.
    pub(crate) fn request(&self) -> InFlightRequest<'_> {
        self.in_flight.add(1);
        InFlightRequest(self)
    }

    /// Records how long after its due time a poll began.
    pub(crate) fn started(&self, late: Duration) {
        self.start_delay.record(late.as_secs_f64());
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

/// One series of a histogram. The SDK finds a series by its attributes each time, which takes ten
/// times as long as to record a value. It is there from its first value on.
#[derive(Debug)]
struct SeriesOfHistogram {
    histogram: Histogram<f64>,
    attributes: Box<[KeyValue]>,
    series: OnceLock<BoundHistogram<f64>>,
}

impl SeriesOfHistogram {
    fn new(histogram: &Histogram<f64>, attributes: &[KeyValue]) -> Self {
        Self {
            histogram: histogram.clone(),
            attributes: attributes.into(),
            series: OnceLock::new(),
        }
    }

    fn record(&self, value: f64) {
        let bind = || self.histogram.bind(&self.attributes);
        self.series.get_or_init(bind).record(value);
    }
}

/// The receiver's own metrics of one endpoint, which all targets with it share.
#[derive(Debug)]
pub(crate) struct EndpointTelemetry {
    method: Method,
    labels: EndpointLabels,
    /// Those of requests without an error.
    requests: SeriesOfHistogram,
    /// Those of polls that gave a new body.
    fresh: PollSeries,
    body_size: SeriesOfHistogram,
    repaired: OnceLock<BoundCounter<u64>>,
}

/// Duration and attempts of polls with one outcome.
#[derive(Debug)]
struct PollSeries {
    duration: SeriesOfHistogram,
    attempts: SeriesOfHistogram,
}

/// The outcome of a poll that gave a new body.
const FRESH: &str = "fresh";

impl EndpointTelemetry {
    fn new(of: &ReceiverTelemetry, method: Method, labels: &EndpointLabels) -> Self {
        let [id, path] = labels.attributes();
        let asked = KeyValue::new(names::HTTP_REQUEST_METHOD, method.name());
        Self {
            method,
            requests: SeriesOfHistogram::new(&of.requests, &[asked, id, path]),
            fresh: PollSeries::new(of, labels, FRESH),
            body_size: SeriesOfHistogram::new(&of.body_size, &labels.attributes()),
            repaired: OnceLock::new(),
            labels: labels.clone(),
        }
    }

    fn is_of(&self, method: Method, labels: &EndpointLabels) -> bool {
        self.method == method && self.labels == *labels
    }

    /// Records an attempt that has ended.
    pub(crate) fn requested(
        &self,
        of: &ReceiverTelemetry,
        took: Duration,
        error_type: Option<ErrorType>,
    ) {
        let took = took.as_secs_f64();
        let Some(kind) = error_type else {
            self.requests.record(took);
            return;
        };
        let method = KeyValue::new(names::HTTP_REQUEST_METHOD, self.method.name());
        let [id, path] = self.labels.attributes();
        let kind = KeyValue::new(names::ERROR_TYPE, kind.name());
        of.requests.record(took, &[method, id, path, kind]);
    }

    /// Records the result of one poll.
    pub(crate) fn polled(&self, of: &ReceiverTelemetry, polled: &EndpointPoll) {
        let Some(outcome) = polled.outcome_name() else {
            return;
        };
        match outcome {
            FRESH => self.fresh.record(polled),
            outcome => PollSeries::new(of, &self.labels, outcome).record(polled),
        }
        if !polled.retry_delay.is_zero() {
            of.retry_delay
                .record(polled.retry_delay.as_secs_f64(), &self.labels.attributes());
        }
        if let PollOutcome::Fresh(body) = &polled.outcome {
            self.body_size.record(body.size as f64);
            let bind = || of.repaired.bind(&self.labels.attributes());
            self.repaired.get_or_init(bind).add(body.repaired);
        }
        if let Some(age) = polled.stale_age {
            of.served_stale
                .record(age.as_secs_f64(), &self.labels.attributes());
        }
    }
}

impl PollSeries {
    fn new(of: &ReceiverTelemetry, labels: &EndpointLabels, outcome: &'static str) -> Self {
        let [id, path] = labels.attributes();
        let attributes = [KeyValue::new(names::OUTCOME, outcome), id, path];
        Self {
            duration: SeriesOfHistogram::new(&of.poll_duration, &attributes),
            attempts: SeriesOfHistogram::new(&of.poll_attempts, &attributes),
        }
    }

    fn record(&self, polled: &EndpointPoll) {
        self.duration.record(polled.duration.as_secs_f64());
        if polled.attempts > 0 {
            self.attempts.record(f64::from(polled.attempts));
        }
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
        self.0.in_flight.add(-1);
    }
}
