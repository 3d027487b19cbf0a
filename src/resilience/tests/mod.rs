//! Tests of the core: tables, models, streams of events, and the bugs of other breakers.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    breaker::{Breaker, BreakerPermit, BreakerPolicy, BreakerRefusal, FailureCounting},
    config::{CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
    executor::{AttemptError, AttemptRequest, AttemptResponse, Manner, NextStep, PollResult},
    outcome::{BreakerOutcome, ResultClass, Statuses},
    receiver_resilience::{ResilienceSettings, TargetSlot},
    state::Transition,
    target_keys::TargetKeys,
    target_resilience::TargetResilience,
    time::DecisionInputs,
};
use crate::{
    definition,
    pipeline::{ErrorType, PollFailure},
    runtime::Clock,
};

mod allocations;
mod balancer;
mod breaker_bugs;
mod cache;
mod caution;
mod circuit_bugs;
mod classification;
mod config;
mod feasibility;
mod fleet;
mod model;
mod mutants;
mod reload;
mod retry;
mod scenario;
mod schedules;
mod timeout;

/// Polls an endpoint of a host whose attempts come to what `answer` says.
async fn poll(
    host: &TargetResilience,
    endpoint: usize,
    mut answer: impl FnMut(AttemptRequest) -> Result<AttemptResponse, AttemptError>,
) -> PollResult {
    let manner = Manner {
        deadline: host.deadline(),
        alone: false,
    };
    let mut run = host.begin(endpoint, manner);
    loop {
        match run.next().await {
            NextStep::Attempt(request) => run.record(answer(request)),
            NextStep::Done(polled) => return polled,
        }
    }
}

/// Settings of a receiver without retries.
fn without_retries() -> ResilienceSettings {
    let retry = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    ResilienceSettings {
        interval: secs(15),
        deadline: secs(13),
        statuses: Statuses::default(),
        retry: retry.policy(),
        timeout: TimeoutConfig::default(),
        circuit_breaker: CircuitBreakerConfig::default(),
        cache: CacheConfig::default().policy(),
        freshness_objective: None,
    }
}

/// The keys of a target with these endpoints. The instances of a pool have names.
fn keys(endpoints: &[&str], instances: &[&str]) -> Arc<TargetKeys> {
    let metric = endpoints.first().unwrap();
    let requests = endpoints.iter().map(|id| format!("{id}: {{path: /{id}}}"));
    let text = format!(
        "endpoints: {{{}}}\n\
         metrics: [{{name: m, instrument: gauge, value: $.v, endpoint: {metric}}}]\n",
        requests.collect::<Vec<_>>().join(", ")
    );
    let definition = definition::from_text("test", "test.yaml", &text).unwrap();
    let hosts = match instances {
        [] => &["node"],
        instances => instances,
    };
    let urls = hosts
        .iter()
        .map(|host| format!("http://{host}").parse().unwrap());
    let names = instances.iter().map(|name| (*name).into());
    TargetKeys::new(&definition, urls.collect(), names.collect())
}

/// A target of which nothing is known.
fn host(slot: &Arc<TargetSlot>, endpoints: &[&str], instances: &[&str]) -> TargetResilience {
    // Its jitter depends on the time of day.
    let clock = Clock::starting_at(UNIX_EPOCH);
    TargetResilience::new(slot, "node", keys(endpoints, instances), &clock)
}

/// A refused connection.
fn refused() -> AttemptError {
    AttemptError {
        failure: PollFailure {
            error_type: ErrorType::Connect,
            message: "refused".into(),
        },
        class: ResultClass::Transport,
        retry_after: None,
        is_final: false,
    }
}

pub(super) const OPEN: Duration = Duration::from_secs(30);

/// The policy of the specification, without jitter.
pub(super) fn policy() -> BreakerPolicy {
    BreakerPolicy {
        failure_threshold: 5,
        counting: FailureCounting::Each,
        open_duration: OPEN,
        open_jitter: 0.0,
        open_multiplier: 1.0,
        max_open_duration: Duration::from_secs(300),
        half_open_max_probes: 1,
    }
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A breaker with a manual clock.
pub(super) struct Bench {
    policy: BreakerPolicy,
    pub(super) breaker: Breaker,
    pub(super) now: Instant,
    pub(super) rng: Rng,
}

impl Bench {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        let now = Instant::now();
        Self {
            policy,
            breaker: Breaker::new(now),
            now,
            rng: Rng::with_seed(7),
        }
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now += span;
    }

    pub(super) fn try_acquire(&mut self) -> Result<BreakerPermit, BreakerRefusal> {
        self.breaker.try_acquire(&self.policy, self.now)
    }

    pub(super) fn complete(
        &mut self,
        permit: BreakerPermit,
        outcome: BreakerOutcome,
    ) -> Option<Transition> {
        let inputs = DecisionInputs {
            now: self.now,
            rng: &mut self.rng,
        };
        self.breaker.complete(&self.policy, permit, outcome, inputs)
    }

    /// One attempt that takes a second.
    pub(super) fn attempt(&mut self, outcome: BreakerOutcome) -> Option<Transition> {
        let permit = self.try_acquire().expect("admitted");
        self.wait(secs(1));
        self.complete(permit, outcome)
    }

    pub(super) fn trip(&mut self) {
        while self.attempt(BreakerOutcome::Fail).is_none() {}
    }

    pub(super) fn state(&self) -> crate::resilience::state::BreakerState {
        self.breaker.view(self.now).state
    }
}
