//! The bugs of others, by their number in the list; those of the core.

use std::time::Duration;

use super::{Bench, OPEN, policy, secs};
use crate::resilience::{
    breaker::{Counting, Policy, Refusal},
    circuit::{Circuit, Level, Refused, Scope},
    outcome::{Class, Outcome, Statuses, Verdict},
    state::{Reason, State},
};
use fastrand::Rng;
use tokio::time::Instant;

/// A host with two endpoints, and a clock in its hand.
struct Host {
    circuit: Circuit,
    now: Instant,
    rng: Rng,
}

impl Host {
    fn new(scope: Scope) -> Self {
        let waves = Policy {
            counting: Counting::Waves,
            ..policy()
        };
        let now = Instant::now();
        Self {
            circuit: Circuit::new(scope, waves, policy(), 2, now),
            now,
            rng: Rng::with_seed(7),
        }
    }

    fn attempt(&mut self, endpoint: usize, class: Class) -> Result<(), Refused> {
        let permit = self.circuit.try_acquire(self.now, endpoint)?;
        self.now += secs(1);
        let verdict = Statuses::default().classify(class);
        self.circuit
            .complete(self.now, permit, &verdict, &mut self.rng);
        Ok(())
    }

    fn states(&self, endpoint: usize) -> (Option<State>, Option<State>, State) {
        let view = self.circuit.view(self.now, endpoint);
        let state = |view: crate::resilience::state::View| view.state;
        (view.host.map(state), view.endpoint.map(state), view.state())
    }
}

fn half_open() -> Bench {
    let mut bench = Bench::new(policy());
    bench.trip();
    bench.wait(OPEN);
    bench
}

#[test]
fn bug_1_half_open_lets_one_through() {
    let mut bench = half_open();
    let admitted = (0..100).filter(|_| bench.breaker.try_acquire(bench.now).is_ok());
    assert_eq!(admitted.count(), 1);
    let refusal = bench.breaker.try_acquire(bench.now);
    assert_eq!(refusal, Err(Refusal::ProbeInFlight));
}

#[test]
fn bug_2_the_fifth_failure_opens_and_one_failed_probe_opens_again() {
    let mut bench = Bench::new(policy());
    for _ in 0..4 {
        assert_eq!(bench.attempt(Outcome::Fail), None);
    }
    let opened = bench.attempt(Outcome::Fail).unwrap();
    assert_eq!(
        (opened.reason, opened.failures),
        (Reason::FailureThreshold, 5)
    );
    bench.wait(OPEN);
    let reopened = bench.attempt(Outcome::Fail).unwrap();
    assert_eq!(
        (reopened.reason, reopened.to),
        (Reason::ProbeFailed, State::Open)
    );
    // Once in an open time: it counts from when the probe was sent, a second ago.
    let retry_at = bench.now + OPEN - secs(1);
    let refusal = bench.breaker.try_acquire(bench.now);
    assert_eq!(refusal, Err(Refusal::Open { retry_at }));
}

#[test]
fn bug_3_a_result_of_an_older_state_is_counted_and_ignored() {
    let mut bench = Bench::new(policy());
    let late = bench.breaker.try_acquire(bench.now).unwrap();
    bench.trip();
    bench.wait(OPEN);
    let probe = bench.breaker.try_acquire(bench.now).unwrap();
    assert_eq!(bench.complete(late, Outcome::Ok), None, "does not close");
    assert_eq!(bench.state(), State::HalfOpen);
    assert_eq!(bench.breaker.view(bench.now).counters.stale_results, 1);
    assert_eq!(
        bench.complete(probe, Outcome::Fail).unwrap().to,
        State::Open
    );
}

