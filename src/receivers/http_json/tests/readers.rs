//! Reads between polls: served from the cache, or by one poll for all readers.

use futures_util::{future::join_all, poll};
use tokio::time::advance;

use super::{
    lab::{Reply, ScriptedServer, alone, reading, settings},
    *,
};
use crate::{pipeline::CacheStatus, telemetry::target_metrics::MetricsLevel};

/// A running poller.
struct AtWork {
    lab: Arc<ScriptedServer>,
    host: Arc<TargetResilience>,
    stop: CancellationToken,
    tasks: Tasks,
}

impl AtWork {
    /// A second after its first tick; the next one is 7.5 to 22.5 s after that.
    async fn start(lab: Arc<ScriptedServer>, paths: &[&'static str]) -> Self {
        let poller = alone(&lab, settings(), paths);
        let (host, stop) = (Arc::clone(&poller.host), CancellationToken::new());
        let (tasks, _) = Tasks::new();
        let stopped = stop.clone();
        tasks.spawn("poller", async move {
            go(&poller, every(INTERVAL), nowhere(), stopped).await;
        });
        sleep(Duration::from_secs(1)).await;
        Self {
            lab,
            host,
            stop,
            tasks,
        }
    }

    fn counted(&self, reader: &str, result: &str) -> f64 {
        let of = [("reader", reader), ("result", result)];
        reading(
            &self.host.readings(MetricsLevel::Detailed),
            "cache.requests",
            &of,
        )
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_served_without_a_request() {
    let work = AtWork::start(ScriptedServer::new(|_| Reply::Good), &["/a"]).await;
    for _ in 0..5 {
        let read = work.host.read(0).await;
        assert_eq!(read.served, CacheStatus::Hit);
        assert!(read.age < Some(Duration::from_secs(10)), "{:?}", read.age);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(work.lab.count(), 1);
    assert_eq!(work.counted("api", "hit"), 5.0);
}

#[tokio::test(start_paused = true)]
async fn one_request_serves_all_readers_of_an_old_answer() {
    let lab = ScriptedServer::new(|_| Reply::After(Duration::from_millis(300)));
    let work = AtWork::start(lab, &["/a", "/b"]).await;
    sleep(Duration::from_secs(10)).await;
    let reads = join_all((0..50).map(|_| work.host.read(0))).await;
    assert!(reads.iter().all(|read| read.served == CacheStatus::Fresh));
    assert_eq!(
        work.lab.count(),
        3,
        "two of the tick, one for fifty readers"
    );
    assert_eq!(work.counted("api", "miss"), 50.0);
    assert_eq!(
        work.counted("poll", "miss"),
        3.0,
        "it is a poll as any other"
    );
    // The second tick is at most an interval and a half after the first.
    sleep(Duration::from_secs(12)).await;
    assert_eq!(work.lab.count(), 5, "the schedule is kept");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_leaves_cancels_nothing() {
    let lab = ScriptedServer::new(|_| Reply::After(Duration::from_secs(2)));
    let work = AtWork::start(lab, &["/a"]).await;
    sleep(Duration::from_secs(12)).await;
    let mut first = Box::pin(work.host.read(0));
    assert!(poll!(first.as_mut()).is_pending());
    sleep(Duration::from_millis(500)).await;
    let second = work.host.read(0);
    assert_eq!(work.lab.in_flight(), 1);
    drop(first);
    assert_eq!(second.await.served, CacheStatus::Fresh);
    assert_eq!(work.lab.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_joins_the_poll_in_progress() {
    let lab = ScriptedServer::new(|_| Reply::After(Duration::from_secs(2)));
    let poller = AtWork::start(lab, &["/a"]).await;
    assert_eq!(poller.lab.in_flight(), 1, "the first tick");
    assert_eq!(poller.host.read(0).await.served, CacheStatus::Fresh);
    assert_eq!(poller.lab.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_cached_and_the_old_answer_keeps_its_age() {
    let work = AtWork::start(ScriptedServer::new(|_| Reply::Good), &["/a"]).await;
    work.lab.now(|_| Reply::Status(404, None));
    sleep(Duration::from_secs(10)).await;
    for asked in 2..4 {
        let read = work.host.read(0).await;
        assert_eq!(read.served, CacheStatus::Stale);
        assert!(read.age >= Some(Duration::from_secs(11)), "{:?}", read.age);
        assert_eq!(read.failure.unwrap().error_type, ErrorType::Status(404));
        assert_eq!(work.lab.count(), asked, "each asks anew");
    }
    work.lab.now(|_| Reply::Good);
    assert_eq!(work.host.read(0).await.served, CacheStatus::Fresh);
    assert_eq!(work.counted("api", "stale"), 2.0);
}

#[tokio::test(start_paused = true)]
async fn with_an_open_breaker_readers_are_served_at_once_without_a_request() {
    let work = AtWork::start(ScriptedServer::new(|_| Reply::Refuse), &["/a"]).await;
    sleep(INTERVAL * 3 / 2).await;
    let (asked, begun) = (work.lab.count(), Instant::now());
    assert_eq!(asked, 5, "the fifth failure opened it");
    let read = work.host.read(0).await;
    assert_eq!(read.served, CacheStatus::Missing);
    assert_eq!(read.failure.unwrap().error_type, ErrorType::CircuitOpen);
    assert_eq!((work.lab.count(), begun.elapsed()), (asked, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_reader_stops_waiting_when_the_poller_ends() {
    let work = AtWork::start(ScriptedServer::new(|_| Reply::Hang), &["/a"]).await;
    let mut read = Box::pin(work.host.read(0));
    assert!(poll!(read.as_mut()).is_pending());
    work.stop.cancel();
    assert!(
        work.tasks
            .stop(Instant::now() + Duration::from_secs(1))
            .await
    );
    advance(Duration::from_millis(1)).await;
    assert_eq!(read.await.served, CacheStatus::Missing);
}
