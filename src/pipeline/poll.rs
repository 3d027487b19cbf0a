//! What a receiver found at a target.

use std::{
    borrow::Cow,
    fmt,
    ops::Deref,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde_json::Value;

use super::{Allowance, OwnReading, Share};
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
    pub outcome: PollOutcome,
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
pub enum PollOutcome {
    /// The endpoint answered with a body that could be read.
    Fresh(Body),
    /// The endpoint said that its last body still holds (304).
    NotModified(Body),
    /// It did neither.
    Failed(PollFailure),
    /// It was not asked in this round.
    Skipped,
}

/// From so many bytes of text on, a body is large: what it takes is accounted for, and it is worked
/// on apart from what waits for the network.
pub const LARGE_BYTES: usize = 64 * 1024;

/// How a text is read.
type Read = dyn Fn(&Bytes) -> Option<Value> + Send + Sync;

/// A body that can be read.
#[derive(Clone)]
pub struct Body {
    /// What it holds, decompressed.
    pub raw: Bytes,
    /// When it was there whole.
    pub received: SystemTime,
    /// Characters and numbers in it that its format does not allow, and that were read as U+FFFD, as
    /// nothing or as text.
    pub repaired: u64,
    /// None where the body is only kept.
    document: Option<Arc<Document>>,
    read: Arc<Read>,
    accounts: Option<Arc<Accounts>>,
}

/// Where the text of a body is accounted for.
struct Accounts {
    _text: Option<Share>,
    /// For what is kept of it.
    kept: Arc<Allowance>,
}

/// What was read of a body.
#[derive(Debug)]
pub struct Document {
    value: Value,
    _share: Option<Share>,
}

/// Why an endpoint gave no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollFailure {
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
    /// Not asked or not read: there is no memory for it here.
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
            Self::Status(code) => code.to_string().into(),
            Self::Limiter => "limiter".into(),
            Self::Credentials => "credentials".into(),
            Self::CircuitOpen => "circuit_open".into(),
            Self::Paused => "paused".into(),
            Self::Waiting => "waiting".into(),
            Self::Suspect => "suspect".into(),
            Self::Memory => "memory".into(),
        }
    }
}

impl Body {
    /// A body of which `document` was read, as `read` does.
    pub fn new(
        raw: Bytes,
        received: SystemTime,
        document: Value,
        read: impl Fn(&Bytes) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        Self {
            raw,
            received,
            repaired: 0,
            document: Some(Arc::new(Document {
                value: document,
                _share: None,
            })),
            read: Arc::new(read),
            accounts: None,
        }
    }

    /// The same with what it takes of the memory for documents: the `text` if it is large, and its
    /// document, which takes `document_bytes`. Where there is no room for that one, it is read
    /// again when it is asked for. A copy to keep takes of `kept`.
    #[must_use]
    pub fn accounted(
        self,
        text: Option<Share>,
        document_bytes: u64,
        all: &Arc<Allowance>,
        kept: &Arc<Allowance>,
    ) -> Self {
        let is_small = document_bytes <= LARGE_BYTES as u64;
        let share = if is_small {
            None
        } else {
            all.take(document_bytes)
        };
        let has_room = is_small || share.is_some();
        let document = self.document.filter(|_| has_room);
        let document = document.and_then(Arc::into_inner).map(|document| {
            Arc::new(Document {
                _share: share,
                ..document
            })
        });
        Self {
            document,
            accounts: Some(Arc::new(Accounts {
                _text: text,
                kept: Arc::clone(kept),
            })),
            ..self
        }
    }

    /// The same to keep: a document takes several times the room of its text, and a fleet keeps
    /// many that nobody asks for. None if there is no room for it.
    #[must_use]
    pub fn to_keep(&self) -> Option<Self> {
        let mut accounts = self.accounts.clone();
        if let Some(account) = accounts.as_mut().filter(|_| self.is_large()) {
            *account = Arc::new(Accounts {
                _text: Some(account.kept.take(self.raw.len() as u64)?),
                kept: Arc::clone(&account.kept),
            });
        }
        Some(Self {
            document: None,
            accounts,
            ..self.clone()
        })
    }

    /// Whether it is worked on apart from what waits for the network.
    pub fn is_large(&self) -> bool {
        self.raw.len() > LARGE_BYTES
    }

