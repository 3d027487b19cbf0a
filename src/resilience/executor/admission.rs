//! Admission control: returns a permit or the reason for the refusal.
//!
//! Refusals must not allocate memory: they happen at every tick of every target that is down.

use tokio::time::{Instant, timeout_at};

use super::RetryCause;
use crate::{
    pipeline::{ErrorType, PollFailure},
    resilience::{
        circuit::{BreakerLevel, CircuitPermit, CircuitRefusal},
        outcome::ResultClass,
        recorder::{DecisionEvent, DecisionScope},
        retry::{RetryStop, least},
        target_resilience::TargetResilience,
        target_state::HostState,
        time::DecisionInputs,
    },
};

/// A permit that is returned, without evidence, if the poll is dropped.
pub(super) struct AttemptPermit<'h> {
    host: &'h TargetResilience,
    /// The position of the instance.
    pub(super) instance: usize,
    /// When it was given.
    pub(super) at: Instant,
    pub(super) permit: Option<CircuitPermit>,
}

/// Why an attempt is refused.
pub(super) enum AdmissionRefusal {
    /// The breakers of this instance. Those of the others refuse too, and for longer.
    Circuit(usize, CircuitRefusal),
    /// The outage guard: the fault may be on the collector's side.
    Guard,
}

impl TargetResilience {
    /// Waits for permission for an attempt. It waits only for a trial request in progress.
    pub(super) async fn admit(
        &self,
        endpoint: usize,
        deadline: Instant,
    ) -> Result<AttemptPermit<'_>, PollFailure> {
        let mut waited_for = None;
        loop {
            // From here on no result is missed: `notify_waiters` reaches those that do not wait yet.
            let verdict = self.state.verdict.notified();
            let refusal = match (self.try_admit(endpoint, None), waited_for) {
                // An attempt without time would end as a failure that is nobody's fault.
                (Ok(held), Some(level)) if self.is_late(&held, endpoint, deadline) => {
                    let waited = AdmissionRefusal::waited(held.instance, level);
                    held.give_back();
                    return Err(self.refuse(endpoint, waited));
                }
                (Ok(held), _) => return Ok(held),
                (Err(refusal), _) => refusal,
            };
            let AdmissionRefusal::Circuit(_, CircuitRefusal::ProbeInFlight { level }) = refusal
            else {
                return Err(self.refuse(endpoint, refusal));
            };
            waited_for = Some(level);
            if timeout_at(deadline, verdict).await.is_err() {
                return Err(self.refuse(endpoint, refusal));
            }
        }
    }

    /// A permit, perhaps only for one instance, or the reason for the refusal.
    pub(super) fn try_admit(
        &self,
        endpoint: usize,
        only: Option<usize>,
    ) -> Result<AttemptPermit<'_>, AdmissionRefusal> {
        let now = Instant::now();
        let (admitted, suspect) = self.fleet().ask_guard(now, self.state.slot.position);
        if !admitted {
            return Err(AdmissionRefusal::Guard);
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
            .map_err(|refused| AdmissionRefusal::Circuit(instance, refused))
    }

    pub(super) fn acquire(
        &self,
        state: &mut HostState,
        now: Instant,
        endpoint: usize,
        instance: usize,
    ) -> Result<AttemptPermit<'_>, CircuitRefusal> {
        let circuit = state.circuits.at_mut(instance);
        let permit = circuit.try_acquire(&self.circuit, now, endpoint)?;
        Ok(AttemptPermit {
            host: self,
            instance,
            at: now,
            permit: Some(permit),
        })
    }

    /// Whether the poll has less time left than an attempt needs.
    fn is_late(&self, held: &AttemptPermit<'_>, endpoint: usize, deadline: Instant) -> bool {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let state = self.lock();
        let timeouts = state.endpoints.get(endpoint).map(|e| &e.timeouts);
        let p50 = timeouts.and_then(|timeouts| timeouts.at(held.instance).p50());
        remaining < least(p50, self.settings.deadline)
    }

    fn refuse(&self, endpoint: usize, refusal: AdmissionRefusal) -> PollFailure {
        let now = Instant::now();
        let mut state = self.lock();
        let mut place = DecisionScope::endpoint(endpoint);
        if let AdmissionRefusal::Circuit(instance, refused) = refusal {
            place = self.place(endpoint, instance);
            if let CircuitRefusal::ProbeInFlight { level } = refused {
                // It waited without success. A request that waits and then proceeds does not count
                // as rejected.
                state.circuits.at_mut(instance).reject(endpoint, level);
            }
        }
        self.record(&mut state, place, refusal.event(now));
        let (error_type, message) = refusal.reason();
        PollFailure {
            error_type,
            message: message.into(),
        }
    }

    /// Ends a poll without a permit. The failure of an earlier attempt says more than the refusal.
    pub(super) fn give_up(
        &self,
        endpoint: usize,
        cause: Option<RetryCause>,
        refusal: PollFailure,
    ) -> PollFailure {
        let Some(cause) = cause else {
            return refusal;
        };
        let reason = match refusal.error_type {
            ErrorType::Paused => RetryStop::RetryAfter,
            _ => RetryStop::Open,
        };
        self.count_suppressed(&mut self.lock(), endpoint, reason);
        cause.failure
    }
}

