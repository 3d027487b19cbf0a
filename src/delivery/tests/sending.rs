//! Tests of batches, retries and outages.

use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_full_is_sent_after_the_flush_timeout() {
    let mut bench = bench(steady(), 10);
    bench.push(1);
    sleep(Duration::from_millis(199)).await;
    assert!(bench.accepted().is_empty());
    sleep(Duration::from_millis(2)).await;
    assert_eq!(bench.accepted(), [1]);
    assert_eq!(bench.metrics.sum("sent"), 2);
}

#[tokio::test(start_paused = true)]
async fn retries_keep_the_order() {
    let mut bench = bench(steady(), 10);
    bench.destination.script([
        DestinationStep::Accept,
        DestinationStep::Fail,
        DestinationStep::Hang,
        DestinationStep::After(60),
    ]);
    for mark in 1..=5 {
        bench.push(mark);
    }
    bench.pass(120).await;
    assert_eq!(bench.accepted(), [1, 2, 3, 4, 5]);

    let attempts = bench.destination.attempts();
    let waits: Vec<u128> = attempts
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0).as_millis() / 100)
        .collect();
    assert_eq!(
        waits[1..4],
        [50, 375, 600],
        "5 s, then 30 s hanging and 7.5 s, then the requested wait"
    );
    assert_eq!(bench.metrics.sum("send_failed"), 6);
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_of_ten_minutes_everything_arrives_once() {
    let mut bench = bench(for_ever(), 1000);
    let until = Instant::now() + Duration::from_secs(600);
    *bench.destination.away_until.lock().unwrap() = Some(until);
    for mark in 0..=200 {
        bench.push(mark);
        bench.pass(3).await;
    }
    bench.pass(60).await;
    assert_eq!(bench.accepted(), (0..=200).collect::<Vec<u8>>());
    assert_eq!(bench.destination.accepted().len(), 201 * 8);
    assert_eq!(bench.metrics.sum("dropped"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_dropped_after_max_elapsed_time() {
    let mut bench = bench(steady(), 10);
    bench
        .destination
        .script(std::iter::repeat_with(|| DestinationStep::Fail).take(100));
    bench.push(1);
    bench.pass(299).await;
    assert_eq!(bench.metrics.sum("retries_exhausted"), 0);
    bench.pass(2).await;
    assert_eq!(bench.metrics.sum("retries_exhausted"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_new_batch() {
    let mut bench = bench(for_ever(), 2);
    bench
        .destination
        .script([DestinationStep::Fail, DestinationStep::Fail]);
    bench.push(1);
    bench.pass(1).await;
    for mark in 2..=5 {
        bench.push(mark); // 2 waits, 3 and 4 are dropped, 5 is in the open batch
    }
    assert_eq!(bench.metrics.sum("queue_full"), 4);
    assert_eq!(bench.metrics.sum("queue_size"), 2);
    assert_eq!(bench.metrics.sum("queue_capacity"), 2);
    bench.pass(60).await;
    assert_eq!(bench.accepted(), [1, 2, 5]);
    assert_eq!(bench.metrics.sum("queue_size"), 0);
}

#[tokio::test(start_paused = true)]
async fn rejected_points_count_neither_as_sent_nor_as_dropped() {
    let mut bench = bench(steady(), 10);
    bench.destination.script([
        DestinationStep::Reject(1),
        DestinationStep::Refuse,
        DestinationStep::Reject(99),
    ]);
    for mark in 1..=3 {
        bench.push(mark);
    }
    bench.pass(1).await;
    assert_eq!(bench.metrics.sum("sent"), 1);
    assert_eq!(bench.metrics.sum("rejected"), 1 + 2 + 2);
    assert_eq!(bench.metrics.sum("dropped"), 0);
    assert_eq!(bench.destination.attempts().len(), 3, "none is sent again");
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_of_otlp_is_dropped() {
    let mut bench = bench(steady(), 10);
    bench.delivery.push(&vec![0; (64 << 20) + 1], 7);
    bench.pushed += 7;
    bench.check();
    assert_eq!(bench.metrics.sum("too_large"), 7);
}

#[tokio::test(start_paused = true)]
async fn several_consumers_send_at_the_same_time() {
    let (setup, destination) = (Setup::new(), Scripted::default());
    destination.script([DestinationStep::Hang]);
    let mut settings = settings(steady(), SendingQueue::default());
    settings.queue.num_consumers = 2;
    let delivery = setup.start(settings, &destination);
    for mark in [1, 2, 3] {
        delivery.push(&[mark], 1);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(destination.accepted(), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_two_log_lines_and_drops_are_one_line_per_ten_seconds() {
    let (lines, _guard) = logged();
    let mut bench = bench(for_ever(), 1);
    let until = Instant::now() + Duration::from_secs(60);
    *bench.destination.away_until.lock().unwrap() = Some(until);
    for mark in 0..20 {
        bench.push(mark);
        bench.pass(1).await;
    }
    bench.pass(60).await;
    let text = lines.text();
    let count = |part| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("WARN") - count("data points dropped"), 1, "{text}");
    assert_eq!(
        count("sending fails exporter=otlp_http/test error=\"away\""),
        1,
        "{text}"
    );
    assert_eq!(count("sending works again"), 1, "{text}");
    assert_eq!(count("data points dropped"), 2, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_message_of_the_destination_is_logged_once() {
    let (lines, _guard) = logged();
    let mut bench = bench(steady(), 1000);
    for poll in 0..100 {
        let said = match poll {
            0..50 => format!("{poll} points are too old"),
            50..99 => format!("tenant {poll} is over its limit"),
            _ => String::new(),
        };
        bench.destination.script([
            DestinationStep::Say(said),
            DestinationStep::Accept,
            DestinationStep::Accept,
        ]);
        bench.push(1);
        bench.push(2);
        bench.push(3);
        bench.pass(15).await;
    }
    bench.pass(300).await;
    bench.push(4);
    bench.pass(1).await;
    let text = lines.text();
    let count = |part| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("only in part, or with a warning"), 3, "{text}");
    assert_eq!(count("said=\"0 points are too old\""), 1, "{text}");
    assert_eq!(count("said=\"tenant 50 is over its limit\""), 1, "{text}");
    assert_eq!(count("accepts everything again"), 1, "{text}");
}

/// A configuration that drops an exporter and one that has it again follow each other while the
/// first one still sends.
#[tokio::test(start_paused = true)]
async fn an_exporter_that_comes_back_continues_its_counters() {
    let setup = Setup::new();
    let start = |destination| {
        let settings = settings(steady(), SendingQueue::default());
        setup.start(settings, destination)
    };
    let destination = Scripted::default();
    destination.script([DestinationStep::Accept, DestinationStep::Hang]);
    let removed = start(&destination);
    for mark in [1, 2] {
        removed.push(&[mark], 1);
        sleep(Duration::from_secs(2)).await;
    }
    let again = start(&destination);
    again.push(&[3], 1);
    sleep(Duration::from_secs(2)).await;
    let sums = || ["received", "sent", "held"].map(|what| setup.metrics.sum(what));
    assert_eq!(sums(), [3, 2, 1]);
    drop(removed);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(sums(), [3, 2, 0]);
    assert_eq!(setup.metrics.sum("dropped"), 1, "it was not drained");
}
