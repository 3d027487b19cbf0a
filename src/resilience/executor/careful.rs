//! Sends requests so that they cannot harm a node, or not at all, and logs when a host stops
//! answering because of one.

use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;

use super::{
    AttemptError, AttemptRequest, AttemptResponse, PollProgress, PollResult,
    sent_attempt::SentAttempt,
};
use crate::{
    pipeline::{Body, ErrorType, PollFailure, PollOutcome},
    resilience::{
        cache::{CacheHeaders, Reader},
        caution::{Change, Heard, Next, Steps},
        outcome::ResultClass,
        recorder::{DecisionEvent, DecisionScope},
        target_resilience::TargetResilience,
        target_state::HostState,
    },
};

/// How an endpoint is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// When its poll ends, with all retries.
    pub deadline: Instant,
    /// Whether no other request is in progress. Then it has the longest timeout, so that a missing
    /// answer has a meaning.
    pub alone: bool,
}

/// Why an endpoint is not polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declined {
    /// The previous endpoint has not answered.
    Waiting,
    /// It may have made the host hang.
    Suspect,
    /// The endpoint whose answer has the elements gave none.
    Parent,
    /// That answer has no place for elements.
    NoElements,
}

impl Declined {
    fn failure(self) -> PollFailure {
        let (error_type, message) = match self {
            Self::Waiting => (
                ErrorType::Waiting,
                "not polled: the endpoint before it has to answer first",
            ),
            Self::Suspect => (
                ErrorType::Suspect,
                "not polled: the host stopped answering after the last request to this endpoint",
            ),
            Self::Parent => (
                ErrorType::Parent,
                "not polled: the endpoint of its `for_each`, which has the elements, gave no answer",
            ),
            Self::NoElements => (
                ErrorType::Parent,
                "not polled: the path of its `for_each` leads to nothing in the answer",
            ),
        };
        PollFailure {
            error_type,
            message: message.into(),
        }
    }
}

impl TargetResilience {
    /// The order for the endpoints in `asked`, one flag for each endpoint.
    pub fn steps(&self, asked: &[bool]) -> Steps {
        self.lock().caution.steps(Instant::now(), asked)
    }

