//! The report metrics: the collector's own metrics about a target.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use opentelemetry::KeyValue;

use super::starts::ResetCounts;
use crate::{
    definition::{Instrument, InstrumentKind, ValueType},
    pipeline::{
        Counts, EndpointPoll, ErrorType, Exemplar, Number, Poll, ProblemReason, Reading, Readings,
        Schema, Target,
    },
    runtime::clock::since_epoch,
    telemetry::{
        Trace,
        names::{self, MetricKind},
        target_metrics::{MetricsLevel, PROBLEM_REASONS, TargetMetric, TargetSize},
    },
};

/// The instrumentation scope of the report metrics.
pub const SCOPE: &str = "betanet-collector";

const _: () = assert!(
    ProblemReason::ALL.len() == PROBLEM_REASONS,
    "the table of report metrics knows the number of reasons"
);

/// The totals in the report metrics of one target.
#[derive(Debug)]
pub struct ReportMetrics {
    target: Arc<Target>,
    /// Index of the first report metric: they follow the metrics of the definition.
    first: usize,
    results: Counts<ReportedOutcome>,
    /// The last traced event of each total.
    traced: BTreeMap<ReportedOutcome, (Trace, SystemTime)>,
    up: Vec<bool>,
    last_success: Vec<Option<f64>>,
    problems: BTreeMap<(usize, ProblemReason), u64>,
    round: ReportRound,
    /// The level of the last poll.
    level: MetricsLevel,
}

