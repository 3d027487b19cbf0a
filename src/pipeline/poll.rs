//! What a receiver found at a target.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde_json::Value;

use super::OwnReading;
use crate::telemetry::Trace;

/// One round of all endpoints of a target.
#[derive(Debug)]
pub struct Poll {
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Since when the receiver counts what it says of the target.
    pub counting_since: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// Ticks of the schedule that earlier polls overran, since the start.
    pub missed_ticks: u64,
    /// One result an endpoint, in the order of the definition.
    pub endpoints: Vec<EndpointPoll>,
    /// What the receiver says of the target when the poll has ended.
    pub own: Vec<OwnReading>,
}

/// What one endpoint gave.
#[derive(Debug)]
pub struct EndpointPoll {
    /// A body, or why there is none.
    pub outcome: Outcome,
    /// From the first request to the decoded body, retries and their waits included.
    pub duration: Duration,
    /// Requests that were sent.
    pub attempts: u32,
    /// How long it waited before its retries, in all.
    pub retry_delay: Duration,
    /// Age of the kept body that stands in for the missing one.
    pub stale_age: Option<Duration>,
    /// The trace that tells of it, if one is recorded.
    pub trace: Option<Trace>,
}

/// A body, or why there is none.
#[derive(Debug)]
pub enum Outcome {
    /// The endpoint answered with a body that could be read.
    Fresh(Body),
    /// The endpoint said that its last body still holds (304).
    NotModified(Body),
    /// It did neither.
    Failed(Failure),
    /// It was not asked in this round.
    Skipped,
}

/// A body that can be read.
#[derive(Debug, Clone)]
pub struct Body {
    /// What it holds, decompressed.
    pub raw: Bytes,
    /// When it was there whole.
    pub received: SystemTime,
    /// Characters and numbers in it that its format does not allow, and that were read as U+FFFD, as
    /// nothing or as text.
    pub repaired: u64,
    /// None where the body is only kept.
    document: Option<Arc<Value>>,
    read: fn(&Bytes) -> Option<Value>,
}

/// Why an endpoint gave no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class, for `error.type`.
    pub error_type: ErrorType,
    /// The whole chain of causes, for people. Holds no secret.
    pub message: Cow<'static, str>,
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
    /// What came is no HTTP/1.1.
    Protocol,
    /// The head of the answer could not be read.
    Header,
    /// One redirect led to the next, more often than is followed.
    Redirect,
    /// The answer was a success without a body.
    Empty,
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
    /// Nothing was sent: a breaker is open.
    CircuitOpen,
    /// Nothing was sent: the server asked for a pause, or the fault may be ours.
    Paused,
    /// Nothing was sent: the endpoint before it has to answer first.
    Waiting,
    /// Nothing was sent: asking it may make the host hang.
    Suspect,
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
            Self::Status(code) => code.to_string().into(),
            Self::Limiter => "limiter".into(),
            Self::Credentials => "credentials".into(),
            Self::CircuitOpen => "circuit_open".into(),
            Self::Paused => "paused".into(),
            Self::Waiting => "waiting".into(),
            Self::Suspect => "suspect".into(),
        }
    }
}

impl Body {
    /// A body of which `document` was read, as `read` does.
    pub fn new(
        raw: Bytes,
        received: SystemTime,
        document: Value,
        read: fn(&Bytes) -> Option<Value>,
    ) -> Self {
        Self {
            raw,
            received,
            repaired: 0,
            document: Some(Arc::new(document)),
            read,
        }
    }

    /// The same to keep: a document takes several times the room of its text, and a fleet keeps
    /// many that nobody asks for.
    #[must_use]
    pub fn to_keep(&self) -> Self {
        Self {
            document: None,
            ..self.clone()
        }
    }

    /// What was read of it, or is now where it was only kept.
    pub fn document(&self) -> Option<Arc<Value>> {
        let again = || (self.read)(&self.raw).map(Arc::new);
        self.document.clone().or_else(again)
    }
}

