//! The core at work: one poll of one endpoint, with the requests, the waits and the clock that
//! the core leaves out.
//!
//! Outermost first: stale fallback, deadline, retry, breakers, attempt. The deadline is a value
//! handed down: a timeout wrapped around all of this would drop it before a breaker learns
//! anything, and a host that hangs would never trip one.

mod admission;
mod careful;
mod instance_selection;
mod hedge;
mod outcome_handling;
mod on_demand;

use std::{
    future::Future,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

pub use self::careful::{Confirmed, Declined, Manner};
use self::{admission::AttemptPermit, hedge::FinishedAttempt};
use super::{
    cache::{CacheHeaders, Fallback, Reader},
    instances::Instances,
    outcome::ResultClass,
    recorder::{DecisionEvent, DecisionScope},
    target_resilience::{HostState, TargetResilience},
};
use crate::pipeline::{Body, PollFailure, PollOutcome};

/// What one attempt may do.
#[derive(Debug, Clone)]
pub struct AttemptRequest {
    /// Which instance of the target is asked, by its position.
    pub instance: usize,
    /// Connecting, headers, body and decoding take no longer.
    pub timeout: Duration,
    /// What the origin said of the kept answer: makes the request conditional.
    pub validators: Option<CacheHeaders>,
}

/// What an attempt brought.
#[derive(Debug)]
pub enum AttemptResponse {
    /// A decoded body, and what the origin says of it.
    Body(Body, CacheHeaders),
    /// The kept one still holds (304).
    NotModified(CacheHeaders),
}

/// Why an attempt brought nothing.
#[derive(Debug)]
pub struct AttemptError {
    /// For people and for `error.type`.
    pub failure: PollFailure,
    /// For the judgement.
    pub class: ResultClass,
    /// How long the server asked us to wait.
    pub retry_after: Option<Duration>,
}

/// What makes single attempts: no retry, and no timeout beyond the order's.
pub trait Attempt: Sync {
    /// Makes one attempt. Dropping the future ends it.
    fn make(
        &self,
        order: AttemptRequest,
    ) -> impl Future<Output = Result<AttemptResponse, AttemptError>> + Send;
}

/// What a poll came to.
#[derive(Debug)]
pub struct PollResult {
    /// A body, or why there is none.
    pub outcome: PollOutcome,
    /// Attempts that were sent.
    pub attempts: u32,
    /// How long it waited before its retries, in all.
    pub retry_delay: Duration,
    /// Age of the kept answer that stands in for the missing one.
    pub stale_age: Option<Duration>,
}

/// What follows from an attempt.
enum NextAction<'h> {
    Done(PollOutcome),
    /// At once, at another instance.
    FailOver(AttemptPermit<'h>, PollFailure),
    /// After a wait.
    RetryAfter(Duration, PollFailure),
    GiveUp(PollFailure),
}

/// What a poll has done so far.
#[derive(Debug, Clone, Copy)]
struct PollProgress {
    endpoint: usize,
    deadline: Instant,
    /// Whether nothing else is in flight.
    alone: bool,
    /// Attempts that were sent.
    attempts: u32,
    /// Waits before a retry. With one instance, that is a wait for each attempt after the first.
    waits: u32,
    /// How long these took, in all.
    waited: Duration,
    /// The instances that were asked since the last wait.
    tried: Instances,
}

/// An attempt that has ended.
struct EndedAttempt {
    /// The poll with it.
    poll: PollProgress,
    instance: usize,
    sent: Instant,
    limit: Duration,
}

/// The attempt that made the next one necessary.
struct RetryCause {
    failure: PollFailure,
    /// Where it failed, if the next one is made at another instance at once.
    left: Option<usize>,
}

impl TargetResilience {
    /// Polls one endpoint, by its position, that may be asked at the same time as others.
    pub async fn poll(&self, endpoint: usize, attempt: &impl Attempt) -> PollResult {
        let manner = Manner {
            deadline: self.deadline(),
            alone: false,
        };
        self.poll_in(endpoint, manner, attempt).await
    }

    /// Polls one endpoint, by its position, in this manner.
    pub async fn poll_in(
        &self,
        endpoint: usize,
        manner: Manner,
        attempt: &impl Attempt,
    ) -> PollResult {
        let flying = self.take_off(endpoint);
        let polled = self.poll_to_the_end(endpoint, manner, attempt).await;
        flying.land(&polled);
        polled
    }

    async fn poll_to_the_end(
        &self,
        endpoint: usize,
        manner: Manner,
        attempt: &impl Attempt,
    ) -> PollResult {
        let mut poll = PollProgress::new(endpoint, manner);
        let mut cause: Option<RetryCause> = None;
        let mut elsewhere = None;
        let failure = loop {
            let held = match elsewhere.take() {
                Some(held) => held,
                None => match self.admit(endpoint, poll.deadline).await {
                    Ok(held) => held,
                    Err(refusal) => break self.give_up(endpoint, cause, refusal),
                },
            };
            let sent_before = poll.attempts;
            let FinishedAttempt {
                held,
                ended,
                result,
            } = self.fly(attempt, &mut poll, held).await;
            if poll.attempts > sent_before {
                self.count_cause(endpoint, cause.take());
            }
            match self.settle(held, &ended, result) {
                NextAction::Done(outcome) => return poll.over(outcome, None),
                NextAction::FailOver(held, failure) => {
                    elsewhere = Some(held);
                    let left = Some(ended.instance);
                    cause = Some(RetryCause { failure, left });
                }
                NextAction::RetryAfter(delay, failure) => {
                    cause = Some(RetryCause {
                        failure,
                        left: None,
                    });
                    poll.wait(delay);
                    sleep(delay).await;
                }
                // Of a retry that was not sent, the attempt before says more.
                NextAction::GiveUp(failure) => break cause.map_or(failure, |cause| cause.failure),
            }
        };
        poll.over(PollOutcome::Failed(failure), self.fall_back(endpoint))
    }

    fn order(&self, poll: &PollProgress, held: &AttemptPermit<'_>) -> AttemptRequest {
        let (now, instance) = (Instant::now(), held.instance);
        self.fleet.note_attempt(now);
        let state = self.lock();
        let remaining = poll.remaining(now);
        let Some(endpoint) = state.endpoints.get(poll.endpoint) else {
            return AttemptRequest {
                instance,
                timeout: remaining,
                validators: None,
            };
        };
        let timeout = endpoint.timeouts.at(instance);
        // Where another instance is sound, its data need not wait long for the probe of this one.
        let patient = poll.alone || (held.is_probe() && !state.is_any_free(now, poll.endpoint));
        let limit = match patient {
            true => timeout.probe_limit(),
            false => timeout.limit(poll.waits),
        };
        let has_given = endpoint.kept_from == Some(instance);
        let conditional = |origin: &&CacheHeaders| has_given && origin.is_conditional();
        let validators = endpoint.slot.origin().filter(conditional).cloned();
        AttemptRequest {
            instance,
            timeout: limit.min(remaining),
            validators,
        }
    }

    /// What stands in for the answer that did not come.
    fn fall_back(&self, endpoint: usize) -> Option<Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        let kept = state.endpoints.get_mut(endpoint)?;
        let Fallback::Stale { age, .. } = kept.slot.fallback(now, Reader::Poll) else {
            return None;
        };
        self.record(
            &mut state,
            DecisionScope::endpoint(endpoint),
            DecisionEvent::ServedStale { age: age.into() },
        );
        Some(age)
    }

    /// An attempt was sent; one before it may have made it a retry, or a failover.
    fn count_cause(&self, endpoint: usize, cause: Option<RetryCause>) {
        let Some(cause) = cause else { return };
        let mut state = self.lock();
        let Some(endpoint) = state.endpoints.get_mut(endpoint) else {
            return;
        };
        match (cause.left, &mut endpoint.balancer) {
            (Some(left), Some(balancer)) => balancer.failed_over(left),
            (_, _) => {
                let error_type = cause.failure.error_type;
                *endpoint.retries.entry(error_type).or_default() += 1;
            }
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HostState> {
        // The state is whole after each call of the core, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PollProgress {
    fn new(endpoint: usize, Manner { deadline, alone }: Manner) -> Self {
        Self {
            endpoint,
            deadline,
            alone,
            attempts: 0,
            waits: 0,
            waited: Duration::ZERO,
            tried: Instances::default(),
        }
    }

    /// An attempt at an instance has ended.
    fn made(&mut self, instance: usize, was_sent: bool) {
        self.attempts += u32::from(was_sent);
        self.tried = self.tried.with(Instances::of(instance));
    }

    /// After the wait all instances may be asked again.
    fn wait(&mut self, delay: Duration) {
        self.waits += 1;
        self.waited += delay;
        self.tried = Instances::default();
    }

    fn over(self, outcome: PollOutcome, stale_age: Option<Duration>) -> PollResult {
        PollResult {
            outcome,
            attempts: self.attempts,
            retry_delay: self.waited,
            stale_age,
        }
    }

    fn remaining(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }
}
