//! Tests of a queue on disk: its stored batches survive the process.

use super::*;
use crate::storage::{self, tests::disk::Disk};

fn directory(path: &std::path::Path) -> Directory {
    let settings = storage::DirectorySettings {
        path: path.to_owned(),
        create: true,
        permissions: 0o750,
        timeout: Duration::from_secs(1),
        fsync: true,
        max_bytes: 1 << 20,
    };
    Directory::new(settings, Reporter::unheard())
}

/// A delivery with its queue on the disk.
pub(super) async fn on_disk(queue: SendingQueue, disk: &Disk) -> Bench {
    started_on_disk(size::splitting(queue), disk).await
}

pub(super) async fn started_on_disk(settings: DeliverySettings, disk: &Disk) -> Bench {
    disk.restart();
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(folder.path());
    let log = Log::new(disk.clone());
    let bench = bench_of(settings, Some((directory.clone(), log)));
    directory.open().await.unwrap();
    bench
}

fn small() -> SendingQueue {
    SendingQueue {
        batch: BatchSettings {
            max_size: Some(15),
            ..BatchSettings::default()
        },
        ..SendingQueue::default()
    }
}

fn away(bench: &Bench, seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    *bench.destination.away_until.lock().unwrap() = Some(until);
}

#[tokio::test(start_paused = true)]
async fn stored_batches_survive_a_crash_and_are_sent_in_order() {
    let (lines, _guard) = logged();
    let disk = Disk::default();
    let mut first = on_disk(small(), &disk).await;
    away(&first, 10_000);
    for mark in 1..=20 {
        first.push(mark);
    }
    first.pass(1000).await; // longer than all retries without a disk
    assert_eq!(first.metrics.sum("dropped"), 0);
    assert_eq!(first.metrics.sum("stored"), 40, "{}", lines.text());
    first.push(21); // never stored
    drop(first); // as if it crashed: no drain
    let second = on_disk(small(), &disk).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(second.accepted(), (1..=20).collect::<Vec<u8>>());
    assert_eq!(
        second.metrics.sum("received"),
        40,
        "the points found at the start"
    );
    assert_eq!(second.metrics.sum("sent"), 40);
    drop(second);
    let third = on_disk(small(), &disk).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(third.accepted(), Vec::<u8>::new(), "removed");
}

#[tokio::test(start_paused = true)]
async fn batches_that_cannot_be_sent_at_shutdown_stay_on_disk() {
    let disk = Disk::default();
    let mut first = on_disk(small(), &disk).await;
    away(&first, 10_000);
    first.push(1);
    first.push(2);
    let start = Instant::now();
    first.drain(30).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "the shutdown does not wait"
    );
    assert_eq!(first.metrics.sum("dropped"), 0);
    assert_eq!(first.metrics.sum("held"), 4);
    drop(first);
    let second = on_disk(small(), &disk).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(second.accepted(), [1, 2]);
}

