//! What an attempt came to, and what follows from it: whether to try again, and whom to charge.
//!
//! A fault of the transport is evidence about the host, a fault of HTTP about the endpoint; an
//! answer of any kind proves that the host lives.

use std::collections::BTreeSet;

use serde::Serialize;

/// What a result is to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerOutcome {
    /// Evidence of health.
    Ok,
    /// Evidence of illness.
    Fail,
    /// No evidence: the slot is given back, and nothing else happens.
    Neutral,
}

/// The classes of results that are treated differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultClass {
    /// A success whose body decodes, be it with some bad fields.
    Success,
    /// 304.
    NotModified,
    /// Any other status that is no success.
    Status(u16),
    /// No answer at all: DNS, connect, TLS, reset.
    Transport,
    /// The attempt took longer than its timeout.
    Timeout,
    /// The body was cut, or the connection lost before the answer was whole.
    Body,
    /// The body is over the limit.
    TooLarge,
    /// The body is not what it should be.
    Decode,
    /// The poll's deadline ended the attempt.
    DeadlineCut {
        /// Whether it had run for at least its adaptive timeout.
        overdue: bool,
    },
    /// We ended it: shutdown, or another attempt was faster.
    Cancelled,
    /// Nothing was sent: an open breaker, no place, no credentials.
    NotSent,
}

/// Whether a poll goes on after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryAdvice {
    /// It has its result.
    No,
    /// It may succeed in a moment.
    Yes,
    /// Only if the server said when (`Retry-After`).
    AfterRetryAfter,
}

/// What follows from a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether to try again.
    pub retry: RetryAdvice,
    /// What it is to the endpoint's closed breaker.
    pub endpoint: BreakerOutcome,
    /// What it is to the host's breaker.
    pub host: BreakerOutcome,
    /// What it is to the endpoint's half-open breaker.
    pub probe: BreakerOutcome,
    /// Whether data kept from earlier polls must not be served any longer (410 Gone).
    pub drop_stale: bool,
}

/// The statuses that are treated differently from their neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses {
    /// May be retried at once.
    pub retryable: BTreeSet<u16>,
    /// Charged to the endpoint.
    pub failure: BTreeSet<u16>,
    /// "Too much": retried only when the server says, no failure, but no passed probe either.
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
    /// Whether the same request may fare better at another instance with the same data. What is
    /// charged to nobody, such as a 404, is an answer that any of them would give.
    pub fn is_against_instance(&self) -> bool {
        self.host == BreakerOutcome::Fail
            || self.endpoint == BreakerOutcome::Fail
            || self.retry != RetryAdvice::No
    }
}

impl Statuses {
    /// Judges a result.
    pub fn classify(&self, class: ResultClass) -> Verdict {
        use BreakerOutcome::{Fail, Neutral, Ok};
        match class {
            ResultClass::Success | ResultClass::NotModified => verdict(RetryAdvice::No, Ok, Ok),
            ResultClass::Status(status) => self.judge(status),
            ResultClass::Transport | ResultClass::Timeout | ResultClass::Body => {
                verdict(RetryAdvice::Yes, Neutral, Fail)
            }
            // Deterministic: the same request gives the same body.
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
                // A refusal of the request is an answer: the endpoint works.
                BreakerOutcome::Neutral if (400..500).contains(&status) => BreakerOutcome::Ok,
                same => same,
            },
            drop_stale: status == 410,
        }
    }
}

/// A verdict that is the same for a probe.
fn verdict(retry: RetryAdvice, endpoint: BreakerOutcome, host: BreakerOutcome) -> Verdict {
    Verdict {
        retry,
        endpoint,
        host,
        probe: endpoint,
        drop_stale: false,
    }
}
