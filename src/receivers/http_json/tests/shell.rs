//! The executor with its policies: when requests are sent, and the results of polls.

use super::{
    lab::{Reply, ScriptedServer, alone, host_state, never_open, reading, settings},
    *,
};
use crate::{
    resilience::{executor::Manner, state::BreakerState},
    telemetry::target_metrics::MetricsLevel,
};

const THREE: [&str; 3] = ["/a", "/b", "/c"];

/// Polls one after the other, an interval apart.
async fn polls(poller: &TargetPoller, count: u32) -> Vec<Poll> {
    let (begun, mut polls) = (Instant::now(), Vec::new());
    for tick in 0..count {
        tokio::time::sleep_until(begun + INTERVAL * tick).await;
        polls.push(poller.poll_all().await);
    }
    polls
}

/// Polls all endpoints at the same time, as readers and single rounds may although the host was
/// down. Returns the errors.
async fn at_once(poller: &TargetPoller) -> Vec<Option<ErrorType>> {
    let manner = Manner {
        deadline: poller.host.deadline(),
        alone: false,
    };
    let polls = poller.endpoints.iter().map(|it| it.poll(manner));
    let polled = futures_util::future::join_all(polls).await;
    let error = |polled: &EndpointPoll| polled.failure().map(|failure| failure.error_type);
    polled.iter().map(error).collect()
}

