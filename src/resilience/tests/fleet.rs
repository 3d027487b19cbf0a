//! Tests of the parts that concern all targets, or time: budget, guard, freshness, recorder.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use tokio::time::Instant;

use super::secs;
use crate::{
    definition::EndpointLabels,
    pipeline::ErrorType,
    resilience::{
        budget::{RetryBudget, floor},
        circuit::BreakerLevel,
        freshness::{FreshnessObjective, Time},
        local_fault_detector::{LocalFaultDetector, SuspicionChange},
        outcome::BreakerOutcome,
        recorder::{CAPACITY, DecisionEvent, DecisionScope, Names, Recorder},
        retry::RetryStop,
    },
};

const INTERVAL: Duration = Duration::from_secs(15);

#[test]
fn the_budget_has_a_floor_and_grows_with_the_attempts() {
    assert_eq!([1, 100, 101, 5000].map(floor), [10, 10, 10, 500]);
    let start = Instant::now();
    let mut budget = RetryBudget::new(1, INTERVAL, start);
    assert_eq!(budget.available(start), 50, "10 an interval");
    for _ in 0..100 {
        budget.attempt(start);
    }
    assert_eq!(budget.available(start), 70, "20 %");
    while budget.try_retry(start) {}
    assert_eq!(budget.available(start + 4 * INTERVAL), 0);
    assert_eq!(
        budget.available(start + 5 * INTERVAL),
        50,
        "all of it is forgotten"
    );
}

proptest! {
    #[test]
    fn retries_never_exceed_the_budget(
        targets in 1..2000_usize,
        steps in prop::collection::vec((0..4000_u64, 0..60_u32, 0..60_u32), 1..60),
    ) {
        let start = Instant::now();
        let mut budget = RetryBudget::new(targets, INTERVAL, start);
        let (mut now, mut log) = (start, Vec::new());
        for (wait_ms, attempts, retries) in steps {
            now += Duration::from_millis(wait_ms);
            for _ in 0..attempts {
                budget.attempt(now);
            }
            let granted = (0..retries).filter(|_| budget.try_retry(now)).count() as u64;
            let interval = (now - start).as_secs() / INTERVAL.as_secs();
            log.push((interval, u64::from(attempts), granted));
            let recent = log.iter().filter(|(then, ..)| then + 5 > interval);
            let (attempts, granted_in_all) =
                recent.fold((0, 0), |sum, entry| (sum.0 + entry.1, sum.1 + entry.2));
            let allowed = attempts / 5 + 5 * floor(targets);
            // Attempts leave the window before the retries that they allowed.
            prop_assert!(granted == 0 || granted_in_all <= allowed);
            prop_assert!(granted == u64::from(retries) || granted_in_all >= allowed, "no less");
            let left = allowed.saturating_sub(granted_in_all);
            prop_assert_eq!(budget.available(now), left);
        }
    }
}

#[test]
fn most_hosts_failing_at_once_raises_a_suspicion() {
    let mut now = Instant::now();
    let mut guard = LocalFaultDetector::new(30, INTERVAL);
    for host in 0..15 {
        assert_eq!(
            guard.record(now, host, BreakerOutcome::Fail),
            None,
            "half is not most"
        );
    }
    assert_eq!(guard.record(now, 15, BreakerOutcome::Neutral), None);
    let change = guard.record(now, 15, BreakerOutcome::Fail);
    assert_eq!(
        change,
        Some(SuspicionChange::Suspect {
            failing: 16,
            hosts: 30
        })
    );
    assert_eq!(
        guard.record(now, 16, BreakerOutcome::Fail),
        None,
        "said once"
    );
    let since = now;
    let mut turns = [0; 30];
    for _ in 0..10 {
        let tried = (0..30).filter(|host| guard.admits(now, *host));
        tried.for_each(|host| turns[host] += 1);
        now += INTERVAL;
    }
    assert_eq!(turns[..17], [1; 17], "each failing host has its turn");
    assert_eq!(turns[17..], [10; 13], "the others are polled as ever");
    assert_eq!(
        guard.record(now, 29, BreakerOutcome::Ok),
        None,
        "it never failed"
    );
    let after = now - since;
    assert_eq!(
        guard.record(now, 3, BreakerOutcome::Ok),
        Some(SuspicionChange::Cleared { after })
    );
    assert_eq!(guard.suspect_since(), None);
    assert!((0..30).all(|host| guard.admits(now, host)));
}

#[test]
fn few_hosts_or_failures_at_different_times_raise_no_suspicion() {
    let now = Instant::now();
    let mut two = LocalFaultDetector::new(2, INTERVAL);
    assert_eq!(two.record(now, 0, BreakerOutcome::Fail), None);
    assert_eq!(two.record(now, 1, BreakerOutcome::Fail), None);
    assert_eq!(
        two.record(now, 7, BreakerOutcome::Fail),
        None,
        "no such host"
    );
    let mut slow = LocalFaultDetector::new(3, INTERVAL);
    for host in 0..3_u32 {
        let when = now + host * INTERVAL;
        assert_eq!(slow.record(when, host as usize, BreakerOutcome::Fail), None);
    }
    let mut three = LocalFaultDetector::new(3, INTERVAL);
    let changes = [0, 1, 2].map(|host| three.record(now, host, BreakerOutcome::Fail).is_some());
    assert_eq!(changes, [false, false, true]);
    assert!(
        (0..3).all(|host| three.admits(now, host)),
        "a sample is three"
    );
}

