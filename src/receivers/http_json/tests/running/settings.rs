//! Settings that change while the targets stay.

use super::*;

/// The receiver `a` with another spec.
fn treated(stand: &Stand, change: impl FnOnce(&mut ReceiverSpec)) -> HttpJsonReceiver {
    let old = stand.a.spec();
    let mut spec = ReceiverSpec {
        settings: old.settings.clone(),
        context: old.context.clone(),
        definitions: old.definitions.clone(),
        clients: Arc::clone(&old.clients),
        level: old.level,
        shared: Arc::clone(&old.shared),
        shared_by_probes: Arc::clone(&old.shared_by_probes),
        fleet: Arc::clone(&old.fleet),
        resilience: old.resilience.clone(),
    };
    change(&mut spec);
    HttpJsonReceiver {
        discovered_by: stand.a.discovered_by(),
        spec: Arc::new(spec),
        targets: vec![Arc::new(target("one"))],
        timing: every(INTERVAL),
        shard: None,
        discovery: TargetDiscovery::Unchanged,
    }
}

#[tokio::test(start_paused = true)]
async fn new_settings_apply_after_the_poll_in_progress_and_nothing_is_lost() {
    let slow = Duration::from_secs(4);
    let stand = Stand::new(move |_| Reply::After(slow));
    stand.a.poll_only(&[target("one")]);
    assert_eq!(stand.after(MOMENT).await, ["a one opened"]);
    let next = treated(&stand, |f| f.resilience.deadline = TIMEOUT);
    let (interval, old) = (Duration::from_secs(6), Arc::downgrade(&stand.a.spec()));
    stand.a.apply(HttpJsonReceiver {
        timing: every(interval),
        ..next
    });
    assert_eq!(stand.lab.in_flight(), 1);
    assert!(old.upgrade().is_some(), "still at work");
    assert_eq!(stand.after(slow).await, ["a one up"]);
    assert!(old.upgrade().is_none(), "nothing of it is left");
    let lines = stand.after(interval * 10 + slow).await;
    let polls = lines.iter().filter(|line| *line == "a one up").count();
    assert!((10..=11).contains(&polls), "{lines:?}");
    assert_eq!(polls, lines.len(), "the way to the exporters is the same");
    assert_eq!(stand.a.dropped_polls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_definition_is_polled_at_once_and_its_known_endpoints_keep_their_state() {
    let stand = Stand::new(|_| Reply::Good);
    stand.a.poll_only(&[target("one")]);
    stand.after(INTERVAL * 2).await;
    let success = || {
        let [status] = stand.board.targets().try_into().unwrap();
        let endpoints = status.endpoints.iter();
        let known: Vec<_> = endpoints.map(|e| e.last_success.is_some()).collect();
        (status.target.definition.endpoints.len(), known)
    };
    assert_eq!(success(), (1, vec![true]));
    let next = treated(&stand, |f| f.definitions = vec![definition(&["/b", "/a"])]);
    stand.a.apply(next);
    assert_eq!(stand.after(MOMENT).await, ["a one follows", "a one up"]);
    assert_eq!(success(), (2, vec![true, true]));
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_under_other_settings_but_not_for_another_asker() {
    let stand = Stand::new(|_| Reply::Good);
    stand.a.poll_only(&[target("one")]);
    stand.after(MOMENT).await;
    let is_kept = || stand.board.targets()[0].inner.kept(0).is_some();
    stand
        .a
        .apply(treated(&stand, |spec| spec.resilience.deadline = TIMEOUT));
    stand.after(MOMENT).await;
    assert!(is_kept());
    let headers = [("X-Tenant", "other")].into_iter().collect();
    let next = treated(&stand, |spec| spec.settings.config.headers = headers);
    stand.a.apply(next);
    stand.after(MOMENT).await;
    assert!(!is_kept());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_pauses_after_a_panic_continues_with_the_new_settings() {
    let stand = Stand::new(|_| Reply::Good);
    stand.a.poll_only(&[target("one")]);
    stand.log.is_broken.store(true, Ordering::Relaxed);
    stand.after(MOMENT).await;
    stand.log.is_broken.store(false, Ordering::Relaxed);
    let next = treated(&stand, |f| f.definitions = vec![definition(&["/b"])]);
    stand.a.apply(next);
    let lines = stand.after(INTERVAL * 3).await;
    assert_eq!(lines[..3], ["a one opened", "a one follows", "a one up"]);
    assert_eq!(stand.lab.sent().last().unwrap().path, "/b");
}
