//! Tests with a destination that fails in every way: what arrives, how often, and whether the
//! counters are right.
//!
//! Times are scaled 1:100: a poll every 100 ms stands for one every 10 s. Retries start after 50 ms
//! and wait at most 300 ms, as they do after 5 s and 30 s by default. 60 polls are ten minutes.

use std::{collections::BTreeMap, iter, time::Duration};

use betanet_collector::simulator::Dialect;
use futures_util::future::join_all;

use crate::support::{
    PATIENCE,
    accounts::Accounts,
    arrivals::{assert_own_time, counts, first_arrivals},
    backend::{Backend, Behavior},
    counting_node::CountingNode,
    eventually, remote_write,
    sink::Point,
    stand::{Options, Stand},
};

/// The number of polls in an outage of ten minutes.
const TEN_MINUTES: usize = 60;

/// The number of polls in a shorter outage.
const WHILE: usize = 12;

/// A collector that polls two nodes and pushes to backends.
struct Line {
    nodes: Vec<(&'static str, CountingNode)>,
    exporters: Vec<&'static str>,
    stand: Stand,
}

/// When each node gave each of its answers, by the name of the node.
type Answered = BTreeMap<&'static str, Vec<u64>>;

impl Line {
    /// Starts it with these exporters: their ids, their destinations, and further keys as flow
    /// YAML.
    async fn start(exporters: &[(&'static str, &Backend, &str)], storage: Option<&str>) -> Self {
        let nodes = vec![
            ("a", CountingNode::start().await),
            ("b", CountingNode::start().await),
        ];
        let settings = exporters.iter().map(|(id, backend, keys)| {
            let url = match id.starts_with("prometheusremotewrite") {
                true => format!("{}{}", backend.url(), remote_write::PATH),
                false => backend.url(),
            };
            let settings = format!("{{endpoint: \"{url}\", {keys}}}");
            ((*id).to_owned(), settings)
        });
        let storage = storage.map(|keys| ("file_storage".to_owned(), keys.to_owned()));
        let options = Options {
            exporters: settings.collect(),
            extensions: storage.into_iter().collect(),
            ..Options::default()
        };
        let urls: Vec<_> = nodes.iter().map(|(_, node)| node.url()).collect();
        let targets: Vec<_> = nodes
            .iter()
            .zip(&urls)
            .map(|((name, _), url)| (*name, url.as_str(), Dialect::Betanet))
            .collect();
        let stand = options.start_at(&targets).await;
        let line = Self {
            nodes,
            exporters: exporters.iter().map(|(id, ..)| *id).collect(),
            stand,
        };
        line.polls(3).await;
        line
    }

    /// Waits until each node has answered this many more polls. The counters are right all the
    /// time.
    async fn polls(&self, more: usize) {
        let answered = |node: &CountingNode| node.answered().len();
        let wanted: Vec<_> = self.nodes.iter().map(|(_, n)| answered(n) + more).collect();
        eventually(&format!("{more} more polls"), PATIENCE, async || {
            let own = self.stand.own().await;
            for exporter in &self.exporters {
                Accounts::of(&own, exporter);
            }
            let mut nodes = self.nodes.iter().zip(&wanted);
            nodes.all(|((_, n), w)| answered(n) >= *w).then_some(())
        })
        .await;
    }

    /// Waits until an exporter holds nothing. Returns its counters, and what its backend had
    /// accepted until then.
    async fn settled(&self, exporter: &str, backend: &Backend) -> (Accounts, Vec<Point>) {
        eventually("nothing is held", PATIENCE, async || {
            let before = backend.requests();
            let accounts = Accounts::of(&self.stand.own().await, exporter);
            let is_settled = accounts.held == 0.0 && backend.requests() == before;
            is_settled.then(|| (accounts, backend.taken().concat()))
        })
        .await
    }

    /// Stops it in order.
    async fn end(self) -> (Answered, String) {
        let (code, log) = self.stand.collector.stop().await;
        assert_eq!(code, Some(0), "{log}");
        let nodes = self.nodes.iter();
        (nodes.map(|(name, n)| (*name, n.answered())).collect(), log)
    }
}

/// Retries and batches, scaled. Without a limit, except with a queue on disk, where that is the
/// default.
const IN_MEMORY: &str = "sending_queue: {batch: {flush_timeout: 2ms}}, \
    retry_on_failure: {initial_interval: 50ms, max_interval: 300ms, max_elapsed_time: 0}";
const ON_DISK: &str = "sending_queue: {storage: file_storage, batch: {flush_timeout: 2ms}}, \
    retry_on_failure: {initial_interval: 50ms, max_interval: 300ms}";

/// Checks that each answer of each node arrived once, in order, with its own time.
fn assert_complete(points: &[Point], answered: &Answered) {
    for (name, times) in answered {
        let counts = counts(points, name);
        // The poll in progress at the end is dropped.
        let missing = times.len() - counts.len();
        assert!(missing <= 1, "{missing} of {} of {name}", times.len());
        for (before, count) in counts.into_iter().enumerate() {
            assert_eq!(count.0, before + 1, "in order");
            assert_own_time(count, times);
        }
    }
}

/// Checks the same, and that nothing arrived twice.
fn assert_exactly_once(backend: &Backend, answered: &Answered) {
    let (points, repeated) = first_arrivals(backend.taken());
    assert_eq!(repeated, 0, "points came twice");
    assert_complete(&points, answered);
}

#[tokio::test]
async fn ten_minutes_without_the_backend_lose_nothing_and_repeat_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("{{directory: \"{}\"}}", folder.path().display());
    let exporters = [
        ("otlp_http/memory", IN_MEMORY),
        ("otlp_http/disk", ON_DISK),
        ("otlp_grpc/memory", IN_MEMORY),
        ("otlp_grpc/disk", ON_DISK),
    ];
    let mut backends = join_all(exporters.map(|_| Backend::start())).await;
    let pushing: Vec<_> = iter::zip(exporters, &backends)
        .map(|((id, keys), backend)| (id, backend, keys))
        .collect();
    let line = Line::start(&pushing, Some(&storage)).await;
    for backend in &mut backends {
        backend.set(Behavior::Down).await;
    }
    line.polls(TEN_MINUTES).await;
    for backend in &mut backends {
        backend.set(Behavior::Accept).await;
    }
    for ((exporter, _), backend) in iter::zip(exporters, &backends) {
        let (accounts, points) = line.settled(exporter, backend).await;
        assert_eq!(accounts.sent, accounts.received, "{exporter}: {accounts:?}");
        assert_eq!(points.len() as f64, accounts.sent, "{exporter}");
    }
    line.polls(3).await;
    let (answered, _) = line.end().await;
    for backend in backends {
        assert_exactly_once(&backend, &answered);
    }
}

/// It has more samples than points, so its counters tell less about them.
#[tokio::test]
async fn remote_write_survives_as_much() {
    let exporters = [
        ("prometheusremotewrite/down", Behavior::Down),
        (
            "prometheusremotewrite/busy",
            Behavior::Busy { retry_after: 1 },
        ),
        ("prometheusremotewrite/reset", Behavior::ResetRequest),
        ("prometheusremotewrite/hangs", Behavior::Hang),
        (
            "prometheusremotewrite/long",
            Behavior::LongAnswer { bytes: 10 << 20 },
        ),
    ];
    let mut backends = join_all(exporters.map(|_| Backend::start())).await;
    let keys = format!("{IN_MEMORY}, timeout: 2s");
    let pushing: Vec<_> = iter::zip(exporters, &backends)
        .map(|((id, _), backend)| (id, backend, &*keys))
        .collect();
    let line = Line::start(&pushing, None).await;
    for ((_, behavior), backend) in iter::zip(exporters, &mut backends) {
        backend.set(behavior).await;
    }
    line.polls(TEN_MINUTES).await;
    eventually("all are met twice", PATIENCE, async || {
        let mut met = iter::zip(exporters, &backends).skip(1);
        met.all(|((_, b), backend)| backend.met(b) >= 2)
            .then_some(())
    })
    .await;
    for backend in &mut backends {
        backend.set(Behavior::Accept).await;
    }
    line.polls(3).await;
    for ((exporter, _), backend) in iter::zip(exporters, &backends) {
        let (accounts, _) = line.settled(exporter, backend).await;
        assert_eq!(accounts.sent, accounts.received, "{exporter}: {accounts:?}");
    }
    let (answered, _) = line.end().await;
    for backend in backends {
        assert_exactly_once(&backend, &answered);
    }
}

/// Each poll of a target is larger than the backend accepts. The largest request follows
/// `max_size`.
#[tokio::test]
async fn what_is_too_large_for_the_backend_arrives_in_smaller_requests() {
    let exporters = [
        ("otlp_http/refused", IN_MEMORY),
        ("otlp_grpc/refused", IN_MEMORY),
        ("prometheusremotewrite/refused", IN_MEMORY),
        ("otlp_http/split", SPLIT),
        ("otlp_grpc/split", SPLIT),
    ];
    let mut backends = join_all(exporters.map(|_| Backend::start())).await;
    let pushing: Vec<_> = iter::zip(exporters, &backends)
        .map(|((id, keys), backend)| (id, backend, keys))
        .collect();
    let line = Line::start(&pushing, None).await;
    let small = Behavior::TakesAtMost { points: 40 };
    for backend in backends.iter_mut().take(3) {
        backend.set(small).await;
    }
    line.polls(WHILE).await;
    let (answered, log) = line.end().await;
    assert!(!log.contains("data points"), "dropped or rejected: {log}");
    let told = log
        .lines()
        .filter(|line| line.contains("it is sent in halves"));
    assert_eq!(told.count(), 3, "{log}");
    for ((exporter, _), backend) in iter::zip(exporters, &backends) {
        let requests = backend.taken();
        let largest = requests.iter().map(Vec::len).max();
        let refused = exporter.ends_with("refused");
        assert!(refused || largest <= Some(40), "{exporter}: {largest:?}");
        assert_exactly_once(backend, &answered);
    }
}

/// Requests of at most forty points.
const SPLIT: &str = "sending_queue: {batch: {flush_timeout: 2ms, sizer: items, max_size: 40}}, \
    retry_on_failure: {initial_interval: 50ms, max_interval: 300ms, max_elapsed_time: 0}";

/// The result of a short outage for one exporter.
struct Survived {
    /// Before the collector was stopped, when it held nothing.
    accounts: Accounts,
    /// What the backend had accepted until then.
    points: Vec<Point>,
    backend: Backend,
    answered: Answered,
    log: String,
}

/// Lets one backend over HTTP and one over gRPC fail for a while, and then accept.
async fn survived(behavior: Behavior, keys: &str) -> [Survived; 2] {
    let (mut http, mut grpc) = (Backend::start().await, Backend::start().await);
    let keys = format!("{IN_MEMORY}, {keys}");
    let exporters = [("otlp_http", &http, &*keys), ("otlp_grpc", &grpc, &*keys)];
    let line = Line::start(&exporters, None).await;
    for backend in [&mut http, &mut grpc] {
        backend.set(behavior).await;
    }
    line.polls(WHILE).await;
    eventually("both are met twice", PATIENCE, async || {
        let mut backends = [&http, &grpc].into_iter();
        backends.all(|b| b.met(behavior) >= 2).then_some(())
    })
    .await;
    for backend in [&mut http, &mut grpc] {
        backend.set(Behavior::Accept).await;
    }
    line.polls(3).await;
    let over_http = line.settled("otlp_http", &http).await;
    let over_grpc = line.settled("otlp_grpc", &grpc).await;
    let (answered, log) = line.end().await;
    [(http, over_http), (grpc, over_grpc)].map(|(backend, (accounts, points))| {
        assert_eq!(accounts.dropped, 0.0, "{accounts:?}");
        Survived {
            accounts,
            points,
            backend,
            answered: answered.clone(),
            log: log.clone(),
        }
    })
}

impl Survived {
    /// Checks that everything arrived once, and that the counters say so.
    fn assert_exactly_once(&self) {
        assert_exactly_once(&self.backend, &self.answered);
        let Accounts { received, sent, .. } = self.accounts;
        assert_eq!(sent, received);
        assert_eq!(sent, self.points.len() as f64);
    }
}

#[tokio::test]
async fn a_busy_backend_is_left_alone_as_long_as_it_asks_and_gets_everything_once() {
    let busy = Behavior::Busy { retry_after: 1 };
    for survived in survived(busy, "timeout: 10s").await {
        survived.assert_exactly_once();
        let pauses = survived.backend.pauses_after(busy);
        assert!(!pauses.is_empty());
        let second = Duration::from_secs(1);
        assert!(pauses.iter().all(|pause| *pause >= second), "{pauses:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_reset_is_sent_again_and_arrives_once() {
    for survived in survived(Behavior::ResetRequest, "timeout: 10s").await {
        survived.assert_exactly_once();
    }
}

#[tokio::test]
async fn a_backend_that_hangs_is_given_up_after_the_timeout_and_gets_everything_once() {
    for survived in survived(Behavior::Hang, "timeout: 2s").await {
        survived.assert_exactly_once();
        // The first request was followed by another one without a pause.
        let pauses = survived.backend.pauses_after(Behavior::Hang);
        let timeout = Duration::from_millis(1900);
        assert!(pauses.first() >= Some(&timeout), "{pauses:?}");
    }
}

/// The backend accepted the batch but could not confirm it. Nobody can know that, so it is sent
/// again.
#[tokio::test]
async fn an_answer_that_is_reset_repeats_its_batch_and_nothing_else() {
    for survived in survived(Behavior::ResetAnswer, "timeout: 10s").await {
        let (points, repeated) = first_arrivals(survived.backend.taken());
        assert!(repeated > 0, "taken twice");
        assert_complete(&points, &survived.answered);
        let Accounts { received, sent, .. } = survived.accounts;
        assert_eq!(sent, received);
    }
}

#[tokio::test]
async fn what_a_backend_rejects_in_part_is_counted_as_rejected_and_not_sent_again() {
    for survived in survived(Behavior::Reject { points: 2 }, "timeout: 10s").await {
        let Accounts { sent, rejected, .. } = survived.accounts;
        assert_eq!(sent, survived.points.len() as f64);
        assert!(rejected > 0.0);
        assert_eq!(rejected, survived.backend.rejected() as f64);
        assert_eq!(first_arrivals(survived.backend.taken()).1, 0);
        let log = &survived.log;
        assert!(log.contains("too old"), "what the backend says: {log}");
    }
}

/// An answer above the limit is an error after which the batch is not sent again, as OTLP says,
/// although these backends accepted it. Returns the most bytes of such an answer that left a
/// backend.
async fn long_answer(bytes: u64) -> u64 {
    let mut most = 0;
    for survived in survived(Behavior::LongAnswer { bytes }, "timeout: 10s").await {
        let Accounts { sent, rejected, .. } = survived.accounts;
        assert!(rejected > 0.0);
        assert_eq!(sent + rejected, survived.points.len() as f64);
        assert_exactly_once(&survived.backend, &survived.answered);
        let answers = survived.backend.met(Behavior::LongAnswer { bytes });
        most = most.max(survived.backend.answered_bytes() / answers as u64);
    }
    most
}

#[tokio::test]
async fn an_answer_of_10_mib_is_not_read() {
    long_answer(10 << 20).await;
}

#[tokio::test]
async fn of_an_answer_of_128_mib_hardly_more_than_4_mib_leave_the_backend() {
    let left = long_answer(128 << 20).await;
    // The buffers of the two sockets are included.
    assert!(left < 24 << 20, "{left} bytes");
}

#[tokio::test]
async fn a_backend_that_hangs_delays_no_poll_no_scrape_and_no_other_exporter() {
    let (mut http, mut grpc) = (Backend::start().await, Backend::start().await);
    let sound = Backend::start().await;
    for hangs in [&mut http, &mut grpc] {
        hangs.set(Behavior::Hang).await;
    }
    let patient = format!("{IN_MEMORY}, timeout: 10m");
    let exporters = [
        ("otlp_http/hangs", &http, patient.as_str()),
        ("otlp_grpc/hangs", &grpc, patient.as_str()),
        ("otlp_http/sound", &sound, IN_MEMORY),
    ];
    let line = Line::start(&exporters, None).await;
    line.polls(20).await;
    let (accounts, points) = line.settled("otlp_http/sound", &sound).await;
    assert_eq!(accounts.sent, accounts.received);
    let scrape = line.stand.scrape().await;
    for (name, _) in &line.nodes {
        let arrived = counts(&points, name).len();
        assert!(arrived >= 20, "{arrived}");
        let total = format!("betanet_messages_total{{target=\"{name}\"}}");
        assert!(scrape.value(&total) >= Some(arrived as f64));
    }
    let own = line.stand.own().await;
    for exporter in ["otlp_http/hangs", "otlp_grpc/hangs"] {
        let waits = Accounts::of(&own, exporter);
        assert_eq!((waits.sent, waits.held), (0.0, waits.received));
    }

    for hangs in [&mut http, &mut grpc] {
        hangs.set(Behavior::Accept).await;
    }
    line.settled("otlp_http/hangs", &http).await;
    line.settled("otlp_grpc/hangs", &grpc).await;
    let (answered, _) = line.end().await;
    for backend in [http, grpc, sound] {
        assert_exactly_once(&backend, &answered);
    }
}

#[tokio::test]
async fn what_is_left_at_the_end_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("{{directory: \"{}\"}}", folder.path().display());
    let (mut memory, mut disk) = (Backend::start().await, Backend::start().await);
    for backend in [&mut memory, &mut disk] {
        backend.set(Behavior::Down).await;
    }
    let exporters = [
        ("otlp_http/memory", &memory, IN_MEMORY),
        ("otlp_http/disk", &disk, ON_DISK),
    ];
    let line = Line::start(&exporters, Some(&storage)).await;
    line.polls(WHILE).await;
    let own = line.stand.own().await;
    let (_, log) = line.end().await;
    for (what, exporter) in [
        ("data points dropped", "otlp_http/memory"),
        ("data points stay on disk", "otlp_http/disk"),
    ] {
        let of = |line: &&str| line.contains(what) && line.contains(exporter);
        let points = log.lines().filter(of).map(|line| {
            let (_, points) = line.rsplit_once("points=").unwrap();
            points.parse::<f64>().unwrap()
        });
        let held = Accounts::of(&own, exporter).held;
        assert!(points.sum::<f64>() >= held, "{exporter}: {held} {log}");
    }
}