impl AdmissionRefusal {
    /// The trial request ended too late.
    fn waited(instance: usize, level: BreakerLevel) -> Self {
        Self::Circuit(instance, CircuitRefusal::ProbeInFlight { level })
    }

    fn reason(&self) -> (ErrorType, &'static str) {
        match self {
            Self::Circuit(_, CircuitRefusal::Open { .. }) => {
                (ErrorType::CircuitOpen, "the breaker is open")
            }
            Self::Circuit(_, CircuitRefusal::ProbeInFlight { .. }) => (
                ErrorType::CircuitOpen,
                "the breaker waits for a trial request",
            ),
            Self::Circuit(_, CircuitRefusal::Paused { .. }) => {
                (ErrorType::Paused, "the server asked for a pause")
            }
            Self::Guard => {
                let message = "most hosts fail: the fault may be on the collector's side";
                (ErrorType::Paused, message)
            }
        }
    }

    fn event(&self, now: Instant) -> DecisionEvent {
        let left = |until: Instant| Some(until.saturating_duration_since(now).into());
        let (level, retry_in) = match *self {
            Self::Circuit(_, CircuitRefusal::Open { level, retry_at }) => {
                (Some(level), left(retry_at))
            }
            Self::Circuit(_, CircuitRefusal::ProbeInFlight { level }) => (Some(level), None),
            Self::Circuit(_, CircuitRefusal::Paused { until }) => (None, left(until)),
            Self::Guard => (None, None),
        };
        DecisionEvent::Refused {
            level,
            retry_in,
            times: 1,
        }
    }
}

impl AttemptPermit<'_> {
    pub(super) fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(CircuitPermit::is_probe)
    }

    /// Nothing was sent, so nothing is counted. Other waiting requests may proceed.
    fn give_back(mut self) {
        if let Some(permit) = self.permit.take() {
            let mut state = self.host.lock();
            state.circuits.at_mut(self.instance).give_back(permit);
            drop(state);
            self.host.state.verdict.notify_waiters();
        }
    }
}

impl Drop for AttemptPermit<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let verdict = self.host.settings.statuses.classify(ResultClass::Cancelled);
        let mut state = self.host.lock();
        let state = &mut *state;
        // The poll was shut down or dropped: no evidence, and others need not wait for it.
        let circuit = state.circuits.at_mut(self.instance);
        let inputs = DecisionInputs {
            now: Instant::now(),
            rng: &mut state.rng,
        };
        let _no_change = circuit.complete(&self.host.circuit, permit, &verdict, inputs);
        self.host.state.verdict.notify_waiters();
    }
}
