//! Tests of panics: a panic loses only the batch that caused it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_panic_loses_only_the_batch_that_caused_it() {
    let mut bench = bench(steady(), 10);
    bench
        .destination
        .script([DestinationStep::Accept, DestinationStep::Panic]);
    for mark in 1..=3 {
        bench.push(mark);
    }
    bench.pass(1).await;
    assert_eq!(bench.accepted(), [1, 3]);
    assert_eq!(bench.metrics.sum("rejected"), 2);
    bench.destination.script([DestinationStep::Panic]);
    bench.push(4);
    bench.pass(1).await;
    let error = bench.setup.status.state().error;
    let expected = "sending the batch panicked: out of luck";
    assert_eq!(error.as_deref(), Some(expected));
    bench.destination.script([DestinationStep::HangAndPanic]);
    bench.push(5);
    bench.push(6);
    bench.pass(60).await;
    assert_eq!(bench.accepted(), [1, 3, 6]);
    assert_eq!(bench.metrics.sum("rejected"), 6);
}

#[tokio::test(start_paused = true)]
async fn the_batch_of_a_worker_that_panics_is_counted() {
    let mut bench = bench(steady(), 10);
    for mark in 1..=3 {
        bench.push(mark);
    }
    let shared = &bench.delivery.shared;
    let Next::Send(batch) = shared.lock().next(Instant::now()) else {
        panic!("one waits");
    };
    bench.check();
    drop(InFlightBatch::new(shared, batch));
    bench.pass(1).await;
    assert_eq!(bench.accepted(), [2, 3]);
    assert_eq!(bench.metrics.sum("panic"), 2);
}
