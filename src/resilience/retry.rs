//! Decides whether and when a failed attempt is repeated in the same poll.

use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    budget::RetryBudget,
    outcome,
    time::{later, times},
};

/// The longest pause that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// An attempt with less time than this is not worth starting.
const MIN_ATTEMPT: Duration = Duration::from_secs(1);

/// How often and at which intervals an attempt is repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The most attempts after the first one.
    pub max_retries: u32,
    /// The wait before the first retry.
    pub initial_interval: Duration,
    /// Each wait is this many times the previous one; at least 1.
    pub multiplier: f64,
    /// The longest wait, before jitter.
    pub max_interval: Duration,
    /// Each wait is random between (1 − this) and (1 + this) times its nominal value; 0 to 1. No
    /// wait is shorter than `initial_interval`.
    pub jitter: f64,
}

/// A failed attempt, and what is left of its poll.
#[derive(Debug, Clone, Copy)]
pub struct FailedAttempt {
    /// Attempts in this poll, including this one.
    pub attempts: u32,
    /// Whether its result allows a retry.
    pub retry: outcome::RetryAdvice,
    /// The pause that the server asks for (`Retry-After` of a 429 or 503).
    pub retry_after: Option<Duration>,
    /// Whether the next attempt would be refused (a breaker opened), or this one was a trial
    /// request, which is not repeated.
    pub open: bool,
    /// The time until the poll's deadline.
    pub remaining: Duration,
    /// The shortest time that an attempt needs, from [`least`].
    pub least: Duration,
}

/// The next step after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Wait, then try again.
    Retry {
        /// The length of the wait.
        delay: Duration,
    },
    /// The poll ends here.
    Stop {
        /// Why there is no retry.
        reason: RetryStop,
        /// The end of the pause that the server asked for.
        not_before: Option<Instant>,
    },
}

/// Why a poll does not retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryStop {
    /// The retry budget of the receiver is empty.
    Budget,
    /// There is not enough time for the wait and an attempt.
    Deadline,
    /// A breaker is open: this is a decision, not a fault that ends within a second.
    Open,
    /// The server asked for a longer pause than the poll has.
    RetryAfter,
    /// All retries are used.
    Exhausted,
    /// The same request would fail in the same way.
    NotRetryable,
}

impl RetryStop {
    /// The reasons that suppress a wanted retry.
    pub(super) const SUPPRESSING: [Self; 4] =
        [Self::Budget, Self::Deadline, Self::Open, Self::RetryAfter];

    /// The value of the `reason` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Deadline => "deadline",
            Self::Open => "open",
            Self::RetryAfter => "retry_after",
            Self::Exhausted => "exhausted",
            Self::NotRetryable => "not_retryable",
        }
    }
}

impl RetryPolicy {
    /// Decides what follows a failed attempt. A retry is taken from the budget.
    pub fn next(
        &self,
        now: Instant,
        failed: &FailedAttempt,
        budget: &mut RetryBudget,
        rng: &mut Rng,
    ) -> RetryDecision {
        let asked = failed.retry_after.map(pause);
        let stop = |reason| RetryDecision::Stop {
            reason,
            not_before: asked.map(|asked| later(now, asked)),
        };
        match (failed.retry, asked) {
            (outcome::RetryAdvice::No, _) => return stop(RetryStop::NotRetryable),
            // The server is overloaded, and does not say for how long.
            (outcome::RetryAdvice::AfterRetryAfter, None) => return stop(RetryStop::RetryAfter),
            (outcome::RetryAdvice::Yes | outcome::RetryAdvice::AfterRetryAfter, _) => {}
        }
        if failed.open {
            return stop(RetryStop::Open);
        }
        if failed.attempts > self.max_retries {
            return stop(RetryStop::Exhausted);
        }
        let fits = |delay: Duration| delay.saturating_add(failed.least) <= failed.remaining;
        if asked.is_some_and(|asked| !fits(asked)) {
            return stop(RetryStop::RetryAfter);
        }
        // The server may ask for a longer wait than our schedule, never for a shorter one.
        let delay = self
            .delay(failed.attempts, rng)
            .max(asked.unwrap_or_default());
        if !fits(delay) {
            return stop(RetryStop::Deadline);
        }
        if !budget.try_retry(now) {
            return stop(RetryStop::Budget);
        }
        RetryDecision::Retry { delay }
    }

    /// The nominal wait after this number of attempts.
    pub fn interval(&self, attempts: u32) -> Duration {
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        times(self.initial_interval, self.multiplier.powi(exponent)).min(self.max_interval)
    }

    fn delay(&self, attempts: u32, rng: &mut Rng) -> Duration {
        let (interval, jitter) = (self.interval(attempts), self.jitter.clamp(0.0, 1.0));
        // Jitter must not bring a retry into the short outage that the first attempt met.
        let shortest = times(interval, 1.0 - jitter).max(interval.min(self.initial_interval));
        let longest = times(interval, 1.0 + jitter);
        shortest.saturating_add(times(longest.saturating_sub(shortest), rng.f64()))
    }
}

/// The pause for a server that asks for `asked`.
pub fn pause(asked: Duration) -> Duration {
    asked.min(MAX_RETRY_AFTER)
}

/// The shortest time that an attempt needs: the usual response time, and at least a second. It is
/// at most the time of a whole poll, or an attempt would never start.
pub fn least(p50: Option<Duration>, deadline: Duration) -> Duration {
    MIN_ATTEMPT.max(p50.unwrap_or_default()).min(deadline)
}
