//! The result of polling a target.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use super::{Body, OwnReading};
use crate::telemetry::{Trace, target_metrics::MetricsLevel};

/// One round of requests to all endpoints of a target.
#[derive(Debug, Clone)]
pub struct Poll {
    /// When it started.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// When the receiver started to count for this target.
    pub counting_since: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The number of ticks that were missed since the start, because earlier polls took too long.
    pub missed_ticks: u64,
    /// One result for each endpoint, in the order of the definition.
    pub endpoints: Vec<EndpointPoll>,
    /// How many report metrics the target has.
    pub level: MetricsLevel,
    /// The receiver's own metrics about the target after the poll.
    pub own: Vec<OwnReading>,
}

/// The result of one endpoint.
#[derive(Debug, Clone)]
pub struct EndpointPoll {
    /// A body, or why there is none.
    pub outcome: PollOutcome,
    /// The time from the first request to the mapped body, including retries and their waits.
    pub duration: Duration,
    /// The number of requests that were sent.
    pub attempts: u32,
    /// The total wait before its retries.
    pub retry_delay: Duration,
    /// The age of the cached body that replaces a missing one.
    pub stale_age: Option<Duration>,
    /// The trace of the poll, if one is recorded.
    pub trace: Option<Trace>,
    /// The requests that were made, if somebody wants to know.
    pub requests: Vec<MadeRequest>,
}

/// A request that was made.
#[derive(Debug, Clone)]
pub struct MadeRequest {
    /// Its method.
    pub method: &'static str,
    /// Where it went, without what may be secret.
    pub url: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

/// A body, or why there is none.
#[derive(Debug, Clone)]
pub enum PollOutcome {
    /// The endpoint answered with a body that could be read.
    Fresh(Body),
    /// The endpoint said that its last body is still valid (304).
    NotModified(Body),
    /// The endpoint did neither.
    Failed(PollFailure),
    /// The endpoint was not polled in this round.
    Skipped,
}

/// Why an endpoint gave no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollFailure {
    /// The class of the failure, for `error.type`.
    pub error_type: ErrorType,
    /// The whole chain of causes, for users. It contains no secret.
    pub message: Cow<'static, str>,
}

/// The classes of failures (`error.type`). The list is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorType {
    /// The name could not be resolved.
    Dns,
    /// There was no connection: refused, unreachable, or reset before a request was sent.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The attempt took longer than its timeout.
    Timeout,
    /// The body was cut, or the connection was lost before the end of the answer.
    Body,
    /// The answer is not HTTP/1.1.
    Protocol,
    /// The header of the answer could not be read.
    Header,
    /// There were more redirects than are followed.
    Redirect,
    /// The answer was a success without a body.
    Empty,
    /// The body is larger than the limit.
    TooLarge,
    /// The body is not in the format of the definition.
    Decode,
    /// The definition's `transform` fails on the document, or runs away.
    Transform,
    /// The next page cannot be asked for, or the time was over before the last one.
    Pages,
    /// The answer had a status other than success.
    Status(u16),
    /// No slot among the concurrent requests was free in time.
    Limiter,
    /// A value that the request needs is missing, or cannot stand where it should.
    Request,
    /// The configured credentials could not be read.
    Credentials,
    /// Nothing was sent: a breaker is open.
    CircuitOpen,
    /// Nothing was sent: the server asked for a pause, or the fault may be on the collector's side.
    Paused,
    /// Nothing was sent: the endpoint before it has to answer first.
    Waiting,
    /// Nothing was sent: a request may make the host hang.
    Suspect,
    /// Nothing was sent: the endpoint whose answer has the elements gave none.
    Parent,
    /// Nothing was sent or read: there is not enough memory for it.
    Memory,
}

impl ErrorType {
    /// The value of `error.type`: a status as its number, everything else as a word.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Dns => "dns".into(),
            Self::Connect => "connect".into(),
            Self::Tls => "tls".into(),
            Self::Timeout => "timeout".into(),
            Self::Body => "body".into(),
            Self::Protocol => "protocol".into(),
            Self::Header => "header".into(),
            Self::Redirect => "redirect".into(),
            Self::Empty => "empty".into(),
            Self::TooLarge => "too_large".into(),
            Self::Decode => "decode".into(),
            Self::Transform => "transform".into(),
            Self::Pages => "pages".into(),
            Self::Status(code) => code.to_string().into(),
            Self::Limiter => "limiter".into(),
            Self::Request => "request".into(),
            Self::Credentials => "credentials".into(),
            Self::CircuitOpen => "circuit_open".into(),
            Self::Paused => "paused".into(),
            Self::Waiting => "waiting".into(),
            Self::Suspect => "suspect".into(),
            Self::Parent => "parent".into(),
            Self::Memory => "memory".into(),
        }
    }
}

impl PollFailure {
    /// Whether a request was sent and failed. False if none was sent.
    pub fn was_sent(&self) -> bool {
        !matches!(
            self.error_type,
            ErrorType::CircuitOpen
                | ErrorType::Paused
                | ErrorType::Waiting
                | ErrorType::Suspect
                | ErrorType::Parent
                | ErrorType::Limiter
                | ErrorType::Request
                | ErrorType::Credentials
                | ErrorType::Memory
        )
    }

