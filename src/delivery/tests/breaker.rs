//! Tests of the breaker: it stops requests to a destination that does not answer, and nothing is
//! lost.

use super::*;
use crate::pipeline::ComponentStatus;

/// Three simultaneous batches, to a destination that is down for ten minutes.
fn away_bench() -> (Bench, Instant) {
    let queue = SendingQueue {
        num_consumers: 3,
        batch: BatchSettings {
            max_size: Some(15),
            ..BatchSettings::default()
        },
        ..SendingQueue::default()
    };
    let bench = bench_with(for_ever(), queue);
    let until = Instant::now() + Duration::from_secs(600);
    *bench.destination.away_until.lock().unwrap() = Some(until);
    (bench, until)
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_in_a_row_there_is_one_attempt_at_a_time() {
    let (mut bench, until) = away_bench();
    let start = Instant::now();
    for mark in 0..40 {
        bench.push(mark);
    }
    assert_eq!(bench.metrics.sum("circuit_breaker_state"), 0);
    bench.pass(42).await; // 5 rounds: after 0, 5, 12.5, 23.75 and 40.6 seconds
    assert_eq!(bench.metrics.sum("circuit_breaker_state"), 1);
    bench.pass(700).await;

    let attempts = bench.destination.attempts();
    let times = attempts.iter().map(|(time, _)| *time);
    let probes: Vec<Instant> = times
        .filter(|time| *time - start > Duration::from_secs(42) && *time < until)
        .collect();
    assert!(probes.len() > 30, "{}", probes.len());
    for pair in probes.windows(2) {
        assert!(pair[1] - pair[0] > Duration::from_secs(4), "{pair:?}");
    }
    let mut accepted = bench.accepted();
    accepted.sort_unstable();
    assert_eq!(accepted, (0..40).collect::<Vec<u8>>());
    assert_eq!(bench.metrics.sum("circuit_breaker_state"), 0);
    assert_eq!(bench.metrics.sum("dropped"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_delays_no_drain() {
    let (mut bench, _) = away_bench();
    for mark in 0..4 {
        bench.push(mark);
    }
    bench.pass(42).await;
    assert_eq!(bench.metrics.sum("circuit_breaker_state"), 1);
    let before = bench.destination.attempts().len();
    let start = Instant::now();
    bench.drain(30).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let attempts = bench.destination.attempts().len() - before;
    assert_eq!(attempts, 4, "one attempt for each batch");
}

#[tokio::test(start_paused = true)]
async fn the_status_is_the_result_of_the_last_attempt() {
    let mut bench = bench(steady(), 10);
    let said = |bench: &Bench| {
        let state = bench.setup.status.state();
        (state.status, state.error.unwrap_or_default())
    };
    bench.destination.script([
        DestinationStep::Fail,
        DestinationStep::Accept,
        DestinationStep::Refuse,
    ]);
    bench.push(1);
    bench.pass(1).await;
    let recoverable = (ComponentStatus::RecoverableError, "busy".to_owned());
    assert_eq!(said(&bench), recoverable);
    bench.pass(5).await;
    assert_eq!(said(&bench), (ComponentStatus::Ok, String::new()));
    bench.push(2);
    bench.pass(1).await;
    let permanent = (ComponentStatus::PermanentError, "no".to_owned());
    assert_eq!(said(&bench), permanent);
    bench.push(3);
    bench.pass(1).await;
    assert_eq!(said(&bench).0, ComponentStatus::Ok);
}