/// This is also true if a batch is never sent again: a batch whose attempt the shutdown interrupts,
/// or that waits for an open breaker, has not had its attempt.
#[tokio::test(start_paused = true)]
async fn without_retries_it_stays_too() {
    let never = RetryOnFailure {
        enabled: false,
        ..steady()
    };
    for (hangs, waits) in [(true, 1), (false, 1), (false, 20)] {
        let settings = settings(never.clone(), small());
        let disk = Disk::default();
        let mut first = started_on_disk(settings, &disk).await;
        match hangs {
            true => first.destination.script([DestinationStep::Hang]),
            false => away(&first, 10_000),
        }
        for mark in 1..=20 {
            first.push(mark);
        }
        first.pass(waits).await;
        let (held, dropped) = (first.metrics.sum("held"), first.metrics.sum("dropped"));
        assert!(held > 0);
        first.drain(60).await;
        assert_eq!(first.metrics.sum("held"), held);
        assert_eq!(first.metrics.sum("dropped"), dropped);
        drop(first);
        let second = on_disk(small(), &disk).await;
        sleep(Duration::from_secs(30)).await;
        assert_eq!(second.metrics.sum("sent"), held);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_can_be_sent_at_shutdown_are_sent() {
    let mut bench = on_disk(small(), &Disk::default()).await;
    for mark in 1..=5 {
        bench.push(mark);
    }
    bench.drain(30).await;
    assert_eq!(bench.accepted(), [1, 2, 3, 4, 5]);
    assert_eq!(bench.metrics.sum("held"), 0);
}

#[tokio::test(start_paused = true)]
async fn while_the_disk_is_full_the_queue_is_in_memory() {
    let (lines, _guard) = logged();
    let disk = Disk::default();
    let mut bench = on_disk(small(), &disk).await;
    bench.push(1);
    bench.pass(1).await;
    disk.set_full(true);
    for mark in 2..=5 {
        bench.push(mark);
        bench.pass(5).await;
    }
    assert_eq!(
        bench.accepted(),
        [1, 2, 3, 4, 5],
        "all are sent from memory"
    );
    assert!(bench.metrics.sum("storage_failures") >= 3);
    disk.set_full(false);
    bench.pass(10).await;
    let stored = bench.metrics.sum("stored");
    bench.push(6);
    bench.pass(1).await;
    assert_eq!(bench.metrics.sum("stored"), stored + 2);
    assert_eq!(bench.accepted(), [1, 2, 3, 4, 5, 6]);
    let text = lines.text();
    let count = |part| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("the queue cannot be written to disk"), 1, "{text}");
    assert_eq!(count("the queue is on disk again"), 1, "{text}");
}

#[tokio::test(start_paused = true)]
async fn intact_records_of_a_damaged_file_are_sent_and_the_others_counted() {
    let (lines, _guard) = logged();
    let disk = Disk::default();
    let mut first = on_disk(small(), &disk).await;
    away(&first, 10_000);
    for mark in 1..=20 {
        first.push(mark);
        first.pass(1).await;
    }
    assert_eq!(first.metrics.sum("held"), 40);
    drop(first);
    disk.damage(|file| damage_record(file, 7));

    let mut second = on_disk(small(), &disk).await;
    second.pushed = 40;
    second.pass(60).await;
    let left: Vec<u8> = (1..=20).filter(|mark| *mark != 7).collect();
    assert_eq!(second.accepted(), left);
    assert_eq!(second.metrics.sum("sent"), 38);
    assert_eq!(second.metrics.sum("dropped"), 2, "{}", lines.text());
    assert_eq!(second.metrics.sum("damaged"), 1);
    let text = lines.text();
    assert!(text.contains("the file is renamed aside=aside"), "{text}");
    assert!(text.contains("lost_points=2"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn damage_found_during_operation_loses_only_the_damaged_records() {
    let disk = Disk::default();
    let mut queue = small();
    queue.batch.max_size = Some(3_000); // a separate page, which the next write does not repeat
    let mut bench = on_disk(queue, &disk).await;
    away(&bench, 100);
    for mark in 1..=20 {
        bench.delivery.push(&[mark; 3_000], 2);
        bench.pushed += 2;
        bench.pass(1).await;
    }
    // None of these records is being sent by a worker.
    disk.damage(|file| (15..=16).for_each(|mark| damage_record(file, mark)));
    // After a failure, redb reads from disk again what it had in memory.
    disk.set_full(true);
    bench.push(21);
    bench.pass(1).await;
    disk.set_full(false);
    bench.pass(200).await;
    let mut accepted = bench.accepted();
    accepted.dedup();
    let left: Vec<u8> = (1..=21).filter(|mark| ![15, 16].contains(mark)).collect();
    assert_eq!(accepted, left);
    assert_eq!(bench.metrics.sum("dropped"), 4);
    assert_eq!(bench.metrics.sum("damaged"), 1);
    assert_eq!(bench.metrics.sum("held"), 0);
}

/// Flips a bit in every copy of a message.
fn damage_record(file: &mut [u8], mark: u8) {
    for at in 0..file.len() - 8 {
        if file[at..at + 8] == [mark; 8] {
            file[at] ^= 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn small_batches_on_disk_are_sent_as_one() {
    let bench = on_disk(SendingQueue::default(), &Disk::default()).await;
    away(&bench, 60);
    for mark in 1..=50 {
        bench.delivery.push(&[mark; 8], 2);
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(120)).await;
    let attempts = bench.destination.attempts();
    let sizes: Vec<usize> = attempts.iter().map(|(_, batch)| batch.len()).collect();
    assert_eq!(bench.destination.accepted().len(), 400);
    assert_eq!(sizes[sizes.len() - 1], 400 - sizes[0], "{sizes:?}");
}

#[tokio::test]
async fn the_file_is_closed_with_the_delivery() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let directory = directory(folder.path());
        let log = directory.log("exporter_a");
        let mut bench = bench_on(steady(), small(), Some((directory.clone(), log)));
        directory.open().await.unwrap();
        bench.push(round);
        bench.drain(10).await;
        assert_eq!(bench.accepted(), [round]);
        assert!(
            bench
                .setup
                .tasks
                .stop(Instant::now() + Duration::from_secs(10))
                .await
        );
    }
}
