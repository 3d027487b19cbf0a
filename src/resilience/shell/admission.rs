//! Leave for an attempt, or why there is none.
//!
//! A refusal is data from end to end: one that costs memory would cost it at every tick of every
//! target that is down.

use tokio::time::{Instant, timeout_at};

use crate::{
    pipeline::{ErrorType, Failure},
    resilience::{
        circuit::{CircuitPermit, Level, Refused},
        host::Host,
        outcome::Class,
        recorder::Event,
        retry::{Stop, least},
    },
};

/// A permit that is given back, without evidence, if the poll is dropped.
pub(super) struct Held<'h> {
    host: &'h Host,
    pub(super) permit: Option<CircuitPermit>,
}

/// Who gives no leave.
enum Refusal {
    Circuit(Refused),
    /// The guard: the fault may be ours.
    Guard,
}

impl Host {
    /// Waits for leave to make an attempt: only for the verdict of a probe that is under way.
    pub(super) async fn admit(
        &self,
        endpoint: usize,
        deadline: Instant,
    ) -> Result<Held<'_>, Failure> {
        let mut waited_for = None;
        loop {
            let mut verdict = std::pin::pin!(self.verdict.notified());
            // From here on no verdict is missed.
            verdict.as_mut().enable();
            let refusal = match (self.try_admit(endpoint), waited_for) {
                // An attempt without time would end as a failure that is nobody's.
                (Ok(held), Some(level)) if self.is_late(endpoint, deadline) => {
                    held.give_back();
                    return Err(self.refuse(endpoint, Refusal::waited(level)));
                }
                (Ok(held), _) => return Ok(held),
                (Err(refusal), _) => refusal,
            };
            let Refusal::Circuit(Refused::ProbeInFlight { level }) = refusal else {
                return Err(self.refuse(endpoint, refusal));
            };
            waited_for = Some(level);
            if timeout_at(deadline, verdict).await.is_err() {
                return Err(self.refuse(endpoint, refusal));
            }
        }
    }

    /// Leave, or who refuses it.
    fn try_admit(&self, endpoint: usize) -> Result<Held<'_>, Refusal> {
        let now = Instant::now();
        let (admitted, suspect) = self.fleet.ask_guard(now, self.member.position);
        if !admitted {
            return Err(Refusal::Guard);
        }
        let mut state = self.lock();
        state.circuit.hold(suspect);
        let changes = state.circuit.advance(now, endpoint);
        self.note_changes(&mut state, endpoint, changes, None);
        let permit = state.circuit.try_acquire(now, endpoint);
        permit.map_err(Refusal::Circuit).map(|permit| Held {
            host: self,
            permit: Some(permit),
        })
    }

    /// Whether what is left of a poll is less than an attempt needs.
    fn is_late(&self, endpoint: usize, deadline: Instant) -> bool {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let state = self.lock();
        let p50 = state.endpoints.get(endpoint).and_then(|e| e.timeout.p50());
        remaining < least(p50, self.fleet.settings.deadline)
    }

    fn refuse(&self, endpoint: usize, refusal: Refusal) -> Failure {
        let now = Instant::now();
        let mut state = self.lock();
        if let Refusal::Circuit(Refused::ProbeInFlight { level }) = refusal {
            // It waited in vain; one that waits and goes is not rejected.
            state.circuit.reject(endpoint, level);
        }
        self.record(&mut state, Some(endpoint), refusal.event(now));
        let (error_type, message) = refusal.reason();
        Failure {
            error_type,
            message: message.into(),
        }
    }

    /// No leave: what was sent before says more than why nothing else is.
    pub(super) fn give_up(
        &self,
        endpoint: usize,
        last: Option<Failure>,
        refusal: Failure,
    ) -> Failure {
        let Some(last) = last else {
            return refusal;
        };
        let reason = match refusal.error_type {
            ErrorType::Paused => Stop::RetryAfter,
            _ => Stop::Open,
        };
        self.count_suppressed(&mut self.lock(), endpoint, reason);
        last
    }
}

impl Refusal {
    /// A probe decided too late.
    fn waited(level: Level) -> Self {
        Self::Circuit(Refused::ProbeInFlight { level })
    }

    fn reason(&self) -> (ErrorType, &'static str) {
        match self {
            Self::Circuit(Refused::Open { .. }) => (ErrorType::CircuitOpen, "the breaker is open"),
            Self::Circuit(Refused::ProbeInFlight { .. }) => {
                (ErrorType::CircuitOpen, "the breaker waits for a probe")
            }
            Self::Circuit(Refused::Paused { .. }) => {
                (ErrorType::Paused, "the server asked for a pause")
            }
            Self::Guard => {
                let message = "most hosts fail: the fault may be ours";
                (ErrorType::Paused, message)
            }
        }
    }

    fn event(&self, now: Instant) -> Event {
        let left = |until: Instant| Some(until.saturating_duration_since(now));
        let (level, retry_in) = match *self {
            Self::Circuit(Refused::Open { level, retry_at }) => (Some(level), left(retry_at)),
            Self::Circuit(Refused::ProbeInFlight { level }) => (Some(level), None),
            Self::Circuit(Refused::Paused { until }) => (None, left(until)),
            Self::Guard => (None, None),
        };
        Event::Refused { level, retry_in }
    }
}

impl Held<'_> {
    pub(super) fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(CircuitPermit::is_probe)
    }

    /// Nothing was sent, so nothing is counted; who else waits may go.
    fn give_back(mut self) {
        if let Some(permit) = self.permit.take() {
            self.host.lock().circuit.give_back(permit);
            self.host.verdict.notify_waiters();
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let verdict = self.host.fleet.settings.statuses.classify(Class::Cancelled);
        let mut state = self.host.lock();
        let state = &mut *state;
        // Shut down or dropped: no evidence, and others need not wait for it.
        let _no_change = state
            .circuit
            .complete(Instant::now(), permit, &verdict, &mut state.rng);
        self.host.verdict.notify_waiters();
    }
}