#[test]
fn bug_4_a_cancelled_probe_gives_its_slot_back_and_proves_nothing() {
    let mut bench = half_open();
    for round in 1..=3 {
        assert_eq!(bench.attempt(Outcome::Neutral), None);
        assert_eq!(bench.state(), State::HalfOpen);
        let counters = bench.breaker.view(bench.now).counters;
        assert_eq!(counters.cancelled_probes, round);
    }
    let unused = bench.breaker.try_acquire(bench.now).unwrap();
    bench.breaker.give_back(unused);
    let counters = bench.breaker.view(bench.now).counters;
    assert_eq!(
        counters.cancelled_probes, 3,
        "what was not sent was no probe"
    );
    assert_eq!(bench.attempt(Outcome::Ok).unwrap().to, State::Closed);
}

#[test]
fn bug_5_a_healthy_node_leaves_half_open_however_rarely_it_is_probed() {
    let several = Policy {
        half_open_max_probes: 3,
        ..policy()
    };
    for policy in [policy(), several] {
        let mut bench = Bench::new(policy);
        bench.trip();
        bench.wait(secs(3600));
        assert_eq!(bench.attempt(Outcome::Ok).unwrap().to, State::Closed);
    }
}

#[test]
fn bug_8_nothing_but_a_result_counts_and_each_does() {
    // A hanging host, whose attempts the deadline cuts: they are results all the same.
    let mut host = Host::new(Scope::Both);
    for _ in 0..5 {
        host.attempt(0, Class::DeadlineCut { overdue: true })
            .unwrap();
        host.now += secs(15);
    }
    let (at_host, at_endpoint, _) = host.states(0);
    assert_eq!(
        (at_host, at_endpoint),
        (Some(State::Open), Some(State::Closed))
    );
    let mut host = Host::new(Scope::Both);
    for _ in 0..50 {
        host.attempt(0, Class::DeadlineCut { overdue: false })
            .unwrap();
    }
    assert_eq!(
        host.states(0).2,
        State::Closed,
        "cut before its time, it proves nothing"
    );
}

#[test]
fn bug_11_no_4xx_trips_and_none_poisons_the_host() {
    let mut host = Host::new(Scope::Both);
    for status in [400, 401, 403, 404, 410, 429].into_iter().cycle().take(60) {
        host.attempt(0, Class::Status(status)).unwrap();
    }
    assert_eq!(
        host.states(1),
        (Some(State::Closed), Some(State::Closed), State::Closed)
    );
    for scope in [Scope::Endpoint, Scope::Host] {
        let mut host = Host::new(scope);
        for _ in 0..60 {
            host.attempt(0, Class::Status(404)).unwrap();
        }
        assert_eq!(host.states(0).2, State::Closed);
    }
}

#[test]
fn bug_15_one_sick_path_is_found_beside_healthy_ones() {
    let mut host = Host::new(Scope::Both);
    for _ in 0..5 {
        host.attempt(0, Class::Status(500)).unwrap();
        host.attempt(1, Class::Success).unwrap();
    }
    assert_eq!(
        host.states(0),
        (Some(State::Closed), Some(State::Open), State::Open)
    );
    assert_eq!(host.states(1).2, State::Closed);
    let refused = host.attempt(0, Class::Success).unwrap_err();
    assert!(matches!(
        refused,
        Refused::Open {
            level: Level::Endpoint,
            ..
        }
    ));
}

