//! Whether a failed attempt is followed by another one in the same poll, and when.

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

/// An attempt that may run for less than this is not worth starting.
const MIN_ATTEMPT: Duration = Duration::from_secs(1);

/// How often and at which intervals an attempt is repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The most attempts after the first.
    pub max_retries: u32,
    /// The wait before the first retry.
    pub initial_interval: Duration,
    /// Each wait is this many times the one before; at least 1.
    pub multiplier: f64,
    /// The longest wait, before jitter.
    pub max_interval: Duration,
    /// Each wait is drawn from (1 − this) to (1 + this) times its nominal value; 0 to 1. None is
    /// shorter than `initial_interval`.
    pub jitter: f64,
}

/// An attempt that failed, and what it leaves.
#[derive(Debug, Clone, Copy)]
pub struct FailedAttempt {
    /// Attempts made in this poll, this one included.
    pub attempts: u32,
    /// What its result says of a retry.
    pub retry: outcome::RetryAdvice,
    /// How long the server asked us to wait (`Retry-After` of a 429 or 503).
    pub retry_after: Option<Duration>,
    /// Whether the next attempt would be refused (a breaker opened), or this one was a probe,
    /// which has one try.
    pub open: bool,
    /// Time left until the poll's deadline.
    pub remaining: Duration,
    /// The least time that an attempt needs, from [`least`].
    pub least: Duration,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Sleep so long, then try again.
    Retry {
        /// The wait.
        delay: Duration,
    },
    /// The poll ends here.
    Stop {
        /// Why.
        reason: RetryStop,
        /// The host must be left alone until then, as its server asked.
        not_before: Option<Instant>,
    },
}

/// Why a poll does not try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryStop {
    /// The whole fleet has used up its retries.
    Budget,
    /// No time for the wait and an attempt.
    Deadline,
    /// A breaker is in the way: a decision, not a fault that passes in a second.
    Open,
    /// The server asked for a longer pause than the poll has.
    RetryAfter,
    /// All retries are used.
    Exhausted,
    /// The same request would fail in the same way.
    NotRetryable,
}

impl RetryStop {
    /// Those that leave a wanted retry unmade.
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
            // It has enough of us, and does not say for how long.
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
        // The server may ask for more than our own schedule, never for less.
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

    /// The nominal wait after so many attempts.
    pub fn interval(&self, attempts: u32) -> Duration {
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        times(self.initial_interval, self.multiplier.powi(exponent)).min(self.max_interval)
    }

    fn delay(&self, attempts: u32, rng: &mut Rng) -> Duration {
        let (interval, jitter) = (self.interval(attempts), self.jitter.clamp(0.0, 1.0));
        // Chance must not bring a retry into the hiccup that the first attempt fell into.
        let shortest = times(interval, 1.0 - jitter).max(interval.min(self.initial_interval));
        let longest = times(interval, 1.0 + jitter);
        shortest.saturating_add(times(longest.saturating_sub(shortest), rng.f64()))
    }
}

/// The pause that a server gets that asks for one.
pub fn pause(asked: Duration) -> Duration {
    asked.min(MAX_RETRY_AFTER)
}

/// The least time that an attempt needs: the usual time of an answer, and at least a second. No
/// more than a poll has in all, or it would never begin.
pub fn least(p50: Option<Duration>, deadline: Duration) -> Duration {
    MIN_ATTEMPT.max(p50.unwrap_or_default()).min(deadline)
}
