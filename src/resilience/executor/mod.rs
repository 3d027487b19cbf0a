//! Runs one poll of one endpoint under the policies of the core, with the waits and the clock that
//! the core leaves out.
//!
//! It makes no request. [`PollRun::next`] says what its driver has to do: make an attempt, whose
//! result goes to [`PollRun::record`], or take the result of the poll. From the outside in, the
//! policies are: stale fallback, deadline, retry, breakers. The deadline is a value that is passed
//! down: a timeout around all of this would drop the poll before a breaker learns anything, and a
//! host that hangs would never open one.

mod admission;
mod careful;
mod instance_selection;
mod on_demand;
mod outcome_handling;
mod sent_attempt;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use self::careful::{Confirmed, Declined, Manner, WitnessAnswer, WitnessAttempt};
use self::{
    admission::AttemptPermit,
    on_demand::InFlightPoll,
    sent_attempt::{FinishedAttempt, SentAttempt},
};
use super::{
    cache::{CacheHeaders, Fallback, Reader},
    instances::Instances,
    outcome::ResultClass,
    recorder::{DecisionEvent, DecisionScope},
    target_resilience::TargetResilience,
};
use crate::pipeline::{Body, PollFailure, PollOutcome};

/// The parameters of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptRequest {
    /// The position of the instance that gets the request.
    pub instance: usize,
    /// The time limit for connecting, headers, body and decoding.
    pub timeout: Duration,
    /// When the poll ends, for an attempt that takes several requests.
    pub deadline: Instant,
    /// Whether they are made one after the other, with no other request in progress.
    pub alone: bool,
    /// Whether the last request to the instance got no answer, so that this one may hang too.
    pub is_doubtful: bool,
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
    /// Whether the request must not be sent again in this poll: it may have done something.
    pub is_final: bool,
}

/// One poll of one endpoint. Its driver makes the attempts and waits that it asks for. Dropping it
/// gives back what it holds, which is no evidence for or against the host.
pub struct PollRun<'h> {
    host: &'h TargetResilience,
    progress: PollProgress,
    /// Attempts that were sent before the current one.
    sent_before: u32,
    /// The attempt that made the next one necessary.
    cause: Option<RetryCause>,
    /// The wait before the next attempt.
    delay: Option<Duration>,
    /// The permit of a failover.
    elsewhere: Option<AttemptPermit<'h>>,
    /// The attempt in progress.
    sent: Option<SentAttempt<'h>>,
    result: Option<PollResult>,
    /// Tells readers that wait for this poll; the last field, so that it is dropped last.
    in_flight: Option<InFlightPoll<'h>>,
}

/// What the driver of a poll does next.
#[derive(Debug)]
pub enum NextStep {
    /// It makes this attempt and records the result.
    Attempt(AttemptRequest),
    /// It takes the result: the poll has ended.
    Done(PollResult),
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
    /// When it ended.
    at: Instant,
}

/// The failed attempt that made the next one necessary.
struct RetryCause {
    failure: PollFailure,
    /// The instance that failed, if the next attempt is at another instance at once.
    left: Option<usize>,
}

impl<'h> PollRun<'h> {
    /// Waits until there is something to do: for the delay of a retry, or for the verdict of a
    /// breaker's probe. A driver that asks without having recorded the attempt in progress gets
    /// another one.
    pub async fn next(&mut self) -> NextStep {
        if let Some(result) = self.result.take() {
            if let Some(in_flight) = self.in_flight.take() {
                in_flight.finish(&result);
            }
            return NextStep::Done(result);
        }
        if let Some(delay) = self.delay.take() {
            self.progress.wait(delay);
            sleep(delay).await;
        }
        let PollProgress {
            endpoint, deadline, ..
        } = self.progress;
        let admitted = match self.elsewhere.take() {
            Some(permit) => Ok(permit),
            None => self.host.admit(endpoint, deadline).await,
        };
        match admitted {
            Ok(permit) => {
                let (sent, request) = self.host.send(&self.progress, permit);
                self.sent_before = self.progress.attempts;
                self.sent = Some(sent);
                NextStep::Attempt(request)
            }
            Err(refusal) => {
                let failure = self.host.give_up(endpoint, self.cause.take(), refusal);
                let result = self.failed(failure);
                if let Some(in_flight) = self.in_flight.take() {
                    in_flight.finish(&result);
                }
                NextStep::Done(result)
            }
        }
    }

