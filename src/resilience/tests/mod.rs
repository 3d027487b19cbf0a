//! Tests of the core: tables, models, streams of events, and the bugs of other breakers.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    breaker::{Breaker, BreakerPolicy, FailureCounting},
    config::{CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
    executor::{AttemptError, AttemptRequest, AttemptResponse, Manner, NextStep, PollResult},
    outcome::{BreakerOutcome, ResultClass, Statuses},
    state::Transition,
    target_resilience::{ResilienceSettings, TargetResilience},
};
use crate::pipeline::{ErrorType, PollFailure};

mod balancer;
mod breaker_bugs;
mod cache;
mod caution;
mod classification;
mod config;
mod feasibility;
mod fleet;
mod inherited_state;
mod model;
mod mutants;
mod refused;
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
    pub(super) breaker: Breaker,
    pub(super) now: Instant,
    pub(super) rng: Rng,
}

impl Bench {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        let now = Instant::now();
        Self {
            breaker: Breaker::new(policy, now),
            now,
            rng: Rng::with_seed(7),
        }
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now += span;
    }

    pub(super) fn complete(
        &mut self,
        permit: crate::resilience::breaker::BreakerPermit,
        outcome: BreakerOutcome,
    ) -> Option<Transition> {
        self.breaker
            .complete(self.now, permit, outcome, &mut self.rng)
    }

    /// One attempt that takes a second.
    pub(super) fn attempt(&mut self, outcome: BreakerOutcome) -> Option<Transition> {
        let permit = self.breaker.try_acquire(self.now).expect("admitted");
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