proptest! {
    #[test]
    fn a_suspicion_begins_when_most_hosts_have_failed_within_an_interval(
        steps in prop::collection::vec((0..8_usize, prop::bool::weighted(0.7), 0..9_u32), 1..60),
    ) {
        let mut now = Instant::now();
        let mut guard = LocalFaultDetector::new(8, INTERVAL);
        let mut failed = [None; 8];
        for (host, fails, eighths) in steps {
            now += INTERVAL * eighths / 8;
            let was_suspect = guard.suspect_since().is_some();
            let outcome = if fails { BreakerOutcome::Fail } else { BreakerOutcome::Ok };
            let change = guard.record(now, host, outcome);
            let had_failed = failed[host].is_some();
            failed[host] = fails.then_some(now);
            let failing = failed.iter().flatten().filter(|at| now - **at <= INTERVAL).count();
            let begins = fails && !was_suspect && failing > 4;
            let ends = !fails && was_suspect && had_failed;
            prop_assert_eq!(change.is_some(), begins || ends);
            if begins {
                prop_assert_eq!(change, Some(SuspicionChange::Suspect { failing, hosts: 8 }));
            }
        }
    }
}

/// A failure that looked at all hosts would take hours here, and a network that is down would use
/// all of a processor.
#[test]
fn when_all_hosts_fail_a_failure_costs_as_little_as_one_alone() {
    const HOSTS: usize = 1_000_000;
    let mut now = Instant::now();
    let mut guard = LocalFaultDetector::new(HOSTS, INTERVAL);
    let mut suspicions = 0;
    for host in (0..HOSTS).chain(0..HOSTS) {
        now += Duration::from_micros(10);
        suspicions += usize::from(guard.record(now, host, BreakerOutcome::Fail).is_some());
    }
    assert_eq!(suspicions, 1);
}

#[test]
fn hosts_can_be_added_and_removed() {
    let now = Instant::now();
    let mut guard = LocalFaultDetector::new(4, INTERVAL);
    for host in 0..3 {
        guard.record(now, host, BreakerOutcome::Fail);
    }
    assert!(guard.suspect_since().is_some(), "three of four");
    assert_eq!(guard.leave(now, 0), None);
    assert_eq!(guard.leave(now, 1), None);
    assert_eq!(guard.leave(now, 1), None, "it was removed before");
    assert_eq!(guard.hosts(), 2);
    assert_eq!(
        guard.record(now, 0, BreakerOutcome::Fail),
        None,
        "there are no hosts"
    );
    let after = Duration::ZERO;
    assert_eq!(
        guard.leave(now, 2),
        Some(SuspicionChange::Cleared { after })
    );
    let mut places: Vec<_> = (0..4).map(|_| guard.join()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [0, 1, 2, 4],
        "first the free positions, then a new one"
    );
    assert_eq!(guard.hosts(), 5);
    assert!((0..5).all(|host| guard.admits(now, host)));
    for host in 0..2 {
        assert_eq!(guard.record(now, host, BreakerOutcome::Fail), None);
    }
    let (failing, hosts) = (3, 5);
    let change = Some(SuspicionChange::Suspect { failing, hosts });
    assert_eq!(guard.record(now, 4, BreakerOutcome::Fail), change);
}

#[test]
fn the_floor_of_the_budget_follows_the_targets() {
    let start = Instant::now();
    let mut budget = RetryBudget::new(0, INTERVAL, start);
    budget.set_targets(1000);
    assert_eq!(budget.available(start), 500, "100 an interval");
    budget.set_targets(1);
    assert_eq!(budget.available(start), 50);
}

#[test]
fn freshness_measures_time_even_in_an_outage() {
    let start = Instant::now();
    let at = |seconds| start + secs(seconds);
    let time = |within, without| Time {
        within: secs(within),
        without: secs(without),
    };
    let mut freshness = FreshnessObjective::new(secs(60), start);
    assert_eq!(
        freshness.read(at(10)),
        time(0, 10),
        "no data is no fresh data"
    );
    freshness.updated(at(10), secs(0));
    freshness.updated(at(25), secs(5));
    assert_eq!(freshness.read(at(80)), time(70, 10));
    assert_eq!(
        freshness.read(at(100)),
        time(70, 30),
        "it grows while nothing happens"
    );
    freshness.updated(at(100), secs(70));
    assert_eq!(
        freshness.read(at(110)),
        time(70, 40),
        "a new answer with old data"
    );
    freshness.updated(at(110), secs(50));
    freshness.updated(at(110), secs(55));
    assert_eq!(
        freshness.read(at(1110)),
        time(80, 1030),
        "an older answer changes nothing"
    );
}

