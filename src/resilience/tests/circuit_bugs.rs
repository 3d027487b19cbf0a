//! Bugs that breakers of a host and its endpoints have elsewhere and must not have here.

use fastrand::Rng;
use tokio::time::Instant;

use super::{OPEN, policy, secs};
use crate::resilience::{
    breaker::{BreakerPolicy, FailureCounting},
    circuit::{
        BreakerLevel, BreakerScope, Circuit, CircuitChanges, CircuitPermit, CircuitPolicy,
        CircuitRefusal,
    },
    outcome::{BreakerOutcome, ResultClass, Statuses, Verdict},
    positions::Positions,
    state::BreakerState,
    time::DecisionInputs,
};

/// A host with two endpoints and a manual clock.
struct Host {
    policy: CircuitPolicy,
    circuit: Circuit,
    now: Instant,
    rng: Rng,
}

impl Host {
    fn new(scope: BreakerScope) -> Self {
        let policy = CircuitPolicy {
            scope,
            host: BreakerPolicy {
                counting: FailureCounting::Waves,
                ..policy()
            },
            endpoint: policy(),
        };
        let (now, mut circuit) = (Instant::now(), Circuit::default());
        circuit.arrange(scope, &Positions::all_new(2), now);
        Self {
            policy,
            circuit,
            now,
            rng: Rng::with_seed(7),
        }
    }

    fn attempt(&mut self, endpoint: usize, class: ResultClass) -> Result<(), CircuitRefusal> {
        let permit = self.try_acquire(endpoint)?;
        self.now += secs(1);
        let verdict = Statuses::default().classify(class);
        self.complete(permit, &verdict);
        Ok(())
    }

    fn try_acquire(&mut self, endpoint: usize) -> Result<CircuitPermit, CircuitRefusal> {
        self.circuit.try_acquire(&self.policy, self.now, endpoint)
    }

    fn complete(&mut self, permit: CircuitPermit, verdict: &Verdict) -> CircuitChanges {
        let inputs = DecisionInputs {
            now: self.now,
            rng: &mut self.rng,
        };
        self.circuit.complete(&self.policy, permit, verdict, inputs)
    }

    fn states(
        &self,
        endpoint: usize,
    ) -> (Option<BreakerState>, Option<BreakerState>, BreakerState) {
        let view = self.circuit.view(self.now, endpoint);
        let state = |view: crate::resilience::state::BreakerView| view.state;
        (view.host.map(state), view.endpoint.map(state), view.state())
    }
}

#[test]
fn every_result_counts_and_nothing_but_results() {
    // The deadline cuts the attempts at a host that hangs. They are still results.
    let mut host = Host::new(BreakerScope::Both);
    for _ in 0..5 {
        host.attempt(0, ResultClass::DeadlineCut { overdue: true })
            .unwrap();
        host.now += secs(15);
    }
    let (at_host, at_endpoint, _) = host.states(0);
    assert_eq!(
        (at_host, at_endpoint),
        (Some(BreakerState::Open), Some(BreakerState::Closed))
    );
    let mut host = Host::new(BreakerScope::Both);
    for _ in 0..50 {
        host.attempt(0, ResultClass::DeadlineCut { overdue: false })
            .unwrap();
    }
    assert_eq!(
        host.states(0).2,
        BreakerState::Closed,
        "an attempt cut too early proves nothing"
    );
}

#[test]
fn no_4xx_opens_a_breaker() {
    let mut host = Host::new(BreakerScope::Both);
    for status in [400, 401, 403, 404, 410, 429].into_iter().cycle().take(60) {
        host.attempt(0, ResultClass::Status(status)).unwrap();
    }
    assert_eq!(
        host.states(1),
        (
            Some(BreakerState::Closed),
            Some(BreakerState::Closed),
            BreakerState::Closed
        )
    );
    for scope in [BreakerScope::Endpoint, BreakerScope::Host] {
        let mut host = Host::new(scope);
        for _ in 0..60 {
            host.attempt(0, ResultClass::Status(404)).unwrap();
        }
        assert_eq!(host.states(0).2, BreakerState::Closed);
    }
}

#[test]
fn one_failing_endpoint_opens_its_breaker_beside_healthy_ones() {
    let mut host = Host::new(BreakerScope::Both);
    for _ in 0..5 {
        host.attempt(0, ResultClass::Status(500)).unwrap();
        host.attempt(1, ResultClass::Success).unwrap();
    }
    assert_eq!(
        host.states(0),
        (
            Some(BreakerState::Closed),
            Some(BreakerState::Open),
            BreakerState::Open
        )
    );
    assert_eq!(host.states(1).2, BreakerState::Closed);
    let refused = host.attempt(0, ResultClass::Success).unwrap_err();
    assert!(matches!(
        refused,
        CircuitRefusal::Open {
            level: BreakerLevel::Endpoint,
            ..
        }
    ));
}