impl Failure {
    /// Whether a request was sent and failed, or none was sent.
    pub fn was_sent(&self) -> bool {
        !matches!(
            self.error_type,
            ErrorType::CircuitOpen
                | ErrorType::Paused
                | ErrorType::Waiting
                | ErrorType::Suspect
                | ErrorType::Limiter
                | ErrorType::Credentials
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
    /// The value of the `outcome` attribute; none for an endpoint that was not asked.
    pub fn outcome_name(&self) -> Option<&'static str> {
        match (&self.outcome, self.stale_age) {
            (Outcome::Fresh(_), _) => Some("fresh"),
            (Outcome::NotModified(_), _) => Some("not_modified"),
            (Outcome::Failed(_), Some(_)) => Some("stale"),
            (Outcome::Failed(_), None) => Some("missing"),
            (Outcome::Skipped, _) => None,
        }
    }

    /// A result that took no time and no request.
    pub fn new(outcome: Outcome) -> Self {
        let duration = Duration::ZERO;
        Self {
            outcome,
            duration,
            attempts: 0,
            retry_delay: Duration::ZERO,
            stale_age: None,
            trace: None,
        }
    }

    /// Whether it was asked in this round.
    pub fn was_asked(&self) -> bool {
        !matches!(self.outcome, Outcome::Skipped)
    }

    /// The body, if there is one.
    pub fn body(&self) -> Option<&Body> {
        match &self.outcome {
            Outcome::Fresh(body) | Outcome::NotModified(body) => Some(body),
            Outcome::Failed(_) | Outcome::Skipped => None,
        }
    }

    /// Why there is no body, if there is none.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Fresh(_) | Outcome::NotModified(_) | Outcome::Skipped => None,
        }
    }
}

impl Poll {
    /// The time of all that it gave: when the last of its answers was there. A poll without one
    /// tells of its end.
    pub fn time(&self) -> SystemTime {
        let received = self.endpoints.iter().filter_map(EndpointPoll::body);
        let received = received.map(|body| body.received);
        // A kept body was there long before.
        let in_time = received.filter(|time| (self.started..=self.ended).contains(time));
        in_time.max().unwrap_or(self.ended)
    }

    /// Whether every endpoint was answered with 404: the target speaks something else.
    pub fn is_unknown(&self) -> bool {
        let not_found = Some(ErrorType::Status(404));
        self.endpoints
            .iter()
            .all(|polled| polled.failure().map(|f| f.error_type) == not_found)
    }

    /// Whether any endpoint was asked. If none was, there is only news of the target itself.
    pub fn is_round(&self) -> bool {
        self.endpoints.iter().any(EndpointPoll::was_asked)
    }

    /// Notes in `up`, one an endpoint, which gave a body; those not asked stay as they are.
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

    use super::*;

    #[test]
    fn a_kept_body_holds_its_text_alone_and_is_read_again() {
        let read = |raw: &Bytes| serde_json::from_slice(raw).ok();
        let raw = Bytes::from_static(b"[1, 2]");
        let body = Body::new(raw.clone(), UNIX_EPOCH, serde_json::json!([1, 2]), read);
        let kept = body.to_keep();
        assert_eq!(kept.document, None);
        assert_eq!((kept.document(), kept.raw), (body.document(), raw));
    }

    #[test]
    fn all_that_a_poll_gave_is_of_the_time_of_its_last_answer() {
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let answered = |second| {
            let body = Body::new(Bytes::new(), at(second), Value::Null, |_| None);
            EndpointPoll::new(Outcome::Fresh(body))
        };
        let time = |endpoints| {
            let poll = Poll {
                started: at(10),
                ended: at(20),
                counting_since: at(0),
                duration: Duration::from_secs(10),
                missed_ticks: 0,
                endpoints,
                own: Vec::new(),
            };
            poll.time()
        };
        let failed = || EndpointPoll::new(Outcome::Failed(Failure::lost()));
        assert_eq!(time(vec![answered(12), answered(11), failed()]), at(12));
        assert_eq!(time(vec![failed()]), at(20), "nothing answered");
        assert_eq!(time(vec![answered(5)]), at(20), "a kept body is older");
    }
}
