//! The policies of one target, over the state of that target.

use std::{
    sync::{Arc, MutexGuard},
    time::SystemTime,
};

use tokio::time::Instant;

use super::{
    caution::Caution,
    circuit::{BreakerLevel, CircuitChanges, CircuitPolicy},
    receiver_resilience::{ReceiverResilience, ResilienceSettings, TargetSlot},
    recorder::{DecisionEvent, DecisionScope, Names},
    state::{BreakerState, Transition, TransitionReason},
    target_keys::TargetKeys,
    target_state::{HostState, PolledTarget, TargetState},
};
use crate::runtime::Clock;

/// The policies of one target. They never change: a reload makes new ones, over the same state.
#[derive(Debug)]
pub struct TargetResilience {
    pub(super) settings: Arc<ResilienceSettings>,
    pub(super) circuit: CircuitPolicy,
    pub(super) name: String,
    pub(super) keys: Arc<TargetKeys>,
    pub(super) clock: Clock,
    pub(super) state: Arc<TargetState>,
}

impl TargetResilience {
    /// A target of which nothing is known.
    pub fn new(slot: &Arc<TargetSlot>, name: &str, keys: Arc<TargetKeys>, clock: &Clock) -> Self {
        let settings = slot.fleet.settings();
        let state = TargetState::new(slot, &keys, &settings, clock);
        Self::over(state, settings, name, keys, clock)
    }

    /// The policies of the target with the present settings of its receiver. They are in force
    /// after [`Self::arrange`], and these must not be used any more then. If the keys are those of
    /// another target, nothing is known of it.
    #[must_use]
    pub fn renewed(&self, name: &str, keys: Arc<TargetKeys>) -> Self {
        if !keys.is_same_target(&self.state.lock().keys) {
            return Self::new(&self.state.slot, name, keys, &self.clock);
        }
        let settings = self.state.slot.fleet.settings();
        Self::over(Arc::clone(&self.state), settings, name, keys, &self.clock)
    }

    fn over(
        state: Arc<TargetState>,
        settings: Arc<ResilienceSettings>,
        name: &str,
        keys: Arc<TargetKeys>,
        clock: &Clock,
    ) -> Self {
        Self {
            circuit: CircuitPolicy::from(&settings.circuit_breaker),
            settings,
            name: name.to_owned(),
            keys,
            clock: clock.clone(),
            state,
        }
    }

    /// The state has an entry for each endpoint and instance: the known one, or a new one. Breakers
    /// stay open until their time is over, answers keep their age, counts continue; what comes next
    /// is decided by these policies. No poll may be in progress.
    pub fn arrange(&self) {
        self.lock().arrange(&self.keys, &self.settings);
        // A reader may wait for an endpoint that is gone.
        self.state.poll_ended.notify_waiters();
    }

    /// Forgets the cached answers, as nobody should use them any more. Says how many there were.
    pub fn forget_answers(&self) -> u64 {
        let mut state = self.lock();
        let slots = state.endpoints.iter_mut().map(|of| &mut of.slot);
        slots.map(|slot| u64::from(slot.clear())).sum()
    }

    /// A task polls the target, until the result is dropped.
    pub fn polled(&self) -> PolledTarget {
        PolledTarget::new(&self.state)
    }

    /// When the totals of its metrics began.
    pub fn since(&self) -> SystemTime {
        self.state.since
    }

    /// Its position among the targets of the receiver.
    pub fn slot(&self) -> &Arc<TargetSlot> {
        &self.state.slot
    }

    /// What all targets of the receiver share.
    pub(super) fn fleet(&self) -> &ReceiverResilience {
        &self.state.slot.fleet
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HostState> {
        self.state.lock()
    }

    /// The state, unless a reload gave it other endpoints or instances: then the positions that
    /// somebody still has mean something else.
    pub(super) fn lock_same(&self) -> Option<MutexGuard<'_, HostState>> {
        let state = self.state.lock();
        self.keys.have_positions_of(&state.keys).then_some(state)
    }

    /// What is known of which endpoints may be asked.
    pub fn caution(&self) -> Caution {
        self.lock().caution.clone()
    }

