//! The core at work: one poll of one endpoint, with the requests, the waits and the clock that
//! the core leaves out.
//!
//! Outermost first: stale fallback, deadline, retry, breakers, attempt. The deadline is a value
//! handed down: a timeout wrapped around all of this would drop it before a breaker learns
//! anything, and a host that hangs would never trip one.

mod admission;
mod judgement;
mod reading;

use std::{
    future::Future,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    cache::{Fallback, Origin, Reader},
    host::{Host, HostState},
    outcome::Class,
    recorder::Event,
};
use crate::pipeline::{Body, Failure, Outcome};

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
    /// How long it waited before its retries, in all.
    pub retry_delay: Duration,
    /// Age of the kept answer that stands in for the missing one.
    pub stale_age: Option<Duration>,
}

/// What follows from an attempt.
enum Step {
    Done(Outcome),
    Again(Duration, Failure),
    Over(Failure),
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
        let flying = self.take_off(endpoint);
        let polled = self.poll_to_the_end(endpoint, attempt).await;
        flying.land(&polled);
        polled
    }

    async fn poll_to_the_end(&self, endpoint: usize, attempt: &impl Attempt) -> Polled {
        let deadline = Instant::now() + self.fleet.settings.deadline;
        let (mut number, mut retry_delay) = (0, Duration::ZERO);
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
                        retry_delay,
                        stale_age: None,
                    };
                }
                Step::Again(delay, failure) => {
                    last = Some(failure);
                    sleep(delay).await;
                    retry_delay += delay;
                }
                // Of a retry that was not sent, the attempt before says more.
                Step::Over(failure) => break last.unwrap_or(failure),
            }
        };
        let stale_age = self.fall_back(endpoint);
        Polled {
            outcome: Outcome::Failed(failure),
            attempts: number,
            retry_delay,
            stale_age,
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

    /// An attempt was sent; it is a retry if one before it failed.
    fn count_retry(&self, endpoint: usize, cause: Option<Failure>) {
        let mut state = self.lock();
        if let Some(cause) = cause
            && let Some(endpoint) = state.endpoints.get_mut(endpoint)
        {
            *endpoint.retries.entry(cause.error_type).or_default() += 1;
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HostState> {
        // The state is whole after each call of the core, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
