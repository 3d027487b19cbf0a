//! Several instances with the same data: which one gets a request, and the effect of one that
//! fails.

use super::{
    lab::{Reply, ScriptedServer, Sent, alone, reading, replicas, settings},
    *,
};

const THREE: [&str; 3] = ["/a", "/b", "/c"];

/// Requests of one round to different instances are a moment apart.
const ALMOST: Duration = Duration::from_millis(50);

pub(super) fn instances(replies: &[Reply]) -> Vec<Arc<ScriptedServer>> {
    let lab = |reply: &Reply| {
        let reply = *reply;
        ScriptedServer::new(move |_: &Sent| reply)
    };
    replies.iter().map(lab).collect()
}

/// Polls one after the other, an interval apart. Returns each poll with its duration.
pub(super) async fn polls(poller: &TargetPoller, count: u32) -> Vec<Poll> {
    let (begun, mut polls) = (Instant::now(), Vec::new());
    for tick in 0..count {
        tokio::time::sleep_until(begun + INTERVAL * tick).await;
        polls.push(poller.poll_all().await);
    }
    polls
}

pub(super) fn of(poll: &Poll, metric: &str, instance: &str) -> f64 {
    reading(&poll.own, metric, &[("betanet.instance", instance)])
}

pub(super) fn all_gave(polls: &[Poll]) -> bool {
    let gave = |poll: &Poll| errors(poll).iter().all(Option::is_none);
    polls.iter().all(gave)
}

