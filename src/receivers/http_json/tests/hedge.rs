//! A second request beside a slow first one: when it is sent, which answer counts, and what the
//! other one costs.

use std::pin::pin;

use super::{
    lab::{Reply, ScriptedServer, Sent, reading, replicas, settings},
    replicas::{all_gave, instances, of, polls},
    *,
};

const USUAL: Duration = Duration::from_millis(100);
const SLOW: Duration = Duration::from_secs(3);

/// Two instances of which so much is known that a slow answer is noticed.
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

/// One poll, of which the first request and those after it come to this; it, and the instance that
/// was asked first and the other one.
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
    // A moment is enough for the first request, and too short for an answer.
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

/// What the breakers of an instance hold against it, and how often it failed in the books.
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
async fn the_quantile_says_after_which_time_the_other_one_is_asked() {
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
async fn the_answer_that_comes_first_counts_and_nothing_is_held_against_the_other() {
    for fault in [Reply::Hang, Reply::After(SLOW)] {
        let (labs, poller) = known(hedging()).await;
        let (poll, [slow, _]) = poll(&labs, &poller, fault, Reply::After(USUAL)).await;
        assert!(all_gave(std::slice::from_ref(&poll)));
        assert_eq!(hedges(&poll), [1.0, 0.0, 0.0]);
        assert!(poll.duration < USUAL * 3, "{:?}", poll.duration);
        assert_eq!(failures(&poll, slow), 0.0, "{fault:?}");
        assert_eq!(of(&poll, "betanet.circuit_breaker.state", slow), 0.0);
        assert_eq!(labs[0].in_flight() + labs[1].in_flight(), 0, "dropped");
        // It is known to be slow now, so the other one is asked.
        let expected = |name| of(&poll, "betanet.balancer.latency", name);
        assert!(expected(slow) >= 0.2, "{}", expected(slow));
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_first_is_faster_after_all_the_second_one_is_dropped() {
    let (labs, poller) = known(hedging()).await;
    let (poll, [_, second]) = poll(&labs, &poller, Reply::After(USUAL * 2), Reply::Hang).await;
    assert!(all_gave(std::slice::from_ref(&poll)));
    assert_eq!(hedges(&poll), [0.0, 1.0, 0.0]);
    assert_eq!(failures(&poll, second), 0.0);
    assert_eq!(labs[0].in_flight() + labs[1].in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_request_that_fails_meanwhile_is_made_up_for_by_the_second() {
    let (labs, poller) = known(hedging()).await;
    let (first, others) = (Reply::Cut(USUAL * 2), Reply::After(SLOW));
    let (poll, [first, second]) = poll(&labs, &poller, first, others).await;
    assert!(all_gave(std::slice::from_ref(&poll)));
    assert_eq!(hedges(&poll), [1.0, 0.0, 0.0]);
    assert!(failures(&poll, first) > 0.0, "that it failed counts");
    assert_eq!(failures(&poll, second), 0.0);
}

#[tokio::test(start_paused = true)]
async fn where_both_fail_both_are_charged_and_the_poll_goes_on() {
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
async fn it_is_off_unless_it_is_asked_for() {
    let (labs, poller) = known(settings()).await;
    let slow = Reply::After(SLOW);
    let (poll, _) = poll(&labs, &poller, slow, slow).await;
    assert!(all_gave(std::slice::from_ref(&poll)));
    assert!(poll.duration >= SLOW, "it is waited for");
    let said = poll.own.iter().any(|o| o.metric == "betanet.poll.hedges");
    assert!(!said);
}

#[tokio::test(start_paused = true)]
async fn the_fleet_makes_no_more_of_them_than_retries() {
    let (labs, poller) = known(hedging()).await;
    for lab in &labs {
        lab.now(|_: &Sent| Reply::Hang);
    }
    let count = || labs.iter().map(|lab| lab.count()).sum::<usize>();
    let (before, mut given_up) = (count(), 0);
    // Polls that are given up after their second request: at most one for five attempts, and
    // ten an interval, of which five count.
    for _ in 0..200 {
        let poll = poller.poll_all();
        given_up += usize::from(timeout(USUAL * 2, poll).await.is_err());
    }
    assert_eq!(given_up, 200);
    let hedges = count() - before - given_up;
    assert!((50..150).contains(&hedges), "{hedges}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_hedged_of_whom_little_is_known() {
    let labs = instances(&[Reply::After(SLOW); 2]);
    let poller = replicas(&labs, hedging(), &["/a"]);
    let polls = polls(&poller, 5).await;
    assert!(all_gave(&polls));
    assert_eq!(labs.iter().map(|lab| lab.count()).sum::<usize>(), 5);
}
