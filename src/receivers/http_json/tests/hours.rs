//! Ten virtual hours with every kind of fault. The report metrics of a target are consistent after
//! every single poll.

use std::collections::BTreeSet;

use super::{
    lab::{Reply, ScriptedServer, alone, reading, settings},
    *,
};
use crate::pipeline::PollOutcome;

const PATHS: [&str; 3] = ["/a", "/b", "/c"];
const STATES: [&str; 3] = ["closed", "half_open", "open"];

/// The results of polls, counted by the test.
#[derive(Debug, Default)]
struct Books {
    polls: u64,
    /// Requests that were sent.
    attempts: u64,
    /// Endpoint results of polls that sent requests.
    sent_results: u64,
    results: u64,
    witnesses: f64,
    outcomes: BTreeSet<&'static str>,
    errors: BTreeSet<String>,
}

/// Checks each poll.
struct Auditor {
    begun: Instant,
    lab: Arc<ScriptedServer>,
    books: Arc<Mutex<Books>>,
}

impl Sink for Auditor {
    fn follow(&mut self, _target: &Arc<Target>) {}

    fn accept(&mut self, poll: Poll) {
        let mut books = self.books.lock().unwrap();
        books.polls += 1;
        for polled in poll.endpoints.iter().filter(|polled| polled.was_asked()) {
            books.enter(polled);
        }
        let sent = self.lab.count();
        let retries = reading(&poll.own, "poll.retries", &[]);
        assert_eq!(
            sent as u64, books.attempts,
            "requests, after {} polls",
            books.polls
        );
        // There are also requests to a witness, to find out whether the host survived a request.
        books.witnesses = sent as f64 - books.sent_results as f64 - retries;
        let reads = reading(&poll.own, "cache.requests", &[("reader", "poll")]);
        assert_eq!(reads, books.results as f64, "each result is one read");
        let entries = reading(&poll.own, "cache.entries", &[]);
        assert_eq!(entries, PATHS.len() as f64, "one an endpoint");
        for of in breakers() {
            assert_adds_up(&poll.own, &of, self.begun.elapsed());
        }
    }
}

impl Books {
    fn enter(&mut self, polled: &EndpointPoll) {
        self.results += 1;
        self.outcomes.insert(polled.outcome_name().unwrap());
        let kind = polled.failure().map(|failure| failure.error_type);
        self.errors
            .extend(kind.map(|kind| kind.name().into_owned()));
        let unsent = [
            ErrorType::CircuitOpen,
            ErrorType::Limiter,
            ErrorType::Paused,
            ErrorType::Waiting,
            ErrorType::Suspect,
        ];
        let is_sent = !kind.is_some_and(|kind| unsent.contains(&kind));
        self.sent_results += u64::from(is_sent);
        self.attempts += u64::from(polled.attempts);
        assert_eq!(polled.attempts > 0, is_sent, "{kind:?}");
        let kept = polled.stale_age.is_some();
        assert!(!kept || matches!(polled.outcome, PollOutcome::Failed(_)));
        assert!(polled.stale_age <= Some(Duration::from_secs(300)));
    }
}

/// The attributes of each breaker.
fn breakers() -> Vec<Vec<(&'static str, &'static str)>> {
    let endpoint = ("betanet.breaker.scope", "endpoint");
    let mut all: Vec<_> = PATHS
        .iter()
        .map(|path| vec![endpoint, ("url.template", *path)])
        .collect();
    all.push(vec![("betanet.breaker.scope", "host")]);
    all
}

