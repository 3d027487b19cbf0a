//! The metrics about a target's resilience. They are read from the state when the target is
//! collected, and never pushed, so that they cannot be older than the state.

use std::sync::Arc;

use opentelemetry::KeyValue;
use tokio::time::Instant;

use super::{
    balancer::{Balancer, Gates},
    cache::CachePolicy,
    cache::{CacheCounts, Freshness, Reader},
    circuit::{BreakerLevel, Circuit},
    retry::RetryStop,
    state::{BreakerCounters, BreakerState, BreakerView, TransitionReason},
    target_resilience::TargetResilience,
    target_state::EndpointState,
};
use crate::{
    pipeline::{ErrorType, Number, OwnReading},
    telemetry::{
        names,
        target_metrics::{MetricsLevel, TargetMetric},
    },
};

const STATES: [BreakerState; 3] = [
    BreakerState::Closed,
    BreakerState::HalfOpen,
    BreakerState::Open,
];

/// Every node has these errors at some time. Their retries are counted from 0, so that a rate sees
/// the first one. Counters of other errors start with the first one.
const RETRIED: [ErrorType; 2] = [ErrorType::Timeout, ErrorType::Connect];

/// What is known of a breaker beside its state.
const BREAKER: [TargetMetric; 7] = [
    TargetMetric::BreakerFailures,
    TargetMetric::BreakerRejections,
    TargetMetric::BreakerStaleResults,
    TargetMetric::BreakerProbes,
    TargetMetric::BreakerStatus,
    TargetMetric::BreakerStateTime,
    TargetMetric::BreakerTransitions,
];

impl TargetResilience {
    /// The current metrics at this level.
    pub fn readings(&self, level: MetricsLevel) -> Vec<OwnReading> {
        let (now, state) = (Instant::now(), self.lock());
        let mut all = ReportedReadings {
            level,
            readings: Vec::new(),
        };
        for (index, (endpoint, labels)) in state.endpoints.iter().zip(&self.keys.labels).enumerate()
        {
            let of_endpoint = labels.attributes();
            for (instance, circuit) in state.circuits.iter().enumerate() {
                let name = self.keys.instances.get(instance).map(instance_name);
                breakers(&mut all, circuit, (index, &of_endpoint, &name), now);
                if level.has(TargetMetric::TimeoutEffective, false) {
                    let limit = endpoint.timeouts.at(instance);
                    let limit = limit.limit(&self.settings.timeout, 0).as_secs_f64();
                    let (of, limit) = (attributes(&of_endpoint, &name), Number::Double(limit));
                    push(&mut all, TargetMetric::TimeoutEffective, &of, &[], limit);
                }
            }
            if self.is_pool() {
                let gates = self.gates(&state, now, index);
                let balancer = endpoint.loads.balancer(self.settings.balancer());
                let names = self.keys.instances.iter().map(instance_name);
                balancer_readings(&mut all, (balancer, gates), names, &of_endpoint, now);
            }
            endpoint_readings(&mut all, endpoint, &of_endpoint, now);
        }
        entries(&mut all, &state.endpoints, &self.settings.cache, now);
        all.readings
    }
}

/// The metrics of the breakers of an endpoint at one instance, and those of the host with its first
/// endpoint.
fn breakers(
    all: &mut ReportedReadings,
    circuit: &Circuit,
    (index, of_endpoint, instance): (usize, &[KeyValue; 2], &Option<KeyValue>),
    now: Instant,
) {
    // A healthy endpoint usually has no series of its own, and most polls see no other.
    let state = circuit.state_of_endpoint(now, index);
    let is_problem = state.is_some_and(|state| state != BreakerState::Closed);
    let is_shown = all.level.has(TargetMetric::BreakerState, is_problem);
    if index > 0 && !is_shown {
        return;
    }
    let view = circuit.view(now, index);
    if index == 0
        && let Some(host) = view.host
    {
        let of = attributes(&[scope(BreakerLevel::Host)], instance);
        push_state(all, &of, host.state);
        breaker(all, &of, &host);
    }
    if let Some(own) = view.endpoint.filter(|_| is_shown) {
        // The endpoints of an open host are open, whatever their own breaker says.
        let [id, path] = of_endpoint.clone();
        let of = attributes(&[scope(BreakerLevel::Endpoint), id, path], instance);
        push_state(all, &of, view.state());
        breaker(all, &of, &own);
    }
}

