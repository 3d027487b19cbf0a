//! The core at work: one poll of one endpoint, with the requests, the waits and the clock that
//! the core leaves out.
//!
//! Outermost first: stale fallback, deadline, retry, breakers, attempt. The deadline is a value
//! handed down: a timeout wrapped around all of this would drop it before a breaker learns
//! anything, and a host that hangs would never trip one.

use std::{
    future::Future,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    cache::{Fallback, Origin, Reader},
    circuit::{CircuitPermit, Refused},
    host::{Host, HostState},
    outcome::{self, Class, Verdict},
    recorder::Event,
    retry::{Decision, Failed, Stop, least},
    state::State,
};
use crate::pipeline::{Body, ErrorType, Failure, Outcome};

/// What one attempt may do.
#[derive(Debug, Clone)]
pub struct Order {
    /// Connecting, headers, body and decoding take no longer.
    pub timeout: Duration,
    /// What the origin said of the kept answer: makes the request conditional.
    pub validators: Option<Origin>,
}

/// What an attempt brought.
#[derive(Debug)]
pub enum Answer {
    /// A decoded body, and what the origin says of it.
    Body(Body, Origin),
    /// The kept one still holds (304).
    NotModified(Origin),
}

/// Why an attempt brought nothing.
#[derive(Debug)]
pub struct Miss {
    /// For people and for `error.type`.
    pub failure: Failure,
    /// For the judgement.
    pub class: Class,
    /// How long the server asked us to wait.
    pub retry_after: Option<Duration>,
}

/// What makes single attempts: no retry, and no timeout beyond the order's.
pub trait Attempt: Sync {
    /// Makes one attempt. Dropping the future ends it.
    fn make(&self, order: Order) -> impl Future<Output = Result<Answer, Miss>> + Send;
}

/// What a poll came to.
#[derive(Debug)]
pub struct Polled {
    /// A body, or why there is none.
    pub outcome: Outcome,
    /// Attempts that were sent.
    pub attempts: u32,
    /// Age of the kept answer that stands in for the missing one.
    pub stale_age: Option<Duration>,
}

/// What follows from an attempt.
enum Step {
    Done(Outcome),
    Again(Duration, Failure),
    Over(Failure),
}

/// A permit that is given back, without evidence, if the poll is dropped.
struct Held<'h> {
    host: &'h Host,
    permit: Option<CircuitPermit>,
}

/// An attempt that has ended.
struct Ended {
    endpoint: usize,
    number: u32,
    sent: Instant,
    limit: Duration,
    deadline: Instant,
}

impl Host {
    /// Polls one endpoint, by its position.
    pub async fn poll(&self, endpoint: usize, attempt: &impl Attempt) -> Polled {
        let deadline = Instant::now() + self.fleet.settings.deadline;
        let mut number = 0;
        // What the attempt before came to: a retry has a cause.
        let mut last: Option<Failure> = None;
        let failure = loop {
            let held = match self.admit(endpoint, deadline).await {
                Ok(held) => held,
                Err(refusal) => break self.give_up(endpoint, last, refusal),
            };
            let sent = Instant::now();
            let order = self.order(endpoint, number + 1, held.is_probe(), deadline);
            let limit = order.timeout;
            let result = attempt.make(order).await;
            let was_sent = !matches!(&result, Err(miss) if miss.class == Class::NotSent);
            if was_sent {
                number += 1;
                self.count_retry(endpoint, last.take());
            }
            let ended = Ended {
                endpoint,
                number: number.max(1),
                sent,
                limit,
                deadline,
            };
            match self.settle(held, &ended, result) {
                Step::Done(outcome) => {
                    return Polled {
                        outcome,
                        attempts: number,
                        stale_age: None,
                    };
                }
                Step::Again(delay, failure) => {
                    last = Some(failure);
                    sleep(delay).await;
                }
                // Of a retry that was not sent, the attempt before says more.
                Step::Over(failure) => break last.unwrap_or(failure),
            }
        };
        let stale_age = self.fall_back(endpoint);
        Polled {
            outcome: Outcome::Failed(failure),
            attempts: number,
            stale_age,
        }
    }

