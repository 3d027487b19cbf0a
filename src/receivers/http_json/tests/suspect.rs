//! A request that makes the host hang is detected, reported, and not repeated.

use std::sync::atomic::AtomicBool;

use super::{
    lab::{Reply, ScriptedServer, settings, stranger},
    *,
};
use crate::{delivery::testing::logged, resilience::caution::LEFT_OUT};

const THREE: [&str; 3] = ["/mixnodes", "/status", "/metrics"];

/// A server that hangs on every path after a request for one of two paths, until it is restarted.
fn deadlocks() -> (Arc<ScriptedServer>, Arc<AtomicBool>) {
    let hangs = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&hangs);
    let lab = ScriptedServer::new(move |sent| {
        if sent.path != "/mixnodes" {
            state.store(true, Ordering::Relaxed);
        }
        match state.load(Ordering::Relaxed) {
            true => Reply::Hang,
            false => Reply::Good,
        }
    });
    (lab, hangs)
}

fn paths(lab: &ScriptedServer) -> Vec<String> {
    lab.sent().into_iter().map(|sent| sent.path).collect()
}

fn count(lab: &ScriptedServer, path: &str) -> usize {
    paths(lab).iter().filter(|sent| *sent == path).count()
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_an_unknown_host_are_polled_one_by_one_until_each_has_answered() {
    let after = Duration::from_secs(1);
    let lab = ScriptedServer::new(move |_| Reply::After(after));
    let poller = stranger(&lab, settings(), &THREE);
    assert_eq!(errors(&poller.poll_all().await), [None; 3]);
    assert_eq!(lab.seconds(), [0, 1, 2]);
    assert_eq!(errors(&poller.poll_all().await), [None; 3]);
    assert_eq!(lab.seconds()[3..], [3, 3, 3], "at once from here on");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_makes_a_host_hang_is_reported_in_the_same_poll() {
    let (lab, _) = deadlocks();
    let poller = stranger(&lab, settings(), &THREE);
    let poll = poller.poll_all().await;
    assert_eq!(paths(&lab), ["/mixnodes", "/status", "/mixnodes"]);
    let expected = [None, Some(ErrorType::Timeout), Some(ErrorType::Waiting)];
    assert_eq!(errors(&poll), expected);
    let message = &poll.endpoints[1].failure().unwrap().message;
    assert!(message.contains("suspect"), "{message}");
    assert_eq!(poll.endpoints[1].attempts, 2, "the witness is one");
    assert!(poller.host.endpoint(1)["suspect"].is_object());
    assert!(poller.host.endpoint(0)["suspect"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_suspect_is_not_polled_after_a_recovery_and_the_next_one_is_detected_too() {
    let (lab, hangs) = deadlocks();
    let poller = stranger(&lab, settings(), &THREE);
    poller.poll_all().await;
    for suspects in [1, 2] {
        hangs.store(false, Ordering::Relaxed);
        sleep(INTERVAL * 4).await;
        // `/metrics` makes it hang as well, which is known after one more restart.
        let poll = poller.poll_all().await;
        assert_eq!(errors(&poll)[1], Some(ErrorType::Suspect), "{suspects}");
    }
    hangs.store(false, Ordering::Relaxed);
    sleep(INTERVAL * 4).await;
    let begun = Instant::now();
    while begun.elapsed() < LEFT_OUT - INTERVAL * 20 {
        let poll = poller.poll_all().await;
        let suspect = Some(ErrorType::Suspect);
        assert_eq!(errors(&poll), [None, suspect, suspect]);
        sleep(INTERVAL * 10).await;
    }
    let asked = (count(&lab, "/status"), count(&lab, "/metrics"));
    assert_eq!(asked, (1, 1));
    // A reader causes no request to it either.
    let read = poller.host.read(1).await;
    assert_eq!(read.failure.unwrap().error_type, ErrorType::Suspect);
    sleep(INTERVAL * 40).await;
    poller.poll_all().await;
    assert_eq!(count(&lab, "/status"), 2, "after a day");
}

#[tokio::test(start_paused = true)]
async fn a_reload_does_not_poll_a_suspect_again() {
    let (lab, hangs) = deadlocks();
    let mut poller = stranger(&lab, settings(), &THREE);
    poller.poll_all().await;
    hangs.store(false, Ordering::Relaxed);
    sleep(INTERVAL).await;
    poller = lab::reloaded(&poller, &lab, &["/status", "/mixnodes"]);
    let poll = poller.poll_all().await;
    assert_eq!(errors(&poll), [Some(ErrorType::Suspect), None]);
    assert_eq!(count(&lab, "/status"), 1);
}

/// The second of two instances must not follow the first.
#[tokio::test(start_paused = true)]
async fn what_made_one_instance_hang_is_not_sent_to_another() {
    let labs = [deadlocks(), deadlocks()].map(|(lab, _)| lab);
    let poller = lab::strange_replicas(&labs, settings(), &THREE);
    for _ in 0..20 {
        poller.poll_all().await;
        sleep(INTERVAL).await;
    }
    let asked = labs.each_ref().map(|lab| {
        let paths = paths(lab);
        paths.iter().filter(|path| *path != "/mixnodes").count()
    });
    // The other instance gets a request for `/metrics`, which is not a suspect yet.
    assert_eq!(asked.iter().sum::<usize>(), 2, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_alone_affects_no_other_and_is_no_suspect() {
    let lab = ScriptedServer::new(|sent| match sent.path.as_str() {
        "/mixnodes" => Reply::Hang,
        _ => Reply::Good,
    });
    let poller = stranger(&lab, settings(), &THREE);
    let timeout = Some(ErrorType::Timeout);
    let waiting = Some(ErrorType::Waiting);
    assert_eq!(
        errors(&poller.poll_all().await),
        [timeout, waiting, waiting]
    );
    for _ in 0..5 {
        sleep(INTERVAL).await;
        assert_eq!(errors(&poller.poll_all().await), [timeout, None, None]);
    }
    assert!(poller.host.endpoint(0)["suspect"].is_null());
}

/// Polls by the schedule for `time`. Returns the lines of the log.
async fn lines_of(poller: &TargetPoller, state: &mut PollState, time: Duration) -> Vec<String> {
    let (log, _guard) = logged();
    let ended = timeout(time, go_on(poller, state, CancellationToken::new())).await;
    assert!(ended.is_err());
    log.text().lines().map(str::to_owned).collect()
}

async fn assert_two_lines(fault: Reply, long: Duration) {
    let lab = ScriptedServer::new(|_| Reply::Good);
    let poller = stranger(&lab, settings(), &THREE);
    let timing = every(Duration::from_secs(60));
    let mut state = PollState::new(&poller, timing, false, nowhere());
    let well = lines_of(&poller, &mut state, INTERVAL * 40).await;
    assert_eq!(well, Vec::<String>::new());
    lab.now(move |_| fault);
    let begins = lines_of(&poller, &mut state, long).await;
    assert_eq!(begins.len(), 2, "{fault:?}: {begins:#?}");
    assert!(begins[0].contains("target is down"), "{begins:#?}");
    assert!(begins[1].contains("breaker opened"), "{begins:#?}");
    lab.now(|_| Reply::Good);
    let ends = lines_of(&poller, &mut state, INTERVAL * 40).await;
    assert_eq!(ends.len(), 2, "{fault:?}: {ends:#?}");
    assert!(ends[0].contains("breaker closed"), "{ends:#?}");
    assert!(ends[1].contains("target is up again"), "{ends:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_days_is_two_log_lines_at_its_start_and_two_at_its_end() {
    const HOUR: Duration = Duration::from_secs(3600);
    assert_two_lines(Reply::Hang, HOUR * 48).await;
    assert_two_lines(Reply::Refuse, HOUR).await;
    assert_two_lines(Reply::Cut(Duration::ZERO), HOUR).await;
}