fn first_errors(polls: &[Poll]) -> Vec<Option<ErrorType>> {
    polls.iter().map(|poll| errors(poll)[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn retries_come_after_one_two_and_four_seconds() {
    let lab = ScriptedServer::new(|_| Reply::Status(500, None));
    let poller = alone(&lab, never_open(), &["/a"]);
    let poll = poller.poll_all().await;
    assert_eq!(lab.seconds(), [0, 1, 3, 7]);
    assert_eq!(errors(&poll), [Some(ErrorType::Status(500))]);
    assert_eq!(poll.endpoints[0].attempts, 4);
    assert_eq!(
        reading(&poll.own, "poll.retries", &[("error.type", "500")]),
        3.0
    );
}

#[tokio::test(start_paused = true)]
async fn the_retry_that_succeeds_is_the_outcome() {
    let lab = ScriptedServer::new(|sent| match sent.at.as_secs() {
        0..3 => Reply::Cut(Duration::ZERO),
        _ => Reply::Good,
    });
    let poller = alone(&lab, settings(), &["/a"]);
    let poll = poller.poll_all().await;
    assert_eq!(lab.seconds(), [0, 1, 3]);
    assert!(poll.is_up());
    assert_eq!(poll.endpoints[0].attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_the_breaker_of_an_endpoint_and_nothing_is_sent_then() {
    let lab = ScriptedServer::new(|sent| match sent.path.as_str() {
        "/a" => Reply::Status(500, None),
        _ => Reply::Good,
    });
    let poller = alone(&lab, settings(), &["/a", "/b"]);
    let polls = polls(&poller, 3).await;
    let to_a = lab.sent().iter().filter(|sent| sent.path == "/a").count();
    assert_eq!(to_a, 5, "four in the first poll, the fifth in the second");
    let status = Some(ErrorType::Status(500));
    let expected = [status, status, Some(ErrorType::CircuitOpen)];
    assert_eq!(first_errors(&polls), expected);
    assert_eq!(polls[2].endpoints[0].attempts, 0);
    assert!(
        polls.iter().all(|poll| errors(poll)[1].is_none()),
        "/b is sound"
    );
    let own = &polls[2].own;
    let of = [
        ("betanet.breaker.scope", "endpoint"),
        ("url.template", "/a"),
    ];
    assert_eq!(reading(own, "circuit_breaker.state", &of), 1.0);
    assert_eq!(reading(own, "circuit_breaker.rejections", &of), 1.0);
    let open = [("reason", "open")];
    assert_eq!(reading(own, "poll.retries_suppressed", &open), 1.0);
    assert_eq!(host_state(&poller), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn failures_at_the_same_time_count_once_for_the_host() {
    let lab = ScriptedServer::new(|_| Reply::Refuse);
    let poller = alone(&lab, settings(), &THREE);
    poller.poll_all().await;
    assert_eq!(lab.count(), 12, "four waves of three");
    assert_eq!(host_state(&poller), BreakerState::Closed);
    sleep(INTERVAL).await;
    poller.poll_all().await;
    assert_eq!(host_state(&poller), BreakerState::Open);
    assert!(lab.count() <= 15, "the fifth wave opened it");
}

#[tokio::test(start_paused = true)]
async fn more_endpoints_do_not_open_a_host_sooner() {
    for paths in [&THREE[..1], &THREE] {
        let lab = ScriptedServer::new(|_| Reply::Refuse);
        let mut settings = settings();
        settings.retry.jitter = 0.2;
        let poller = alone(&lab, settings, paths);
        poller.poll_all().await;
        assert_eq!(lab.count(), 4 * paths.len(), "each at a time of its own");
        assert_eq!(host_state(&poller), BreakerState::Closed);
        sleep(INTERVAL).await;
        poller.poll_all().await;
        assert_eq!(host_state(&poller), BreakerState::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_restarts_within_a_poll_loses_none() {
    let back = Duration::from_secs(5);
    let lab = ScriptedServer::new(move |sent| {
        if sent.at < back {
            Reply::Refuse
        } else {
            Reply::Good
        }
    });
    let mut settings = settings();
    settings.retry.jitter = 0.2;
    let poller = alone(&lab, settings, &THREE);
    let poll = poller.poll_all().await;
    assert_eq!(errors(&poll), [None; 3]);
}

/// Not a multiple of the interval, so the breaker does not expire at a tick.
const OPEN: u64 = 37;

/// Polls a host that is down until `up`, by the schedule, for `time`. Returns the times of the
/// requests.
async fn outage(up: Duration, probe: Reply, time: Duration) -> (Vec<u64>, Vec<RecordedPoll>) {
    let lab = ScriptedServer::new(move |sent| if sent.at < up { Reply::Refuse } else { probe });
    let mut settings = settings();
    settings.circuit_breaker.open_duration = settings::Duration::from_secs(OPEN);
    let poller = alone(&lab, settings, &THREE);
    let kept = run(poller, INTERVAL, time).await;
    (lab.seconds(), kept)
}

/// When an outage from the start has opened the breaker, in seconds, and the requests before.
async fn opening() -> (u64, usize) {
    let for_ever = Duration::from_secs(10_000);
    let (sent, _) = outage(for_ever, Reply::Good, Duration::from_secs(40)).await;
    (*sent.last().unwrap(), sent.len())
}

#[tokio::test(start_paused = true)]
async fn one_trial_request_at_each_expiry() {
    let (opened, before) = opening().await;
    let for_ever = Duration::from_secs(10_000);
    let (sent, _) = outage(
        for_ever,
        Reply::Good,
        Duration::from_secs(opened + 3 * OPEN + 2),
    )
    .await;
    let probes = &sent[before..];
    assert_eq!(
        probes,
        [opened + OPEN, opened + 2 * OPEN, opened + 3 * OPEN],
        "to the second, no tick"
    );
}

#[tokio::test(start_paused = true)]
async fn after_the_trial_request_the_others_follow_one_by_one_in_the_same_round() {
    let (opened, before) = opening().await;
    let slow = Reply::After(Duration::from_secs(2));
    let up = Duration::from_secs(opened + 1);
    let (sent, kept) = outage(up, slow, Duration::from_secs(opened + OPEN + 8)).await;
    let probe = opened + OPEN;
    assert_eq!(sent[before..before + 3], [probe, probe + 2, probe + 4]);
    let round = kept.iter().find(|kept| kept.0.as_secs() >= probe).unwrap();
    assert_eq!(round.2, [None; 3], "one round for all");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waited_for_a_successful_trial_does_not_count_as_rejected() {
    let (opened, _) = opening().await;
    let lab = ScriptedServer::new(move |sent| match sent.at.as_secs() < opened + 1 {
        true => Reply::Refuse,
        false => Reply::After(Duration::from_secs(2)),
    });
    let poller = alone(&lab, settings(), &THREE);
    let rejections = || {
        let own = poller.host.readings(MetricsLevel::Detailed);
        reading(&own, "circuit_breaker.rejections", &[])
    };
    let mut before = 0.0;
    while host_state(&poller) == BreakerState::Closed {
        at_once(&poller).await;
        before = rejections();
        sleep(Duration::from_secs(8)).await;
    }
    sleep(Duration::from_secs(30)).await;
    assert_eq!(at_once(&poller).await, [None; 3]);
    assert_eq!(rejections(), before);
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_time_after_the_trial_request_sends_nothing() {
    // The trial request takes 4.5 s of the poll's 5 s: too little is left for the others.
    let lab = ScriptedServer::new(|_| Reply::Refuse);
    let mut settings = settings();
    settings.circuit_breaker.host_failure_threshold = Some(1);
    settings.deadline = Duration::from_secs(5);
    let poller = alone(&lab, settings, &THREE);
    poller.poll_all().await;
    assert_eq!(host_state(&poller), BreakerState::Open);
    let before = lab.count();
    sleep(Duration::from_secs(30)).await;
    lab.now(|_| Reply::After(Duration::from_millis(4_500)));
    let open = Some(ErrorType::CircuitOpen);
    assert_eq!(at_once(&poller).await, [None, open, open]);
    assert_eq!(lab.count() - before, 1, "the probe alone");
    let host = [("betanet.breaker.scope", "host")];
    let own = poller.host.readings(MetricsLevel::Detailed);
    let rejections = reading(&own, "circuit_breaker.rejections", &host);
    assert_eq!(rejections, 2.0);
    let cancelled = [("result", "cancelled")];
    let probes = reading(&own, "circuit_breaker.probes", &cancelled);
    assert_eq!(probes, 0.0, "what was not sent was no probe");
    assert_eq!(at_once(&poller).await, [None; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_is_detected_although_the_deadline_cuts_each_poll() {
    for deadline in [4_000, 4_999, 5_000, 9_000] {
        let lab = ScriptedServer::new(|_| Reply::Hang);
        let mut settings = settings();
        settings.deadline = Duration::from_millis(deadline);
        let poller = alone(&lab, settings, &THREE);
        polls(&poller, 6).await;
        assert_eq!(host_state(&poller), BreakerState::Open, "{deadline} ms");
        assert!(lab.count() <= 30, "{deadline} ms");
        assert_eq!(lab.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_became_slow_gets_the_whole_timeout_in_the_next_poll() {
    let slow = Duration::from_millis(4_500);
    let lab = ScriptedServer::new(|_| Reply::Good);
    let mut settings = settings();
    settings.timeout.adaptive = true;
    let poller = alone(&lab, settings, &["/a"]);
    polls(&poller, 20).await;
    lab.now(move |_| Reply::After(slow));
    // 500 ms, 1 s, 2 s, and what the deadline leaves: each is too short.
    assert!(!poller.poll_all().await.is_up());
    let before = lab.count();
    assert!(poller.poll_all().await.is_up());
    assert_eq!(lab.count() - before, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_within_the_deadline_is_respected() {
    let lab = ScriptedServer::new(|sent| match sent.at.as_secs() {
        0 => Reply::Status(429, Some(4)),
        _ => Reply::Good,
    });
    let poll = alone(&lab, settings(), &["/a"]).poll_all().await;
    assert_eq!(lab.seconds(), [0, 4], "and not after one second");
    assert!(poll.is_up());
}

#[tokio::test(start_paused = true)]
async fn a_longer_retry_after_pauses_all_endpoints_until_its_end() {
    let lab = ScriptedServer::new(|sent| match (sent.at.as_secs(), sent.path.as_str()) {
        (0, "/a") => Reply::Status(503, Some(50)),
        _ => Reply::Good,
    });
    let poller = alone(&lab, settings(), &THREE);
    let kept = run(poller, INTERVAL, Duration::from_secs(52)).await;
    assert_eq!(lab.seconds()[..6], [0, 0, 0, 50, 50, 50]);
    let paused = kept
        .iter()
        .filter(|kept| kept.2 == [Some(ErrorType::Paused); 3]);
    assert!((2..=3).contains(&paused.count()));
    assert_eq!(kept.last().unwrap().2, [None; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_answer_is_not_served_stale() {
    let lab = ScriptedServer::new(|_| Reply::Good);
    let poller = alone(&lab, settings(), &["/a"]);
    poller.poll_all().await;
    for (code, stale) in [(404, true), (410, false), (404, false)] {
        lab.now(move |_| Reply::Status(code, None));
        sleep(INTERVAL).await;
        let poll = poller.poll_all().await;
        assert_eq!(poll.endpoints[0].stale_age.is_some(), stale, "{code}");
        let state = if stale { "stale" } else { "empty" };
        let entries = |of| reading(&poll.own, "cache.entries", of);
        assert_eq!((entries(&[("state", state)]), entries(&[])), (1.0, 1.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_is_as_good_as_a_new_answer() {
    let lab = ScriptedServer::new(|_| Reply::Tagged("\"1\""));
    let poller = alone(&lab, settings(), &["/a"]);
    let polls = polls(&poller, 3).await;
    let outcomes: Vec<_> = polls
        .iter()
        .map(|poll| poll.endpoints[0].outcome_name())
        .collect();
    let again = Some("not_modified");
    assert_eq!(outcomes, [Some("fresh"), again, again]);
    let tags: Vec<_> = lab.sent().into_iter().map(|sent| sent.tag).collect();
    let tag = Some("\"1\"".to_owned());
    assert_eq!(tags, [None, tag.clone(), tag]);
    assert!(polls[2].is_up());
    let document = |poll: &Poll| poll.endpoints[0].body().unwrap().document();
    assert!(document(&polls[0]).is_some());
    assert_eq!(document(&polls[2]), document(&polls[0]));
    let own = &polls[2].own;
    assert_eq!(reading(own, "cache.entry.age", &[]), 0.0);
    let revalidated = [("result", "revalidated"), ("reader", "poll")];
    assert_eq!(reading(own, "cache.requests", &revalidated), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_304_that_nobody_asked_for_renews_nothing() {
    let lab = ScriptedServer::new(|_| Reply::Good);
    let poller = alone(&lab, settings(), &["/a"]);
    poller.poll_all().await;
    lab.now(|_| Reply::Status(304, None));
    sleep(INTERVAL).await;
    let poll = poller.poll_all().await;
    assert_eq!(errors(&poll), [Some(ErrorType::Status(304))]);
    assert!(poll.endpoints[0].stale_age >= Some(INTERVAL));
    assert_eq!(reading(&poll.own, "cache.requests", &[]), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_keeps_its_age_and_comes_to_an_end() {
    let lab = ScriptedServer::new(|_| Reply::Good);
    let poller = alone(&lab, settings(), &["/a"]);
    poller.poll_all().await;
    lab.now(|_| Reply::Status(404, None));
    for tick in 1..=24 {
        sleep(INTERVAL).await;
        let poll = poller.poll_all().await;
        let age = Some(INTERVAL * tick).filter(|_| tick <= 20);
        let served = poll.endpoints[0].stale_age;
        let off = served.unwrap_or_default().abs_diff(age.unwrap_or_default());
        // The clock stands at whole milliseconds after each sleep.
        let at_the_end = (tick == 20) && served.is_none();
        assert!(
            off < Duration::from_millis(100) || at_the_end,
            "{tick}: {served:?}"
        );
        assert!(tick < 21 || served.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_does_not_make_a_failure_look_like_a_success() {
    let lab = ScriptedServer::new(|sent| match sent.at.as_secs() {
        0..15 => Reply::Good,
        _ => Reply::Status(500, None),
    });
    let poller = alone(&lab, settings(), &["/a"]);
    let polls = polls(&poller, 3).await;
    let failures = polls.iter().skip(1).map(|poll| &poll.endpoints[0]);
    let stale: Vec<_> = failures
        .map(|polled| (polled.attempts, polled.outcome_name()))
        .collect();
    // Stale answers are served from the first failure on; retries and breakers work as usual.
    assert_eq!(stale, [(4, Some("stale")), (1, Some("stale"))]);
    let of = [("betanet.breaker.scope", "endpoint")];
    let state = reading(&polls[2].own, "circuit_breaker.state", &of);
    assert_eq!(state, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_sent_a_request_reports_the_result_of_it() {
    // `/b` opens the breaker of the host while `/a` waits for its retry.
    let lab = ScriptedServer::new(|sent| match (sent.path.as_str(), sent.at.as_millis()) {
        ("/a", 0..100) => Reply::Status(503, Some(3)),
        _ => Reply::Refuse,
    });
    let mut settings = settings();
    settings.circuit_breaker.host_failure_threshold = Some(1);
    let poller = alone(&lab, settings, &["/a", "/b"]);
    let poll = poller.poll_all().await;
    assert_eq!(
        errors(&poll),
        [Some(ErrorType::Status(503)), Some(ErrorType::Connect)]
    );
    assert_eq!(lab.count(), 2);
    assert_eq!(reading(&poll.own, "poll.retries", &[]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_lower_detail_gives_fewer_metrics() {
    let lab = ScriptedServer::new(|_| Reply::Status(500, None));
    let mut poller = alone(&lab, never_open(), &["/a"]);
    let mut said = async |detail| {
        poller.level = detail;
        let own = poller.poll_all().await.own;
        let names: std::collections::BTreeSet<_> =
            own.iter().map(|own| own.metric.short_name()).collect();
        names
    };
    let basic = said(MetricsLevel::Basic).await;
    let normal = said(MetricsLevel::Normal).await;
    let detailed = said(MetricsLevel::Detailed).await;
    assert!(basic.is_subset(&normal) && normal.is_subset(&detailed));
    assert!(basic.contains("circuit_breaker.state"));
    assert!(!basic.contains("poll.retries"));
    assert!(normal.contains("poll.retries"));
    assert!(normal.contains("cache.requests"));
    assert!(!basic.contains("circuit_breaker.transitions"));
    assert!(normal.contains("circuit_breaker.transitions"));
    assert!(!normal.contains("circuit_breaker.status"));
    assert!(detailed.contains("circuit_breaker.status"));
}
