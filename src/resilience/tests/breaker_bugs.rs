//! Bugs that other circuit breakers have and this one must not have.

use std::time::Duration;

use super::{Bench, OPEN, policy, secs};
use crate::resilience::{
    breaker::{BreakerPolicy, BreakerRefusal, FailureCounting},
    outcome::BreakerOutcome,
    state::{BreakerState, TransitionReason},
};
use fastrand::Rng;

fn half_open() -> Bench {
    let mut bench = Bench::new(policy());
    bench.trip();
    bench.wait(OPEN);
    bench
}

#[test]
fn a_half_open_breaker_admits_one_trial_request_and_not_a_hundred() {
    let mut bench = half_open();
    let admitted = (0..100).filter(|_| bench.try_acquire().is_ok());
    assert_eq!(admitted.count(), 1);
    let refusal = bench.try_acquire();
    assert_eq!(refusal, Err(BreakerRefusal::ProbeInFlight));
}

#[test]
fn the_fifth_failure_opens_the_breaker_and_one_failed_trial_opens_it_again() {
    let mut bench = Bench::new(policy());
    for _ in 0..4 {
        assert_eq!(bench.attempt(BreakerOutcome::Fail), None);
    }
    let opened = bench.attempt(BreakerOutcome::Fail).unwrap();
    assert_eq!(
        (opened.reason, opened.failures),
        (TransitionReason::FailureThreshold, 5)
    );
    bench.wait(OPEN);
    let reopened = bench.attempt(BreakerOutcome::Fail).unwrap();
    assert_eq!(
        (reopened.reason, reopened.to),
        (TransitionReason::ProbeFailed, BreakerState::Open)
    );
    // Once per open time, which counts from when the trial request was sent, a second ago.
    let retry_at = bench.now + OPEN - secs(1);
    let refusal = bench.try_acquire();
    assert_eq!(refusal, Err(BreakerRefusal::Open { retry_at }));
}

#[test]
fn a_late_result_of_an_earlier_state_changes_nothing_and_is_counted() {
    let mut bench = Bench::new(policy());
    let late = bench.try_acquire().unwrap();
    bench.trip();
    bench.wait(OPEN);
    let probe = bench.try_acquire().unwrap();
    assert_eq!(
        bench.complete(late, BreakerOutcome::Ok),
        None,
        "it does not close the breaker"
    );
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    assert_eq!(bench.breaker.view(bench.now).counters.stale_results, 1);
    assert_eq!(
        bench.complete(probe, BreakerOutcome::Fail).unwrap().to,
        BreakerState::Open
    );
}

#[test]
fn a_cancelled_trial_gives_its_slot_back_and_neither_opens_nor_closes() {
    let mut bench = half_open();
    for round in 1..=3 {
        assert_eq!(bench.attempt(BreakerOutcome::Neutral), None);
        assert_eq!(bench.state(), BreakerState::HalfOpen);
        let counters = bench.breaker.view(bench.now).counters;
        assert_eq!(counters.cancelled_probes, round);
    }
    let unused = bench.try_acquire().unwrap();
    bench.breaker.give_back(unused);
    let counters = bench.breaker.view(bench.now).counters;
    assert_eq!(
        counters.cancelled_probes, 3,
        "an unsent request is not a trial request"
    );
    assert_eq!(
        bench.attempt(BreakerOutcome::Ok).unwrap().to,
        BreakerState::Closed
    );
}

#[test]
fn a_healthy_node_leaves_half_open_however_rarely_it_is_polled() {
    let several = BreakerPolicy {
        half_open_max_probes: 3,
        ..policy()
    };
    for policy in [policy(), several] {
        let mut bench = Bench::new(policy);
        bench.trip();
        bench.wait(secs(3600));
        assert_eq!(
            bench.attempt(BreakerOutcome::Ok).unwrap().to,
            BreakerState::Closed
        );
    }
}

