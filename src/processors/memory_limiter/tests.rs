use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::time::advance;

use super::*;
use crate::{
    pipeline::{Body, CachedAnswer, ComponentStatus, Glance, Inspect, Part, Shed},
    processors::{
        ProcessorContext,
        testing::{reading, stream},
    },
    settings,
};

const MIB: u64 = 1024 * 1024;

fn limiter(config: &Config, resident: Resident) -> MemoryLimiter {
    let meter = Meter::of(&SdkMeterProvider::default());
    let board = Arc::default();
    let context = ProcessorContext {
        id: "memory_limiter",
        meter: &meter,
        clock: &crate::runtime::Clock::System,
        board: &board,
    };
    MemoryLimiter(Arc::new(config.limiter(
        "test",
        resident,
        || Some(1000 * MIB),
        &context,
    )))
}

fn config() -> Config {
    Config {
        check_interval: settings::Duration::from_secs(1),
        limit_mib: 100,
        spike_limit_mib: 30,
        ..Config::default()
    }
}

#[test]
fn the_soft_limit_is_the_limit_without_the_spike() {
    let mut shares = Config {
        limit_percentage: 50,
        ..Config::default()
    };
    let limits = |config: &Config| {
        let limiter = limiter(config, || Some(0));
        [limiter.0.hard_bytes / MIB, limiter.0.soft_bytes / MIB]
    };
    assert_eq!(limits(&config()), [100, 70]);
    assert_eq!(limits(&shares), [500, 400], "a fifth is free for spikes");
    shares.spike_limit_percentage = 30;
    assert_eq!(limits(&shares), [500, 200]);
}

/// One target with the limiter.
struct Way {
    stream: Stream,
    stage: Box<dyn Stage>,
}

impl Way {
    fn new(limiter: &MemoryLimiter) -> Self {
        let mut stream = stream("node", "");
        let stage = limiter.open(&mut stream);
        Self { stream, stage }
    }

    /// The result of the readings of a scope: how many passed, how many scopes were complete, and
    /// how many lost.
    fn pass(&mut self, scope: &str) -> (usize, usize, usize) {
        let values = vec![reading(&self.stream, "gauge 1")];
        let resource = Arc::clone(&self.stream.resource);
        let out = self.stage.process(Batch {
            scopes: vec![scope.into()],
            lost: Vec::new(),
            parts: vec![Part { resource, values }],
            ..Batch::default()
        });
        (out.len(), out.scopes.len(), out.lost.len())
    }

    /// A whole poll: the readings of the target, then the report metrics.
    fn poll(&mut self) -> bool {
        let is_taken = self.pass("test/a") == (1, 1, 0);
        assert_eq!(
            self.pass(instruments::SCOPE),
            (1, 1, 0),
            "report metrics always pass"
        );
        is_taken
    }
}

#[tokio::test(start_paused = true)]
async fn above_the_soft_limit_running_polls_are_dropped() {
    static RESIDENT: AtomicU64 = AtomicU64::new(0);
    let limiter = limiter(&config(), || Some(RESIDENT.load(Ordering::SeqCst) * MIB));
    let mut way = Way::new(&limiter);
    for (mib, expected) in [
        (69, true),
        (70, false),
        (100, false),
        (99, false),
        (69, true),
    ] {
        RESIDENT.store(mib, Ordering::SeqCst);
        advance(Duration::from_secs(1)).await;
        assert_eq!(way.poll(), expected, "{mib} MiB");
        let expected = if expected { (1, 1, 0) } else { (0, 0, 1) };
        assert_eq!(way.pass("test/a"), expected, "{mib} MiB");
    }
}

#[tokio::test(start_paused = true)]
async fn above_the_limit_polls_continue_one_by_one() {
    let limiter = limiter(&config(), || Some(1000 * MIB));
    let [mut first, mut second] = [Way::new(&limiter), Way::new(&limiter)];
    assert!(first.stage.admits(false));
    assert!(!second.stage.admits(false), "the first poll is in progress");
    assert!(!second.poll(), "it had no turn");
    assert!(first.poll());
    assert!(second.stage.admits(false));
    assert!(!first.stage.admits(false));
    drop(second);
    assert!(
        first.stage.admits(false),
        "a removed target gives up its turn"
    );
    let mut third = Way::new(&limiter);
    advance(TURN_MAX - Duration::from_millis(1)).await;
    assert!(!third.stage.admits(false));
    advance(Duration::from_millis(1)).await;
    assert!(third.stage.admits(false), "a turn has a time limit");
    first.pass(instruments::SCOPE);
    assert!(
        !first.stage.admits(false),
        "its end does not end another turn"
    );
}

