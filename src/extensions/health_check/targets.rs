//! `/api/v1/targets`: which targets there are, and what one of them says now.

use std::sync::Arc;

use futures_util::future::join_all;
use http::StatusCode;
use opentelemetry::KeyValue;
use serde_json::{Map, Value, json};

use crate::{
    definition::Definition,
    http::{Request, Response},
    pipeline::{
        CacheStatus, CachedAnswer, EndpointPoll, Mapping, Number, Poll, PollFailure, PollOutcome,
        Readings, StatusBoard, TargetStatus,
    },
    runtime::{Clock, heavy},
};

/// Below it stands one path a target.
pub(super) const PATH: &str = "/api/v1/targets";

/// The targets of one page, unless `limit` says fewer.
const PAGE: usize = 100;

/// The most that `limit` may ask for.
const PAGE_MAX: usize = 1000;

/// What the answers are made of.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) board: Arc<StatusBoard>,
    pub(super) clock: Clock,
    pub(super) mapping: Mapping,
}

impl Api {
    /// The list, or one target.
    pub(super) async fn answer(self, request: Request) -> Response {
        let name = request.path.strip_prefix(PATH).unwrap_or_default();
        match decoded(name.trim_start_matches('/')).as_str() {
            "" => self.list(&request.query),
            name => match self.board.target(name) {
                Some(status) => json_response(&self.target(&status).await),
                None => refuse(
                    StatusCode::NOT_FOUND,
                    &format!("there is no target `{name}`"),
                ),
            },
        }
    }

    /// A page of targets in the order of their names. Asks nobody.
    fn list(&self, query: &str) -> Response {
        let (mut limit, mut after) = (PAGE, String::new());
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*key, value.parse()) {
                ("limit", Ok(asked @ 1..=PAGE_MAX)) => limit = asked,
                ("after", _) => after = value.into_owned(),
                ("limit", _) => {
                    let mistake = format!("limit: expected a number from 1 to {PAGE_MAX}");
                    return refuse(StatusCode::BAD_REQUEST, &mistake);
                }
                (unknown, _) => {
                    let mistake = format!("unknown parameter `{unknown}`; there is: after, limit");
                    return refuse(StatusCode::BAD_REQUEST, &mistake);
                }
            }
        }
        let page = self.board.page(&after, limit);
        let next = page.get(limit - 1).map(|status| &status.target.name);
        let targets: Vec<_> = page.iter().map(summary).collect();
        json_response(&json!({ "total": self.board.len(), "targets": targets, "next": next }))
    }

    /// What a target says now.
    async fn target(&self, status: &TargetStatus) -> Value {
        let definition = &status.target.definition;
        let indices = 0..definition.endpoints.len();
        let reads = join_all(indices.map(|index| status.inner.read(index))).await;
        let mut poll = self.as_poll(&reads);
        let is_large = poll.is_large();
        let mut map = || (self.mapping)(definition, &mut poll);
        let readings = match is_large {
            true => heavy::here(map).await,
            false => map(),
        };
        let served = definition.endpoints.iter().zip(&reads);
        let endpoints: Map<_, _> = served
            .map(|(of, read)| (of.id.to_string(), endpoint(&of.path, read)))
            .collect();
        let mut known = summary(status);
        if let Value::Object(known) = &mut known {
            let is_up = reads.iter().any(|read| {
                let served = read.served;
                served != CacheStatus::Stale && served != CacheStatus::Missing
            });
            known.insert("up".to_owned(), is_up.into());
            known.insert("labels".to_owned(), json!(status.target.labels));
            known.insert("endpoints".to_owned(), endpoints.into());
            known.insert("metrics".to_owned(), metrics(definition, &readings));
            known.insert("problems".to_owned(), problems(definition, &readings));
        }
        known
    }

    /// The answers as the mapping takes them.
    fn as_poll(&self, reads: &[CachedAnswer]) -> Poll {
        let now = self.clock.now();
        let endpoints = reads.iter().map(|read| {
            EndpointPoll::new(match &read.body {
                Some(body) => PollOutcome::Fresh(body.clone()),
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
            own: Vec::new(),
        }
    }
}

fn summary(status: &TargetStatus) -> Value {
    json!({
        "name": status.target.name,
        "receiver": status.target.receiver,
        "url": status.target.url,
        "definition": status.target.definition.name,
        "up": status.last_poll.map(|_| status.is_up()),
    })
}

fn endpoint(path: &str, read: &CachedAnswer) -> Value {
    let error = |failure: &PollFailure| json!({ "type": failure.error_type.name(), "message": failure.message });
    json!({
        "path": path,
        "outcome": read.served.name(),
        "age_seconds": read.age.map(|age| (age.as_secs_f64() * 1000.0).round() / 1000.0),
        "error": read.failure.as_ref().map(error),
    })
}

/// The metrics that have a value, in the order of the definition.
fn metrics(definition: &Definition, readings: &Readings) -> Value {
    let metrics = definition.instruments.iter().enumerate();
    let shown = metrics.filter_map(|(index, metric)| {
        let values = readings.values.iter().filter(|r| r.instrument == index);
        let values: Vec<_> = values
            .map(|r| json!({ "attributes": attributes(&r.attributes), "value": number(r.value) }))
            .collect();
        let shown = json!({ "name": metric.name, "unit": metric.unit, "values": values });
        (!values.is_empty()).then_some(shown)
    });
    shown.collect()
}

fn problems(definition: &Definition, readings: &Readings) -> Value {
    let shown = readings.problems.iter().map(|problem| {
        json!({
            "metric": definition.subject(problem.instrument),
            "reason": problem.reason.name(),
            "count": problem.count,
            "detail": problem.detail,
        })
    });
    shown.collect()
}

fn attributes(attributes: &[KeyValue]) -> Map<String, Value> {
    let pairs = attributes.iter();
    pairs
        .map(|pair| (pair.key.to_string(), pair.value.to_string().into()))
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

/// A piece of a path without its percent signs.
fn decoded(piece: &str) -> String {
    let query = piece
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .next()
        .map(|(key, _)| key.into_owned())
        .unwrap_or_default()
}

fn json_response(value: &Value) -> Response {
    Response::new("application/json", format!("{value:#}\n"))
}

fn refuse(status: StatusCode, message: &str) -> Response {
    json_response(&json!({ "error": message })).with_status(status)
}
