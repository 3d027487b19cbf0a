//! Tests of what stays known of a target when its settings change.

use std::sync::Mutex;

use futures_util::poll as progress;

use tokio::time::{Instant, advance};

use super::{host, keys, refused, secs, without_retries};
use crate::{
    pipeline::{Body, CacheStatus, Inspect, PollOutcome},
    resilience::{
        budget::RetryBudget,
        cache::CacheHeaders,
        config::CacheConfig,
        executor::{AttemptError, AttemptRequest, AttemptResponse},
        receiver_resilience::{ReceiverResilience, ResilienceSettings},
        target_resilience::TargetResilience,
    },
    settings::Duration,
    telemetry::target_metrics::{MetricsLevel, TargetMetric},
};

/// An answer, or a refused connection.
fn answer(is_up: bool, headers: CacheHeaders) -> Result<AttemptResponse, AttemptError> {
    if !is_up {
        return Err(refused());
    }
    let received = std::time::UNIX_EPOCH;
    let body = Body::new(Default::default(), received, |_| None);
    Ok(AttemptResponse::Body(body, headers))
}

fn settings() -> ResilienceSettings {
    ResilienceSettings {
        freshness_objective: Some(secs(60)),
        ..without_retries()
    }
}

async fn poll(host: &TargetResilience, endpoint: usize, is_up: bool) -> PollOutcome {
    super::poll(host, endpoint, |_| answer(is_up, CacheHeaders::default()))
        .await
        .outcome
}

