//! A target as a row of a table.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{TargetGlance, TargetState};
use crate::pipeline::{PollFailure, StatusBoard};

/// How many response times a row shows.
const RESPONSE_TIMES: usize = 40;

/// A target as a row of a table. Fields are added, never renamed or taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetRow {
    /// Its name.
    pub name: String,
    /// The receiver that polls it.
    pub receiver: String,
    /// Its base URL.
    pub url: String,
    /// The definition it is read with.
    pub definition: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether the last poll gave at least one body; none before the first.
    pub up: Option<bool>,
    /// How it is.
    pub state: TargetState,
    /// Why it is not fresh.
    pub cause: Option<Failure>,
    /// How long its breaker has been open or half-open.
    pub breaker_for_seconds: Option<f64>,
    /// Until the next trial request, where a breaker is open.
    pub retry_in_seconds: Option<f64>,
    /// Whether most targets of its receiver fail at once, so that the fault is more likely here.
    pub fault_may_be_local: bool,
    /// The age of its oldest endpoint's data.
    pub age_seconds: Option<f64>,
    /// How long ago the last poll began.
    pub last_poll_seconds_ago: Option<f64>,
    /// Until the next poll.
    pub next_poll_in_seconds: Option<f64>,
    /// How long the last poll took.
    pub last_poll_duration_seconds: f64,
    /// How long the latest answers of the first endpoint took, oldest first.
    pub response_times_seconds: Vec<f64>,
}

/// Why an endpoint gave no body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The path of the endpoint.
    pub endpoint: String,
    /// The class, as in `error.type`.
    #[serde(rename = "type")]
    pub error_type: String,
    /// The whole message.
    pub message: String,
}

impl Failure {
    /// Of an endpoint at this path.
    pub(super) fn of(path: &str, failure: &PollFailure) -> Self {
        Self {
            endpoint: path.to_owned(),
            error_type: failure.error_type.name().into_owned(),
            message: failure.message.clone().into_owned(),
        }
    }
}

impl TargetRow {
    /// The row of a target at `now`.
    pub(super) fn of(seen: &TargetGlance, board: &StatusBoard, now: SystemTime) -> Self {
        let target = &seen.target;
        let status = board.target(&target.name);
        let times = status.map_or_else(Vec::new, |status| {
            status.inner.response_times(0, RESPONSE_TIMES)
        });
        let is_open = seen.state <= TargetState::Probing;
        let path = |at: usize| target.definition.endpoints.get(at).map_or("", |e| &*e.path);
        let failure = seen.failure.as_ref();
        let failure = failure.filter(|_| seen.state != TargetState::Pending);
        Self {
            name: target.name.clone(),
            receiver: target.receiver.clone(),
            url: target.url.clone(),
            definition: target.definition.name.clone(),
            labels: (*target.labels).clone(),
            up: seen.last_poll.map(|_| seen.is_up),
            state: seen.state,
            cause: failure.map(|(at, failure)| Failure::of(path(*at), failure)),
            breaker_for_seconds: is_open.then(|| seconds(seen.glance.breaker_for)),
            retry_in_seconds: seen.glance.retry_in.map(seconds),
            fault_may_be_local: seen.glance.is_fault_local,
            age_seconds: seen.age.map(seconds),
            last_poll_seconds_ago: seen.last_poll.map(|time| seconds_between(time, now)),
            next_poll_in_seconds: seen.next_poll.map(|time| seconds_between(now, time)),
            last_poll_duration_seconds: seconds(seen.last_duration),
            response_times_seconds: times.into_iter().map(fine_seconds).collect(),
        }
    }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Seconds, to the microsecond: a line of response times shows what differs.
pub(super) fn fine_seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

/// Seconds between two moments, to the millisecond; zero where the clock was set back.
pub(super) fn seconds_between(earlier: SystemTime, later: SystemTime) -> f64 {
    seconds(later.duration_since(earlier).unwrap_or_default())
}