proptest! {
    #[test]
    fn all_time_is_within_or_outside_the_objective(steps in prop::collection::vec((0..100_u64, 0..100_u64), 0..40)) {
        let start = Instant::now();
        let (mut freshness, mut now) = (FreshnessObjective::new(secs(60), start), start);
        let mut last = Time::default();
        for (wait, age) in steps {
            now += secs(wait);
            freshness.updated(now, secs(age));
            let time = freshness.read(now);
            prop_assert_eq!(time.within + time.without, now - start);
            prop_assert!(time.within >= last.within && time.without >= last.without);
            last = time;
        }
    }
}

#[test]
fn the_recorder_keeps_the_latest_decisions_and_shows_the_gap() {
    let mut recorder = Recorder::default();
    for attempt in 1..=100 {
        let event = DecisionEvent::Attempt {
            attempt,
            probe: false,
            timeout: Duration::from_millis(500).into(),
            took: Duration::from_millis(100).into(),
            error_type: Some(ErrorType::Timeout),
            endpoint_outcome: BreakerOutcome::Neutral,
            host_outcome: BreakerOutcome::Fail,
        };
        recorder.record(UNIX_EPOCH, DecisionScope::endpoint(0), event);
    }
    let level = Some(BreakerLevel::Host);
    let retry_in = Some(secs(30).into());
    recorder.record(
        UNIX_EPOCH + secs(1),
        DecisionScope::default(),
        DecisionEvent::Refused {
            level,
            retry_in,
            times: 1,
        },
    );
    recorder.record(
        UNIX_EPOCH,
        DecisionScope::default().at(Some(1)),
        DecisionEvent::NoRetry {
            reason: RetryStop::RetryAfter,
        },
    );
    let names = Names {
        endpoints: &[EndpointLabels::new("api", "/api")],
        instances: &["a:1".into(), "b:2".into()],
    };
    let json = serde_json::to_value(recorder.told(names)).unwrap();
    assert_eq!(
        json[0],
        serde_json::json!({
            "number": 39, "at": "1970-01-01T00:00:00Z", "endpoint": "api", "event": "attempt",
            "attempt": 39, "probe": false, "timeout": 0.5, "took": 0.1, "error_type": "timeout",
            "endpoint_outcome": "neutral", "host_outcome": "fail",
        })
    );
    assert_eq!(
        json[62],
        serde_json::json!({
            "number": 101, "at": "1970-01-01T00:00:01Z", "endpoint": null, "event": "refused",
            "level": "host", "retry_in": 30.0, "times": 1,
        })
    );
    assert_eq!(json.as_array().unwrap().len(), CAPACITY);
    assert_eq!(json[63]["reason"], "retry_after");
    assert_eq!(json[63]["instance"], "b:2");
}

/// Number, minute and second, event and times of each decision.
fn told(recorder: &Recorder) -> (Vec<String>, serde_json::Value) {
    let endpoints = ["a", "b"].map(|id| EndpointLabels::new(id, "/x"));
    let names = Names {
        endpoints: &endpoints,
        instances: &[],
    };
    let json = serde_json::to_value(recorder.told(names)).unwrap();
    let decisions = json.as_array().unwrap().iter();
    let lines = decisions.map(|it| {
        let number = &it["number"];
        let (at, event) = (it["at"].as_str().unwrap(), it["event"].as_str().unwrap());
        let at = at.get(14..19).unwrap();
        format!("{number} {at} {event} ×{}", it["times"])
    });
    (lines.collect(), json)
}

#[test]
fn what_repeats_at_each_poll_of_an_outage_is_counted_in_one_decision() {
    let mut recorder = Recorder::default();
    let places = [0, 1].map(DecisionScope::endpoint);
    let refused = |level, seconds| DecisionEvent::Refused {
        level: Some(level),
        retry_in: Some(secs(seconds).into()),
        times: 1,
    };
    for poll in 0..200_u64 {
        for place in places {
            let at = UNIX_EPOCH + secs(poll);
            recorder.record(at, place, refused(BreakerLevel::Host, 200 - poll));
            let age = secs(poll).into();
            recorder.record(at, place, DecisionEvent::ServedStale { age, times: 1 });
        }
    }
    // Another level is another reason, and after anything else a new row begins.
    recorder.record(
        UNIX_EPOCH + secs(200),
        places[0],
        refused(BreakerLevel::Endpoint, 5),
    );
    recorder.record(
        UNIX_EPOCH + secs(201),
        places[0],
        DecisionEvent::Guard { suspect: true },
    );
    recorder.record(
        UNIX_EPOCH + secs(202),
        places[0],
        refused(BreakerLevel::Endpoint, 3),
    );
    let (lines, json) = told(&recorder);
    assert_eq!(
        lines,
        [
            "1 03:19 refused ×200",
            "2 03:19 served_stale ×200",
            "3 03:19 refused ×200",
            "4 03:19 served_stale ×200",
            "5 03:20 refused ×1",
            "6 03:21 guard ×null",
            "7 03:22 refused ×1",
        ]
    );
    assert_eq!(json[0]["retry_in"], 1.0);
}