/// The target after a reload, with these endpoints and instances.
fn reloaded(old: &TargetResilience, endpoints: &[&str], instances: &[&str]) -> TargetResilience {
    let new = old.renewed("node", keys(endpoints, instances));
    new.arrange();
    new
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_stays_open_until_its_time_is_over() {
    let fleet = ReceiverResilience::new(settings());
    let slot = fleet.join();
    let old = host(&slot, &["root"], &[]);
    for _ in 0..5 {
        poll(&old, 0, false).await;
        advance(secs(1)).await;
    }
    let (retry_at, record) = (old.retry_at(0).unwrap(), old.decisions());
    fleet.apply(ResilienceSettings {
        interval: secs(30),
        ..settings()
    });
    let new = reloaded(&old, &["root"], &[]);
    assert_eq!(new.retry_at(0), Some(retry_at));
    assert_eq!(new.decisions(), record);
    advance(retry_at - Instant::now()).await;
    assert!(matches!(poll(&new, 0, true).await, PollOutcome::Fresh(_)));
    assert_eq!(new.retry_at(0), None);
}

#[tokio::test(start_paused = true)]
async fn endpoints_keep_their_state_and_new_ones_start_empty() {
    let fleet = ReceiverResilience::new(settings());
    let slot = fleet.join();
    let old = host(&slot, &["a", "b"], &[]);
    let _polled = old.polled();
    poll(&old, 1, true).await;
    advance(secs(4)).await;
    let new = reloaded(&old, &["b", "c"], &[]);
    let kept = new.read(0).await;
    assert_eq!(kept.served, CacheStatus::Hit);
    assert_eq!(kept.age, Some(secs(4)));
    let total = |host: &TargetResilience| {
        let all = host.readings(MetricsLevel::Detailed).into_iter();
        let booked = all.filter(|own| own.metric == TargetMetric::FreshnessTime);
        booked.map(|own| own.value.as_f64()).sum::<f64>()
    };
    assert_eq!(total(&new), 4.0, "of `b`; `c` has just begun");
}

#[tokio::test(start_paused = true)]
async fn a_shorter_lifetime_applies_to_older_answers() {
    let fleet = ReceiverResilience::new(settings());
    let slot = fleet.join();
    let old = host(&slot, &["root"], &[]);
    poll(&old, 0, true).await;
    let cache = CacheConfig {
        ttl: Duration::from_secs(1),
        ..CacheConfig::default()
    };
    fleet.apply(ResilienceSettings {
        cache: cache.policy(),
        ..settings()
    });
    let new = reloaded(&old, &["root"], &[]);
    advance(secs(2)).await;
    let read = new.read(0).await;
    assert_eq!(read.served, CacheStatus::Stale, "nobody polls");
}

#[tokio::test(start_paused = true)]
async fn answers_to_other_credentials_are_not_kept() {
    let fleet = ReceiverResilience::new(settings());
    let slot = fleet.join();
    let old = host(&slot, &["root"], &[]);
    poll(&old, 0, true).await;
    let new = reloaded(&old, &["root"], &[]);
    assert_eq!(new.forget_answers(), 1);
    assert_eq!(new.read(0).await.served, CacheStatus::Missing);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_of_another_target() {
    let slot = ReceiverResilience::new(settings()).join();
    let old = host(&slot, &["root"], &["a", "b"]);
    for _ in 0..60 {
        advance(secs(5)).await;
        poll(&old, 0, false).await;
    }
    assert!(old.retry_at(0).is_some());
    let same = reloaded(&old, &["root"], &["c"]);
    assert_eq!(same.since(), old.since());
    assert!(!same.decisions().as_array().unwrap().is_empty(), "a pool");
    let other = reloaded(&same, &["root"], &[]);
    assert_eq!(other.retry_at(0), None);
    assert!(other.decisions().as_array().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_during_a_reload_gets_the_next_answer() {
    let slot = ReceiverResilience::new(settings()).join();
    let old = host(&slot, &["a", "b"], &[]);
    let polled = old.polled();
    let mut read = std::pin::pin!(old.read(0));
    assert!(progress!(&mut read).is_pending());
    let new = reloaded(&old, &["a", "b"], &[]);
    let still_polled = new.polled();
    drop(polled);
    assert!(progress!(&mut read).is_pending());
    assert_eq!(new.wanted_endpoints(), [true, false]);
    poll(&new, 0, true).await;
    assert_eq!(read.await.served, CacheStatus::Fresh);
    drop(still_polled);
}

#[tokio::test(start_paused = true)]
async fn a_reader_never_gets_the_answer_of_another_endpoint() {
    let slot = ReceiverResilience::new(settings()).join();
    let old = host(&slot, &["a", "b"], &[]);
    let _polled = old.polled();
    poll(&old, 1, true).await;
    let mut read = std::pin::pin!(old.read(0));
    assert!(progress!(&mut read).is_pending());
    let new = reloaded(&old, &["b", "a"], &[]);
    poll(&new, 0, true).await;
    let read = read.await;
    assert_eq!(read.served, CacheStatus::Missing);
    assert_eq!(old.read(1).await.served, CacheStatus::Missing);
    assert_eq!(new.read(0).await.served, CacheStatus::Hit);
    let told = new.decisions();
    assert_eq!(told[0]["endpoint"].as_str(), Some("b"), "it moved");
}

/// Instance `bad` refuses, the others answer, and `seen` records the requests and whether they were
/// conditional.
struct Pool {
    bad: Option<usize>,
    seen: Mutex<Vec<(usize, bool)>>,
}

impl Pool {
    fn new(bad: Option<usize>) -> Self {
        let seen = Mutex::default();
        Self { bad, seen }
    }

    fn answer(&self, request: &AttemptRequest) -> Result<AttemptResponse, AttemptError> {
        let is_conditional = request.validators.is_some();
        let asked = (request.instance, is_conditional);
        self.seen.lock().unwrap().push(asked);
        answer(self.bad != Some(request.instance), tagged())
    }

    async fn polled(self, host: &TargetResilience, times: u32) -> Vec<(usize, bool)> {
        for _ in 0..times {
            let polled = super::poll(host, 0, |request| self.answer(&request)).await;
            assert!(matches!(polled.outcome, PollOutcome::Fresh(_)));
            advance(secs(5)).await;
        }
        self.seen.into_inner().unwrap()
    }
}

fn tagged() -> CacheHeaders {
    CacheHeaders {
        etag: Some("\"1\"".to_owned()),
        ..CacheHeaders::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_remaining_instance_keeps_its_state_at_any_position() {
    let fleet = ReceiverResilience::new(settings());
    let slot = fleet.join();
    let old = host(&slot, &["root"], &["a", "b"]);
    Pool::new(Some(0)).polled(&old, 60).await;
    let told = |host: &TargetResilience, name: &str| {
        let breaker = host.host()["instances"][name]["breaker"]["state"].clone();
        let of_endpoint = host.endpoint(0)["instances"][name].clone();
        (
            breaker.as_str().unwrap().to_owned(),
            of_endpoint["requests_ok"].as_u64().unwrap(),
            of_endpoint["requests_failed"].as_u64().unwrap(),
        )
    };
    let (a, b) = (told(&old, "a"), told(&old, "b"));
    assert_eq!(
        (a.0 == "closed", a.1, b.0.as_str(), b.2),
        (false, 0, "closed", 0)
    );
    assert!(a.2 >= 5 && b.1 == 60, "{a:?} {b:?}");

    let new = reloaded(&old, &["root"], &["b", "c", "a"]);
    assert_eq!((told(&new, "a"), told(&new, "b")), (a, b));
    assert_eq!(told(&new, "c"), ("closed".to_owned(), 0, 0));
    let decisions = new.decisions();
    let again = reloaded(&new, &["root"], &["a", "b", "c"]);
    assert_eq!(again.decisions(), decisions);
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_pool_survives_the_instance_that_gave_it() {
    let fleet = ReceiverResilience::new(settings());
    let slot = fleet.join();
    let old = host(&slot, &["root"], &["a"]);
    let _polled = old.polled();
    Pool::new(None).polled(&old, 1).await;
    let new = reloaded(&old, &["root"], &["b"]);
    let read = new.read(0).await;
    assert_eq!(
        (read.served, read.age),
        (CacheStatus::Hit, Some(secs(5))),
        "{read:?}"
    );
    let asked = Pool::new(None).polled(&new, 2).await;
    assert_eq!(
        asked,
        [(0, false), (0, true)],
        "validators belong to one instance"
    );
    let decisions = new.decisions();
    let of: Vec<_> = decisions
        .as_array()
        .unwrap()
        .iter()
        .map(|told| &told["instance"])
        .collect();
    assert_eq!(of.first().unwrap().as_str(), Some("gone"));
    assert_eq!(of.last().unwrap().as_str(), Some("b"));
}

#[test]
fn earlier_retries_count_after_a_change_of_the_interval() {
    let now = Instant::now();
    let mut budget = RetryBudget::new(1, secs(10), now);
    while budget.try_retry(now) {}
    budget.set_interval(secs(60), now + secs(5));
    assert_eq!(budget.available(now + secs(5)), 0);
    assert_eq!(budget.available(now + secs(5 + 60 * 4)), 0);
    assert!(budget.available(now + secs(5 + 60 * 5)) > 0);
}
