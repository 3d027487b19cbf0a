//! Checks on the metrics, whatever the destination does: points in = sent + rejected + dropped +
//! held, at every moment.

use proptest::prelude::*;

use super::{disk::on_disk, *};
use crate::storage::tests::disk::Disk;

/// An event of a delivery.
#[derive(Debug, Clone)]
enum DeliveryEvent {
    /// A message of this number of bytes arrives.
    Push(u8),
    /// A message cannot be encoded.
    GiveUp,
    /// This number of milliseconds passes.
    Pass(u16),
    /// The answer of the destination to the next attempt that no earlier event decides.
    Answer(DestinationStep),
    /// Sets the largest request that the destination accepts.
    Size(Option<usize>),
    /// The disk becomes full, or has room again.
    Full(bool),
}

fn answer() -> impl Strategy<Value = DestinationStep> {
    prop_oneof![
        3 => Just(DestinationStep::Accept),
        1 => (0_u64..6).prop_map(DestinationStep::Reject),
        3 => Just(DestinationStep::Fail),
        1 => (0_u64..90).prop_map(DestinationStep::After),
        1 => Just(DestinationStep::Refuse),
        1 => Just(DestinationStep::Hang),
    ]
}

fn event() -> impl Strategy<Value = DeliveryEvent> {
    prop_oneof![
        8 => (1_u8..40).prop_map(DeliveryEvent::Push),
        1 => Just(DeliveryEvent::GiveUp),
        6 => (1_u16..15_000).prop_map(DeliveryEvent::Pass),
        4 => answer().prop_map(DeliveryEvent::Answer),
        1 => prop::option::of(1_usize..30).prop_map(DeliveryEvent::Size),
        1 => any::<bool>().prop_map(DeliveryEvent::Full),
    ]
}

fn queue() -> impl Strategy<Value = SendingQueue> {
    let sizer = prop_oneof![
        Just(Sizer::Requests),
        Just(Sizer::Items),
        Just(Sizer::Bytes)
    ];
    let drop = prop_oneof![Just(OverflowPolicy::Newest), Just(OverflowPolicy::Oldest)];
    let numbers = (1_u64..40, 1_usize..4, 1_u64..50);
    (any::<bool>(), sizer, drop, numbers).prop_map(|(enabled, sizer, drop, numbers)| {
        let (queue_size, num_consumers, max_size) = numbers;
        SendingQueue {
            enabled,
            sizer,
            drop,
            queue_size,
            num_consumers,
            batch: BatchSettings {
                min_size: Some(1),
                max_size: Some(max_size),
                ..BatchSettings::default()
            },
            ..SendingQueue::default()
        }
    })
}

async fn happen(bench: &mut Bench, disk: &Disk, event: DeliveryEvent) {
    match event {
        DeliveryEvent::Push(bytes) => {
            bench.pushed += u64::from(bytes % 5);
            let message = vec![0; usize::from(bytes)];
            bench.delivery.push(&message, u64::from(bytes % 5));
        }
        DeliveryEvent::GiveUp => {
            bench.pushed += 1;
            bench.delivery.drop_points(DropReason::Encoding, 1);
        }
        DeliveryEvent::Pass(milliseconds) => {
            sleep(Duration::from_millis(milliseconds.into())).await;
        }
        DeliveryEvent::Answer(step) => bench.destination.script([step]),
        DeliveryEvent::Size(max) => *bench.destination.max_bytes.lock().unwrap() = max,
        DeliveryEvent::Full(full) => disk.set_full(full),
    }
    bench.check();
}

proptest! {
    #[test]
    fn every_point_is_counted_once(
        events in prop::collection::vec(event(), 0..60),
        queue in queue(),
        gives_up: bool,
        splits: bool,
        drains_for in 0_u64..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let retry = if gives_up { steady() } else { for_ever() };
            let settings = DeliverySettings {
                split: splits.then_some(size::split as Split),
                ..settings(retry, queue)
            };
            let mut bench = bench_of(settings, None);
            let disk = Disk::default();
            for event in events {
                happen(&mut bench, &disk, event).await;
            }
            bench.drain(drains_for).await;
            assert_eq!(bench.metrics.sum("held"), 0);
            happen(&mut bench, &disk, DeliveryEvent::Push(7)).await;
        });
    }

    /// The same check with a queue on disk. In addition, nothing is dropped that a restart could
    /// send.
    #[test]
    fn on_disk_too(
        events in prop::collection::vec(event(), 0..40),
        queue in queue().prop_filter("on disk", |queue| queue.enabled),
        drains_for in 0_u64..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let disk = Disk::default();
            let mut bench = on_disk(queue.clone(), &disk).await;
            for event in events {
                happen(&mut bench, &disk, event).await;
            }
            bench.drain(drains_for).await;
            let stays = bench.metrics.sum("held");
            drop(bench);
            let next = on_disk(queue, &disk).await;
            next.destination.script([DestinationStep::Hang]);
            sleep(Duration::from_secs(10)).await;
            assert!(next.metrics.sum("received") >= stays, "the held points were found");
        });
    }
}