/// Endpoint, outcome, and the class of its failure.
type ReportedOutcome = (usize, &'static str, Option<ErrorType>);

/// The name of the metric that counts the results of polls.
fn results_name(target: &Target) -> Arc<str> {
    TargetMetric::PollResults
        .name(target.report_prefix())
        .into()
}

/// Duration and results of the last poll that requested anything.
#[derive(Debug, Default)]
struct ReportRound {
    duration_seconds: f64,
    body_bytes: u64,
    samples: u64,
}

impl ReportMetrics {
    /// Creates the report metrics of `target`, without history.
    pub fn new(target: &Arc<Target>) -> Self {
        let endpoints = target.definition.endpoints.len();
        Self {
            target: Arc::clone(target),
            first: target.definition.instruments.len(),
            // Totals start from zero: Prometheus sees no increase in a series that starts with 1.
            results: (0..endpoints)
                .map(|endpoint| ((endpoint, "fresh", None), 0))
                .collect(),
            traced: BTreeMap::new(),
            up: vec![false; endpoints],
            last_success: vec![None; endpoints],
            problems: BTreeMap::new(),
            round: ReportRound::default(),
            level: MetricsLevel::default(),
        }
    }

    /// Goes on with another description of the target. What is known of endpoints and instruments
    /// that both definitions have is kept.
    pub fn apply(&mut self, target: &Arc<Target>) {
        if Arc::ptr_eq(&self.target.definition, &target.definition) {
            self.target = Arc::clone(target);
            return;
        }
        let old = std::mem::replace(self, Self::new(target));
        let (now, before) = (&target.definition, &old.target.definition);
        let endpoint = |at: usize| now.endpoint(before.endpoints.get(at)?.id.as_str());
        let instrument = |at: usize| {
            let name = before.subject(at)?;
            let mut all = 0..now.subjects();
            all.find(|index| now.subject(*index) == Some(name))
        };
        for ((at, outcome, error_type), count) in old.results {
            if let Some(at) = endpoint(at) {
                self.results.add((at, outcome, error_type), count);
            }
        }
        for ((at, reason), count) in old.problems {
            if let Some(at) = instrument(at) {
                self.problems.insert((at, reason), count);
            }
        }
        for (at, (up, last)) in old.up.into_iter().zip(old.last_success).enumerate() {
            if let Some(at) = endpoint(at) {
                self.up[at] = up;
                self.last_success[at] = last;
            }
        }
        self.round = old.round;
    }

    /// The schema of a target and of those like it: the instruments of the definition, then the
    /// report metrics in the order of [`TargetMetric::ALL`]. It depends on the definition, the number
    /// of instances and the beginning of the names.
    pub fn schema(target: &Target) -> Schema {
        let (definition, prefix) = (&target.definition, target.report_prefix());
        let size = TargetSize {
            endpoints: definition.endpoints.len(),
            instances: target.replicas.unwrap_or(1),
            metrics: definition.subjects(),
        };
        let own = TargetMetric::ALL
            .iter()
            .map(|metric| Arc::new(instrument(*metric, prefix, size)));
        definition.instruments.iter().cloned().chain(own).collect()
    }

    /// Records the results of a poll.
    pub fn observe(&mut self, poll: &Poll, readings: &Readings) {
        self.level = poll.level;
        poll.note_up(&mut self.up);
        if poll.is_round() {
            let bodies = poll.endpoints.iter().filter_map(EndpointPoll::body);
            self.round = ReportRound {
                duration_seconds: poll.duration.as_secs_f64(),
                body_bytes: bodies.map(|body| body.size as u64).sum(),
                samples: readings.values.len() as u64,
            };
        }
        for (index, polled) in poll.endpoints.iter().enumerate() {
            let Some(outcome) = polled.outcome_name() else {
                continue;
            };
            let result = (index, outcome, polled.error_type());
            self.results.add(result, 1);
            if let Some(trace) = polled.trace {
                self.traced.insert(result, (trace, poll.time()));
            }
            if let (Some(body), Some(last)) = (polled.body(), self.last_success.get_mut(index)) {
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

    /// The values of the report metrics after `poll`, as far as its level has them. `resets` is
    /// known when its bodies have been added to the instruments.
    pub fn readings(&self, poll: &Poll, resets: ResetCounts) -> Vec<Reading> {
        use TargetMetric as Metric;
        let round = &self.round;
        let single = [
            (Metric::Up, flag(self.up.contains(&true))),
            (
                Metric::ScrapeDuration,
                Number::Double(round.duration_seconds),
            ),
            (Metric::ScrapeBodySize, Number::Unsigned(round.body_bytes)),
            (Metric::ScrapeSamples, Number::Unsigned(round.samples)),
            (Metric::MissedTicks, Number::Unsigned(poll.missed_ticks)),
            (Metric::CounterResets, Number::Unsigned(resets.seen)),
        ];
        let single = single
            .into_iter()
            .filter(|(metric, _)| self.level.has(*metric, false));
        let mut all: Vec<_> = single
            .map(|(metric, value)| self.reading(metric, Vec::new(), value))
            .collect();
        for (endpoint, up) in self.up.iter().enumerate() {
            let attributes = self.labels(endpoint);
            all.push(self.reading(Metric::SourceUp, attributes.clone(), flag(*up)));
            if let Some(time) = self.last_success.get(endpoint).copied().flatten() {
                let time = Number::Double(time);
                all.push(self.reading(Metric::LastSuccess, attributes, time));
            }
        }
        all.extend(self.results());
        all.extend(self.problems());
        let of_receiver = poll.own.iter().cloned();
        all.extend(of_receiver.map(|own| self.reading(own.metric, own.attributes, own.value)));
        all
    }

    /// What it is about.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The exemplars of the totals.
    pub fn exemplars(&self) -> Vec<Exemplar> {
        if self.traced.is_empty() {
            return Vec::new();
        }
        let metric = results_name(&self.target);
        let traced = self.traced.iter();
        let traced = traced.filter(|(result, _)| self.has_result(result));
        let exemplars = traced.map(|(result, (trace, time))| Exemplar {
            metric: Arc::clone(&metric),
            attributes: self.attributes(result),
            trace: *trace,
            time: *time,
        });
        exemplars.collect()
    }

    fn results(&self) -> impl Iterator<Item = Reading> {
        let results = self.results.iter();
        let results = results.filter(|(result, _)| self.has_result(result));
        results.map(|(result, count)| {
            let count = Number::Unsigned(count);
            self.reading(TargetMetric::PollResults, self.attributes(result), count)
        })
    }

    /// Whether the level has the series of a result. A poll without an answer is a problem.
    fn has_result(&self, (_, outcome, _): &ReportedOutcome) -> bool {
        let is_problem = ["stale", "missing"].contains(outcome);
        self.level.has(TargetMetric::PollResults, is_problem)
    }

    fn attributes(&self, (endpoint, outcome, error_type): &ReportedOutcome) -> Vec<KeyValue> {
        let error_type = error_type.map(|kind| KeyValue::new(names::ERROR_TYPE, kind.name()));
        let outcome = KeyValue::new(names::OUTCOME, *outcome);
        let mut attributes = self.labels(*endpoint);
        attributes.extend(error_type.into_iter().chain([outcome]));
        attributes.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        attributes
    }

    fn problems(&self) -> impl Iterator<Item = Reading> {
        self.problems.iter().filter_map(|((index, reason), count)| {
            let metric = self.target.definition.subject(*index)?.to_owned();
            let attributes = vec![
                KeyValue::new(names::METRIC, metric),
                KeyValue::new(names::REASON, reason.name()),
            ];
            let count = Number::Unsigned(*count);
            Some(self.reading(TargetMetric::MappingProblems, attributes, count))
        })
    }

    fn labels(&self, endpoint: usize) -> Vec<KeyValue> {
        let endpoint = self.target.definition.endpoints.get(endpoint);
        let labels = endpoint.map(|endpoint| endpoint.labels().attributes().to_vec());
        labels.unwrap_or_default()
    }

    fn reading(&self, metric: TargetMetric, attributes: Vec<KeyValue>, value: Number) -> Reading {
        Reading {
            instrument: self.first + metric as usize,
            attributes,
            value,
            time: None,
            histogram: None,
        }
    }
}

fn flag(is: bool) -> Number {
    Number::Unsigned(u64::from(is))
}

fn instrument(metric: TargetMetric, prefix: &str, size: TargetSize) -> Instrument {
    let about = &metric.row().metric;
    Instrument {
        name: metric.name(prefix),
        description: about.description.to_owned(),
        unit: about.unit.to_owned(),
        kind: match about.kind {
            MetricKind::Histogram(_) => InstrumentKind::Histogram,
            MetricKind::Counter => InstrumentKind::Counter,
            MetricKind::UpDownCounter => InstrumentKind::UpDownCounter,
            MetricKind::Gauge => InstrumentKind::Gauge,
        },
        value_type: ValueType::Auto,
        buckets: Vec::new(),
        max_series: metric.max_series(size),
        scope: SCOPE.into(),
        delta: None,
    }
}