    /// A success that could not be used.
    pub fn lost() -> Self {
        Self {
            error_type: ErrorType::Status(304),
            message: "the server said 304 to a request without conditions".into(),
        }
    }
}

impl EndpointPoll {
    /// The value of the `outcome` attribute. `None` for an endpoint that was not polled.
    pub fn outcome_name(&self) -> Option<&'static str> {
        match (&self.outcome, self.stale_age) {
            (PollOutcome::Fresh(_), _) => Some("fresh"),
            (PollOutcome::NotModified(_), _) => Some("not_modified"),
            (PollOutcome::Failed(_), Some(_)) => Some("stale"),
            (PollOutcome::Failed(_), None) => Some("missing"),
            (PollOutcome::Skipped, _) => None,
        }
    }

    /// A result without time and without a request.
    pub fn new(outcome: PollOutcome) -> Self {
        let duration = Duration::ZERO;
        Self {
            outcome,
            duration,
            attempts: 0,
            retry_delay: Duration::ZERO,
            stale_age: None,
            trace: None,
            requests: Vec::new(),
        }
    }

    /// What went wrong: the failure, or the status of an answer that is accepted all the same.
    pub fn error_type(&self) -> Option<ErrorType> {
        let accepted = || self.body()?.accepted_status.map(ErrorType::Status);
        self.failure()
            .map(|failure| failure.error_type)
            .or_else(accepted)
    }

    /// Whether it was polled in this round.
    pub fn was_asked(&self) -> bool {
        !matches!(self.outcome, PollOutcome::Skipped)
    }

    /// The body, if there is one.
    pub fn body(&self) -> Option<&Body> {
        match &self.outcome {
            PollOutcome::Fresh(body) | PollOutcome::NotModified(body) => Some(body),
            PollOutcome::Failed(_) | PollOutcome::Skipped => None,
        }
    }

    /// The body, if there is one.
    pub fn body_mut(&mut self) -> Option<&mut Body> {
        match &mut self.outcome {
            PollOutcome::Fresh(body) | PollOutcome::NotModified(body) => Some(body),
            PollOutcome::Failed(_) | PollOutcome::Skipped => None,
        }
    }

    /// Why there is no body, if there is none.
    pub fn failure(&self) -> Option<&PollFailure> {
        match &self.outcome {
            PollOutcome::Failed(failure) => Some(failure),
            PollOutcome::Fresh(_) | PollOutcome::NotModified(_) | PollOutcome::Skipped => None,
        }
    }
}

impl Poll {
    /// The time of all its data: when the last of its answers arrived. Without an answer it is the
    /// end of the poll.
    pub fn time(&self) -> SystemTime {
        let received = self.endpoints.iter().filter_map(EndpointPoll::body);
        let received = received.map(|body| body.received);
        // A cached body arrived long before.
        let in_time = received.filter(|time| (self.started..=self.ended).contains(time));
        in_time.max().unwrap_or(self.ended)
    }

    /// Whether every endpoint was answered with 404: the target has another API.
    pub fn is_unknown(&self) -> bool {
        let not_found = Some(ErrorType::Status(404));
        self.endpoints
            .iter()
            .all(|polled| polled.failure().map(|f| f.error_type) == not_found)
    }

    /// Whether a body is processed on a separate thread.
    pub fn is_large(&self) -> bool {
        let mut bodies = self.endpoints.iter().filter_map(EndpointPoll::body);
        bodies.any(Body::is_large)
    }

    /// Whether any endpoint was polled. If not, there are only metrics about the target itself.
    pub fn is_round(&self) -> bool {
        self.endpoints.iter().any(EndpointPoll::was_asked)
    }

    /// Records in `up`, for each polled endpoint, whether it gave a body.
    pub fn note_up(&self, up: &mut [bool]) {
        for (up, polled) in up.iter_mut().zip(&self.endpoints) {
            if polled.was_asked() {
                *up = polled.body().is_some();
            }
        }
    }

    /// Whether at least one endpoint gave a body.
    pub fn is_up(&self) -> bool {
        self.endpoints
            .iter()
            .any(|endpoint| endpoint.body().is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_time_of_a_poll_is_that_of_its_last_answer() {
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let answered = |second| {
            let body = Body::new(Bytes::new(), at(second), |_| None);
            EndpointPoll::new(PollOutcome::Fresh(body))
        };
        let time = |endpoints| {
            let poll = Poll {
                started: at(10),
                ended: at(20),
                counting_since: at(0),
                duration: Duration::from_secs(10),
                missed_ticks: 0,
                endpoints,
                level: MetricsLevel::default(),
                own: Vec::new(),
            };
            poll.time()
        };
        let failed = || EndpointPoll::new(PollOutcome::Failed(PollFailure::lost()));
        assert_eq!(time(vec![answered(12), answered(11), failed()]), at(12));
        assert_eq!(time(vec![failed()]), at(20), "nothing answered");
        assert_eq!(time(vec![answered(5)]), at(20), "a cached body is older");
    }
}