    /// Waits for leave to make an attempt: only for the verdict of a probe that is under way.
    async fn admit(&self, endpoint: usize, deadline: Instant) -> Result<Held<'_>, Failure> {
        loop {
            let mut verdict = std::pin::pin!(self.verdict.notified());
            // From here on no verdict is missed.
            verdict.as_mut().enable();
            let refused = match self.try_admit(endpoint) {
                Ok(permit) => {
                    return Ok(Held {
                        host: self,
                        permit: Some(permit),
                    });
                }
                Err(refused) => refused,
            };
            let waits = matches!(refused, Some(Refused::ProbeInFlight { .. }));
            if !waits || timeout_at(deadline, verdict).await.is_err() {
                return Err(self.refuse(endpoint, refused));
            }
        }
    }

    /// Leave, or who refuses it; none is the guard.
    fn try_admit(&self, endpoint: usize) -> Result<CircuitPermit, Option<Refused>> {
        let now = Instant::now();
        let (admitted, suspect) = self.fleet.ask_guard(now, self.member.position);
        if !admitted {
            return Err(None);
        }
        let mut state = self.lock();
        state.circuit.hold(suspect);
        let changes = state.circuit.advance(now, endpoint);
        self.note_changes(&mut state, endpoint, changes, None);
        state.circuit.try_acquire(now, endpoint).map_err(Some)
    }

    fn refuse(&self, endpoint: usize, refused: Option<Refused>) -> Failure {
        let now = Instant::now();
        let (error_type, message, level, until) = match refused {
            Some(Refused::Open { level, retry_at }) => (
                ErrorType::CircuitOpen,
                "the breaker is open",
                Some(level),
                Some(retry_at),
            ),
            Some(Refused::ProbeInFlight { level }) => {
                let message = "the breaker waits for a probe";
                (ErrorType::CircuitOpen, message, Some(level), None)
            }
            Some(Refused::Paused { until }) => (
                ErrorType::Paused,
                "the server asked for a pause",
                None,
                Some(until),
            ),
            None => (
                ErrorType::Paused,
                "most hosts fail: the fault may be ours",
                None,
                None,
            ),
        };
        let retry_in = until.map(|until| until.saturating_duration_since(now));
        let mut state = self.lock();
        if let Some(Refused::ProbeInFlight { level }) = refused {
            // It waited in vain; one that waits and goes is not rejected.
            state.circuit.reject(endpoint, level);
        }
        self.record(
            &mut state,
            Some(endpoint),
            Event::Refused { level, retry_in },
        );
        let message = match retry_in {
            Some(retry_in) => format!("{message}; next try in {:.1} s", retry_in.as_secs_f64()),
            None => message.to_owned(),
        };
        Failure {
            error_type,
            message,
        }
    }

    fn order(&self, endpoint: usize, number: u32, probe: bool, deadline: Instant) -> Order {
        let now = Instant::now();
        self.fleet.note_attempt(now);
        let mut state = self.lock();
        let remaining = deadline.saturating_duration_since(now);
        let Some(state) = state.endpoints.get_mut(endpoint) else {
            return Order {
                timeout: remaining,
                validators: None,
            };
        };
        let limit = match probe {
            true => state.timeout.probe_limit(),
            false => state.timeout.limit(number - 1),
        };
        let conditional = |origin: &&Origin| origin.is_conditional();
        let validators = state.slot.origin().filter(conditional).cloned();
        Order {
            timeout: limit.min(remaining),
            validators,
        }
    }

    /// Judges an attempt: charges the breakers, keeps the answer, decides what follows.
    fn settle(&self, mut held: Held<'_>, ended: &Ended, result: Result<Answer, Miss>) -> Step {
        let now = Instant::now();
        let class = match &result {
            Ok(Answer::Body(..)) => Class::Success,
            Ok(Answer::NotModified(_)) => Class::NotModified,
            Err(miss) => self.class_of(miss, ended),
        };
        let verdict = self.fleet.settings.statuses.classify(class);
        let probe = held.is_probe();
        // First of all: the failure that makes it likely that the fault is ours charges nobody.
        self.tell_guard(now, verdict.host);
        self.charge(&mut held, ended, &verdict, result.as_ref().err());
        self.verdict.notify_waiters();
        match result {
            Ok(answer) => self.keep(ended, answer),
            Err(miss) => self.decide(ended, &verdict, probe, miss),
        }
    }

    fn tell_guard(&self, now: Instant, outcome: outcome::Outcome) {
        let (suspect, changed) =
            self.fleet
                .tell_guard(now, self.member.position, outcome, &self.name);
        let mut state = self.lock();
        state.circuit.hold(suspect);
        if changed {
            self.record(&mut state, None, Event::Guard { suspect });
        }
    }

    /// A timeout that only the poll's deadline made so short says nothing of the host.
    fn class_of(&self, miss: &Miss, ended: &Ended) -> Class {
        let at_deadline = Instant::now() >= ended.deadline;
        if miss.class != Class::Timeout || !at_deadline {
            return miss.class;
        }
        let state = self.lock();
        let usual = state
            .endpoints
            .get(ended.endpoint)
            .map(|e| e.timeout.limit(0).min(self.fleet.settings.deadline));
        Class::DeadlineCut {
            // Where the timeout is as long as the deadline, the moments before the attempt are
            // missing from it; a host that hangs must be charged all the same.
            overdue: usual.is_none_or(|usual| ended.limit >= usual / 10 * 9),
        }
    }

    fn charge(&self, held: &mut Held<'_>, ended: &Ended, verdict: &Verdict, miss: Option<&Miss>) {
        let (now, probe) = (Instant::now(), held.is_probe());
        let Some(permit) = held.permit.take() else {
            return;
        };
        let mut state = self.lock();
        let state = &mut *state;
        let changes = state.circuit.complete(now, permit, verdict, &mut state.rng);
        let event = Event::Attempt {
            attempt: ended.number,
            probe,
            timeout: ended.limit,
            took: now.saturating_duration_since(ended.sent),
            error_type: miss.map(|miss| miss.failure.error_type.name().into_owned()),
            endpoint_outcome: verdict.endpoint,
            host_outcome: verdict.host,
        };
        self.record(state, Some(ended.endpoint), event);
        let error = miss.map(|miss| miss.failure.message.as_str());
        self.note_changes(state, ended.endpoint, changes, error);
        if verdict.drop_stale
            && let Some(endpoint) = state.endpoints.get_mut(ended.endpoint)
        {
            endpoint.slot.clear();
        }
    }

    fn keep(&self, ended: &Ended, answer: Answer) -> Step {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(endpoint) = state.endpoints.get_mut(ended.endpoint) else {
            return Step::Over(Failure::lost());
        };
        endpoint
            .timeout
            .sample(now.saturating_duration_since(ended.sent));
        let outcome = match answer {
            Answer::Body(body, origin) => {
                endpoint
                    .slot
                    .store(Reader::Poll, ended.sent, origin, body.clone());
                Outcome::Fresh(body)
            }
            Answer::NotModified(origin) => {
                match endpoint.slot.revalidated(Reader::Poll, ended.sent, origin) {
                    Some(body) => Outcome::NotModified(body.clone()),
                    // A server that says 304 to an unconditional request.
                    None => return Step::Over(Failure::lost()),
                }
            }
        };
        let age = endpoint.slot.age(now).unwrap_or_default();
        if let Some(objective) = &mut endpoint.objective {
            objective.updated(now, age);
        }
        Step::Done(outcome)
    }

    fn decide(&self, ended: &Ended, verdict: &Verdict, probe: bool, miss: Miss) -> Step {
        let now = Instant::now();
        let mut state = self.lock();
        let state = &mut *state;
        let view = state.circuit.view(now, ended.endpoint);
        let settings = &self.fleet.settings;
        let p50 = state
            .endpoints
            .get(ended.endpoint)
            .and_then(|endpoint| endpoint.timeout.p50());
        let failed = Failed {
            attempts: ended.number,
            retry: verdict.retry,
            retry_after: miss.retry_after,
            open: probe || view.state() == State::Open,
            remaining: ended.deadline.saturating_duration_since(now),
            least: least(p50, settings.deadline),
        };
        let decision = self.fleet.decide(now, &failed, &mut state.rng);
        match decision {
            Decision::Retry { delay } => {
                self.record(state, Some(ended.endpoint), Event::Retry { delay });
                self.log_retry(ended, delay, &miss.failure);
                Step::Again(delay, miss.failure)
            }
            Decision::Stop { reason, not_before } => {
                self.record(state, Some(ended.endpoint), Event::NoRetry { reason });
                if let Some(until) = not_before {
                    state.circuit.pause(until);
                }
                self.count_suppressed(state, ended.endpoint, reason);
                Step::Over(miss.failure)
            }
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
        self.record(&mut state, Some(endpoint), Event::ServedStale { age });
        Some(age)
    }

    /// No leave: what was sent before says more than why nothing else is.
    fn give_up(&self, endpoint: usize, last: Option<Failure>, refusal: Failure) -> Failure {
        let Some(last) = last else {
            return refusal;
        };
        let reason = match refusal.error_type {
            ErrorType::Paused => Stop::RetryAfter,
            _ => Stop::Open,
        };
        self.count_suppressed(&mut self.lock(), endpoint, reason);
        last
    }

    /// An attempt was sent; it is a retry if one before it failed.
    fn count_retry(&self, endpoint: usize, cause: Option<Failure>) {
        let mut state = self.lock();
        if let Some(cause) = cause
            && let Some(endpoint) = state.endpoints.get_mut(endpoint)
        {
            *endpoint.retries.entry(cause.error_type).or_default() += 1;
        }
    }

    fn count_suppressed(&self, state: &mut HostState, endpoint: usize, reason: Stop) {
        // A poll that needs no retry has none suppressed.
        let suppressed = !matches!(reason, Stop::NotRetryable | Stop::Exhausted);
        if let Some(endpoint) = state.endpoints.get_mut(endpoint).filter(|_| suppressed) {
            *endpoint.suppressed.entry(reason).or_default() += 1;
        }
    }

    fn log_retry(&self, ended: &Ended, delay: Duration, failure: &Failure) {
        tracing::debug!(
            target = self.name,
            endpoint = self.path(ended.endpoint),
            attempt = ended.number,
            delay_seconds = delay.as_secs_f64(),
            error = failure.message,
            "retrying"
        );
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HostState> {
        // The state is whole after each call of the core, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(CircuitPermit::is_probe)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let verdict = self.host.fleet.settings.statuses.classify(Class::Cancelled);
        let mut state = self.host.lock();
        let state = &mut *state;
        // Shut down or dropped: no evidence, and others need not wait for it.
        let _no_change = state
            .circuit
            .complete(Instant::now(), permit, &verdict, &mut state.rng);
        self.host.verdict.notify_waiters();
    }
}
