//! The state of a host for users: `/health` and `/debug/resilience`.

use std::time::Duration;

use futures_util::{FutureExt as _, future::BoxFuture};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    balancer::{Balancer, Gates},
    caution::Suspicion,
    circuit::{Circuit, CircuitView},
    state::{BreakerState, BreakerView},
    target_resilience::TargetResilience,
};
use crate::pipeline::{Body, BreakerGlance, CachedAnswer, Glance, Inspect};

impl Inspect for TargetResilience {
    fn glance(&self) -> Glance {
        let (now, state) = (Instant::now(), self.lock());
        let asked = 0..self.keys.labels.len();
        let asked = asked.filter(|endpoint| !state.caution.is_left_out(now, *endpoint));
        let views = asked.flat_map(|endpoint| {
            let circuits = state.circuits.iter();
            circuits.map(move |circuit| circuit.view(now, endpoint))
        });
        let best = views.min_by_key(|view| (view.state(), view.retry_at()));
        let since = best.as_ref().and_then(CircuitView::since);
        Glance {
            interval: self.settings.interval,
            breaker: match best.as_ref().map(CircuitView::state) {
                Some(BreakerState::Closed) | None => BreakerGlance::Closed,
                Some(BreakerState::HalfOpen) => BreakerGlance::HalfOpen,
                Some(BreakerState::Open) => BreakerGlance::Open,
            },
            breaker_for: since.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            retry_in: best
                .and_then(|view| view.retry_at())
                .map(|at| at.saturating_duration_since(now)),
            is_fault_local: self.fleet().suspects_local_fault(),
        }
    }

    fn response_times(&self, endpoint: usize, most: usize) -> Vec<Duration> {
        let state = self.lock();
        let endpoint = state.endpoints.get(endpoint);
        endpoint.map_or_else(Vec::new, |endpoint| {
            endpoint.timeouts.at(endpoint.asked_at).latest(most)
        })
    }

    fn kept(&self, endpoint: usize) -> Option<(Body, Duration)> {
        let (now, state) = (Instant::now(), self.lock_same()?);
        let kept = &state.endpoints.get(endpoint)?.slot;
        let (body, age) = kept.peek(&self.settings.cache, now)?;
        Some((body.clone(), age))
    }

    fn host(&self) -> Value {
        let (now, state) = (Instant::now(), self.lock());
        let told = |circuit: &Circuit| {
            let host = circuit.view(now, 0).host;
            json!({ "breaker": host.map(|host| breaker(&host, now)) })
        };
        if !self.is_pool() {
            return told(state.circuits.at(0));
        }
        let instances = self.keys.instances.iter().zip(state.circuits.iter());
        let instances = instances.map(|(name, circuit)| (name.to_string(), told(circuit)));
        json!({ "instances": instances.collect::<Map<_, _>>() })
    }

    fn is_at(&self, address: &str) -> bool {
        self.keys.instances.iter().any(|name| **name == *address)
    }

    fn endpoint(&self, index: usize) -> Value {
        let (now, state) = (Instant::now(), self.lock());
        let Some(endpoint) = state.endpoints.get(index) else {
            return Value::Null;
        };
        let told = |instance: usize| {
            let view = state.circuits.at(instance).view(now, index);
            let timeout = endpoint.timeouts.at(instance);
            let timeout = timeout.limit(&self.settings.timeout, 0);
            json!({
                "breaker": view.endpoint.map(|endpoint| breaker(&endpoint, now)),
                "effective_timeout_seconds": timeout.as_secs_f64(),
            })
        };
        let mut all = match self.is_pool() {
            false => told(0),
            true => {
                let gates = self.gates(&state, now, index);
                let balancer = endpoint.loads.balancer(self.settings.balancer());
                let instances = self.keys.instances.iter().enumerate();
                let instances = instances.map(|(instance, name)| {
                    let of_balancer = balanced(balancer, gates, instance, now);
                    (name.to_string(), joined(told(instance), of_balancer))
                });
                json!({
                    "instances": instances.collect::<Map<_, _>>(),
                    "panic": balancer.is_panic(now, gates),
                })
            }
        };
        all["cache_age_seconds"] = json!(endpoint.slot.age(now).map(rounded));
        all["suspect"] = json!(state.caution.suspicion(index).map(|it| suspicion(&it, now)));
        all
    }

    fn read(&self, endpoint: usize) -> BoxFuture<'_, CachedAnswer> {
        self.read_on_demand(endpoint).boxed()
    }

    fn shed(&self) -> u64 {
        self.forget_answers()
    }

    fn decisions(&self) -> Value {
        let state = self.lock();
        serde_json::to_value(state.recorder.told(self.names())).unwrap_or_default()
    }
}

/// What the balancer knows of one instance.
fn balanced(balancer: Balancer<'_>, gates: Gates, instance: usize, now: Instant) -> Value {
    let counts = balancer.counts(instance);
    json!({
        "ejected": balancer.ejected(now, gates).has(instance),
        "expected_latency_seconds": rounded(balancer.expected(instance, now)),
        "requests_ok": counts.ok,
        "requests_failed": counts.failed,
        "failovers": counts.failovers,
    })
}

/// The suspicion against an endpoint.
fn suspicion(suspicion: &Suspicion, now: Instant) -> Value {
    let asked_again = suspicion.asked_again;
    let wait = asked_again.map(|at| rounded(at.saturating_duration_since(now)));
    json!({
        "since_seconds": rounded(now.saturating_duration_since(suspicion.since)),
        "asked_again_in_seconds": wait,
    })
}

fn joined(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn breaker(view: &BreakerView, now: Instant) -> Value {
    let retry_at = view
        .retry_at
        .map(|at| rounded(at.saturating_duration_since(now)));
    json!({
        "state": view.state.name(),
        "since_seconds": rounded(now.saturating_duration_since(view.since)),
        "retry_in_seconds": retry_at,
        "consecutive_failures": view.consecutive_failures,
    })
}

/// Seconds with three decimals.
fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