#[tokio::test(start_paused = true)]
async fn polls_stay_fresh_while_one_of_three_fails() {
    let faults = [
        Reply::Hang,
        Reply::Refuse,
        Reply::Status(500, None),
        Reply::Cut(Duration::from_secs(1)),
        Reply::Garbage,
        Reply::Huge,
    ];
    for fault in faults {
        let labs = instances(&[fault, Reply::Good, Reply::Good]);
        let poller = replicas(&labs, settings(), &THREE);
        let polls = polls(&poller, 40).await;
        assert!(all_gave(&polls), "{fault:?}");
        let last = polls.last().unwrap();
        let retries = reading(&last.own, "poll.retries", &[]);
        assert_eq!(retries, 0.0, "{fault:?}: nothing was waited for");
        let failovers = of(last, "balancer.failovers", "a");
        assert_eq!(failovers, labs[0].count() as f64, "{fault:?}");
        assert!(
            (15..70).contains(&labs[0].count()),
            "{fault:?}: {failovers}"
        );
        assert_eq!(of(last, "balancer.ejected", "b"), 0.0);
        assert!(of(last, "circuit_breaker.state", "a") > 0.0, "{fault:?}");
        assert_eq!(of(last, "circuit_breaker.state", "b"), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_instance_delays_a_poll_by_no_more_than_its_usual_time() {
    let labs = instances(&[Reply::After(Duration::from_millis(20)); 3]);
    let mut settings = settings();
    settings.timeout.adaptive = true;
    let poller = replicas(&labs, settings, &["/a"]);
    polls(&poller, 200).await;
    labs[0].now(|_| Reply::Hang);
    sleep(INTERVAL).await;
    let polls = polls(&poller, 40).await;
    assert!(all_gave(&polls));
    assert!(of(&polls[39], "circuit_breaker.state", "a") > 0.0);
    let longest = polls.iter().map(|poll| poll.duration).max().unwrap();
    assert!(
        longest < Duration::from_millis(600),
        "{longest:?}, probes too"
    );
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_recovers_gets_requests_again() {
    let labs = instances(&[Reply::Refuse, Reply::Good]);
    let poller = replicas(&labs, settings(), &["/a"]);
    let open = async |instance| {
        let polls = polls(&poller, 20).await;
        assert!(all_gave(&polls));
        of(&polls[19], "circuit_breaker.state", instance) > 0.0
    };
    assert!(open("a").await);
    labs[0].now(|_| Reply::Good);
    assert!(!open("a").await);
    labs[1].now(|_| Reply::Refuse);
    assert!(open("b").await);
    assert!(!open("a").await, "it stands in for the other");
}

#[tokio::test(start_paused = true)]
async fn with_all_instances_down_the_target_is_down() {
    let time = Duration::from_secs(200);
    let one = ScriptedServer::new(|_| Reply::Refuse);
    let kept_of_one = run(alone(&one, settings(), &["/a"]), INTERVAL, time).await;
    let labs = instances(&[Reply::Refuse; 3]);
    let kept = run(replicas(&labs, settings(), &["/a"]), INTERVAL, time).await;
    for lab in &labs {
        assert_eq!(
            lab.seconds(),
            one.seconds(),
            "each sees what one alone sees"
        );
    }
    assert_eq!(kept.len(), kept_of_one.len());
    for (pool, one) in kept.iter().zip(&kept_of_one) {
        assert_eq!(pool.2, one.2);
        assert!(pool.0.abs_diff(one.0) < ALMOST, "{:?} {:?}", pool.0, one.0);
    }
}

#[tokio::test(start_paused = true)]
async fn while_more_than_half_have_failed_no_instance_is_excluded() {
    let labs = instances(&[
        Reply::Status(500, None),
        Reply::Status(500, None),
        Reply::Good,
    ]);
    let poller = replicas(&labs, settings(), &["/a"]);
    let panic = |poll: &Poll| reading(&poll.own, "balancer.panic", &[]);
    let ejected = |poll: &Poll| reading(&poll.own, "balancer.ejected", &[]);
    let mut poll = poller.poll_all().await;
    while labs[0].count() + labs[1].count() < 2 {
        assert_eq!(panic(&poll), 0.0);
        sleep(Duration::from_secs(1)).await;
        poll = poller.poll_all().await;
    }
    assert_eq!((panic(&poll), ejected(&poll)), (1.0, 0.0));
    for lab in &labs {
        lab.now(|_| Reply::Good);
    }
    let asked: Vec<_> = labs.iter().map(|lab| lab.count()).collect();
    for _ in 0..20 {
        poll = poller.poll_all().await;
        sleep(Duration::from_millis(100)).await;
    }
    let fresh = labs
        .iter()
        .zip(asked)
        .filter(|(lab, before)| lab.count() > *before);
    assert!(
        fresh.count() >= 2,
        "some that had failed are asked before their time"
    );
    assert_eq!(panic(&poll), 0.0, "which ends it");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_any_instance_would_give_causes_no_failover() {
    let labs = instances(&[Reply::Status(404, None); 3]);
    let poller = replicas(&labs, settings(), &["/a"]);
    let poll = poller.poll_all().await;
    assert_eq!(errors(&poll), [Some(ErrorType::Status(404))]);
    assert_eq!(labs.iter().map(|lab| lab.count()).sum::<usize>(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_asks_for_a_pause_gets_it_and_the_others_are_polled() {
    let labs = instances(&[Reply::Status(429, Some(100)), Reply::Good]);
    let poller = replicas(&labs, settings(), &["/a"]);
    let polls = polls(&poller, 21).await;
    assert!(all_gave(&polls));
    let asked = labs[0].seconds();
    assert!((2..=4).contains(&asked.len()), "{asked:?}");
    assert!(
        asked.windows(2).all(|pair| pair[1] - pair[0] >= 100),
        "{asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn validators_are_sent_only_to_the_instance_that_gave_them() {
    let labs = instances(&[Reply::Tagged("\"1\""), Reply::Tagged("\"1\"")]);
    let poller = replicas(&labs, settings(), &["/a"]);
    let polls = polls(&poller, 40).await;
    let mut all: Vec<_> = labs
        .iter()
        .enumerate()
        .flat_map(|(at, lab)| {
            lab.sent()
                .into_iter()
                .map(move |sent| (sent.at, at, sent.tag.is_some()))
        })
        .collect();
    all.sort();
    for pair in all.windows(2) {
        let same = pair[0].1 == pair[1].1;
        assert_eq!(pair[1].2, same, "{pair:?}");
    }
    assert!(
        all.windows(2).any(|pair| pair[0].1 != pair[1].1),
        "both were asked"
    );
    assert!(all_gave(&polls));
}

#[tokio::test(start_paused = true)]
async fn a_failover_uses_the_retry_budget() {
    let labs = instances(&[Reply::Refuse, Reply::Refuse]);
    let mut settings = settings();
    settings.circuit_breaker.host_failure_threshold = Some(u32::MAX);
    let poller = replicas(&labs, settings, &["/a"]);
    // Ten for each interval, of which five count, and one for five attempts.
    let mut last = poller.poll_all().await;
    for _ in 0..20 {
        last = poller.poll_all().await;
    }
    let retries = reading(&last.own, "poll.retries", &[]);
    let failovers = reading(&last.own, "balancer.failovers", &[]);
    let sent: usize = labs.iter().map(|lab| lab.count()).sum();
    assert_eq!(sent as f64, 21.0 + retries + failovers);
    assert!(
        failovers > retries && failovers < 2.0 * retries,
        "{failovers} {retries}"
    );
    let suppressed = [("reason", "budget")];
    assert!(reading(&last.own, "poll.retries_suppressed", &suppressed) > 0.0);
}

#[tokio::test(start_paused = true)]
async fn instances_that_fail_together_do_not_raise_the_suspicion_of_a_local_fault() {
    let pool = instances(&[Reply::Refuse; 5]);
    let poller = replicas(&pool, settings(), &THREE);
    let polls = polls(&poller, 3).await;
    let guarded = Some(ErrorType::Paused);
    assert!(polls.iter().all(|poll| !errors(poll).contains(&guarded)));
    let state = reading(
        &polls[2].own,
        "circuit_breaker.status",
        &[("state", "open"), ("betanet.breaker.scope", "host")],
    );
    assert_eq!(state, 5.0, "their breakers are not held");
}

#[tokio::test(start_paused = true)]
async fn each_instance_has_all_its_metrics_from_the_first_poll_on() {
    let labs = instances(&[Reply::Good; 2]);
    let poll = replicas(&labs, settings(), &["/a"]).poll_all().await;
    let names = |instance: &str| {
        let of = |own: &&OwnReading| {
            own.attributes
                .iter()
                .any(|a| a.key.as_str() == "betanet.instance" && a.value.as_str() == instance)
        };
        poll.own
            .iter()
            .filter(of)
            .map(|own| own.metric.short_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("a"), names("b"));
    for metric in ["requests", "failovers", "ejected", "latency"] {
        let metric = format!("balancer.{metric}");
        assert!(names("a").contains(&metric.as_str()), "{metric}");
    }
    let one = alone(&labs[0], settings(), &["/a"]).poll_all().await;
    let of_several = |own: &&OwnReading| {
        own.metric.short_name().starts_with("balancer")
            || own
                .attributes
                .iter()
                .any(|a| a.key.as_str() == "betanet.instance")
    };
    assert_eq!(one.own.iter().find(of_several), None);
}

#[tokio::test(start_paused = true)]
async fn the_record_has_the_chosen_instance_and_the_reason() {
    let labs = instances(&[Reply::Refuse, Reply::Good]);
    let poller = replicas(&labs, settings(), &["/a"]);
    while labs[0].count() == 0 {
        poller.poll_all().await;
    }
    let decisions = poller.host.decisions();
    let told: Vec<_> = decisions
        .as_array()
        .unwrap()
        .iter()
        .map(|told| {
            let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
            [
                text("instance"),
                text("event"),
                text("because"),
                text("error_type"),
            ]
        })
        .collect();
    let told: Vec<_> = told
        .iter()
        .map(|told| told.each_ref().map(String::as_str))
        .collect();
    let expected = [
        ["a", "chosen", "faster", ""],
        ["a", "attempt", "", "connect"],
        ["b", "chosen", "only", ""],
        ["b", "attempt", "", ""],
    ];
    assert!(told.ends_with(&expected), "{told:?}");
    let health = poller.host.endpoint(0);
    assert_eq!(health["instances"]["a"]["ejected"], true);
    assert_eq!(health["instances"]["a"]["failovers"], 1);
    assert_eq!(health["instances"]["b"]["ejected"], false);
    assert_eq!(
        poller.host.host()["instances"]["a"]["breaker"]["state"],
        "closed"
    );
}
