//! The circuit breaker of a destination. It stops requests to a destination that does not answer.
//! Later one attempt finds out whether the destination is back. Batches wait in their order in the
//! meantime. The result of each attempt is also the status of the exporter.

use tokio::time::Instant;

use super::{DeliveryContext, SendOutcome, config::RetryOnFailure};
use crate::{
    pipeline::Reporter,
    resilience::{
        breaker::{Breaker, BreakerPermit, BreakerPolicy, BreakerRefusal, FailureCounting},
        outcome,
        state::{BreakerState, Transition},
        time::DecisionInputs,
    },
    telemetry::chain,
};

/// The number of failures in a row after which nothing is sent for a while.
const FAILURES: u32 = 5;

/// Decides about attempts. It has no clock and no network.
#[derive(Debug)]
pub(super) struct DestinationBreaker {
    exporter: String,
    policy: BreakerPolicy,
    breaker: Breaker,
    rng: fastrand::Rng,
    status: Reporter,
}

impl DestinationBreaker {
    /// The breaker for the destination of an exporter. It stays open as long as retries wait, but
    /// at most half of their longest wait: so it hardly delays a single batch.
    pub(super) fn new(context: &DeliveryContext<'_>, retry: &RetryOnFailure, now: Instant) -> Self {
        let policy = BreakerPolicy {
            failure_threshold: FAILURES,
            // Simultaneous failures of several consumers count once.
            counting: FailureCounting::Waves,
            open_duration: retry.initial_interval.get(),
            open_jitter: 0.1,
            open_multiplier: retry.multiplier,
            max_open_duration: retry.max_interval.get() / 2,
            half_open_max_probes: 1,
        };
        Self {
            exporter: context.id.to_owned(),
            policy,
            breaker: Breaker::new(now),
            rng: fastrand::Rng::with_seed(context.seed),
            status: context.status.clone(),
        }
    }

    /// Permission for one attempt.
    pub(super) fn try_acquire(&mut self, now: Instant) -> Result<BreakerPermit, BreakerRefusal> {
        let expired = self.breaker.advance(now);
        self.tell(expired);
        self.breaker.try_acquire(&self.policy, now)
    }

    /// Records that the destination answered an attempt, whatever the answer was.
    pub(super) fn answered(&mut self, permit: Option<BreakerPermit>, now: Instant) {
        self.complete(permit, outcome::BreakerOutcome::Ok, now);
    }

    /// Records the result of an attempt. An attempt of a drain has no permit.
    pub(super) fn settle(
        &mut self,
        permit: Option<BreakerPermit>,
        attempt: &SendOutcome,
        now: Instant,
    ) {
        let evidence = match attempt {
            SendOutcome::Sent(_) => {
                self.status.ok();
                outcome::BreakerOutcome::Ok
            }
            // A refusal is an answer: the destination is up.
            SendOutcome::Permanent { error } | SendOutcome::TooLarge { error } => {
                self.status.permanent_error(chain(error.as_ref()));
                outcome::BreakerOutcome::Ok
            }
            SendOutcome::Retry { error, .. } => {
                self.status.recoverable_error(chain(error.as_ref()));
                outcome::BreakerOutcome::Fail
            }
        };
        self.complete(permit, evidence, now);
    }

    fn complete(
        &mut self,
        permit: Option<BreakerPermit>,
        evidence: outcome::BreakerOutcome,
        now: Instant,
    ) {
        let Some(permit) = permit else { return };
        let rng = &mut self.rng;
        let inputs = DecisionInputs { now, rng };
        let changed = self
            .breaker
            .complete(&self.policy, permit, evidence, inputs);
        self.tell(changed);
    }

    /// The current state.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        self.breaker.view(now).state
    }

    /// An outage is one log line when it begins and one when it ends. Trial requests are logged at
    /// `debug`.
    fn tell(&self, transition: Option<Transition>) {
        let Some(Transition {
            from, to, failures, ..
        }) = transition
        else {
            return;
        };
        let exporter = &self.exporter;
        if from == BreakerState::Closed || to == BreakerState::Closed {
            tracing::info!(%exporter, ?from, ?to, failures, "breaker of the destination");
        } else {
            tracing::debug!(%exporter, ?from, ?to, failures, "breaker of the destination");
        }
    }
}
