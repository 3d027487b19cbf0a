//! Targets that are added and removed while the receiver runs.

mod settings;

use std::sync::atomic::{AtomicBool, AtomicU64};

use opentelemetry_sdk::metrics::{
    data::{AggregatedMetrics, MetricData, ResourceMetrics},
    reader::MetricReader as _,
};
use tokio::sync::mpsc;

use super::{
    lab::{Reply, ScriptedServer, receiver},
    *,
};
use crate::{
    instruments::PullReader, receivers::contract::Receiver as _, runtime::TaskFailure,
    telemetry::Meter,
};

/// The events of targets, in order.
#[derive(Debug, Default)]
struct TargetLog {
    lines: Mutex<Vec<String>>,
    /// Whether a poll of target `one` makes it panic.
    is_broken: AtomicBool,
}

struct LogLine {
    log: Arc<TargetLog>,
    target: String,
}

impl Consumer for Arc<TargetLog> {
    fn open(&self, target: &Arc<Target>) -> Box<dyn Sink> {
        let line = LogLine {
            log: Self::clone(self),
            target: format!("{} {}", target.receiver, target.name),
        };
        line.write("opened");
        Box::new(line)
    }
}

impl LogLine {
    fn write(&self, what: &str) {
        let line = format!("{} {what}", self.target);
        self.log.lines.lock().unwrap().push(line);
    }
}

impl Sink for LogLine {
    fn follow(&mut self, target: &Arc<Target>) {
        self.target = format!("{} {}", target.receiver, target.name);
        self.write("follows");
    }

    fn accept(&mut self, poll: Poll) {
        let is_broken = self.log.is_broken.load(Ordering::Relaxed);
        assert!(!is_broken || !self.target.ends_with("one"), "out of luck");
        self.write(if poll.is_up() { "up" } else { "down" });
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.write("closed");
    }
}

/// Two receivers that poll one server, and the events of their targets.
struct Stand {
    lab: Arc<ScriptedServer>,
    log: Arc<TargetLog>,
    board: Arc<StatusBoard>,
    a: Arc<TargetManager>,
    b: Arc<TargetManager>,
    tasks: Tasks,
    failures: mpsc::Receiver<TaskFailure>,
    metrics: PullReader,
    _provider: SdkMeterProvider,
}

impl Stand {
    fn new(script: impl Fn(&lab::Sent) -> Reply + Send + Sync + 'static) -> Self {
        let (lab, log, board) = (
            ScriptedServer::new(script),
            Arc::new(TargetLog::default()),
            Arc::default(),
        );
        let (names, (tasks, failures)) = (Arc::default(), Tasks::new());
        let metrics = PullReader::default();
        let provider = SdkMeterProvider::builder().with_reader(metrics.clone());
        let provider = provider.build();
        let meter = Meter::of(&provider);
        let start = |id| {
            let consumer: Arc<dyn Consumer> = Arc::new(Arc::clone(&log));
            receiver(id, &meter, &lab, &board, &names).start(consumer, &tasks)
        };
        let (a, b) = (start("a"), start("b"));
        Self {
            lab,
            log,
            board,
            a,
            b,
            tasks,
            failures,
            metrics,
            _provider: provider,
        }
    }

    /// The number of polls that panicked, by receiver.
    fn panics(&self) -> BTreeMap<String, u64> {
        let mut metrics = ResourceMetrics::default();
        self.metrics.collect(&mut metrics).unwrap();
        let mut all = metrics.scope_metrics().flat_map(|scope| scope.metrics());
        let panics = all.find(|metric| metric.name() == "betanet_receiver_poll_panics");
        let AggregatedMetrics::U64(MetricData::Sum(panics)) = panics.unwrap().data() else {
            panic!("a counter");
        };
        let points = panics.data_points().map(|point| {
            let receiver = point.attributes().next().unwrap().value.to_string();
            (receiver, point.value())
        });
        points.collect()
    }

    /// The new lines after `time` has passed.
    async fn after(&self, time: Duration) -> Vec<String> {
        sleep(time).await;
        self.lines()
    }

    /// The new lines.
    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lines.lock().unwrap())
    }
}

/// Makes a receiver poll these targets and no others.
trait PollOnly {
    fn poll_only(&self, targets: &[TargetConfig]) -> StopHandle;
}

impl PollOnly for Arc<TargetManager> {
    fn poll_only(&self, targets: &[TargetConfig]) -> StopHandle {
        self.apply(HttpJsonReceiver {
            discovered_by: self.discovered_by(),
            spec: self.spec(),
            targets: targets.iter().cloned().map(Arc::new).collect(),
            timing: every(INTERVAL),
            shard: None,
            discovery: TargetDiscovery::Unchanged,
        })
    }
}

fn target(name: &str) -> TargetConfig {
    TargetConfig {
        name: Some(name.to_owned()),
        ..TargetConfig::at("http://node:9000".parse().unwrap())
    }
}

fn labelled(name: &str, label: &str) -> TargetConfig {
    TargetConfig {
        labels: Arc::new(BTreeMap::from([("site".to_owned(), label.to_owned())])),
        ..target(name)
    }
}

