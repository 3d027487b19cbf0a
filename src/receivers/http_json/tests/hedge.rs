//! A second request after a slow first one: when it is sent, which answer counts, and the effect of
//! the other one.

use std::pin::pin;

use super::{
    lab::{Reply, ScriptedServer, Sent, reading, replicas, settings},
    replicas::{all_gave, instances, of, polls},
    *,
};

const USUAL: Duration = Duration::from_millis(100);
const SLOW: Duration = Duration::from_secs(3);

/// Two instances with enough history to detect a slow answer.
async fn known(settings: ResilienceSettings) -> (Vec<Arc<ScriptedServer>>, TargetPoller) {
    let labs = instances(&[Reply::After(USUAL); 2]);
    let poller = know(&labs, settings).await;
    (labs, poller)
}

async fn know(labs: &[Arc<ScriptedServer>], settings: ResilienceSettings) -> TargetPoller {
    let poller = replicas(labs, settings, &["/a"]);
    while labs.iter().any(|lab| lab.count() < 25) {
        polls(&poller, 10).await;
    }
    poller
}

fn hedging() -> ResilienceSettings {
    ResilienceSettings {
        hedge: Some(0.95),
        ..settings()
    }
}

/// One poll with these reactions to the first request and to those after it. Returns the poll, the
/// first instance and the other one.
async fn poll(
    labs: &[Arc<ScriptedServer>],
    poller: &TargetPoller,
    first: Reply,
    others: Reply,
) -> (Poll, [&'static str; 2]) {
    let asked = Arc::new(AtomicUsize::new(0));
    for lab in labs {
        let asked = Arc::clone(&asked);
        lab.now(
            move |_: &Sent| match asked.fetch_add(1, Ordering::Relaxed) {
                0 => first,
                _ => others,
            },
        );
    }
    let before = labs[0].count();
    sleep(INTERVAL).await;
    let mut polling = pin!(poller.poll_all());
    // A moment is long enough for the first request, and too short for an answer.
    let early = timeout(Duration::from_millis(1), polling.as_mut()).await;
    assert!(early.is_err());
    let names = match labs[0].count() > before {
        true => ["a", "b"],
        false => ["b", "a"],
    };
    (polling.await, names)
}

fn hedges(poll: &Poll) -> [f64; 3] {
    let of = |result| reading(&poll.own, "betanet.poll.hedges", &[("result", result)]);
    ["won", "lost", "failed"].map(of)
}

/// The failures of an instance that its breakers count, and those that its metrics count.
fn failures(poll: &Poll, instance: &str) -> f64 {
    let breakers = of(
        poll,
        "betanet.circuit_breaker.consecutive_failures",
        instance,
    );
    let failed = [("betanet.instance", instance), ("result", "fail")];
    breakers + reading(&poll.own, "betanet.balancer.requests", &failed)
}

#[tokio::test(start_paused = true)]
async fn the_quantile_sets_the_delay_of_the_second_request() {
    let slow = USUAL * 4;
    for (quantile, after) in [(0.6, USUAL), (0.95, slow)] {
        let settings = ResilienceSettings {
            hedge: Some(quantile),
            ..settings()
        };
        // Three of ten answers are slow.
        let lab = |_| {
            let asked = AtomicUsize::new(0);
            ScriptedServer::new(
                move |_: &Sent| match asked.fetch_add(1, Ordering::Relaxed) % 10 {
                    0 | 3 | 6 => Reply::After(slow),
                    _ => Reply::After(USUAL),
                },
            )
        };
        let labs: Vec<_> = (0..2).map(lab).collect();
        let poller = know(&labs, settings).await;
        let (poll, _) = poll(&labs, &poller, Reply::After(SLOW), Reply::After(USUAL)).await;
        let late = poll.duration.saturating_sub(after + USUAL);
        assert!(
            poll.duration >= after + USUAL && late < USUAL / 2,
            "{quantile}: {poll:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_counts_and_the_other_instance_has_no_failure() {
    for fault in [Reply::Hang, Reply::After(SLOW)] {
        let (labs, poller) = known(hedging()).await;
        let (poll, [slow, _]) = poll(&labs, &poller, fault, Reply::After(USUAL)).await;
        assert!(all_gave(std::slice::from_ref(&poll)));
        assert_eq!(hedges(&poll), [1.0, 0.0, 0.0]);
        assert!(poll.duration < USUAL * 3, "{:?}", poll.duration);
        assert_eq!(failures(&poll, slow), 0.0, "{fault:?}");
        assert_eq!(of(&poll, "betanet.circuit_breaker.state", slow), 0.0);
        assert_eq!(labs[0].in_flight() + labs[1].in_flight(), 0, "dropped");
        // It is known to be slow now, so the other one gets the request.
        let expected = |name| of(&poll, "betanet.balancer.latency", name);
        assert!(expected(slow) >= 0.2, "{}", expected(slow));
    }
}

#[tokio::test(start_paused = true)]
async fn if_the_first_request_is_faster_the_second_one_is_cancelled() {
    let (labs, poller) = known(hedging()).await;
    let (poll, [_, second]) = poll(&labs, &poller, Reply::After(USUAL * 2), Reply::Hang).await;
    assert!(all_gave(std::slice::from_ref(&poll)));
    assert_eq!(hedges(&poll), [0.0, 1.0, 0.0]);
    assert_eq!(failures(&poll, second), 0.0);
    assert_eq!(labs[0].in_flight() + labs[1].in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_second_request_replaces_a_first_one_that_fails() {
    let (labs, poller) = known(hedging()).await;
    let (first, others) = (Reply::Cut(USUAL * 2), Reply::After(SLOW));
    let (poll, [first, second]) = poll(&labs, &poller, first, others).await;
    assert!(all_gave(std::slice::from_ref(&poll)));
    assert_eq!(hedges(&poll), [1.0, 0.0, 0.0]);
    assert!(failures(&poll, first) > 0.0, "that it failed counts");
    assert_eq!(failures(&poll, second), 0.0);
}

#[tokio::test(start_paused = true)]
async fn if_both_fail_both_count_and_the_poll_continues() {
    let (labs, poller) = known(hedging()).await;
    let count = || labs.iter().map(|lab| lab.count()).sum::<usize>();
    let (before, down) = (count(), Reply::Cut(USUAL * 2));
    let (poll, [first, second]) = poll(&labs, &poller, down, down).await;
    assert_eq!(hedges(&poll), [0.0, 0.0, 1.0]);
    assert!(failures(&poll, first) > 0.0 && failures(&poll, second) > 0.0);
    let retries = reading(&poll.own, "betanet.poll.retries", &[]);
    let failovers = reading(&poll.own, "betanet.balancer.failovers", &[]);
    assert!(retries > 0.0);
    let sent = (count() - before) as f64;
    assert_eq!(sent, 2.0 + retries + failovers, "a hedge is neither");
}

#[tokio::test(start_paused = true)]
async fn hedging_is_off_by_default() {
    let (labs, poller) = known(settings()).await;
    let slow = Reply::After(SLOW);
    let (poll, _) = poll(&labs, &poller, slow, slow).await;
    assert!(all_gave(std::slice::from_ref(&poll)));
    assert!(poll.duration >= SLOW, "it is waited for");
    let said = poll.own.iter().any(|o| o.metric == "betanet.poll.hedges");
    assert!(!said);
}

#[tokio::test(start_paused = true)]
async fn hedging_uses_the_retry_budget() {
    let (labs, poller) = known(hedging()).await;
    for lab in &labs {
        lab.now(|_: &Sent| Reply::Hang);
    }
    let count = || labs.iter().map(|lab| lab.count()).sum::<usize>();
    let (before, mut given_up) = (count(), 0);
    // Polls that are dropped after their second request: at most one for five attempts, and ten for
    // each interval, of which five count.
    for _ in 0..200 {
        let poll = poller.poll_all();
        given_up += usize::from(timeout(USUAL * 2, poll).await.is_err());
    }
    assert_eq!(given_up, 200);
    let hedges = count() - before - given_up;
    assert!((50..150).contains(&hedges), "{hedges}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_little_history_is_not_hedged() {
    let labs = instances(&[Reply::After(SLOW); 2]);
    let poller = replicas(&labs, hedging(), &["/a"]);
    let polls = polls(&poller, 5).await;
    assert!(all_gave(&polls));
    assert_eq!(labs.iter().map(|lab| lab.count()).sum::<usize>(), 5);
}
