//! What the collector says of a target, beside the target's own data.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry::KeyValue;

use crate::{
    definition::{Instrument, InstrumentKind, ValueType},
    pipeline::{ErrorType, Number, Outcome, Poll, Reading, Readings, Reason, Target},
    runtime::clock::since_epoch,
    telemetry::names::{self, Kind, Metric},
};

/// Name of the instrumentation scope of what the collector itself says.
pub const SCOPE: &str = "betanet-collector";

/// Classes of failure other than a status, and some statuses: what one endpoint's results can be.
const RESULTS_MAX: usize = 40;

/// The running totals of what is said of one target.
#[derive(Debug)]
pub(super) struct OwnMetrics {
    target: Arc<Target>,
    /// Index of the first own instrument: they follow the definition's.
    first: usize,
    results: BTreeMap<(usize, Option<ErrorType>), u64>,
    last_success: Vec<Option<f64>>,
    problems: BTreeMap<(usize, Reason), u64>,
}

impl OwnMetrics {
    pub(super) fn new(target: &Arc<Target>) -> Self {
        let endpoints = target.definition.endpoints.len();
        Self {
            target: Arc::clone(target),
            first: target.definition.instruments.len(),
            // From zero: Prometheus sees no increase in a series that begins with 1.
            results: (0..endpoints)
                .map(|endpoint| ((endpoint, None), 0))
                .collect(),
            last_success: vec![None; endpoints],
            problems: BTreeMap::new(),
        }
    }

    /// The instruments, in the order of [`names::TARGET`].
    pub(super) fn instruments(target: &Target) -> Vec<Arc<Instrument>> {
        names::TARGET
            .iter()
            .map(|metric| Arc::new(instrument(metric, target)))
            .collect()
    }

    /// Notes what a poll gave.
    pub(super) fn observe(&mut self, poll: &Poll, readings: &Readings) {
        for (index, polled) in poll.endpoints.iter().enumerate() {
            let error_type = polled.failure().map(|failure| failure.error_type);
            *self.results.entry((index, error_type)).or_default() += 1;
            if let (Outcome::Fresh(body), Some(last)) =
                (&polled.outcome, self.last_success.get_mut(index))
            {
                *last = Some(since_epoch(body.received).as_secs_f64());
            }
        }
        for problem in &readings.problems {
            *self
                .problems
                .entry((problem.instrument, problem.reason))
                .or_default() += problem.count;
        }
    }

    /// The values of all own instruments after `poll`.
    pub(super) fn readings(&self, poll: &Poll, samples: usize, resets: (u64, u64)) -> Vec<Reading> {
        let body_size: usize = poll
            .endpoints
            .iter()
            .filter_map(|e| e.body())
            .map(|body| body.raw.len())
            .sum();
        let mut all = vec![
            self.single(&names::UP, flag(poll.is_up())),
            self.single(
                &names::SCRAPE_DURATION,
                Number::Double(poll.duration.as_secs_f64()),
            ),
            self.single(&names::SCRAPE_BODY_SIZE, Number::Unsigned(body_size as u64)),
            self.single(&names::SCRAPE_SAMPLES, Number::Unsigned(samples as u64)),
            self.single(&names::MISSED_TICKS, Number::Unsigned(poll.missed_ticks)),
            self.single(&names::COUNTER_RESETS, Number::Unsigned(resets.0)),
            self.single(&names::EPOCHS_EXHAUSTED, Number::Unsigned(resets.1)),
        ];
        for (endpoint, polled) in poll.endpoints.iter().enumerate() {
            let attributes = vec![self.url_template(endpoint)];
            let up = flag(polled.body().is_some());
            all.push(self.reading(&names::SOURCE_UP, attributes.clone(), up));
            if let Some(time) = self.last_success.get(endpoint).copied().flatten() {
                all.push(self.reading(&names::LAST_SUCCESS, attributes, Number::Double(time)));
            }
        }
        all.extend(self.results());
        all.extend(self.problems());
        all
    }

    fn results(&self) -> impl Iterator<Item = Reading> {
        self.results.iter().map(|((endpoint, error_type), count)| {
            let outcome = if error_type.is_some() {
                "missing"
            } else {
                "fresh"
            };
            let error_type = error_type.map(|kind| KeyValue::new(names::ERROR_TYPE, kind.name()));
            let mut attributes: Vec<_> = error_type.into_iter().collect();
            attributes.push(KeyValue::new(names::OUTCOME, outcome));
            attributes.push(self.url_template(*endpoint));
            self.reading(&names::POLL_RESULTS, attributes, Number::Unsigned(*count))
        })
    }

    fn problems(&self) -> impl Iterator<Item = Reading> {
        self.problems.iter().filter_map(|((index, reason), count)| {
            let metric = self.target.definition.instruments.get(*index)?.name.clone();
            let attributes = vec![
                KeyValue::new(names::METRIC, metric),
                KeyValue::new(names::REASON, reason.name()),
            ];
            Some(self.reading(
                &names::MAPPING_PROBLEMS,
                attributes,
                Number::Unsigned(*count),
            ))
        })
    }

    fn url_template(&self, endpoint: usize) -> KeyValue {
        let path = self
            .target
            .definition
            .endpoints
            .get(endpoint)
            .map(|e| e.path.clone());
        KeyValue::new(names::URL_TEMPLATE, path.unwrap_or_default())
    }

    fn single(&self, metric: &Metric, value: Number) -> Reading {
        self.reading(metric, Vec::new(), value)
    }

    fn reading(&self, metric: &Metric, attributes: Vec<KeyValue>, value: Number) -> Reading {
        let position = names::TARGET
            .iter()
            .position(|known| known.name == metric.name);
        Reading {
            instrument: self.first + position.unwrap_or_default(),
            attributes,
            value,
        }
    }
}

fn flag(is: bool) -> Number {
    Number::Unsigned(u64::from(is))
}

fn instrument(metric: &Metric, target: &Target) -> Instrument {
    let endpoints = target.definition.endpoints.len();
    let max_series = match metric.attributes {
        [] => 1,
        [names::URL_TEMPLATE] => endpoints,
        [names::METRIC, ..] => target.definition.instruments.len() * Reason::ALL.len(),
        _ => endpoints * RESULTS_MAX,
    };
    Instrument {
        name: metric.name.to_owned(),
        description: metric.description.to_owned(),
        unit: metric.unit.to_owned(),
        kind: match metric.kind {
            Kind::Counter => InstrumentKind::Counter,
            Kind::UpDownCounter => InstrumentKind::UpDownCounter,
            Kind::Gauge => InstrumentKind::Gauge,
        },
        value_type: ValueType::Auto,
        buckets: Vec::new(),
        max_series,
        scope: SCOPE.into(),
    }
}