    /// Knows this of which endpoints may be asked. No poll may be in progress.
    pub fn set_caution(&self, caution: Caution) {
        self.lock().caution = caution;
    }

    /// When an endpoint may be tried at any instance, if breakers or pauses block all of them.
    /// Never for an endpoint that must not be polled.
    pub fn retry_at(&self, endpoint: usize) -> Option<Instant> {
        let (now, state) = (Instant::now(), self.lock());
        if state.caution.is_left_out(now, endpoint) {
            return None;
        }
        let circuits = state.circuits.iter();
        let waits = circuits.map(|circuit| circuit.retry_at(now, endpoint));
        // `None`, which means at once, sorts before any time.
        waits.min().flatten()
    }

    /// Whether the next attempt at any of the endpoints is a trial request, because no instance is
    /// healthy.
    pub fn is_half_open(&self) -> bool {
        let (now, state) = (Instant::now(), self.lock());
        let mut asked = (0..self.keys.labels.len())
            .filter(|endpoint| !state.caution.is_left_out(now, *endpoint));
        asked.any(|endpoint| {
            let states = state.circuits.iter().map(|c| c.state(now, endpoint));
            states.min() == Some(BreakerState::HalfOpen)
        })
    }

    /// Whether it is polled only once, so that its changes of state need no log line.
    pub(super) fn is_passing(&self) -> bool {
        self.fleet().is_passing
    }

    /// The name of an endpoint, for logs.
    pub(super) fn endpoint_name(&self, endpoint: usize) -> &str {
        let labels = self.keys.labels.get(endpoint);
        labels.map_or("", |labels| labels.id.as_str())
    }

    /// Whether the target is a pool of instances, even of a single one.
    pub(super) fn is_pool(&self) -> bool {
        self.keys.is_pool()
    }

    /// An endpoint of an instance, or only the endpoint if the target is a single instance.
    pub(super) fn place(&self, endpoint: usize, instance: usize) -> DecisionScope {
        DecisionScope::endpoint(endpoint).at(self.is_pool().then_some(instance))
    }

    /// The names for the positions in the record.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            endpoints: &self.keys.labels,
            instances: &self.keys.instances,
        }
    }

    pub(super) fn record(&self, state: &mut HostState, place: DecisionScope, event: DecisionEvent) {
        self.fleet().counts.note(&event);
        state.recorder.record(self.clock.now(), place, event);
    }

    /// Records changes of state with their evidence. Logs when a breaker opens and when it closes:
    /// an outage is two lines, however long it is.
    pub(super) fn note_changes(
        &self,
        state: &mut HostState,
        place: DecisionScope,
        changes: CircuitChanges,
        error: Option<&str>,
    ) {
        if changes.are_none() {
            return;
        }
        for (level, change) in [
            (BreakerLevel::Host, changes.host),
            (BreakerLevel::Endpoint, changes.endpoint),
        ] {
            let Some(transition) = change else { continue };
            let at = match level {
                BreakerLevel::Host => place.of_host(),
                BreakerLevel::Endpoint => place,
            };
            self.record(state, at, DecisionEvent::transition(level, &transition));
            self.log_transition(at, &transition, error);
        }
    }

    fn log_transition(&self, place: DecisionScope, transition: &Transition, error: Option<&str>) {
        let (of, instance) = self.names().of(place);
        let of = of.unwrap_or("host");
        let (target, failures) = (&self.name, transition.failures);
        match transition.to {
            to if self.fleet().is_passing => {
                tracing::debug!(target, instance, of, ?to, error, "breaker of a single poll");
            }
            BreakerState::Open if transition.reason == TransitionReason::FailureThreshold => {
                tracing::warn!(target, instance, of, failures, error, "breaker opened");
            }
            // Later changes during an outage are not logged.
            BreakerState::Open => {
                tracing::debug!(
                    target,
                    instance,
                    of,
                    failures,
                    error,
                    "breaker opened again"
                );
            }
            BreakerState::HalfOpen => {
                tracing::debug!(target, instance, of, "breaker half-open: trial request");
            }
            BreakerState::Closed => {
                tracing::info!(
                    target,
                    instance,
                    of,
                    "breaker closed: the trial request succeeded"
                );
            }
        }
    }
}
