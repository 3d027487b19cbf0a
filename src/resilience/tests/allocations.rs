//! Checks that the shell allocates no memory, neither while a target answers nor while its breaker
//! is open: an outage of a thousand nodes must not load the collector.

use std::{hint::black_box, time::UNIX_EPOCH};

use futures_util::FutureExt as _;

use super::{refused, without_retries};
use crate::{
    pipeline::{Body, ErrorType, PollOutcome},
    resilience::{
        cache::CacheHeaders, executor::AttemptResponse, receiver_resilience::ReceiverResilience,
        recorder::CAPACITY, target_resilience::TargetResilience,
    },
};

/// Polls a host that refuses connections; gives the failure, without waiting for anything.
fn poll(host: &TargetResilience) -> ErrorType {
    let polled = super::poll(host, 0, |_| Err(refused()));
    let polled = polled.now_or_never().unwrap();
    match polled.outcome {
        PollOutcome::Failed(failure) => failure.error_type,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refused_poll_allocates_nothing() {
    let slot = ReceiverResilience::new(without_retries()).join();
    let host = super::host(&slot, &["root"], &[]);
    while poll(&host) != ErrorType::CircuitOpen {}
    // The record of decisions first grows to its full size.
    for _ in 0..CAPACITY {
        poll(&host);
    }
    let spent = allocation_counter::measure(|| {
        for _ in 0..100 {
            assert_eq!(black_box(poll(&host)), ErrorType::CircuitOpen);
        }
    });
    assert_eq!((spent.count_total, spent.bytes_total), (0, 0));
    let sent = allocation_counter::measure(|| drop(black_box(Box::new(poll(&host)))));
    assert_eq!(sent.count_total, 1, "the counter counts");
}

#[test]
fn a_poll_with_a_good_answer_allocates_nothing() {
    let slot = ReceiverResilience::new(without_retries()).join();
    let host = super::host(&slot, &["root"], &[]);
    let body = Body::new(Default::default(), UNIX_EPOCH, |_| None);
    let poll = || {
        let answer = |_| {
            let headers = CacheHeaders::default();
            Ok(AttemptResponse::Body(body.clone(), headers))
        };
        let polled = super::poll(&host, 0, answer).now_or_never().unwrap();
        assert!(matches!(polled.outcome, PollOutcome::Fresh(_)));
    };
    // The record of decisions and the window of response times first grow to their full size.
    for _ in 0..300 {
        poll();
    }
    let spent = allocation_counter::measure(|| (0..100).for_each(|_| poll()));
    assert_eq!((spent.count_total, spent.bytes_total), (0, 0));
}