    /// The deadline of a poll that starts now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.settings.deadline
    }

    /// The deadline for an endpoint that is polled alone, in a poll until `deadline`. One attempt
    /// always fits, or an endpoint after a slow one would never be polled.
    pub fn deadline_alone(&self, deadline: Instant) -> Instant {
        deadline.max(Instant::now() + self.settings.timeout.max.get())
    }

    /// Records the results of endpoints that were polled together. Returns whether others may be
    /// polled now.
    pub fn heard_together(&self, heard: &[(usize, Heard)]) -> bool {
        let mut state = self.lock();
        let (goes_on, change) = state.caution.together(Instant::now(), heard);
        self.note_suspicion(&mut state, change);
        goes_on
    }

    /// Records the result of the only request in progress.
    pub fn heard_alone(&self, endpoint: usize, heard: Heard) -> Next {
        let mut state = self.lock();
        let (next, change) = state.caution.alone(Instant::now(), endpoint, heard);
        self.note_suspicion(&mut state, change);
        next
    }

    /// An attempt at the endpoint `witness`, which shows whether the host has survived a request to
    /// `endpoint`. Nothing of it is kept but what it shows of the host. None if the breakers refuse
    /// it.
    pub fn ask_witness(&self, endpoint: usize, witness: usize) -> Option<WitnessAttempt<'_>> {
        let instance = self
            .lock()
            .endpoints
            .get(endpoint)
            .map_or(0, |e| e.asked_at);
        let held = self.try_admit(witness, Some(instance)).ok()?;
        let manner = Manner {
            deadline: Instant::now() + self.settings.timeout.max.get(),
            alone: true,
        };
        let progress = PollProgress::new(witness, manner);
        let (sent, request) = self.send(&progress, held);
        Some(WitnessAttempt {
            host: self,
            progress,
            sent,
            request,
        })
    }

    /// Takes what a witness said after a request to `endpoint` that came to `was`.
    pub fn confirmed(&self, endpoint: usize, was: Heard, answer: WitnessAnswer) -> Confirmed {
        let mut state = self.lock();
        let of = (endpoint, was);
        let (goes_on, change) = state.caution.confirmed(Instant::now(), of, answer.heard);
        self.note_suspicion(&mut state, change);
        Confirmed {
            goes_on,
            is_suspect: matches!(change, Some(Change::Suspected { .. })),
        }
    }

    /// The result of an endpoint that is not polled. Its cached answer may replace the missing one.
    pub fn decline(&self, endpoint: usize, why: Declined) -> PollResult {
        let in_flight = self.start_poll(endpoint);
        let polled = PollResult {
            outcome: PollOutcome::Failed(why.failure()),
            attempts: 0,
            retry_delay: Duration::ZERO,
            stale_age: self.fall_back(endpoint),
        };
        in_flight.finish(&polled);
        polled
    }

    /// The result of an endpoint that needs no request: there is nothing to ask for.
    pub fn without_request(&self, endpoint: usize, body: Body) -> PollResult {
        let in_flight = self.start_poll(endpoint);
        let now = Instant::now();
        if let Some(endpoint) = self.lock().endpoints.get_mut(endpoint) {
            endpoint.slot.clear();
            match body.to_keep() {
                Some(kept) => endpoint
                    .slot
                    .store(Reader::Poll, now, CacheHeaders::default(), kept),
                None => endpoint.slot.forgo(Reader::Poll),
            }
        }
        let polled = PollResult {
            outcome: PollOutcome::Fresh(body),
            attempts: 0,
            retry_delay: Duration::ZERO,
            stale_age: None,
        };
        in_flight.finish(&polled);
        polled
    }

    /// Why a reader gets no new answer from an endpoint that is not polled.
    pub(super) fn left_out(&self, endpoint: usize) -> Option<PollFailure> {
        let state = self.lock();
        let is_left_out = state.caution.is_left_out(Instant::now(), endpoint);
        is_left_out.then(|| Declined::Suspect.failure())
    }

    /// Whether a missing answer ends the poll: a request after which nothing may answer any more is
    /// not repeated, neither here nor at another instance.
    pub(super) fn is_once(
        &self,
        state: &HostState,
        poll: &PollProgress,
        class: ResultClass,
    ) -> bool {
        let is_silence = matches!(
            class,
            ResultClass::Timeout | ResultClass::DeadlineCut { .. }
        );
        let caution = &state.caution;
        let may_harm =
            caution.has_outlived_any() || (self.is_pool() && !caution.is_known(poll.endpoint));
        poll.alone && is_silence && may_harm
    }

    fn note_suspicion(&self, state: &mut HostState, change: Option<Change>) {
        let (endpoint, is_suspect) = match change {
            None => return,
            Some(Change::Suspected { endpoint, .. }) => (endpoint, true),
            Some(Change::Cleared { endpoint }) => (endpoint, false),
        };
        let event = DecisionEvent::Suspicion { is_suspect };
        self.record(state, DecisionScope::endpoint(endpoint), event);
        let (target, endpoint) = (&self.name, self.endpoint_name(endpoint));
        match change {
            _ if self.is_passing() => {}
            Some(Change::Suspected { left_out, .. }) => tracing::warn!(
                target,
                endpoint,
                left_out_for_seconds = left_out.as_secs(),
                "the host hangs since a request to this endpoint: the suspect is not polled any more"
            ),
            _ => tracing::info!(
                target,
                endpoint,
                "the host answers after a request to this endpoint: the suspicion is over"
            ),
        }
    }
}

/// An attempt at a witness.
pub struct WitnessAttempt<'h> {
    host: &'h TargetResilience,
    progress: PollProgress,
    sent: SentAttempt<'h>,
    /// What its driver sends.
    pub request: AttemptRequest,
}

/// The answer of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WitnessAnswer {
    heard: Heard,
    /// Whether a request to it was sent.
    pub was_sent: bool,
}

impl WitnessAnswer {
    /// Of a witness that was not asked.
    pub const NONE: Self = Self {
        heard: Heard::Nothing,
        was_sent: false,
    };
}

impl WitnessAttempt<'_> {
    /// Takes the result of the attempt.
    pub fn record(mut self, result: Result<AttemptResponse, AttemptError>) -> WitnessAnswer {
        let heard = match &result {
            Ok(_) => Heard::Answer,
            Err(miss) => Heard::of_failure(miss.failure.error_type),
        };
        let finished = self.sent.finish(&mut self.progress, result);
        self.host.settle_witness(finished);
        WitnessAnswer {
            heard,
            was_sent: self.progress.attempts > 0,
        }
    }
}

/// What follows from the answer of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// Whether others may be polled now.
    pub goes_on: bool,
    /// Whether the host hangs since the request to the endpoint.
    pub is_suspect: bool,
}

impl PollFailure {
    /// The failure of an endpoint after which the host stopped answering.
    #[must_use]
    pub fn of_suspect(self) -> Self {
        let Self {
            error_type,
            message,
        } = self;
        let message = format!(
            "{message}; then the host stopped answering: suspect, a request to this endpoint may \
             make it hang"
        );
        Self {
            error_type,
            message: Cow::Owned(message),
        }
    }
}
