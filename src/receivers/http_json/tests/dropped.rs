//! A poll that is dropped at any moment leaves no state behind. While a local fault is suspected,
//! no failure counts against a breaker.

use futures_util::poll;
use tokio::time::advance;

use super::{
    lab::{Reply, ScriptedServer, alone, before, host_state, never_open, settings},
    *,
};
use crate::resilience::state::BreakerState;

const THREE: [&str; 3] = ["/a", "/b", "/c"];

/// Drops polls after any number of steps, for a host in the state that `prepare` creates.
async fn dropped_anywhere(open: bool) {
    let answers = |sent: &lab::Sent| match (sent.path.as_str(), sent.at.as_millis() % 7) {
        ("/a", _) => Reply::After(Duration::from_millis(700)),
        ("/b", 0..3) => Reply::Cut(Duration::from_millis(300)),
        ("/b", _) => Reply::Hang,
        _ => Reply::Status(500, None),
    };
    for steps in 1..200 {
        let lab = ScriptedServer::new(|_| Reply::Refuse);
        let mut settings = settings();
        if open {
            settings.circuit_breaker.host_failure_threshold = Some(1);
        }
        let poller = alone(&lab, settings, &THREE);
        if open {
            poller.poll_all().await;
            assert_eq!(host_state(&poller), BreakerState::Open);
            advance(Duration::from_secs(31)).await;
        }
        lab.now(answers);
        let mut polled = Box::pin(poller.poll_all());
        for _ in 0..steps {
            if poll!(polled.as_mut()).is_ready() {
                break;
            }
            advance(Duration::from_millis(100)).await;
        }
        drop(polled);
        assert_eq!(lab.in_flight(), 0, "after {steps} steps");
        assert_eq!(poller.endpoints[0].shared.places.free(), 8);
        lab.now(|_| Reply::Good);
        // Every breaker that has opened in between has expired.
        advance(Duration::from_secs(31)).await;
        let after = poller.poll_all().await;
        assert_eq!(errors(&after), [None; 3], "after {steps} steps");
        assert_eq!(host_state(&poller), BreakerState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_dropped_at_any_moment_leaves_nothing_behind() {
    dropped_anywhere(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_request_dropped_at_any_moment_returns_its_place() {
    dropped_anywhere(true).await;
}

#[tokio::test(start_paused = true)]
async fn dropped_polls_do_not_use_up_retries() {
    let lab = ScriptedServer::new(|_| Reply::Status(500, None));
    let fleet = ReceiverResilience::new(never_open());
    let poller = before(&lab, &fleet, 8, &THREE);
    let most = fleet.retries_available();
    for _ in 0..20 {
        let mut polled = Box::pin(poller.poll_all());
        assert!(poll!(polled.as_mut()).is_pending());
        advance(Duration::from_millis(2)).await;
        let waits = poll!(polled.as_mut()).is_pending();
        assert!(waits, "for its retry");
    }
    assert!(fleet.retries_available() < most);
    sleep(INTERVAL * 6).await;
    assert!(fleet.retries_available() >= most);
}

#[tokio::test(start_paused = true)]
async fn while_most_hosts_fail_no_breaker_counts_and_a_sample_is_tried() {
    let (down, sound) = (
        ScriptedServer::new(|_| Reply::Refuse),
        ScriptedServer::new(|_| Reply::Good),
    );
    let mut settings = settings();
    settings.retry.max_retries = 0;
    let fleet = ReceiverResilience::new(settings);
    let pollers: Vec<_> = (0..6)
        .map(|position| {
            let server = if position < 4 { &down } else { &sound };
            before(server, &fleet, 8, &["/a"])
        })
        .collect();
    let mut sent = Vec::new();
    for _ in 0..20 {
        for poller in &pollers {
            poller.poll_all().await;
        }
        sent.push(down.count());
        sleep(INTERVAL).await;
    }
    let states: Vec<_> = pollers.iter().map(host_state).collect();
    assert_eq!(states, [BreakerState::Closed; 6], "the fault may be ours");
    assert_eq!(sound.count(), 40, "who answers is polled as ever");
    let rounds: Vec<_> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(rounds, [2; 19], "half of the others, in turn");
    let recorded = pollers[3].host.decisions().to_string();
    assert!(!recorded.contains("transition"), "{recorded}");
    let all: String = pollers
        .iter()
        .map(|poller| poller.host.decisions().to_string())
        .collect();
    assert_eq!(
        all.matches("\"guard\"").count(),
        1,
        "the change is recorded once"
    );

    down.now(|_| Reply::Good);
    for _ in 0..2 {
        for poller in &pollers {
            poller.poll_all().await;
        }
    }
    for poller in &pollers {
        assert!(poller.poll_all().await.is_up(), "all are polled again");
    }
}

#[tokio::test(start_paused = true)]
async fn the_failure_that_raises_the_suspicion_of_a_local_fault_does_not_count() {
    let down = ScriptedServer::new(|_| Reply::Refuse);
    let mut settings = settings();
    settings.circuit_breaker.failure_threshold = 1;
    let fleet = ReceiverResilience::new(settings);
    let _others = [fleet.join(), fleet.join()];
    let pollers: Vec<_> = (0..4).map(|_| before(&down, &fleet, 8, &["/a"])).collect();
    for poller in &pollers {
        poller.poll_all().await;
    }
    let states: Vec<_> = pollers.iter().map(host_state).collect();
    let expected = [
        BreakerState::Open,
        BreakerState::Open,
        BreakerState::Open,
        BreakerState::Closed,
    ];
    assert_eq!(states, expected, "four of six are most of them");
}