/// The metrics. Those that the level omits are not even created.
struct ReportedReadings {
    level: MetricsLevel,
    readings: Vec<OwnReading>,
}

fn instance_name(name: &Arc<str>) -> KeyValue {
    KeyValue::new(names::INSTANCE, Arc::clone(name))
}

/// The attributes with the instance, if there are several.
fn attributes(of: &[KeyValue], instance: &Option<KeyValue>) -> Vec<KeyValue> {
    of.iter().chain(instance).cloned().collect()
}

fn balancer_readings(
    all: &mut ReportedReadings,
    (balancer, gates): (Balancer<'_>, Gates),
    instances: impl Iterator<Item = KeyValue>,
    of_endpoint: &[KeyValue; 2],
    now: Instant,
) {
    let flag = |is: bool| Number::Unsigned(u64::from(is));
    let panic = flag(balancer.is_panic(now, gates));
    push(all, TargetMetric::BalancerPanic, of_endpoint, &[], panic);
    let ejected = balancer.ejected(now, gates);
    for (instance, name) in instances.enumerate() {
        let of = attributes(of_endpoint, &Some(name));
        let counts = balancer.counts(instance);
        for (result, count) in [("ok", counts.ok), ("fail", counts.failed)] {
            let result = [(names::RESULT, result)];
            push(
                all,
                TargetMetric::BalancerRequests,
                &of,
                &result,
                Number::Unsigned(count),
            );
        }
        let failovers = Number::Unsigned(counts.failovers);
        push(all, TargetMetric::BalancerFailovers, &of, &[], failovers);
        let is_ejected = ejected.has(instance);
        if all.level.has(TargetMetric::BalancerEjected, is_ejected) {
            push(
                all,
                TargetMetric::BalancerEjected,
                &of,
                &[],
                flag(is_ejected),
            );
        }
        let expected = Number::Double(balancer.expected(instance, now).as_secs_f64());
        push(all, TargetMetric::BalancerLatency, &of, &[], expected);
    }
}

fn scope(level: BreakerLevel) -> KeyValue {
    KeyValue::new(names::BREAKER_SCOPE, level.name())
}

fn push_state(all: &mut ReportedReadings, of: &[KeyValue], state: BreakerState) {
    let number = Number::Unsigned(u64::from(state.number()));
    push(all, TargetMetric::BreakerState, of, &[], number);
}

fn breaker(all: &mut ReportedReadings, of: &[KeyValue], view: &BreakerView) {
    if !BREAKER.iter().any(|metric| all.level.has(*metric, true)) {
        return;
    }
    push(
        all,
        TargetMetric::BreakerFailures,
        of,
        &[],
        Number::Unsigned(view.consecutive_failures.into()),
    );
    let counters = &view.counters;
    push(
        all,
        TargetMetric::BreakerRejections,
        of,
        &[],
        Number::Unsigned(counters.rejections),
    );
    push(
        all,
        TargetMetric::BreakerStaleResults,
        of,
        &[],
        Number::Unsigned(counters.stale_results),
    );
    for (result, count) in [
        ("ok", counters.recoveries),
        ("fail", counters.failed_probes),
        ("cancelled", counters.cancelled_probes),
    ] {
        push(
            all,
            TargetMetric::BreakerProbes,
            of,
            &[(names::RESULT, result)],
            Number::Unsigned(count),
        );
    }
    states(all, of, view);
    transitions(all, of, counters);
}

fn states(all: &mut ReportedReadings, of: &[KeyValue], view: &BreakerView) {
    let times = [view.time.closed, view.time.half_open, view.time.open];
    for (state, time) in STATES.into_iter().zip(times) {
        let name = state.name();
        let is = Number::Unsigned(u64::from(state == view.state));
        push(
            all,
            TargetMetric::BreakerStatus,
            of,
            &[(names::STATE, name)],
            is,
        );
        let seconds = Number::Double(time.as_secs_f64());
        push(
            all,
            TargetMetric::BreakerStateTime,
            of,
            &[(names::STATE, name)],
            seconds,
        );
    }
}

fn transitions(all: &mut ReportedReadings, of: &[KeyValue], counters: &BreakerCounters) {
    for (reason, from, to) in TransitionReason::ALL {
        let attributes = [
            (names::FROM, from.name()),
            (names::TO, to.name()),
            (names::REASON, reason.name()),
        ];
        let count = Number::Unsigned(counters.transitions(reason));
        push(
            all,
            TargetMetric::BreakerTransitions,
            of,
            &attributes,
            count,
        );
    }
}

fn endpoint_readings(
    all: &mut ReportedReadings,
    endpoint: &EndpointState,
    of: &[KeyValue; 2],
    now: Instant,
) {
    cache_readings(all, endpoint, of, now);
    let has_retries = all.level.has(TargetMetric::PollRetries, false);
    for (error_type, count) in endpoint.retries.with(&RETRIED).filter(|_| has_retries) {
        let error_type = KeyValue::new(names::ERROR_TYPE, error_type.name());
        let of = attributes(of, &Some(error_type));
        push(
            all,
            TargetMetric::PollRetries,
            &of,
            &[],
            Number::Unsigned(count),
        );
    }
    for (reason, count) in endpoint.suppressed.with(&RetryStop::SUPPRESSING) {
        let attributes = [(names::REASON, reason.name())];
        push(
            all,
            TargetMetric::RetriesSuppressed,
            of,
            &attributes,
            Number::Unsigned(count),
        );
    }
    if let Some(objective) = &endpoint.objective {
        let time = objective.read(now);
        for (within, time) in [("true", time.within), ("false", time.without)] {
            let attributes = [(names::WITHIN_OBJECTIVE, within)];
            let seconds = Number::Double(time.as_secs_f64());
            push(all, TargetMetric::FreshnessTime, of, &attributes, seconds);
        }
    }
}

fn cache_readings(
    all: &mut ReportedReadings,
    endpoint: &EndpointState,
    of: &[KeyValue],
    now: Instant,
) {
    let metrics = [TargetMetric::CacheAge, TargetMetric::CacheRequests];
    if !metrics.iter().any(|metric| all.level.has(*metric, true)) {
        return;
    }
    if let Some(age) = endpoint.slot.age(now) {
        push(
            all,
            TargetMetric::CacheAge,
            of,
            &[],
            Number::Double(age.as_secs_f64()),
        );
    }
    for (reader, name) in [(Reader::Poll, "poll"), (Reader::Api, "api")] {
        for (result, count) in results(endpoint.slot.counts(reader)) {
            // There are always polls, but other readers may never come.
            if reader == Reader::Api && count == 0 {
                continue;
            }
            let attributes = [(names::RESULT, result), (names::READER, name)];
            push(
                all,
                TargetMetric::CacheRequests,
                of,
                &attributes,
                Number::Unsigned(count),
            );
        }
    }
}

/// The number of cached answers, by state.
fn entries(
    all: &mut ReportedReadings,
    endpoints: &[EndpointState],
    policy: &CachePolicy,
    now: Instant,
) {
    if !all.level.has(TargetMetric::CacheEntries, true) {
        return;
    }
    for (freshness, name) in [
        (Freshness::Fresh, "fresh"),
        (Freshness::Stale, "stale"),
        (Freshness::Expired, "expired"),
        (Freshness::Empty, "empty"),
    ] {
        let is = |endpoint: &&EndpointState| endpoint.slot.freshness(policy, now) == freshness;
        let count = Number::Unsigned(endpoints.iter().filter(is).count() as u64);
        let state = [(names::STATE, name)];
        push(all, TargetMetric::CacheEntries, &[], &state, count);
    }
}

fn results(counts: &CacheCounts) -> [(&'static str, u64); 5] {
    [
        ("hit", counts.hit),
        ("miss", counts.miss),
        ("stale", counts.stale),
        ("revalidated", counts.revalidated),
        ("expired", counts.expired),
    ]
}

fn push(
    all: &mut ReportedReadings,
    metric: TargetMetric,
    of: &[KeyValue],
    more: &[(&'static str, &'static str)],
    value: Number,
) {
    if !all.level.has(metric, true) {
        return;
    }
    let more = more.iter().map(|(key, text)| KeyValue::new(*key, *text));
    let mut attributes: Vec<_> = of.iter().cloned().chain(more).collect();
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    all.readings.push(OwnReading {
        metric,
        attributes,
        value,
    });
}
