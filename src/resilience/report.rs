//! What is known of a host, for people: `/health` and `/debug/resilience`.

use std::time::Duration;

use futures_util::{FutureExt as _, future::BoxFuture};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{host::Host, readings::state_name, state::View};
use crate::pipeline::{Inspect, Read};

impl Inspect for Host {
    fn host(&self) -> Value {
        let now = Instant::now();
        let view = self.lock().circuit.view(now, 0);
        json!({ "breaker": view.host.map(|host| breaker(&host, now)) })
    }

    fn endpoint(&self, index: usize) -> Value {
        let (now, state) = (Instant::now(), self.lock());
        let view = state.circuit.view(now, index);
        let Some(endpoint) = state.endpoints.get(index) else {
            return Value::Null;
        };
        json!({
            "breaker": view.endpoint.map(|endpoint| breaker(&endpoint, now)),
            "effective_timeout_seconds": endpoint.timeout.limit(0).as_secs_f64(),
            "cache_age_seconds": endpoint.slot.age(now).map(rounded),
        })
    }

    fn read(&self, endpoint: usize) -> BoxFuture<'_, Read> {
        self.read_on_demand(endpoint).boxed()
    }

    fn decisions(&self) -> Value {
        let state = self.lock();
        serde_json::to_value(state.recorder.told(&self.paths)).unwrap_or_default()
    }
}

fn breaker(view: &View, now: Instant) -> Value {
    let retry_at = view
        .retry_at
        .map(|at| rounded(at.saturating_duration_since(now)));
    json!({
        "state": state_name(view.state),
        "since_seconds": rounded(now.saturating_duration_since(view.since)),
        "retry_in_seconds": retry_at,
        "consecutive_failures": view.consecutive_failures,
    })
}

/// Seconds, to the millisecond.
fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
