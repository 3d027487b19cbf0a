//! Runs one poll of one endpoint under the policies, with the requests, the waits and the clock
//! that the core does not have.
//!
//! From the outside in: stale answer, deadline, retry, breakers, attempt. The deadline is an
//! argument. A timeout around all of this would drop it before a breaker learns anything, and a
//! host that hangs would never trip one.

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

/// The parameters of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptRequest {
    /// The position of the instance that gets the request.
    pub instance: usize,
    /// The time limit for connecting, headers, body and decoding.
    pub timeout: Duration,
    /// The cache headers of the cached answer, which make the request conditional.
    pub validators: Option<CacheHeaders>,
}

/// The result of a successful attempt.
#[derive(Debug)]
pub enum AttemptResponse {
    /// A decoded body and its cache headers.
    Body(Body, CacheHeaders),
    /// The cached answer is still valid (304).
    NotModified(CacheHeaders),
}

/// Why an attempt failed.
#[derive(Debug)]
pub struct AttemptError {
    /// The failure for users, and for `error.type`.
    pub failure: PollFailure,
    /// The class of the failure.
    pub class: ResultClass,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

/// Makes single attempts: without retries, and with no timeout except that of the request.
pub trait Attempt: Sync {
    /// Makes one attempt. Dropping the future ends it.
    fn make(
        &self,
        order: AttemptRequest,
    ) -> impl Future<Output = Result<AttemptResponse, AttemptError>> + Send;
}

/// The result of a poll.
#[derive(Debug)]
pub struct PollResult {
    /// A body, or why there is none.
    pub outcome: PollOutcome,
    /// The number of attempts that were sent.
    pub attempts: u32,
    /// The total wait before its retries.
    pub retry_delay: Duration,
    /// The age of the cached answer that replaces the missing one.
    pub stale_age: Option<Duration>,
}

/// The next step after a failed attempt.
enum NextAction<'h> {
    Done(PollOutcome),
    /// An attempt at another instance, at once.
    FailOver(AttemptPermit<'h>, PollFailure),
    /// An attempt after a wait.
    RetryAfter(Duration, PollFailure),
    GiveUp(PollFailure),
}

/// What a poll has done so far.
#[derive(Debug, Clone, Copy)]
struct PollProgress {
    endpoint: usize,
    deadline: Instant,
    /// Whether no other request is in progress.
    alone: bool,
    /// The number of attempts that were sent.
    attempts: u32,
    /// The number of waits before a retry. With one instance, there is one for each attempt after
    /// the first.
    waits: u32,
    /// The total length of these waits.
    waited: Duration,
    /// The instances that got a request since the last wait.
    tried: Instances,
}

/// A finished attempt.
struct EndedAttempt {
    /// The progress of the poll, including this attempt.
    poll: PollProgress,
    instance: usize,
    sent: Instant,
    limit: Duration,
}

/// The failed attempt that made the next one necessary.
struct RetryCause {
    failure: PollFailure,
    /// The instance that failed, if the next attempt is at another instance at once.
    left: Option<usize>,
}

impl TargetResilience {
    /// Polls one endpoint, by its position, at the same time as others.
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
                // If the retry was not sent, the failure of the attempt before says more.
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
        // If another instance is healthy, its data need not wait long for the trial request of this
        // one.
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

    /// The cached answer that replaces the missing one.
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

    /// Counts an attempt that was sent. An attempt before it may have made it a retry or a
    /// failover.
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
        // The state is consistent after each call of the core, so a panic elsewhere does no damage.
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

    /// Records a finished attempt at an instance.
    fn made(&mut self, instance: usize, was_sent: bool) {
        self.attempts += u32::from(was_sent);
        self.tried = self.tried.with(Instances::of(instance));
    }

    /// After the wait all instances may get a request again.
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
