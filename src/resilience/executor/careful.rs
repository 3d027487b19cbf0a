//! Requests that are made so that they can harm nobody, or not at all: how they are made, and
//! what is said when a host stops answering because of one.

use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;

use super::{Attempt, PollProgress, PollResult};
use crate::{
    pipeline::{ErrorType, PollFailure, PollOutcome},
    resilience::{
        caution::{Change, Heard, Next, Steps},
        outcome::ResultClass,
        recorder::{DecisionEvent, DecisionScope},
        target_resilience::{HostState, TargetResilience},
    },
};

/// How an endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// When its poll ends, retries and all.
    pub deadline: Instant,
    /// Whether nothing else is in flight. It has the longest timeout then, so that its silence
    /// means something.
    pub alone: bool,
}

/// Why an endpoint is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declined {
    /// The one before it has not answered.
    Waiting,
    /// It may have made the host hang.
    Suspect,
}

impl Declined {
    fn failure(self) -> PollFailure {
        let (error_type, message) = match self {
            Self::Waiting => (
                ErrorType::Waiting,
                "not asked: the endpoint before it has to answer first",
            ),
            Self::Suspect => (
                ErrorType::Suspect,
                "not asked: the host stopped answering when this endpoint was asked last",
            ),
        };
        PollFailure {
            error_type,
            message: message.into(),
        }
    }
}

impl TargetResilience {
    /// How the endpoints that are `asked`, one flag each, are to be asked.
    pub fn steps(&self, asked: &[bool]) -> Steps {
        self.lock().caution.steps(Instant::now(), asked)
    }

    /// What a poll that begins now has in all.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.settings.deadline
    }

    /// The same for an endpoint that is asked alone, of a poll until `deadline`: one attempt fits in any
    /// case, or an endpoint behind a slow one would never be asked.
    pub fn deadline_alone(&self, endpoint: usize, deadline: Instant) -> Instant {
        deadline.max(Instant::now() + self.patience(endpoint))
    }

    fn patience(&self, endpoint: usize) -> Duration {
        let state = self.lock();
        let timeouts = state.endpoints.get(endpoint).map(|e| e.timeouts.at(0));
        let patience = timeouts.map(|timeout| timeout.probe_limit());
        patience.unwrap_or(self.settings.deadline)
    }

    /// Takes what those that were asked together came to; whether others may be asked now.
    pub fn heard_together(&self, heard: &[(usize, Heard)]) -> bool {
        let mut state = self.lock();
        let (goes_on, change) = state.caution.together(Instant::now(), heard);
        self.note_suspicion(&mut state, change);
        goes_on
    }

    /// Takes what the only request in flight came to.
    pub fn heard_alone(&self, endpoint: usize, heard: Heard) -> Next {
        let mut state = self.lock();
        let (next, change) = state.caution.alone(Instant::now(), endpoint, heard);
        self.note_suspicion(&mut state, change);
        next
    }

    /// Asks a witness, once, whether the host has outlived a request to `endpoint`, which came to
    /// `was`. Whether others may be asked now, and whether the endpoint is the suspect.
    pub async fn confirm(
        &self,
        (endpoint, was): (usize, Heard),
        witness: usize,
        attempt: &impl Attempt,
    ) -> Confirmed {
        let instance = self
            .lock()
            .endpoints
            .get(endpoint)
            .map_or(0, |e| e.asked_at);
        let (heard, was_sent) = self.ask_once(witness, instance, attempt).await;
        let mut state = self.lock();
        let of = (endpoint, was);
        let (goes_on, change) = state.caution.confirmed(Instant::now(), of, heard);
        self.note_suspicion(&mut state, change);
        Confirmed {
            goes_on,
            is_suspect: matches!(change, Some(Change::Suspected { .. })),
            was_sent,
        }
    }

    /// One attempt at the instance, of which nothing is kept but what it says of the host.
    async fn ask_once(
        &self,
        endpoint: usize,
        instance: usize,
        attempt: &impl Attempt,
    ) -> (Heard, bool) {
        let Ok(held) = self.try_admit(endpoint, Some(instance)) else {
            return (Heard::Nothing, false);
        };
        let deadline = Instant::now() + self.patience(endpoint);
        let mut poll = PollProgress::new(
            endpoint,
            Manner {
                deadline,
                alone: true,
            },
        );
        let (sent, order) = self.send(&poll, held);
        let result = attempt.make(order).await;
        let heard = match &result {
            Ok(_) => Heard::Answer,
            Err(miss) => Heard::of_failure(miss.failure.error_type),
        };
        self.set_aside(sent.landed(&mut poll, result));
        (heard, poll.attempts > 0)
    }

    /// An endpoint is not asked; what was kept of it may stand in.
    pub fn decline(&self, endpoint: usize, why: Declined) -> PollResult {
        let flying = self.take_off(endpoint);
        let polled = PollResult {
            outcome: PollOutcome::Failed(why.failure()),
            attempts: 0,
            retry_delay: Duration::ZERO,
            stale_age: self.fall_back(endpoint),
        };
        flying.land(&polled);
        polled
    }

    /// Why a reader gets nothing new of an endpoint that is left out.
    pub(super) fn left_out(&self, endpoint: usize) -> Option<PollFailure> {
        let state = self.lock();
        let is_left_out = state.caution.is_left_out(Instant::now(), endpoint);
        is_left_out.then(|| Declined::Suspect.failure())
    }

    /// Whether silence ends a poll: a request after which nothing may answer any more is not
    /// repeated, be it here or at another instance.
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
        let (target, path) = (&self.name, self.path(endpoint));
        match change {
            _ if self.is_passing() => {}
            Some(Change::Suspected { left_out, .. }) => tracing::warn!(
                target,
                endpoint = path,
                left_out_for_seconds = left_out.as_secs(),
                "the host hangs since this endpoint was asked: it is left out as the suspect"
            ),
            _ => tracing::info!(
                target,
                endpoint = path,
                "the host answers after this endpoint was asked: it is no suspect any more"
            ),
        }
    }
}

/// What a witness said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// Whether others may be asked now.
    pub goes_on: bool,
    /// Whether the host hangs since the endpoint was asked.
    pub is_suspect: bool,
    /// Whether the witness was asked at all.
    pub was_sent: bool,
}

impl PollFailure {
    /// The same failure of an endpoint after which the host answered nothing.
    #[must_use]
    pub fn of_suspect(self) -> Self {
        let Self {
            error_type,
            message,
        } = self;
        let message = format!(
            "{message}; then the host answered nothing at all: suspect, asking this endpoint may \
             make it hang"
        );
        Self {
            error_type,
            message: Cow::Owned(message),
        }
    }
}
