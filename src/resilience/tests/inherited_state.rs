//! Tests of the state that a host keeps when its settings change.

use std::sync::{Arc, Mutex};

use tokio::time::{Instant, advance};

use super::{refused, secs, without_retries};
use crate::{
    definition::EndpointLabels,
    pipeline::{Body, CacheStatus, Inspect, PollOutcome},
    resilience::{
        budget::RetryBudget,
        cache::CacheHeaders,
        config::CacheConfig,
        executor::{AttemptError, AttemptRequest, AttemptResponse},
        inherited_state::InheritedState,
        target_resilience::{ReceiverResilience, ResilienceSettings, TargetResilience, TargetSlot},
    },
    runtime::Clock,
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

fn host(member: &Arc<TargetSlot>, paths: &[&str]) -> TargetResilience {
    let labels = paths.iter().map(|path| EndpointLabels::new(path, path));
    TargetResilience::new(member, "node", labels.collect(), &Clock::System)
}

async fn poll(host: &TargetResilience, endpoint: usize, is_up: bool) -> PollOutcome {
    super::poll(host, endpoint, |_| answer(is_up, CacheHeaders::default()))
        .await
        .outcome
}

fn heir(old: &TargetResilience, new: TargetResilience, from: &[Option<usize>]) -> TargetResilience {
    new.take_over(InheritedState {
        old,
        from,
        instances: &[Some(0)],
        keeps_answers: true,
    });
    new
}

fn pool(member: &Arc<TargetSlot>, instances: &[&str]) -> TargetResilience {
    let instances = instances.iter().map(|name| (*name).into()).collect();
    TargetResilience::of_several(
        member,
        "pool",
        instances,
        vec![EndpointLabels::new("root", "/")],
        &Clock::System,
    )
}

/// A pool that continues `old`, with the instances at these positions of it.
fn pool_after(
    old: &TargetResilience,
    new: TargetResilience,
    instances: &[Option<usize>],
) -> TargetResilience {
    new.take_over(InheritedState {
        old,
        from: &[Some(0)],
        instances,
        keeps_answers: true,
    });
    new
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_stays_open_until_its_time_is_over() {
    let fleet = ReceiverResilience::new(settings());
    let member = fleet.join();
    let old = host(&member, &["/"]);
    for _ in 0..5 {
        poll(&old, 0, false).await;
        advance(secs(1)).await;
    }
    let (retry_at, record) = (old.retry_at(0).unwrap(), old.decisions());
    fleet.follow(ResilienceSettings {
        interval: secs(30),
        ..settings()
    });
    let new = heir(&old, host(&member, &["/"]), &[Some(0)]);
    assert_eq!(new.retry_at(0), Some(retry_at));
    assert_eq!(new.decisions(), record);
    advance(retry_at - Instant::now()).await;
    assert!(matches!(poll(&new, 0, true).await, PollOutcome::Fresh(_)));
    assert_eq!(new.retry_at(0), None);
}

#[tokio::test(start_paused = true)]
async fn endpoints_keep_their_state_and_new_ones_start_empty() {
    let fleet = ReceiverResilience::new(settings());
    let member = fleet.join();
    let old = host(&member, &["/a", "/b"]);
    old.set_polled(true);
    poll(&old, 1, true).await;
    advance(secs(4)).await;
    let new = heir(&old, host(&member, &["/b", "/c"]), &[Some(1), None]);
    new.set_polled(true);
    let kept = new.read(0).await;
    assert_eq!(kept.served, CacheStatus::Hit);
    assert_eq!(kept.age, Some(secs(4)));
    let total = |host: &TargetResilience| {
        let all = host.readings(MetricsLevel::Detailed).into_iter();
        let booked = all.filter(|own| own.metric == TargetMetric::FreshnessTime);
        booked.map(|own| own.value.as_f64()).sum::<f64>()
    };
    assert_eq!(total(&new), 4.0, "of `/b`; `/c` has just begun");
}

#[tokio::test(start_paused = true)]
async fn a_shorter_lifetime_applies_to_older_answers() {
    let fleet = ReceiverResilience::new(settings());
    let member = fleet.join();
    let old = host(&member, &["/"]);
    poll(&old, 0, true).await;
    let cache = CacheConfig {
        ttl: Duration::from_secs(1),
        ..CacheConfig::default()
    };
    fleet.follow(ResilienceSettings {
        cache: cache.policy(),
        ..settings()
    });
    let new = heir(&old, host(&member, &["/"]), &[Some(0)]);
    advance(secs(2)).await;
    let read = new.read(0).await;
    assert_eq!(read.served, CacheStatus::Stale, "nobody polls");
}

#[tokio::test(start_paused = true)]
async fn answers_to_other_credentials_are_not_kept() {
    let fleet = ReceiverResilience::new(settings());
    let member = fleet.join();
    let old = host(&member, &["/"]);
    poll(&old, 0, true).await;
    let new = host(&member, &["/"]);
    new.take_over(InheritedState {
        old: &old,
        from: &[Some(0)],
        instances: &[Some(0)],
        keeps_answers: false,
    });
    assert_eq!(new.read(0).await.served, CacheStatus::Missing);
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
    let member = fleet.join();
    let old = pool(&member, &["a", "b"]);
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

    let new = pool_after(
        &old,
        pool(&member, &["b", "c", "a"]),
        &[Some(1), None, Some(0)],
    );
    assert_eq!((told(&new, "a"), told(&new, "b")), (a, b));
    assert_eq!(told(&new, "c"), ("closed".to_owned(), 0, 0));
    assert_eq!(new.decisions(), {
        let again = pool_after(
            &new,
            pool(&member, &["a", "b", "c"]),
            &[Some(2), Some(0), Some(1)],
        );
        again.decisions()
    });
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_pool_survives_the_instance_that_gave_it() {
    let fleet = ReceiverResilience::new(settings());
    let member = fleet.join();
    let old = pool(&member, &["a"]);
    old.set_polled(true);
    Pool::new(None).polled(&old, 1).await;
    let new = pool_after(&old, pool(&member, &["b"]), &[None]);
    new.set_polled(true);
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