#[test]
fn faults_count_against_the_host_or_the_endpoint_that_caused_them() {
    let closed = Some(BreakerState::Closed);
    let open = Some(BreakerState::Open);
    for (scope, class, expected) in [
        (BreakerScope::Both, ResultClass::Transport, (open, closed)),
        (BreakerScope::Both, ResultClass::Status(500), (closed, open)),
        (BreakerScope::Endpoint, ResultClass::Transport, (None, open)),
        (
            BreakerScope::Endpoint,
            ResultClass::Status(500),
            (None, open),
        ),
        (BreakerScope::Host, ResultClass::Transport, (open, None)),
        (BreakerScope::Host, ResultClass::Status(500), (open, None)),
    ] {
        let mut host = Host::new(scope);
        for _ in 0..5 {
            host.attempt(0, class).unwrap();
        }
        let (at_host, at_endpoint, worse) = host.states(0);
        assert_eq!((at_host, at_endpoint), expected, "{scope:?} {class:?}");
        assert_eq!(worse, BreakerState::Open);
    }
}

#[test]
fn too_many_requests_fails_a_trial_request_but_not_the_host() {
    let mut host = Host::new(BreakerScope::Both);
    for _ in 0..5 {
        host.attempt(0, ResultClass::Status(503)).unwrap();
    }
    host.now += OPEN;
    let probe = host.try_acquire(0).unwrap();
    assert!(probe.is_probe());
    let verdict = Statuses::default().classify(ResultClass::Status(429));
    let changes = host.complete(probe, &verdict);
    assert_eq!(changes.endpoint.unwrap().to, BreakerState::Open);
    assert_eq!(changes.host, None);
    host.now += OPEN;
    host.attempt(0, ResultClass::Status(404)).unwrap();
    assert_eq!(host.states(0).2, BreakerState::Closed, "404 is an answer");
}

#[test]
fn a_request_gets_both_permits_or_none() {
    let mut host = Host::new(BreakerScope::Both);
    for _ in 0..5 {
        host.attempt(0, ResultClass::Status(503)).unwrap();
    }
    for _ in 0..5 {
        host.attempt(1, ResultClass::Transport).unwrap();
    }
    // Both are half-open now. The trial request of the endpoint fails because of the endpoint.
    host.now += OPEN;
    let probe = host.try_acquire(0).unwrap();
    let waiting = host.try_acquire(1).unwrap_err();
    assert_eq!(
        waiting,
        CircuitRefusal::ProbeInFlight {
            level: BreakerLevel::Host
        }
    );
    let verdict = Verdict {
        host: BreakerOutcome::Neutral,
        ..Statuses::default().classify(ResultClass::Decode)
    };
    host.complete(probe, &verdict);
    assert_eq!(
        host.states(0),
        (
            Some(BreakerState::HalfOpen),
            Some(BreakerState::Open),
            BreakerState::Open
        )
    );
    for _ in 0..3 {
        let refused = host.try_acquire(0).unwrap_err();
        let retry_at = host.now + OPEN;
        let level = BreakerLevel::Endpoint;
        assert_eq!(refused, CircuitRefusal::Open { level, retry_at });
    }
    let host_view = host.circuit.view(host.now, 1).host.unwrap();
    assert_eq!(
        host_view.counters.cancelled_probes, 1,
        "only the one that was sent"
    );
    host.attempt(1, ResultClass::Success).unwrap();
    assert_eq!(
        host.states(1).2,
        BreakerState::Closed,
        "the slot was given back"
    );
}

#[test]
fn a_pause_requested_by_the_server_is_obeyed_and_is_no_failure() {
    let mut host = Host::new(BreakerScope::Both);
    let until = host.now + secs(60);
    host.circuit.pause(until);
    host.circuit.pause(host.now + secs(10));
    let refused = host.attempt(1, ResultClass::Success).unwrap_err();
    assert_eq!(refused, CircuitRefusal::Paused { until });
    assert_eq!(host.circuit.view(host.now, 1).retry_at(), Some(until));
    host.now = until;
    host.attempt(1, ResultClass::Success).unwrap();
    assert_eq!(host.circuit.view(host.now, 1).retry_at(), None);
}
