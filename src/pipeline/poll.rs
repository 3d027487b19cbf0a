//! What a receiver found at a target.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

/// One round of all endpoints of a target.
#[derive(Debug)]
pub struct Poll {
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// Ticks of the schedule that earlier polls overran, since the start.
    pub missed_ticks: u64,
    /// One result an endpoint, in the order of the definition.
    pub endpoints: Vec<EndpointPoll>,
}

/// What one endpoint gave.
#[derive(Debug)]
pub struct EndpointPoll {
    /// A body, or why there is none.
    pub outcome: Outcome,
    /// From the first request to the decoded body.
    pub duration: Duration,
}

/// A body, or why there is none.
#[derive(Debug)]
pub enum Outcome {
    /// The endpoint answered with a body that could be read.
    Fresh(Body),
    /// It did not.
    Failed(Failure),
}

/// A decoded body.
#[derive(Debug)]
pub struct Body {
    /// The document.
    pub document: Arc<serde_json::Value>,
    /// What it was read from, decompressed.
    pub raw: Bytes,
    /// When it was there whole.
    pub received: SystemTime,
}

/// Why an endpoint gave no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class, for `error.type`.
    pub error_type: ErrorType,
    /// The whole chain of causes, for people. Holds no secret.
    pub message: String,
}

/// The closed list of failure classes (`error.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorType {
    /// The name could not be resolved.
    Dns,
    /// No connection: refused, unreachable, reset before a request was sent.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The attempt took longer than its timeout.
    Timeout,
    /// The body was cut, or the connection lost before the answer was whole.
    Body,
    /// The body is over the limit.
    TooLarge,
    /// The body is not what the definition's format says.
    Decode,
    /// An answer with a status other than success.
    Status(u16),
    /// No place among the concurrent requests in time.
    Limiter,
    /// Our own credentials could not be read.
    Credentials,
}

impl ErrorType {
    /// The value of `error.type`: a status as its number, everything else as a word.
    pub fn name(self) -> std::borrow::Cow<'static, str> {
        match self {
            Self::Dns => "dns".into(),
            Self::Connect => "connect".into(),
            Self::Tls => "tls".into(),
            Self::Timeout => "timeout".into(),
            Self::Body => "body".into(),
            Self::TooLarge => "too_large".into(),
            Self::Decode => "decode".into(),
            Self::Status(code) => code.to_string().into(),
            Self::Limiter => "limiter".into(),
            Self::Credentials => "credentials".into(),
        }
    }
}

impl EndpointPoll {
    /// The body, if there is one.
    pub fn body(&self) -> Option<&Body> {
        match &self.outcome {
            Outcome::Fresh(body) => Some(body),
            Outcome::Failed(_) => None,
        }
    }

    /// Why there is no body, if there is none.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Fresh(_) => None,
            Outcome::Failed(failure) => Some(failure),
        }
    }
}

impl Poll {
    /// Whether every endpoint was answered with 404: the target speaks something else.
    pub fn is_unknown(&self) -> bool {
        let not_found = Some(ErrorType::Status(404));
        self.endpoints
            .iter()
            .all(|polled| polled.failure().map(|f| f.error_type) == not_found)
    }

    /// Whether at least one endpoint gave a body.
    pub fn is_up(&self) -> bool {
        self.endpoints
            .iter()
            .any(|endpoint| endpoint.body().is_some())
    }
}
