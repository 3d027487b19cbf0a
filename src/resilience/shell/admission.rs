//! Leave for an attempt, or why there is none.
//!
//! A refusal is data from end to end: one that costs memory would cost it at every tick of every
//! target that is down.

use tokio::time::{Instant, timeout_at};

use super::Cause;
use crate::{
    pipeline::{ErrorType, Failure},
    resilience::{
        circuit::{CircuitPermit, Level, Refused},
        host::{Host, HostState},
        outcome::Class,
        recorder::{Event, Place},
        retry::{Stop, least},
    },
};

/// A permit that is given back, without evidence, if the poll is dropped.
pub(super) struct Held<'h> {
    host: &'h Host,
    /// Where an attempt may be made, by its position.
    pub(super) instance: usize,
    pub(super) permit: Option<CircuitPermit>,
}

/// Who gives no leave.
pub(super) enum Refusal {
    /// The breakers of this instance; those of the others do not either, and for longer.
    Circuit(usize, Refused),
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
            let refusal = match (self.try_admit(endpoint, None), waited_for) {
                // An attempt without time would end as a failure that is nobody's.
                (Ok(held), Some(level)) if self.is_late(&held, endpoint, deadline) => {
                    let waited = Refusal::waited(held.instance, level);
                    held.give_back();
                    return Err(self.refuse(endpoint, waited));
                }
                (Ok(held), _) => return Ok(held),
                (Err(refusal), _) => refusal,
            };
            let Refusal::Circuit(_, Refused::ProbeInFlight { level }) = refusal else {
                return Err(self.refuse(endpoint, refusal));
            };
            waited_for = Some(level);
            if timeout_at(deadline, verdict).await.is_err() {
                return Err(self.refuse(endpoint, refusal));
            }
        }
    }

    /// Leave, perhaps for one instance only, or who refuses it.
    pub(super) fn try_admit(
        &self,
        endpoint: usize,
        only: Option<usize>,
    ) -> Result<Held<'_>, Refusal> {
        let now = Instant::now();
        let (admitted, suspect) = self.fleet.ask_guard(now, self.member.position);
        if !admitted {
            return Err(Refusal::Guard);
        }
        let mut state = self.lock();
        let state = &mut *state;
        for circuit in state.circuits.iter_mut() {
            circuit.hold(suspect);
        }
        let instance = only.unwrap_or_else(|| self.choose(state, now, endpoint));
        let changes = state.circuits.at_mut(instance).advance(now, endpoint);
        let place = self.place(endpoint, instance);
        self.note_changes(state, place, changes, None);
        self.acquire(state, now, endpoint, instance)
            .map_err(|refused| Refusal::Circuit(instance, refused))
    }

    pub(super) fn acquire(
        &self,
        state: &mut HostState,
        now: Instant,
        endpoint: usize,
        instance: usize,
    ) -> Result<Held<'_>, Refused> {
        let permit = state.circuits.at_mut(instance).try_acquire(now, endpoint)?;
        Ok(Held {
            host: self,
            instance,
            permit: Some(permit),
        })
    }

    /// Whether what is left of a poll is less than an attempt needs.
    fn is_late(&self, held: &Held<'_>, endpoint: usize, deadline: Instant) -> bool {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let state = self.lock();
        let timeouts = state.endpoints.get(endpoint).map(|e| &e.timeouts);
        let p50 = timeouts.and_then(|timeouts| timeouts.at(held.instance).p50());
        remaining < least(p50, self.settings.deadline)
    }

    fn refuse(&self, endpoint: usize, refusal: Refusal) -> Failure {
        let now = Instant::now();
        let mut state = self.lock();
        let mut place = Place::endpoint(endpoint);
        if let Refusal::Circuit(instance, refused) = refusal {
            place = self.place(endpoint, instance);
            if let Refused::ProbeInFlight { level } = refused {
                // It waited in vain; one that waits and goes is not rejected.
                state.circuits.at_mut(instance).reject(endpoint, level);
            }
        }
        self.record(&mut state, place, refusal.event(now));
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
        cause: Option<Cause>,
        refusal: Failure,
    ) -> Failure {
        let Some(cause) = cause else {
            return refusal;
        };
        let reason = match refusal.error_type {
            ErrorType::Paused => Stop::RetryAfter,
            _ => Stop::Open,
        };
        self.count_suppressed(&mut self.lock(), endpoint, reason);
        cause.failure
    }
}

impl Refusal {
    /// A probe decided too late.
    fn waited(instance: usize, level: Level) -> Self {
        Self::Circuit(instance, Refused::ProbeInFlight { level })
    }

    fn reason(&self) -> (ErrorType, &'static str) {
        match self {
            Self::Circuit(_, Refused::Open { .. }) => {
                (ErrorType::CircuitOpen, "the breaker is open")
            }
            Self::Circuit(_, Refused::ProbeInFlight { .. }) => {
                (ErrorType::CircuitOpen, "the breaker waits for a probe")
            }
            Self::Circuit(_, Refused::Paused { .. }) => {
                (ErrorType::Paused, "the server asked for a pause")
            }
            Self::Guard => {
                let message = "most hosts fail: the fault may be ours";
                (ErrorType::Paused, message)
            }
        }
    }

    fn event(&self, now: Instant) -> Event {
        let left = |until: Instant| Some(until.saturating_duration_since(now).into());
        let (level, retry_in) = match *self {
            Self::Circuit(_, Refused::Open { level, retry_at }) => (Some(level), left(retry_at)),
            Self::Circuit(_, Refused::ProbeInFlight { level }) => (Some(level), None),
            Self::Circuit(_, Refused::Paused { until }) => (None, left(until)),
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
            let mut state = self.host.lock();
            state.circuits.at_mut(self.instance).give_back(permit);
            drop(state);
            self.host.verdict.notify_waiters();
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let verdict = self.host.settings.statuses.classify(Class::Cancelled);
        let mut state = self.host.lock();
        let state = &mut *state;
        // Shut down or dropped: no evidence, and others need not wait for it.
        let circuit = state.circuits.at_mut(self.instance);
        let _no_change = circuit.complete(Instant::now(), permit, &verdict, &mut state.rng);
        self.host.verdict.notify_waiters();
    }
}
