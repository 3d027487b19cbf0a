//! Tests of messages that are too large for one request, by the settings or by the destination.

use super::{
    disk::{on_disk, started_on_disk},
    *,
};
use crate::storage::tests::disk::Disk;

/// Splits a message at any byte. Its points are distributed over its bytes.
pub(super) fn split(message: &[u8], points: u64, limit: Limit) -> Vec<Piece> {
    let len = message.len() as u64;
    let most = match limit {
        Limit::Half => len.div_ceil(2),
        Limit::AtMost {
            points: most,
            bytes,
        } => {
            let by_points = most.saturating_mul(len).checked_div(points);
            bytes.min(by_points.unwrap_or(u64::MAX)).max(1)
        }
    };
    let chunks = message.chunks(usize::try_from(most).unwrap().max(1));
    let mut done = 0;
    let pieces = chunks.map(|chunk| {
        let before = done;
        done += chunk.len() as u64;
        Piece {
            payload: Bytes::copy_from_slice(chunk),
            points: points * done / len - points * before / len,
        }
    });
    pieces.collect()
}

pub(super) fn splitting(queue: SendingQueue) -> DeliverySettings {
    DeliverySettings {
        split: Some(split),
        ..settings(steady(), queue)
    }
}

fn batches_of(max_size: u64, sizer: BatchSizer) -> SendingQueue {
    SendingQueue {
        batch: BatchSettings {
            max_size: Some(max_size),
            sizer,
            ..BatchSettings::default()
        },
        ..SendingQueue::default()
    }
}

fn sizes(bench: &Bench) -> Vec<usize> {
    let attempts = bench.destination.attempts();
    attempts.iter().map(|(_, batch)| batch.len()).collect()
}

/// A message of 60 different bytes with 20 points.
fn push_large(bench: &mut Bench) -> Vec<u8> {
    let message: Vec<u8> = (0..60).collect();
    bench.pushed += 20;
    bench.delivery.push(&message, 20);
    bench.check();
    message
}

#[tokio::test(start_paused = true)]
async fn a_target_larger_than_max_size_is_sent_in_pieces() {
    for (max, sizer, expected) in [
        (25, BatchSizer::Bytes, [25, 25, 10]),
        (8, BatchSizer::Items, [24, 24, 12]),
    ] {
        let mut bench = bench_of(splitting(batches_of(max, sizer)), None);
        bench.push(200);
        let message = push_large(&mut bench);
        bench.push(201);
        bench.pass(1).await;
        assert_eq!(sizes(&bench), [&[8][..], &expected, &[8]].concat());
        let all = [vec![200; 8], message, vec![201; 8]].concat();
        assert_eq!(bench.destination.accepted(), all, "in order");
        assert_eq!(bench.metrics.sum("sent"), 24);
    }
}

#[tokio::test(start_paused = true)]
async fn a_split_message_is_one_batch_even_without_a_queue() {
    let mut queue = batches_of(7, BatchSizer::Bytes);
    queue.enabled = false;
    let mut bench = bench_of(splitting(queue), None);
    push_large(&mut bench);
    bench.pass(1).await;
    assert_eq!(bench.metrics.sum("sent"), 20);
    assert_eq!(bench.metrics.sum("dropped"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_refused_because_of_its_size_is_halved_until_it_fits() {
    let (lines, _guard) = logged();
    let mut bench = bench_of(splitting(SendingQueue::default()), None);
    *bench.destination.max_bytes.lock().unwrap() = Some(16);
    for _ in 0..3 {
        let before = bench.destination.accepted().len();
        let message = push_large(&mut bench);
        bench.pass(1).await;
        assert_eq!(bench.destination.accepted()[before..], message);
    }
    assert_eq!(sizes(&bench)[..7], [60, 30, 15, 15, 30, 15, 15]);
    assert_eq!(bench.metrics.sum("sent"), 60);
    assert_eq!(bench.metrics.sum("dropped"), 0);
    let text = lines.text();
    let count = |part| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("WARN"), 1, "{text}");
    assert_eq!(count("it is sent in halves"), 1, "{text}");
}

#[tokio::test(start_paused = true)]
async fn only_a_point_that_is_too_large_alone_is_dropped() {
    let mut bench = bench_of(splitting(SendingQueue::default()), None);
    *bench.destination.max_bytes.lock().unwrap() = Some(0);
    push_large(&mut bench);
    bench.pass(1).await;
    assert_eq!(bench.metrics.sum("too_large"), 20);
    *bench.destination.max_bytes.lock().unwrap() = None;
    push_large(&mut bench);
    bench.pass(1).await;
    assert_eq!(bench.metrics.sum("sent"), 20);
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_piece_is_sent_again() {
    for is_on_disk in [false, true] {
        let queue = batches_of(25, BatchSizer::Bytes);
        let disk = Disk::default();
        let mut bench = match is_on_disk {
            true => started_on_disk(splitting(queue.clone()), &disk).await,
            false => bench_of(splitting(queue.clone()), None),
        };
        bench.destination.script([
            DestinationStep::Accept,
            DestinationStep::Fail,
            DestinationStep::Refuse,
            DestinationStep::Accept,
        ]);
        let message = push_large(&mut bench);
        bench.pass(30).await;
        let accepted = [&message[..25], &message[50..]].concat();
        assert_eq!(bench.destination.accepted(), accepted);
        assert_eq!(bench.metrics.sum("rejected"), 8);
        assert_eq!(bench.metrics.sum("sent"), 12);
        drop(bench);
        if is_on_disk {
            let next = on_disk(queue, &disk).await;
            sleep(Duration::from_secs(1)).await;
            assert_eq!(next.accepted(), Vec::<u8>::new(), "removed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_batch_stays_on_disk_at_the_end() {
    let disk = Disk::default();
    let mut first = on_disk(batches_of(25, BatchSizer::Bytes), &disk).await;
    first
        .destination
        .script([DestinationStep::Accept, DestinationStep::Fail]);
    let message = push_large(&mut first);
    first.pass(1).await;
    let until = Instant::now() + Duration::from_secs(1000);
    *first.destination.away_until.lock().unwrap() = Some(until);
    first.drain(30).await;
    assert_eq!(first.metrics.sum("held"), 12);
    assert_eq!(first.metrics.sum("dropped"), 0);
    drop(first);
    let second = on_disk(SendingQueue::default(), &disk).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(second.destination.accepted(), message, "the whole record");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_waits_until_its_predecessor_has_ended() {
    let (order, before) = (Arc::new(SendOrder::default()), CancellationToken::new());
    let _turn = Arc::clone(&order).join(&before);
    let mut settings = splitting(SendingQueue::default());
    settings.order = Some(order);
    let mut bench = bench_of(settings.clone(), None);
    bench.push(1);
    bench.pass(10).await;
    assert_eq!(bench.accepted(), Vec::<u8>::new());
    before.cancel();
    bench.pass(1).await;
    assert_eq!(bench.accepted(), [1]);

    let mut bench = bench_of(settings.clone(), None);
    let mut last = bench_of(settings, None);
    bench.push(2);
    bench.pass(1).await;
    assert_eq!(bench.accepted(), Vec::<u8>::new());
    last.push(3);
    last.drain(10).await;
    assert_eq!(last.accepted(), [3], "a drain does not wait");
}