#[test]
fn requests_that_fail_together_count_as_one_failure() {
    let mut bench = Bench::new(BreakerPolicy {
        counting: FailureCounting::Waves,
        ..policy()
    });
    for wave in 1..=5 {
        let permits: Vec<_> = (0..6).map(|_| bench.try_acquire().unwrap()).collect();
        for permit in permits {
            let changed = bench.complete(permit, BreakerOutcome::Fail);
            assert!(changed.is_none() || wave == 5);
        }
        let failures = bench.breaker.view(bench.now).consecutive_failures;
        assert_eq!(failures, wave, "all of them were refused at once");
        bench.wait(secs(1));
    }
    assert_eq!(bench.state(), BreakerState::Open);
}

#[test]
fn late_failures_and_refusals_do_not_keep_the_breaker_open_for_longer() {
    let mut bench = Bench::new(policy());
    let late = bench.try_acquire().unwrap();
    bench.trip();
    let retry_at = Some(bench.now + OPEN);
    bench.wait(secs(10));
    assert_eq!(bench.complete(late, BreakerOutcome::Fail), None);
    for _ in 0..9 {
        assert!(bench.try_acquire().is_err());
    }
    let view = bench.breaker.view(bench.now);
    assert_eq!((view.retry_at, view.consecutive_failures), (retry_at, 5));
    assert_eq!(
        (view.counters.rejections, view.counters.stale_results),
        (9, 1)
    );
}

#[test]
fn the_reported_state_is_computed_when_it_is_read() {
    let mut bench = Bench::new(policy());
    bench.trip();
    bench.wait(OPEN - Duration::from_millis(1));
    assert_eq!(bench.state(), BreakerState::Open);
    bench.wait(Duration::from_millis(1));
    let view = bench.breaker.view(bench.now);
    assert_eq!(
        (view.state, view.since),
        (BreakerState::HalfOpen, bench.now),
        "there was no request"
    );
    assert_eq!(view.counters.expiries, 1);
    assert_eq!(view.time.open, OPEN);
    let numbers = [
        BreakerState::Closed,
        BreakerState::Open,
        BreakerState::HalfOpen,
    ]
    .map(BreakerState::number);
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn breakers_that_open_together_send_their_trials_at_different_times() {
    let mut rng = Rng::with_seed(20);
    let jittered = BreakerPolicy {
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
fn consecutive_openings_become_longer_and_health_shortens_them() {
    let mut bench = Bench::new(BreakerPolicy {
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
        bench.attempt(BreakerOutcome::Fail);
        // The time counts from when the trial request was sent.
        openings.push(opening(&bench) + 1.0);
    }
    assert_eq!(openings[..4], [30.0, 45.0, 67.5, 101.25]);
    assert_eq!(openings[7], 300.0);
    for (healthy, expected) in [(0, 300.0), (3 * 30, 101.25), (3600, 30.0)] {
        let mut bench = Bench {
            policy: bench.policy,
            breaker: bench.breaker.clone(),
            rng: bench.rng.clone(),
            ..bench
        };
        bench.wait(secs(300));
        bench.attempt(BreakerOutcome::Ok);
        bench.wait(secs(healthy));
        bench.trip();
        assert_eq!(opening(&bench), expected, "after {healthy} s");
    }
}

#[test]
fn a_held_breaker_counts_no_failures() {
    let mut bench = Bench::new(policy());
    bench.attempt(BreakerOutcome::Fail);
    bench.breaker.hold(true);
    for _ in 0..20 {
        assert_eq!(bench.attempt(BreakerOutcome::Fail), None);
    }
    bench.breaker.hold(false);
    assert_eq!(bench.breaker.view(bench.now).consecutive_failures, 1);
    bench.trip();
    bench.wait(OPEN);
    bench.breaker.hold(true);
    assert_eq!(
        bench.attempt(BreakerOutcome::Fail),
        None,
        "a trial request does not count either"
    );
    assert_eq!(
        bench.attempt(BreakerOutcome::Ok).unwrap().to,
        BreakerState::Closed
    );
}
