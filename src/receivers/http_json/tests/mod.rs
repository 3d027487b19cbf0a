//! Polls of a server in memory, with a paused clock.

mod answers;
mod authentication;
mod documents;
mod dropped;
mod elements;
mod hours;
mod lab;
mod mass_outage;
mod pages;
mod posts;
mod readers;
mod reload;
mod replicas;
mod running;
mod shell;
mod suspect;
mod wakes;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderMap, StatusCode};
use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    format::reader::Reader,
    http::transport::{Transport, TransportError, TransportRequest, TransportResponse},
    poll::{
        asked::{EndpointUrl, RequestValues},
        body_mapper::{BodyMapper, BodyMappers},
        endpoint::{EndpointAddress, EndpointPoller, ReceiverParts},
        origin::Origin,
        poll_loop::{PollLoop, PollingEnded},
        poll_state::PollState,
        signals::{TargetSignals, Turns},
        target_poller::TargetPoller,
    },
    telemetry::ReceiverTelemetry,
    *,
};
use crate::{
    client::content_encoding::Codings,
    definition,
    pipeline::{
        Allowance, DocumentMapping, EndpointPoll, ErrorType, Inspect as _, Number, OwnReading,
        PartReadings, Readings, Sink, StatusBoard, TargetNames,
    },
    resilience::{
        caution::Caution,
        config::{CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
        outcome::Statuses,
        receiver_resilience::{ReceiverResilience, ResilienceSettings},
        target_keys::TargetKeys,
        target_resilience::TargetResilience,
    },
    settings,
    telemetry::Meter,
};

const INTERVAL: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_secs(5);

/// The server's reaction to a request.
#[derive(Debug, Clone)]
enum ScriptedAnswer {
    /// A body, after a delay.
    Body(Duration, &'static str),
    Status(u16),
    Hang,
    TooLarge,
}

const GOOD: ScriptedAnswer = ScriptedAnswer::Body(Duration::ZERO, "{}");

/// A server in memory, with one reaction for each path.
#[derive(Debug, Default)]
struct MemoryServer {
    answers: BTreeMap<&'static str, ScriptedAnswer>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

#[async_trait]
impl Transport for MemoryServer {
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(now, Ordering::Relaxed);
        let answer = match &self.answers[request.url.path()] {
            ScriptedAnswer::Body(after, body) => {
                sleep(*after).await;
                Ok(answer(200, body))
            }
            ScriptedAnswer::Status(code) => Ok(answer(*code, "")),
            ScriptedAnswer::Hang => std::future::pending().await,
            ScriptedAnswer::TooLarge => Err(TransportError::TooLarge {
                limit_bytes: request.body_limit_bytes,
            }),
        };
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        answer
    }
}

fn answer(status: u16, body: &'static str) -> TransportResponse {
    TransportResponse {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        is_from_elsewhere: false,
        redirected_to: None,
        body: Bytes::from_static(body.as_bytes()),
        codings: Codings::default(),
        share: None,
    }
}

fn meter() -> Meter {
    Meter::of(&SdkMeterProvider::default())
}

/// A server with these answers, and a poller of all its paths with `concurrency` requests at a
/// time.
fn poller(
    concurrency: usize,
    answers: impl IntoIterator<Item = (&'static str, ScriptedAnswer)>,
) -> (Arc<MemoryServer>, TargetPoller) {
    let memory = Arc::new(MemoryServer {
        answers: answers.into_iter().collect(),
        ..MemoryServer::default()
    });
    let paths: Vec<_> = memory.answers.keys().copied().collect();
    let fleet = ReceiverResilience::new(single_attempts());
    let poller = lab::before(&memory, &fleet, concurrency, &paths);
    (memory, poller)
}

/// Settings without retries and breakers, for tests of one attempt.
fn single_attempts() -> ResilienceSettings {
    let breaker = CircuitBreakerConfig {
        failure_threshold: u32::MAX,
        ..Default::default()
    };
    let retry = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    ResilienceSettings {
        interval: INTERVAL,
        deadline: INTERVAL,
        statuses: Statuses::default(),
        retry: retry.policy(),
        timeout: TimeoutConfig {
            max: settings::Duration::from_secs(5),
            adaptive: false,
        },
        circuit_breaker: breaker,
        cache: CacheConfig::default().policy(),
        freshness_objective: None,
    }
}

/// A definition with an endpoint for each path.
fn definition(paths: &[&str]) -> Arc<Definition> {
    let endpoints: Vec<_> = paths
        .iter()
        .map(|path| format!("e{}: {{path: {path}}}", path.trim_start_matches('/')))
        .collect();
    let endpoints = endpoints.join(", ");
    let endpoint = format!("e{}", paths[0].trim_start_matches('/'));
    let text = format!(
        "endpoints: {{{endpoints}}}\n\
         metrics: [{{name: m, instrument: gauge, value: $.v, endpoint: {endpoint}}}]\n"
    );
    definition::from_text("test", "test.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// A recorded poll: when it was handed on, its missed ticks, the results of its endpoints.
type RecordedPoll = (Duration, u64, Vec<Option<ErrorType>>);

struct RecordingSink {
    begun: Instant,
    kept: Arc<Mutex<Vec<RecordedPoll>>>,
}

impl Sink for RecordingSink {
    fn follow(&mut self, _target: &Arc<Target>) {}

    fn accept(&mut self, poll: Poll) {
        if !poll.is_round() {
            return;
        }
        let kept = (self.begun.elapsed(), poll.missed_ticks, errors(&poll));
        self.kept.lock().unwrap().push(kept);
    }
}

fn errors(poll: &Poll) -> Vec<Option<ErrorType>> {
    let error = |polled: &EndpointPoll| polled.failure().map(|failure| failure.error_type);
    poll.endpoints.iter().map(error).collect()
}

/// The polls that the poller hands on while `time` passes.
async fn run(poller: TargetPoller, interval: Duration, time: Duration) -> Vec<RecordedPoll> {
    let kept = Arc::<Mutex<Vec<RecordedPoll>>>::default();
    let sink = RecordingSink {
        begun: Instant::now(),
        kept: Arc::clone(&kept),
    };
    let sink = Box::new(sink);
    let forever = go(&poller, every(interval), sink, CancellationToken::new());
    let ended = timeout(time, forever).await;
    assert!(ended.is_err(), "a poller never ends by itself");
    let kept = kept.lock().unwrap();
    kept.clone()
}

fn every(interval: Duration) -> Timing {
    Timing {
        interval,
        initial_delay: Duration::ZERO,
        targets: 1,
        all_targets: 1,
    }
}

/// Polls until `stop`.
async fn go(
    poller: &TargetPoller,
    timing: Timing,
    sink: Box<dyn Sink>,
    stop: CancellationToken,
) -> PollingEnded {
    let mut state = PollState::new(poller, timing, false, sink);
    go_on(poller, &mut state, stop).await
}

/// Continues to poll until `stop`.
async fn go_on(
    poller: &TargetPoller,
    state: &mut PollState,
    stop: CancellationToken,
) -> PollingEnded {
    // The settings do not change.
    let (_spec, settings) = watch::channel(());
    let mut signals = TargetSignals::new(stop, settings, Turns::new());
    let polling = PollLoop {
        poller,
        state,
        signals: &mut signals,
    };
    polling.run().await
}

/// Takes polls and drops them.
fn nowhere() -> Box<dyn Sink> {
    struct Nowhere;
    impl Sink for Nowhere {
        fn follow(&mut self, _target: &Arc<Target>) {}
        fn accept(&mut self, _poll: Poll) {}
    }
    Box::new(Nowhere)
}

#[tokio::test(start_paused = true)]
async fn ten_hours_have_a_poll_every_fifteen_seconds() {
    let (_, poller) = poller(8, [("/a", GOOD)]);
    let kept = run(poller, INTERVAL, Duration::from_secs(36_000)).await;
    assert!((2_398..=2_401).contains(&kept.len()), "{}", kept.len());
    assert!(
        kept[0].0 < Duration::from_millis(2),
        "the first one at once"
    );
    // The ticks lie on the grid of the target from the eleventh on.
    for pair in kept[11..].windows(2) {
        let gap = pair[1].0 - pair[0].0;
        let off = gap.abs_diff(INTERVAL);
        assert!(off <= Duration::from_millis(2), "{gap:?}");
    }
    assert_eq!(kept[kept.len() - 1].1, 0, "no tick was missed");
}

#[tokio::test(start_paused = true)]
async fn a_slow_target_misses_ticks_and_never_queues_them() {
    let slow = ScriptedAnswer::Body(Duration::from_millis(4_900), "{}");
    let (memory, poller) = poller(8, ["/a", "/b", "/c"].map(|path| (path, slow.clone())));
    let kept = run(poller, Duration::from_secs(2), Duration::from_secs(600)).await;
    for pair in kept[11..].windows(2) {
        // A poll of 4.9 s with ticks of 2 s begins at every third tick; the two between are missed.
        let gap = pair[1].0 - pair[0].0;
        assert!(
            gap.abs_diff(Duration::from_secs(6)) < Duration::from_millis(5),
            "{gap:?}"
        );
        assert_eq!(pair[1].1 - pair[0].1, 2);
    }
    assert_eq!(
        memory.most_in_flight.load(Ordering::Relaxed),
        3,
        "one poll at a time"
    );
}

/// Refuses polls until a time.
struct Refuses(RecordingSink, Duration);

impl Sink for Refuses {
    fn admits(&mut self) -> bool {
        self.0.begun.elapsed() >= self.1
    }

    fn follow(&mut self, _target: &Arc<Target>) {}

    fn accept(&mut self, poll: Poll) {
        self.0.accept(poll);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_polled_for_lack_of_memory_is_down() {
    let (memory, poller) = poller(8, [("/a", GOOD)]);
    let kept = Arc::<Mutex<Vec<RecordedPoll>>>::default();
    let sink = RecordingSink {
        begun: Instant::now(),
        kept: Arc::clone(&kept),
    };
    let sink = Box::new(Refuses(sink, INTERVAL * 3));
    let forever = go(&poller, every(INTERVAL), sink, CancellationToken::new());
    assert!(timeout(INTERVAL * 2, forever).await.is_err());
    let errors: Vec<_> = kept
        .lock()
        .unwrap()
        .iter()
        .map(|kept| kept.2.clone())
        .collect();
    assert!(errors.len() >= 2, "{errors:?}");
    assert!(
        errors.iter().all(|of| *of == [Some(ErrorType::Memory)]),
        "{errors:?}"
    );
    assert_eq!(memory.most_in_flight.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_does_not_affect_the_others() {
    let answers = [
        ("/a", GOOD),
        ("/b", ScriptedAnswer::Status(503)),
        ("/c", ScriptedAnswer::Hang),
        ("/d", ScriptedAnswer::TooLarge),
        ("/e", ScriptedAnswer::Body(Duration::ZERO, "{")),
        ("/f", ScriptedAnswer::Status(302)),
        ("/g", ScriptedAnswer::Body(TIMEOUT * 2, "{}")),
    ];
    let (_, poller) = poller(8, answers);
    let begun = Instant::now();
    let poll = poller.poll(&[true; 7], 7, None).await;
    let expected = [
        None,
        Some(ErrorType::Status(503)),
        Some(ErrorType::Timeout),
        Some(ErrorType::TooLarge),
        Some(ErrorType::Decode),
        Some(ErrorType::Status(302)),
        Some(ErrorType::Timeout),
    ];
    assert_eq!(errors(&poll), expected);
    assert!(poll.is_up());
    assert_eq!(poll.missed_ticks, 7);
    assert!(
        begun.elapsed() < TIMEOUT + Duration::from_millis(5),
        "all at once"
    );
    assert_eq!(poll.endpoints[0].duration, Duration::ZERO);
    assert!(poll.endpoints[2].duration >= TIMEOUT);
    let message = &poll.endpoints[2].failure().unwrap().message;
    assert_eq!(message, "no answer within 5 s");
    let received = poll.endpoints[0].body().unwrap().received;
    assert_eq!(
        received, poll.started,
        "when it came, not when the poll ended"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_place_in_time_has_its_own_error() {
    let (memory, poller) = poller(0, [("/a", GOOD)]);
    let begun = Instant::now();
    let poll = poller.poll_all().await;
    assert_eq!(errors(&poll), [Some(ErrorType::Limiter)]);
    assert!(begun.elapsed() < TIMEOUT + Duration::from_millis(5));
    assert_eq!(memory.most_in_flight.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn the_concurrency_limit_is_respected() {
    let slow = ScriptedAnswer::Body(Duration::from_secs(1), "{}");
    let paths = ["/a", "/b", "/c", "/d", "/e", "/f", "/g"];
    let (memory, poller) = poller(3, paths.map(|path| (path, slow.clone())));
    let begun = Instant::now();
    let poll = poller.poll_all().await;
    assert_eq!(errors(&poll), [None; 7]);
    assert_eq!(memory.most_in_flight.load(Ordering::Relaxed), 3);
    assert_eq!(
        begun.elapsed().as_secs(),
        3,
        "seven of a second, three at a time"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_part_of_the_timeout() {
    let slow = ScriptedAnswer::Body(Duration::from_secs(3), "{}");
    let paths = ["/a", "/b"].map(|path| (path, slow.clone()));
    let (_, poller) = poller(1, paths);
    let begun = Instant::now();
    let poll = poller.poll_all().await;
    assert_eq!(errors(&poll), [None, Some(ErrorType::Timeout)]);
    assert!(begun.elapsed() < TIMEOUT + Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_does_not_delay_the_stop() {
    let (_, poller) = poller(8, [("/a", ScriptedAnswer::Hang)]);
    let timing = every(INTERVAL);
    let stop = CancellationToken::new();
    let stopper = async {
        sleep(Duration::from_secs(1)).await;
        stop.cancel();
    };
    let begun = Instant::now();
    tokio::join!(go(&poller, timing, nowhere(), stop.clone()), stopper);
    assert!(begun.elapsed() < Duration::from_millis(1_005));
}

#[tokio::test(start_paused = true)]
async fn the_status_board_has_a_target_while_it_is_polled() {
    let (_, poller) = poller(8, [("/a", GOOD), ("/b", ScriptedAnswer::Status(500))]);
    let board = Arc::clone(&poller.board);
    let during = async {
        sleep(Duration::from_secs(20)).await;
        board.targets()
    };
    let stop = CancellationToken::new();
    let timing = every(INTERVAL);
    let stopped = async {
        let targets = during.await;
        stop.cancel();
        targets
    };
    let (ended, targets) = tokio::join!(go(&poller, timing, nowhere(), stop.clone()), stopped);
    let [status] = targets.as_slice() else {
        panic!("one target: {targets:?}");
    };
    assert!(matches!(ended, PollingEnded::Stopped));
    assert!(status.is_up());
    assert!(status.endpoints[0].last_success.is_some());
    let error = status.endpoints[1].last_error.as_ref().unwrap();
    assert_eq!(error.error_type, ErrorType::Status(500));
    assert_eq!(board.targets().len(), 0);
}