    /// Takes the result of the attempt in progress.
    pub fn record(&mut self, result: Result<AttemptResponse, AttemptError>) {
        if let Some(sent) = self.sent.take() {
            let finished = sent.finish(&mut self.progress, result);
            self.settle(finished);
        }
    }

    fn settle(&mut self, finished: FinishedAttempt<'h>) {
        let EndedAttempt { poll, instance, .. } = finished.ended;
        if self.progress.attempts > self.sent_before {
            self.host.count_cause(poll.endpoint, self.cause.take());
        }
        match self.host.settle(finished) {
            NextAction::Done(outcome) => self.result = Some(self.progress.over(outcome, None)),
            NextAction::FailOver(permit, failure) => {
                self.elsewhere = Some(permit);
                let left = Some(instance);
                self.cause = Some(RetryCause { failure, left });
            }
            NextAction::RetryAfter(delay, failure) => {
                self.delay = Some(delay);
                self.cause = Some(RetryCause {
                    failure,
                    left: None,
                });
            }
            NextAction::GiveUp(failure) => {
                // If the last attempt was not sent, the one before it says more.
                let failure = self.cause.take().map_or(failure, |cause| cause.failure);
                self.result = Some(self.failed(failure));
            }
        }
    }

    fn failed(&self, failure: PollFailure) -> PollResult {
        let stale_age = self.host.fall_back(self.progress.endpoint);
        self.progress.over(PollOutcome::Failed(failure), stale_age)
    }
}

impl TargetResilience {
    /// Begins a poll of one endpoint, by its position.
    pub fn begin(&self, endpoint: usize, manner: Manner) -> PollRun<'_> {
        PollRun {
            host: self,
            progress: PollProgress::new(endpoint, manner),
            sent_before: 0,
            cause: None,
            delay: None,
            elsewhere: None,
            sent: None,
            result: None,
            in_flight: Some(self.start_poll(endpoint)),
        }
    }

    /// The request that a permit allows.
    fn order(&self, poll: &PollProgress, held: &AttemptPermit<'_>) -> AttemptRequest {
        let (instance, now) = (held.instance, held.at);
        self.fleet().note_attempt(now);
        let state = self.lock();
        let remaining = poll.remaining(now);
        let is_doubtful = state.circuits.at(instance).is_silent();
        let Some(endpoint) = state.endpoints.get(poll.endpoint) else {
            return AttemptRequest {
                instance,
                timeout: remaining,
                deadline: poll.deadline,
                alone: poll.alone,
                is_doubtful,
                validators: None,
            };
        };
        let timeout = endpoint.timeouts.at(instance);
        // If another instance is healthy, its data need not wait long for the trial request of this
        // one.
        let is_any_free = || self.gates(&state, now, poll.endpoint).any_is_free();
        // A node that has just started is slower than usual.
        let limit = match poll.alone || (held.is_probe() && !is_any_free()) {
            true => self.settings.timeout.max.get(),
            false => timeout.limit(&self.settings.timeout, poll.waits),
        };
        let has_given = endpoint.kept_from == Some(instance);
        let conditional = |origin: &&CacheHeaders| has_given && origin.is_conditional();
        let validators = endpoint.slot.origin().filter(conditional).cloned();
        AttemptRequest {
            instance,
            timeout: limit.min(remaining),
            deadline: poll.deadline,
            alone: poll.alone,
            is_doubtful,
            validators,
        }
    }

    /// The cached answer that replaces the missing one.
    fn fall_back(&self, endpoint: usize) -> Option<Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        let kept = state.endpoints.get_mut(endpoint)?;
        let Fallback::Stale { age, .. } =
            kept.slot.fallback(&self.settings.cache, now, Reader::Poll)
        else {
            return None;
        };
        self.record(
            &mut state,
            DecisionScope::endpoint(endpoint),
            DecisionEvent::ServedStale {
                age: age.into(),
                times: 1,
            },
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
        match cause.left {
            Some(left) => {
                self.fleet().counts.failed_over();
                endpoint.loads.failed_over(left);
            }
            None => {
                self.fleet().counts.retried();
                let error_type = cause.failure.error_type;
                endpoint.retries.add(error_type, 1);
            }
        }
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
