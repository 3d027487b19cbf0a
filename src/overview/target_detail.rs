//! One target with all that is known of it.

use std::{collections::BTreeMap, time::SystemTime};

use opentelemetry::KeyValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Failure, OverviewContext, TargetGlance, TargetRow,
    decision_row::{self, DecisionRow},
    target_row::{fine_seconds, seconds_between},
};
use crate::{
    definition::{Definition, InstrumentKind},
    pipeline::{
        Body, EndpointPoll, Number, Poll, PollOutcome, Reading, Readings, TargetStatus, TotalKey,
        TotalStart, Totals,
    },
    telemetry::target_metrics::MetricsLevel,
};

/// How many response times an endpoint shows.
const RESPONSE_TIMES: usize = 120;

/// One target with all that is known of it. Fields are added, never renamed or taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetDetail {
    /// What a row of a table shows.
    #[serde(flatten)]
    pub row: TargetRow,
    /// Its breakers, as far as they are the host's.
    pub host: Value,
    /// Its endpoints, in the order of the definition.
    pub endpoints: Vec<EndpointDetail>,
    /// What its kept answers say.
    pub metrics: Vec<MetricDetail>,
    /// What could not be read of them.
    pub problems: Vec<Problem>,
    /// The latest decisions about it, the latest one first.
    pub decisions: Vec<DecisionRow>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointDetail {
    /// Its name in the definition.
    pub name: String,
    /// Its path.
    pub path: String,
    /// How long ago its last body arrived.
    pub age_seconds: Option<f64>,
    /// Why the last poll brought none.
    pub last_error: Option<Failure>,
    /// Bytes of the kept answer, decompressed.
    pub body_bytes: Option<usize>,
    /// How long the latest answers took, oldest first.
    pub response_times_seconds: Vec<f64>,
    /// Breaker, timeout, suspicion; by instance where there are several.
    #[serde(flatten)]
    pub inner: BTreeMap<String, Value>,
}

/// A metric and its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricDetail {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Whether it is a running total, so that its growth is what people want to know.
    pub is_total: bool,
    /// The values, one a series.
    pub values: Vec<ValueDetail>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValueDetail {
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// It; null for what JSON has no number for.
    pub value: Value,
    /// Of a total: since when it counts, in RFC 3339. None if that is unknown.
    pub start_time: Option<String>,
    /// Of a total whose start is unknown: when it was first seen, in RFC 3339.
    pub first_seen: Option<String>,
    /// Of a total: its growth each second between the last two polls.
    pub per_second: Option<f64>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The metric that it concerns.
    pub metric: Option<String>,
    /// The kind of problem.
    pub reason: String,
    /// How often it was met in these answers.
    pub count: u64,
    /// What is the matter, with the nearest key where there is one.
    pub detail: String,
}

impl TargetDetail {
    pub(super) fn of(status: &TargetStatus, context: &OverviewContext, now: SystemTime) -> Self {
        let definition = &status.target.definition;
        let seen = TargetGlance::of(status, now);
        let positions = 0..definition.endpoints.len();
        let kept: Vec<_> = positions.map(|at| status.inner.kept(at)).collect();
        let bodies = kept
            .iter()
            .map(|kept| kept.as_ref().map(|(body, _)| body.clone()));
        let mut poll = poll_of(bodies, now);
        let readings = (context.mapping)(definition, &mut poll);
        let totals = context.board.totals().look(&status.target.name);
        let endpoints = definition
            .endpoints
            .iter()
            .zip(&status.endpoints)
            .enumerate();
        let endpoints = endpoints.map(|(at, (of, last))| EndpointDetail {
            name: of.id.to_string(),
            path: of.path.to_string(),
            age_seconds: last.last_success.map(|time| seconds_between(time, now)),
            last_error: last.last_error.as_ref().map(|e| Failure::of(&of.path, e)),
            body_bytes: kept
                .get(at)
                .and_then(|kept| Some(kept.as_ref()?.0.raw.len())),
            response_times_seconds: {
                let times = status.inner.response_times(at, RESPONSE_TIMES);
                times.into_iter().map(fine_seconds).collect()
            },
            inner: match status.inner.endpoint(at) {
                Value::Object(known) => known.into_iter().collect(),
                _ => BTreeMap::new(),
            },
        });
        Self {
            row: TargetRow::of(&seen, &context.board, now),
            host: status.inner.host(),
            endpoints: endpoints.collect(),
            metrics: metrics(definition, &readings, &totals),
            problems: problems(definition, &readings),
            decisions: decision_row::latest_first(&status.inner.decisions(), now),
        }
    }
}

/// Kept bodies as the mapping takes them; nothing of what it says leaves this process.
pub fn poll_of(bodies: impl Iterator<Item = Option<Body>>, now: SystemTime) -> Poll {
    let endpoints = bodies.map(|body| {
        EndpointPoll::new(match body {
            Some(body) => PollOutcome::Fresh(body),
            None => PollOutcome::Skipped,
        })
    });
    Poll {
        started: now,
        ended: now,
        counting_since: now,
        duration: Default::default(),
        missed_ticks: 0,
        endpoints: endpoints.collect(),
        level: MetricsLevel::default(),
        own: Vec::new(),
    }
}

/// The metrics that have a value, in the order of the definition. `totals` is known of totals beside
/// their values.
pub fn metrics(definition: &Definition, readings: &Readings, totals: &Totals) -> Vec<MetricDetail> {
    let metrics = definition.instruments.iter().enumerate();
    let shown = metrics.filter_map(|(index, metric)| {
        let values = readings.values.iter().filter(|r| r.instrument == index);
        let values: Vec<_> = values
            .map(|reading| value(&metric.name, reading, totals))
            .collect();
        (!values.is_empty()).then(|| MetricDetail {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            is_total: metric.kind == InstrumentKind::Counter,
            values,
        })
    });
    shown.collect()
}

/// What could not be read.
pub fn problems(definition: &Definition, readings: &Readings) -> Vec<Problem> {
    let shown = readings.problems.iter().map(|problem| Problem {
        metric: definition.subject(problem.instrument).map(str::to_owned),
        reason: problem.reason.name().to_owned(),
        count: problem.count,
        detail: problem.detail.to_string(),
    });
    shown.collect()
}

fn value(metric: &str, reading: &Reading, totals: &Totals) -> ValueDetail {
    let key = TotalKey {
        metric: metric.to_owned(),
        attributes: reading.attributes.clone(),
    };
    let total = totals.get(&key);
    let (start_time, first_seen) = match total.map(|total| total.start) {
        Some(TotalStart::At(time)) => (Some(rfc3339(time)), None),
        Some(TotalStart::Before(time)) => (None, Some(rfc3339(time))),
        None => (None, None),
    };
    ValueDetail {
        attributes: attributes(&reading.attributes),
        value: number(reading.value),
        start_time,
        first_seen,
        per_second: total.and_then(|total| total.per_second),
    }
}

/// A moment in RFC 3339, to the millisecond.
fn rfc3339(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    let time = time.round(jiff::Unit::Millisecond).unwrap_or(time);
    time.to_string()
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pairs = attributes.iter();
    pairs
        .map(|pair| (pair.key.to_string(), pair.value.to_string()))
        .collect()
}

/// Integers stay exact; what JSON has no number for is null.
fn number(value: Number) -> Value {
    match value {
        Number::Unsigned(value) => value.into(),
        Number::Negative(value) => value.into(),
        Number::Double(value) => value.into(),
    }
}
