//! What an attempt came to, and what follows from it: whether to try again, and whom to charge.
//!
//! A fault of the transport is evidence about the host, a fault of HTTP about the endpoint; an
//! answer of any kind proves that the host lives.

use std::collections::BTreeSet;

use serde::Serialize;

/// What a result is to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Evidence of health.
    Ok,
    /// Evidence of illness.
    Fail,
    /// No evidence: the slot is given back, and nothing else happens.
    Neutral,
}

/// The classes of results that are treated differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
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
pub enum Retry {
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
    pub retry: Retry,
    /// What it is to the endpoint's closed breaker.
    pub endpoint: Outcome,
    /// What it is to the host's breaker.
    pub host: Outcome,
    /// What it is to the endpoint's half-open breaker.
    pub probe: Outcome,
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
        self.host == Outcome::Fail || self.endpoint == Outcome::Fail || self.retry != Retry::No
    }
}

impl Statuses {
    /// Judges a result.
    pub fn classify(&self, class: Class) -> Verdict {
        use Outcome::{Fail, Neutral, Ok};
        match class {
            Class::Success | Class::NotModified => verdict(Retry::No, Ok, Ok),
            Class::Status(status) => self.judge(status),
            Class::Transport | Class::Timeout | Class::Body => verdict(Retry::Yes, Neutral, Fail),
            // Deterministic: the same request gives the same body.
            Class::TooLarge | Class::Decode => verdict(Retry::No, Fail, Ok),
            Class::DeadlineCut { overdue: true } => verdict(Retry::No, Neutral, Fail),
            Class::DeadlineCut { overdue: false } | Class::Cancelled | Class::NotSent => {
                verdict(Retry::No, Neutral, Neutral)
            }
        }
    }

    fn judge(&self, status: u16) -> Verdict {
        let throttled = self.throttled.contains(&status);
        let endpoint = if self.failure.contains(&status) {
            Outcome::Fail
        } else {
            Outcome::Neutral
        };
        Verdict {
            retry: if throttled {
                Retry::AfterRetryAfter
            } else if self.retryable.contains(&status) {
                Retry::Yes
            } else {
                Retry::No
            },
            endpoint,
            host: Outcome::Ok,
            probe: match endpoint {
                Outcome::Neutral if throttled => Outcome::Fail,
                // A refusal of the request is an answer: the endpoint works.
                Outcome::Neutral if (400..500).contains(&status) => Outcome::Ok,
                same => same,
            },
            drop_stale: status == 410,
        }
    }
}

/// A verdict that is the same for a probe.
fn verdict(retry: Retry, endpoint: Outcome, host: Outcome) -> Verdict {
    Verdict {
        retry,
        endpoint,
        host,
        probe: endpoint,
        drop_stale: false,
    }
}