/// Checks that the metrics of one breaker of age `age` are consistent.
fn assert_adds_up(own: &[OwnReading], of: &[(&str, &str)], age: Duration) {
    let read = |metric: &str, more: &[(&str, &str)]| {
        let metric = format!("circuit_breaker.{metric}");
        reading(own, &metric, &[of, more].concat())
    };
    assert_eq!(read("status", &[]), 1.0, "one state: {of:?}");
    let off = read("state.time", &[]) - age.as_secs_f64();
    assert!(off.abs() < 1e-3, "{of:?}: off by {off} s");
    // A state is entered as often as it is left, or once more if it is the current one.
    for state in STATES {
        let entered =
            read("transitions", &[("to", state)]) + f64::from(u8::from(state == "closed"));
        let left = read("transitions", &[("from", state)]);
        assert_eq!(
            entered - left,
            read("status", &[("state", state)]),
            "{of:?} {state}"
        );
    }
    let recovered = read("transitions", &[("reason", "probe_succeeded")]);
    assert_eq!(read("probes", &[("result", "ok")]), recovered);
    let failed = read("transitions", &[("reason", "probe_failed")]);
    assert_eq!(read("probes", &[("result", "fail")]), failed);
}

/// Each endpoint has its own fault for a while, and sometimes the whole host has one. The fault
/// depends on the time alone.
fn script(sent: &lab::Sent) -> Reply {
    let minute = sent.at.as_secs() / 150;
    let whole_host = minute.is_multiple_of(5);
    let who = if whole_host { "/" } else { sent.path.as_str() };
    let seed = who
        .bytes()
        .fold(minute + 1, |hash, byte| hash * 31 + u64::from(byte));
    let millis = u64::try_from(sent.at.as_millis()).unwrap();
    let fault = fastrand::Rng::with_seed(seed).u8(0..18);
    let flaps = fastrand::Rng::with_seed(seed ^ millis).bool();
    match fault {
        0 | 1 => Reply::Hang,
        2 => Reply::Cut(Duration::from_secs(1)),
        3 => Reply::Cut(Duration::ZERO),
        // A body that arrives byte by byte takes longer than any timeout.
        4 => Reply::After(Duration::from_secs(100)),
        5 | 6 => Reply::Status(500, None),
        7 => Reply::Status(429, Some(40)),
        8 => Reply::Status(503, Some(2)),
        9 => Reply::Garbage,
        10 => Reply::Huge,
        11 | 12 => Reply::Refuse,
        13 if flaps => Reply::Status(502, None),
        14 => Reply::Status(404, None),
        15 => Reply::Tagged("\"1\""),
        16 => Reply::After(Duration::from_millis(300)),
        _ => Reply::Good,
    }
}

#[tokio::test(start_paused = true)]
async fn the_metrics_are_consistent_after_every_poll_of_ten_hours_with_faults() {
    let lab = ScriptedServer::new(script);
    let mut settings = settings();
    settings.retry.jitter = 0.2;
    settings.circuit_breaker.open_jitter = 0.1;
    settings.timeout.adaptive = true;
    let poller = alone(&lab, settings, &PATHS);
    let books = Arc::<Mutex<Books>>::default();
    let auditor = Auditor {
        begun: Instant::now(),
        lab: Arc::clone(&lab),
        books: Arc::clone(&books),
    };
    let forever = go(
        &poller,
        every(INTERVAL),
        Box::new(auditor),
        CancellationToken::new(),
    );
    let ended = timeout(Duration::from_secs(36_000), forever).await;
    assert!(ended.is_err());
    let books = books.lock().unwrap();
    assert!(books.polls >= 2_390, "no tick was lost: {}", books.polls);
    assert!(
        (1.0..100.0).contains(&books.witnesses),
        "{}",
        books.witnesses
    );
    let outcomes: Vec<_> = books.outcomes.iter().copied().collect();
    assert_eq!(outcomes, ["fresh", "missing", "not_modified", "stale"]);
    let errors: Vec<_> = books.errors.iter().map(String::as_str).collect();
    let expected = [
        "404",
        "429",
        "500",
        "502",
        "503",
        "body",
        "circuit_open",
        "connect",
        "decode",
        "paused",
        "suspect",
        "timeout",
        "too_large",
        "waiting",
    ];
    assert_eq!(errors, expected, "every kind came up");
    assert_eq!(lab.in_flight(), 0);
}