#[test]
fn bug_16_what_fails_at_the_same_time_is_one_failure() {
    let mut bench = Bench::new(Policy {
        counting: Counting::Waves,
        ..policy()
    });
    for wave in 1..=5 {
        let permits: Vec<_> = (0..6)
            .map(|_| bench.breaker.try_acquire(bench.now).unwrap())
            .collect();
        for permit in permits {
            let changed = bench.complete(permit, Outcome::Fail);
            assert!(changed.is_none() || wave == 5);
        }
        let failures = bench.breaker.view(bench.now).consecutive_failures;
        assert_eq!(failures, wave, "refused at once, all of them");
        bench.wait(secs(1));
    }
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn bug_17_neither_a_late_failure_nor_a_rejection_extends_the_opening() {
    let mut bench = Bench::new(policy());
    let late = bench.breaker.try_acquire(bench.now).unwrap();
    bench.trip();
    let retry_at = Some(bench.now + OPEN);
    bench.wait(secs(10));
    assert_eq!(bench.complete(late, Outcome::Fail), None);
    for _ in 0..9 {
        assert!(bench.breaker.try_acquire(bench.now).is_err());
    }
    let view = bench.breaker.view(bench.now);
    assert_eq!((view.retry_at, view.consecutive_failures), (retry_at, 5));
    assert_eq!(
        (view.counters.rejections, view.counters.stale_results),
        (9, 1)
    );
}

#[test]
fn bug_18_the_state_is_read_not_pushed() {
    let mut bench = Bench::new(policy());
    bench.trip();
    bench.wait(OPEN - Duration::from_millis(1));
    assert_eq!(bench.state(), State::Open);
    bench.wait(Duration::from_millis(1));
    let view = bench.breaker.view(bench.now);
    assert_eq!(
        (view.state, view.since),
        (State::HalfOpen, bench.now),
        "nobody asked"
    );
    assert_eq!(view.counters.expiries, 1);
    assert_eq!(view.time.open, OPEN);
    let numbers = [State::Closed, State::Open, State::HalfOpen].map(State::number);
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn bug_20_breakers_that_open_together_do_not_probe_together() {
    let mut rng = Rng::with_seed(20);
    let jittered = Policy {
        open_jitter: 0.1,
        ..policy()
    };
    let expiries: Vec<f64> = (0..200)
        .map(|_| {
            let mut bench = Bench::new(jittered);
            bench.rng = rng.fork();
            bench.trip();
            let retry_at = bench.breaker.view(bench.now).retry_at.unwrap();
            (retry_at - bench.now).as_secs_f64()
        })
        .collect();
    let in_range = |seconds: &f64| (27.0..=33.0).contains(seconds);
    assert!(expiries.iter().all(in_range));
    let early = expiries.iter().filter(|seconds| **seconds < 30.0).count();
    assert!((70..=130).contains(&early), "{early} of 200 before 30 s");
}

#[test]
fn openings_in_a_row_grow_to_the_longest_and_shrink_with_health() {
    let mut bench = Bench::new(Policy {
        open_multiplier: 1.5,
        ..policy()
    });
    let opening = |bench: &Bench| {
        let view = bench.breaker.view(bench.now);
        (view.retry_at.unwrap() - bench.now).as_secs_f64()
    };
    bench.trip();
    let mut openings = vec![opening(&bench)];
    for _ in 0..7 {
        bench.wait(secs(300));
        bench.attempt(Outcome::Fail);
        // It counts from when the probe was sent.
        openings.push(opening(&bench) + 1.0);
    }
    assert_eq!(openings[..4], [30.0, 45.0, 67.5, 101.25]);
    assert_eq!(openings[7], 300.0);
    for (healthy, expected) in [(0, 300.0), (3 * 30, 101.25), (3600, 30.0)] {
        let mut bench = Bench {
            breaker: bench.breaker.clone(),
            rng: bench.rng.clone(),
            ..bench
        };
        bench.wait(secs(300));
        bench.attempt(Outcome::Ok);
        bench.wait(secs(healthy));
        bench.trip();
        assert_eq!(opening(&bench), expected, "after {healthy} s");
    }
}

#[test]
fn while_held_nothing_is_charged() {
    let mut bench = Bench::new(policy());
    bench.attempt(Outcome::Fail);
    bench.breaker.hold(true);
    for _ in 0..20 {
        assert_eq!(bench.attempt(Outcome::Fail), None);
    }
    bench.breaker.hold(false);
    assert_eq!(bench.breaker.view(bench.now).consecutive_failures, 1);
    bench.trip();
    bench.wait(OPEN);
    bench.breaker.hold(true);
    assert_eq!(bench.attempt(Outcome::Fail), None, "a probe is not either");
    assert_eq!(bench.attempt(Outcome::Ok).unwrap().to, State::Closed);
}

#[test]
fn faults_are_charged_where_they_lie() {
    let closed = Some(State::Closed);
    let open = Some(State::Open);
    for (scope, class, expected) in [
        (Scope::Both, Class::Transport, (open, closed)),
        (Scope::Both, Class::Status(500), (closed, open)),
        (Scope::Endpoint, Class::Transport, (None, open)),
        (Scope::Endpoint, Class::Status(500), (None, open)),
        (Scope::Host, Class::Transport, (open, None)),
        (Scope::Host, Class::Status(500), (open, None)),
    ] {
        let mut host = Host::new(scope);
        for _ in 0..5 {
            host.attempt(0, class).unwrap();
        }
        let (at_host, at_endpoint, worse) = host.states(0);
        assert_eq!((at_host, at_endpoint), expected, "{scope:?} {class:?}");
        assert_eq!(worse, State::Open);
    }
}

#[test]
fn too_many_requests_fails_a_probe_but_not_the_host() {
    let mut host = Host::new(Scope::Both);
    for _ in 0..5 {
        host.attempt(0, Class::Status(503)).unwrap();
    }
    host.now += OPEN;
    let probe = host.circuit.try_acquire(host.now, 0).unwrap();
    assert!(probe.is_probe());
    let verdict = Statuses::default().classify(Class::Status(429));
    let changes = host
        .circuit
        .complete(host.now, probe, &verdict, &mut host.rng);
    assert_eq!(changes.endpoint.unwrap().to, State::Open);
    assert_eq!(changes.host, None);
    host.now += OPEN;
    host.attempt(0, Class::Status(404)).unwrap();
    assert_eq!(host.states(0).2, State::Closed, "404 is an answer");
}

#[test]
fn both_permits_or_none() {
    let mut host = Host::new(Scope::Both);
    for _ in 0..5 {
        host.attempt(0, Class::Status(503)).unwrap();
    }
    for _ in 0..5 {
        host.attempt(1, Class::Transport).unwrap();
    }
    // Both are half-open now; the endpoint's probe fails on its own account.
    host.now += OPEN;
    let probe = host.circuit.try_acquire(host.now, 0).unwrap();
    let waiting = host.circuit.try_acquire(host.now, 1).unwrap_err();
    assert_eq!(waiting, Refused::ProbeInFlight { level: Level::Host });
    let verdict = Verdict {
        host: Outcome::Neutral,
        ..Statuses::default().classify(Class::Decode)
    };
    host.circuit
        .complete(host.now, probe, &verdict, &mut host.rng);
    assert_eq!(
        host.states(0),
        (Some(State::HalfOpen), Some(State::Open), State::Open)
    );
    for _ in 0..3 {
        let refused = host.circuit.try_acquire(host.now, 0).unwrap_err();
        let retry_at = host.now + OPEN;
        let level = Level::Endpoint;
        assert_eq!(refused, Refused::Open { level, retry_at });
    }
    let host_view = host.circuit.view(host.now, 1).host.unwrap();
    assert_eq!(
        host_view.counters.cancelled_probes, 1,
        "only the one that was sent"
    );
    host.attempt(1, Class::Success).unwrap();
    assert_eq!(host.states(1).2, State::Closed, "the slot was given back");
}

#[test]
fn a_pause_that_the_server_asked_for_is_kept_and_charged_to_nobody() {
    let mut host = Host::new(Scope::Both);
    let until = host.now + secs(60);
    host.circuit.pause(until);
    host.circuit.pause(host.now + secs(10));
    let refused = host.attempt(1, Class::Success).unwrap_err();
    assert_eq!(refused, Refused::Paused { until });
    assert_eq!(host.circuit.view(host.now, 1).retry_at(), Some(until));
    host.now = until;
    host.attempt(1, Class::Success).unwrap();
    assert_eq!(host.circuit.view(host.now, 1).retry_at(), None);
}