#[tokio::test(start_paused = true)]
async fn large_answers_come_last() {
    let limiter = limiter(&config(), || Some(1000 * MIB));
    let [mut small, mut other, mut large] = [(); 3].map(|()| Way::new(&limiter));
    assert!(small.stage.admits(false));
    assert!(!other.stage.admits(false));
    small.poll();
    assert!(
        !large.stage.admits(true),
        "a small poll was refused shortly before"
    );
    assert!(other.stage.admits(false));
    other.poll();
    advance(SMALL_FIRST).await;
    assert!(large.stage.admits(true));
}

#[tokio::test(start_paused = true)]
async fn targets_that_are_polled_at_the_same_moment_have_their_turns_one_after_the_other() {
    let limiter = limiter(&config(), || Some(1000 * MIB));
    let mut targets = [(); 5].map(|()| Way::new(&limiter));
    let mut polled = [0; 5];
    for _tick in 0..20 {
        let admitted = targets.each_mut().map(|way| way.stage.admits(false));
        assert_eq!(admitted.iter().filter(|is| **is).count(), 1);
        for (at, way) in targets.iter_mut().enumerate() {
            polled[at] += u32::from(way.poll());
        }
    }
    assert_eq!(polled, [4; 5]);
}

#[tokio::test(start_paused = true)]
async fn its_status_shows_the_limit() {
    static RESIDENT: AtomicU64 = AtomicU64::new(0);
    let limiter = limiter(&config(), || Some(RESIDENT.load(Ordering::SeqCst) * MIB));
    let status = Reporter::unheard();
    status.ok();
    limiter.report_to(status.clone());
    let (tasks, _failures) = Tasks::new();
    limiter.start(Arc::new(Nowhere), &tasks);
    for (mib, expected) in [
        (69, ComponentStatus::Ok),
        (70, ComponentStatus::RecoverableError),
        (100, ComponentStatus::RecoverableError),
        (69, ComponentStatus::Ok),
    ] {
        RESIDENT.store(mib, Ordering::SeqCst);
        // There is no poll, so the limiter checks by itself.
        sleep(Duration::from_millis(1001)).await;
        assert_eq!(status.state().status, expected, "{mib} MiB");
    }
    assert!(tasks.stop(Instant::now() + Duration::from_secs(1)).await);
}

/// After the limiter there is only state that it can clear.
struct Nowhere;

impl Downstream for Nowhere {
    fn open(&self, _: Stream) -> Box<dyn crate::pipeline::BatchSink> {
        unreachable!("the limiter creates no target")
    }

    fn shed(&self) -> Shed {
        Shed {
            stale_series: 10,
            gone_series: 100,
        }
    }
}

/// Counts how often cached answers are cleared.
#[derive(Debug, Default)]
struct Forgets(AtomicU64);

impl Inspect for Forgets {
    fn glance(&self) -> Glance {
        unreachable!("nobody looks")
    }

    fn response_times(&self, _: usize, _: usize) -> Vec<Duration> {
        Vec::new()
    }

    fn kept(&self, _: usize) -> Option<(Body, Duration)> {
        None
    }

    fn host(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn endpoint(&self, _: usize) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn is_at(&self, _: &str) -> bool {
        false
    }

    fn decisions(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn shed(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst);
        1
    }

    fn read(&self, _: usize) -> futures_util::future::BoxFuture<'_, CachedAnswer> {
        unreachable!("there are no readers")
    }
}

#[tokio::test(start_paused = true)]
async fn cached_answers_are_cleared_above_the_limit() {
    static RESIDENT: AtomicU64 = AtomicU64::new(0);
    let limiter = limiter(&config(), || Some(RESIDENT.load(Ordering::SeqCst) * MIB));
    let forgets = Arc::new(Forgets::default());
    let target = stream("node", "").target;
    let inner = Arc::clone(&forgets) as Arc<dyn Inspect>;
    limiter.0.board.add(&target, &inner);
    limiter.0.look(&Nowhere);
    assert_eq!(forgets.0.load(Ordering::SeqCst), 0);
    RESIDENT.store(70, Ordering::SeqCst);
    for _ in 0..=SHED_INTERVAL.as_secs() {
        limiter.0.look(&Nowhere);
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(forgets.0.load(Ordering::SeqCst), 2, "not at each check");
}

#[tokio::test(start_paused = true)]
async fn memory_is_read_once_per_interval() {
    static READS: AtomicU64 = AtomicU64::new(0);
    let limiter = limiter(&config(), || Some(READS.fetch_add(1, Ordering::SeqCst)));
    let before = READS.load(Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(limiter.0.admit(false), Admission::Free);
    }
    advance(Duration::from_secs(1)).await;
    assert_eq!(limiter.0.admit(false), Admission::Free);
    assert_eq!(READS.load(Ordering::SeqCst) - before, 2);
}

#[tokio::test(start_paused = true)]
async fn unknown_memory_limits_nothing() {
    assert_eq!(limiter(&config(), || None).0.admit(true), Admission::Free);
}
