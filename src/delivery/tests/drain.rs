//! Tests of the shutdown: each held batch gets one attempt, and the shutdown waits for nobody.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_drain_sends_what_is_held_without_waiting() {
    let mut bench = bench(steady(), 10);
    bench.destination.script([DestinationStep::After(60)]);
    for mark in 1..=3 {
        bench.push(mark);
    }
    bench.pass(1).await; // the first one now waits for a minute
    let start = Instant::now();
    bench.drain(30).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(bench.accepted(), [1, 2, 3]);
    bench.push(4);
    assert_eq!(bench.metrics.sum("shutdown"), 2);
    assert!(
        bench
            .setup
            .tasks
            .stop(Instant::now() + Duration::from_secs(1))
            .await,
        "workers have ended"
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_the_open_batch_to_age() {
    let mut bench = bench(steady(), 10);
    bench.push(1);
    sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    bench.drain(30).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(bench.accepted(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_gives_each_batch_one_attempt_if_the_destination_is_down() {
    let mut bench = bench(steady(), 10);
    *bench.destination.away_until.lock().unwrap() =
        Some(Instant::now() + Duration::from_secs(3600));
    for mark in 1..=4 {
        bench.push(mark);
    }
    let start = Instant::now();
    bench.drain(12).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let marks: Vec<u8> = bench
        .destination
        .attempts()
        .iter()
        .map(|(_, batch)| batch[0])
        .collect();
    assert_eq!(marks, [1, 2, 3, 4]);
    assert_eq!(bench.metrics.sum("shutdown"), 8);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_an_attempt_that_hangs() {
    let mut bench = bench(steady(), 10);
    bench.destination.script([DestinationStep::Hang]);
    bench.push(1);
    bench.pass(1).await;
    bench.drain(5).await;
    assert_eq!(bench.metrics.sum("shutdown"), 2);
    assert!(
        bench
            .setup
            .tasks
            .stop(Instant::now() + Duration::from_secs(1))
            .await
    );
    advance(TIMEOUT).await;
    bench.check();
}
