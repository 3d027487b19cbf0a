//! The report as JSON.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::pipeline::{ComponentState, EndpointStatus, StatusBoard, TargetStatus};

/// The state of the targets and the components at `now`.
pub(super) fn report(
    board: &StatusBoard,
    components: &[ComponentState],
    now: SystemTime,
    uptime: Duration,
) -> Value {
    let targets = board.targets();
    let up = targets.iter().filter(|target| target.is_up()).count();
    let by_name: Map<_, _> = targets
        .iter()
        .map(|status| (status.target.name.clone(), target(status, now)))
        .collect();
    let origins = board.origins();
    let sources = origins.iter();
    let discovery: Map<_, _> = sources
        .map(|(receiver, origins)| (receiver.clone(), origins.sources()))
        .collect();
    let notices = origins.iter();
    let notices: Map<_, _> = notices
        .filter_map(|(receiver, origins)| Some((receiver.clone(), origins.notice()?.into())))
        .collect();
    let is_waiting = origins.iter().any(|(_, origins)| !origins.is_complete());
    json!({
        "status": overall(&targets, components, is_waiting),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": uptime.as_secs_f64().round(),
        "targets_up": up,
        "targets_total": targets.len(),
        "discovery": discovery,
        "discovery_notices": notices,
        "components": components.iter().map(component).collect::<Map<_, _>>(),
        "targets": by_name,
    })
}

/// A component as in the Collector's `healthcheckv2`.
fn component(state: &ComponentState) -> (String, Value) {
    let since = jiff::Timestamp::try_from(state.since).ok();
    let shown = json!({
        "healthy": !state.status.is_error(),
        "status": state.status.name(),
        "error": state.error,
        "status_time": since.map(|time| time.to_string()),
    });
    (format!("{}:{}", state.kind.name(), state.id), shown)
}

/// `ok` while every endpoint answers and no component fails, `failing` when no target answers,
/// `starting` for as long as `/readyz` waits for the sources of targets or for the first poll,
/// otherwise `degraded`. Without any target the components decide.
fn overall(
    targets: &[TargetStatus],
    components: &[ComponentState],
    is_waiting: bool,
) -> &'static str {
    let polled: Vec<_> = targets
        .iter()
        .filter(|target| target.last_poll.is_some())
        .collect();
    let sound = |target: &&&TargetStatus| target.endpoints.iter().all(|e| e.last_error.is_none());
    let failing = components.iter().any(|state| state.status.is_error());
    if is_waiting || (polled.is_empty() && !targets.is_empty()) {
        "starting"
    } else if targets.is_empty() && failing {
        "degraded"
    } else if polled.iter().filter(sound).count() == polled.len() && !failing {
        "ok"
    } else if polled.iter().any(|target| target.is_up()) {
        "degraded"
    } else {
        "failing"
    }
}

fn target(status: &TargetStatus, now: SystemTime) -> Value {
    let endpoints = status
        .target
        .definition
        .endpoints
        .iter()
        .zip(&status.endpoints);
    let endpoints: Map<_, _> = endpoints
        .enumerate()
        .map(|(index, (of, last))| {
            (
                of.id.to_string(),
                endpoint(last, status.inner.endpoint(index), now),
            )
        })
        .collect();
    json!({
        "receiver": status.target.receiver,
        "url": status.target.url,
        "up": status.last_poll.map(|_| status.is_up()),
        "last_poll_seconds_ago": status.last_poll.map(|time| seconds_between(time, now)),
        "next_poll_in_seconds": status.next_poll.map(|time| seconds_between(now, time)),
        "last_poll_duration_seconds": status.last_duration.as_secs_f64(),
        "host": status.inner.host(),
        "endpoints": endpoints,
    })
}

/// The state of an endpoint, with the details of the resilience layer.
fn endpoint(last: &EndpointStatus, inner: Value, now: SystemTime) -> Value {
    let error = last.last_error.as_ref();
    let mut known = json!({
        "age_seconds": last.last_success.map(|time| seconds_between(time, now)),
        "last_error": error.map(|error| json!({
            "type": error.error_type.name(),
            "message": error.message,
        })),
    });
    if let (Value::Object(known), Value::Object(inner)) = (&mut known, inner) {
        known.extend(inner);
    }
    known
}

/// Seconds with three decimals. Zero if the clock was set back.
fn seconds_between(earlier: SystemTime, later: SystemTime) -> f64 {
    let seconds = later
        .duration_since(earlier)
        .unwrap_or_default()
        .as_secs_f64();
    (seconds * 1000.0).round() / 1000.0
}