    /// What was read of it, or is now where it was only kept.
    pub fn document(&self) -> Option<Arc<Document>> {
        let again = || {
            let value = (self.read)(&self.raw)?;
            Some(Arc::new(Document {
                value,
                _share: None,
            }))
        };
        self.document.clone().or_else(again)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("bytes", &self.raw.len())
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Deref for Document {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl PollFailure {
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
    /// The value of the `outcome` attribute; none for an endpoint that was not asked.
    pub fn outcome_name(&self) -> Option<&'static str> {
        match (&self.outcome, self.stale_age) {
            (PollOutcome::Fresh(_), _) => Some("fresh"),
            (PollOutcome::NotModified(_), _) => Some("not_modified"),
            (PollOutcome::Failed(_), Some(_)) => Some("stale"),
            (PollOutcome::Failed(_), None) => Some("missing"),
            (PollOutcome::Skipped, _) => None,
        }
    }

    /// A result that took no time and no request.
    pub fn new(outcome: PollOutcome) -> Self {
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
        !matches!(self.outcome, PollOutcome::Skipped)
    }

    /// The body, if there is one.
    pub fn body(&self) -> Option<&Body> {
        match &self.outcome {
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

    /// Whether a body is worked on apart from what waits for the network.
    pub fn is_large(&self) -> bool {
        let mut bodies = self.endpoints.iter().filter_map(EndpointPoll::body);
        bodies.any(Body::is_large)
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

    fn body(raw: &'static str) -> Body {
        let read = |raw: &Bytes| serde_json::from_slice(raw).ok();
        let raw = Bytes::from_static(raw.as_bytes());
        let document = serde_json::from_slice(&raw).unwrap();
        Body::new(raw, UNIX_EPOCH, document, read)
    }

    #[test]
    fn a_kept_body_holds_its_text_alone_and_is_read_again() {
        let body = body("[1, 2]");
        let kept = body.to_keep().unwrap();
        assert!(kept.document.is_none());
        let value = |body: &Body| body.document().unwrap().value.clone();
        assert_eq!((value(&kept), &kept.raw), (value(&body), &body.raw));
    }

    #[test]
    fn a_document_for_which_there_is_no_room_is_read_when_it_is_asked_for() {
        let [all, kept] = [100_000, 0].map(Allowance::new);
        let [first, second, small] =
            [70_000, 70_000, 100].map(|bytes| body("[1]").accounted(None, bytes, &all, &kept));
        assert_eq!(all.taken(), 70_000);
        assert!(first.document.is_some() && second.document.is_none());
        assert!(small.document.is_some(), "it is not accounted for");
        assert_eq!(second.document().unwrap().value, serde_json::json!([1]));
        drop(first);
        assert_eq!(all.taken(), 0);
    }

    #[test]
    fn what_is_kept_has_an_account_of_its_own() {
        let text: &'static str = Box::leak("7".repeat(LARGE_BYTES + 1).into_boxed_str());
        let [all, kept] = [100_000, 100_000].map(Allowance::new);
        let share = all.take(text.len() as u64);
        let raw = Bytes::from_static(text.as_bytes());
        let body = Body::new(raw, UNIX_EPOCH, Value::Null, |_| None);
        let body = body.accounted(share, 1, &all, &kept);
        let first = body.to_keep().unwrap();
        assert!(body.to_keep().is_none(), "no room for another one");
        drop(body);
        assert_eq!((all.taken(), kept.taken()), (0, text.len() as u64));
        drop(first);
        assert_eq!(kept.taken(), 0);
    }

    #[test]
    fn all_that_a_poll_gave_is_of_the_time_of_its_last_answer() {
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let answered = |second| {
            let body = Body::new(Bytes::new(), at(second), Value::Null, |_| None);
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
                own: Vec::new(),
            };
            poll.time()
        };
        let failed = || EndpointPoll::new(PollOutcome::Failed(PollFailure::lost()));
        assert_eq!(time(vec![answered(12), answered(11), failed()]), at(12));
        assert_eq!(time(vec![failed()]), at(20), "nothing answered");
        assert_eq!(time(vec![answered(5)]), at(20), "a kept body is older");
    }
}
