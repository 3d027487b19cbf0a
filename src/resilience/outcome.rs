//! Classifies the result of an attempt: whether to retry, and what counts as a failure.
//!
//! A fault of the transport is evidence about the host, a fault of HTTP about the endpoint. Any
//! answer proves that the host is up.

use std::collections::BTreeSet;

use serde::Serialize;

/// What a result means to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerOutcome {
    /// Evidence of health.
    Ok,
    /// Evidence of a failure.
    Fail,
    /// No evidence: only the slot is freed.
    Neutral,
}

/// The classes of results that are handled differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultClass {
    /// A success with a body that can be decoded, even with some bad fields.
    Success,
    /// HTTP status 304.
    NotModified,
    /// Any other HTTP status that is not a success.
    Status(u16),
    /// No answer at all: DNS, connect, TLS, reset.
    Transport,
    /// The attempt took longer than its timeout.
    Timeout,
    /// The body was cut, or the connection was lost before the end of the answer.
    Body,
    /// The body is larger than the limit.
    TooLarge,
    /// The body is not in the expected format.
    Decode,
    /// The poll's deadline ended the attempt.
    DeadlineCut {
        /// Whether it had run for at least its adaptive timeout.
        overdue: bool,
    },
    /// The collector ended it: shutdown, or another attempt was faster.
    Cancelled,
    /// Nothing was sent: an open breaker, no free slot, no credentials.
    NotSent,
}

/// Whether a poll continues after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryAdvice {
    /// The poll has its result.
    No,
    /// A retry may succeed.
    Yes,
    /// Only if the server said when (`Retry-After`).
    AfterRetryAfter,
}

/// What follows from a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether to retry.
    pub retry: RetryAdvice,
    /// What it means to the endpoint's closed breaker.
    pub endpoint: BreakerOutcome,
    /// What it means to the host's breaker.
    pub host: BreakerOutcome,
    /// What it means to the endpoint's half-open breaker.
    pub probe: BreakerOutcome,
    /// Whether cached data must not be served any longer (410 Gone).
    pub drop_stale: bool,
}

/// The HTTP statuses that are handled differently from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses {
    /// Statuses that may be retried at once.
    pub retryable: BTreeSet<u16>,
    /// Statuses that count against the endpoint.
    pub failure: BTreeSet<u16>,
    /// "Too many requests": retried only with a `Retry-After`; not a failure, but not a successful
    /// trial request either.
    pub throttled: BTreeSet<u16>,
}

impl Default for Statuses {
    fn default() -> Self {
        let faults = BTreeSet::from([408, 425, 500, 502, 503, 504]);
        Self {
            retryable: faults.clone(),
            failure: faults,
            throttled: BTreeSet::from([429]),
        }
    }
}

impl Verdict {
    /// Whether the same request may succeed at another instance with the same data. A result that
    /// counts against nobody, such as a 404, is an answer that every instance would give.
    pub fn is_against_instance(&self) -> bool {
        self.host == BreakerOutcome::Fail
            || self.endpoint == BreakerOutcome::Fail
            || self.retry != RetryAdvice::No
    }
}

impl Statuses {
    /// Classifies a result.
    pub fn classify(&self, class: ResultClass) -> Verdict {
        use BreakerOutcome::{Fail, Neutral, Ok};
        match class {
            ResultClass::Success | ResultClass::NotModified => verdict(RetryAdvice::No, Ok, Ok),
            ResultClass::Status(status) => self.judge(status),
            ResultClass::Transport | ResultClass::Timeout | ResultClass::Body => {
                verdict(RetryAdvice::Yes, Neutral, Fail)
            }
            // The same request would give the same body.
            ResultClass::TooLarge | ResultClass::Decode => verdict(RetryAdvice::No, Fail, Ok),
            ResultClass::DeadlineCut { overdue: true } => verdict(RetryAdvice::No, Neutral, Fail),
            ResultClass::DeadlineCut { overdue: false }
            | ResultClass::Cancelled
            | ResultClass::NotSent => verdict(RetryAdvice::No, Neutral, Neutral),
        }
    }

    fn judge(&self, status: u16) -> Verdict {
        let throttled = self.throttled.contains(&status);
        let endpoint = if self.failure.contains(&status) {
            BreakerOutcome::Fail
        } else {
            BreakerOutcome::Neutral
        };
        Verdict {
            retry: if throttled {
                RetryAdvice::AfterRetryAfter
            } else if self.retryable.contains(&status) {
                RetryAdvice::Yes
            } else {
                RetryAdvice::No
            },
            endpoint,
            host: BreakerOutcome::Ok,
            probe: match endpoint {
                BreakerOutcome::Neutral if throttled => BreakerOutcome::Fail,
                // A refused request is an answer: the endpoint works.
                BreakerOutcome::Neutral if (400..500).contains(&status) => BreakerOutcome::Ok,
                same => same,
            },
            drop_stale: status == 410,
        }
    }
}

/// A verdict that is the same for a trial request.
fn verdict(retry: RetryAdvice, endpoint: BreakerOutcome, host: BreakerOutcome) -> Verdict {
    Verdict {
        retry,
        endpoint,
        host,
        probe: endpoint,
        drop_stale: false,
    }
}