const MOMENT: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn new_targets_start_at_once_and_removed_ones_stop_at_once() {
    let stand = Stand::new(|_| Reply::Good);
    stand.a.poll_only(&[target("one")]);
    assert_eq!(stand.after(MOMENT).await, ["a one opened", "a one up"]);
    sleep(Duration::from_secs(3)).await;
    stand.a.poll_only(&[target("one"), target("two")]);
    let lines = stand.after(MOMENT).await;
    assert_eq!(lines, ["a two opened", "a two up"], "the other one goes on");
    stand.a.poll_only(&[target("two")]);
    assert_eq!(stand.after(MOMENT).await, ["a one closed"]);
    stand.a.poll_only(&[]);
    assert_eq!(stand.after(MOMENT).await, ["a two closed"]);
    assert!(stand.board.targets().is_empty());
    let sent = stand.lab.count();
    sleep(INTERVAL * 4).await;
    assert_eq!(stand.lab.count(), sent, "nobody is polled any more");
}

#[tokio::test(start_paused = true)]
async fn a_poll_in_progress_does_not_delay_the_stop_of_its_target() {
    let stand = Stand::new(|_| Reply::Hang);
    stand.a.poll_only(&[target("one")]);
    assert_eq!(stand.after(MOMENT).await, ["a one opened"]);
    assert_eq!(stand.lab.in_flight(), 1);
    stand.a.poll_only(&[]);
    assert_eq!(stand.after(MOMENT).await, ["a one closed"]);
    assert_eq!(stand.lab.in_flight(), 0);
    assert_eq!(stand.a.dropped_polls(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_the_wait_for_removed_targets_they_are_gone() {
    let stand = Stand::new(|_| Reply::Hang);
    stand
        .a
        .poll_only(&[target("one"), target("two"), target("three")]);
    assert_eq!(stand.after(MOMENT).await.len(), 3);
    let now = Instant::now();
    let ending = stand.a.poll_only(&[target("two")]);
    assert!(stand.lines().is_empty(), "they are only told");
    ending.done().await;
    let mut lines = stand.lines();
    lines.sort();
    assert_eq!(lines, ["a one closed", "a three closed"]);
    assert_eq!(now.elapsed(), Duration::ZERO, "at once");
}

#[tokio::test(start_paused = true)]
async fn a_panic_pauses_one_target_for_half_a_minute() {
    let mut stand = Stand::new(|_| Reply::Good);
    stand.a.poll_only(&[target("one"), target("two")]);
    stand.after(MOMENT).await;
    stand.log.is_broken.store(true, Ordering::Relaxed);
    let lines = stand.after(INTERVAL * 2 - MOMENT).await;
    let count = |what: &str| lines.iter().filter(|line| *line == what).count();
    assert_eq!(count("a one closed"), 1, "{lines:?}");
    assert!(count("a two up") > 0, "{lines:?}");
    let polled = |stand: &Stand| {
        let targets = stand.board.targets().into_iter();
        targets
            .map(|status| status.target.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(polled(&stand), ["two"]);
    stand.log.is_broken.store(false, Ordering::Relaxed);
    let lines = stand.after(INTERVAL * 4).await;
    let of_one: Vec<_> = lines.iter().filter(|line| line.contains("one")).collect();
    assert_eq!(of_one[..2], ["a one opened", "a one up"]);
    assert_eq!(polled(&stand), ["one", "two"]);
    assert!(stand.failures.try_recv().is_err(), "the process goes on");
    let panics = [("a".to_owned(), 1), ("b".to_owned(), 0)];
    assert_eq!(stand.panics(), BTreeMap::from(panics));
    assert_eq!(stand.a.dropped_polls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_did_not_change_keeps_its_breaker() {
    let stand = Stand::new(|_| Reply::Refuse);
    let (kept, changed) = (labelled("kept", "x"), labelled("changed", "x"));
    stand.a.poll_only(&[kept.clone(), changed]);
    stand.after(INTERVAL * 6).await;
    let state = |name: &str| {
        let targets = stand.board.targets();
        let status = targets.iter().find(|s| s.target.name == name).unwrap();
        status.inner.host()["breaker"]["state"].clone()
    };
    assert_eq!([state("kept"), state("changed")], ["open", "open"]);
    stand.a.poll_only(&[labelled("changed", "y"), kept]);
    let lines = stand.after(MOMENT).await;
    let expected = ["a changed follows", "a changed down"];
    assert_eq!(lines, expected, "it says at once what it is now");
    assert_eq!([state("kept"), state("changed")], ["open", "open"]);
    let elsewhere = TargetConfig {
        endpoint: Some("http://other:9000".parse().unwrap()),
        ..labelled("changed", "y")
    };
    let sent = stand.lab.count();
    stand.a.poll_only(&[elsewhere, labelled("kept", "x")]);
    let lines = stand.after(MOMENT).await;
    assert_eq!(lines, expected[..1], "and tries again while it retries");
    assert_eq!(
        stand.lab.count(),
        sent + 1,
        "of another node nothing is known"
    );
    assert_eq!([state("kept"), state("changed")], ["open", "closed"]);
}

fn pool(instances: &[&str]) -> TargetConfig {
    let urls = instances
        .iter()
        .map(|host| format!("http://{host}:9000").parse().unwrap());
    TargetConfig {
        name: Some("pool".to_owned()),
        ..TargetConfig::pool(urls.collect())
    }
}

#[tokio::test(start_paused = true)]
async fn the_instances_of_a_pool_can_change_without_other_changes() {
    let stand = Stand::new(|_| Reply::Refuse);
    stand.a.poll_only(&[pool(&["a", "b"])]);
    stand.after(INTERVAL * 6).await;
    let states = || {
        let targets = stand.board.targets();
        let instances = targets[0].inner.host()["instances"].clone();
        let instances = instances.as_object().unwrap().clone().into_iter();
        let instances = instances.map(|(name, told)| (name, told["breaker"]["state"].clone()));
        instances
            .map(|(name, state)| format!("{name} {}", state.as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(states(), ["a:9000 open", "b:9000 open"]);
    stand.lab.now(|_| Reply::Good);
    let sent = stand.lab.count();
    stand.a.poll_only(&[pool(&["b", "c"])]);
    assert_eq!(stand.after(MOMENT).await, ["a pool follows"]);
    assert_eq!(stand.lab.count(), sent, "it is polled when it was to be");
    assert_eq!(states(), ["b:9000 open", "c:9000 closed"]);
    let lines = stand.after(INTERVAL).await;
    assert_eq!(lines, ["a pool up"], "by the one that is new");
    stand.a.poll_only(&[pool(&["c"])]);
    stand.after(MOMENT).await;
    assert_eq!(states(), ["c:9000 closed"], "one is a pool as well");
    stand.a.poll_only(&[target("pool")]);
    let lines = stand.after(MOMENT).await;
    assert_eq!(
        lines,
        ["a pool follows", "a pool up"],
        "which is another target"
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_waits_while_another_receiver_uses_its_name() {
    let stand = Stand::new(|_| Reply::Good);
    stand.a.poll_only(&[target("one")]);
    stand.after(MOMENT).await;
    stand.b.poll_only(&[target("one"), target("two")]);
    let lines = stand.after(INTERVAL * 2).await;
    assert!(lines.contains(&"b two up".to_owned()), "costs only itself");
    assert!(
        !lines.iter().any(|line| line.starts_with("b one")),
        "{lines:?}"
    );
    stand.b.poll_only(&[target("one")]);
    stand.after(MOMENT).await;
    stand.a.poll_only(&[]);
    let lines = stand.after(MOMENT).await;
    assert_eq!(lines, ["a one closed", "b one opened", "b one up"]);
    // A target that is removed while it waits.
    stand.a.poll_only(&[target("one")]);
    stand.after(MOMENT).await;
    stand.a.poll_only(&[]);
    stand.b.poll_only(&[]);
    assert_eq!(stand.after(MOMENT).await, ["b one closed"]);
}

#[tokio::test(start_paused = true)]
async fn many_targets_start_and_stop_one_at_a_time() {
    let stand = Stand::new(|_| Reply::Hang);
    let targets: Vec<_> = (0..500).map(|n| target(&n.to_string())).collect();
    let (most, log) = (Arc::new(AtomicU64::new(0)), Arc::clone(&stand.log));
    let seen = Arc::clone(&most);
    // Tasks that are ready run in turn, so a task that is always ready sees how many others ran in
    // between.
    stand.tasks.spawn("neighbor", async move {
        let mut before = 0;
        loop {
            let now = log.lines.lock().unwrap().len();
            seen.fetch_max(now.saturating_sub(before) as u64, Ordering::Relaxed);
            before = now;
            tokio::task::yield_now().await;
        }
    });
    stand.a.poll_only(&targets);
    for wanted in [500, 1000] {
        for _ in 0..100_000 {
            tokio::task::yield_now().await;
            if stand.log.lines.lock().unwrap().len() >= wanted {
                break;
            }
        }
        assert!(stand.log.lines.lock().unwrap().len() >= wanted);
        stand.a.poll_only(&[]);
    }
    let most = most.load(Ordering::Relaxed);
    assert!(
        (1..=4).contains(&most),
        "{most} targets before the neighbor"
    );
}

#[tokio::test(start_paused = true)]
async fn the_retry_budget_follows_the_number_of_targets() {
    let stand = Stand::new(|_| Reply::Hang);
    let fleet = &Arc::clone(&stand.a.spec().fleet);
    assert_eq!(fleet.retries_available(), 50, "10 an interval");
    let targets: Vec<_> = (0..1000).map(|n| target(&n.to_string())).collect();
    stand.a.poll_only(&targets);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(fleet.retries_available(), 500, "one for each ten");
    stand.a.poll_only(&targets[..200]);
    sleep(MOMENT).await;
    assert_eq!(fleet.retries_available(), 100);
    assert!(stand.tasks.stop(Instant::now() + INTERVAL).await);
    assert_eq!(fleet.retries_available(), 50);
}
