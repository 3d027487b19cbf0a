//! What is known of a target. It outlives the settings: a reload makes other policies over the same
//! state.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use fastrand::Rng;
use tokio::{sync::Notify, time::Instant};

use super::{
    balancer::InstanceLoads,
    cache::CacheSlot,
    caution::Caution,
    circuit::Circuit,
    freshness::FreshnessObjective,
    per_instance::PerInstance,
    positions::Positions,
    receiver_resilience::{ResilienceSettings, TargetSlot},
    recorder::Recorder,
    retry::RetryStop,
    single_flight::SingleFlight,
    target_keys::TargetKeys,
    timeout::Timeout,
};
use crate::{
    pipeline::{Body, Counts, ErrorType},
    runtime::Clock,
};

/// The state of a target with one definition.
#[derive(Debug)]
pub(super) struct TargetState {
    pub(super) slot: Arc<TargetSlot>,
    /// When its totals began.
    pub(super) since: SystemTime,
    known: Mutex<HostState>,
    /// Notified after each attempt, for requests that wait for a trial request.
    pub(super) verdict: Notify,
    /// Notified after each poll, for readers that wait for it.
    pub(super) poll_ended: Notify,
    /// Notified when a reader requests a poll.
    pub(super) wanted: Notify,
}

/// The breakers of a host, or of each instance, and the state of each endpoint.
#[derive(Debug)]
pub(super) struct HostState {
    /// What the entries of the lists below are.
    pub(super) keys: Arc<TargetKeys>,
    pub(super) circuits: PerInstance<Circuit>,
    pub(super) recorder: Recorder,
    pub(super) rng: Rng,
    pub(super) endpoints: Box<[EndpointState]>,
    pub(super) caution: Caution,
    /// How many tasks poll the target: one, two for a moment of a reload, or none.
    pub(super) polling: usize,
}

#[derive(Debug, Default)]
pub(super) struct EndpointState {
    pub(super) timeouts: PerInstance<Timeout>,
    pub(super) loads: InstanceLoads,
    pub(super) slot: CacheSlot<Body>,
    /// The instance that gave the cached answer: its validators are meaningless to others.
    pub(super) kept_from: Option<usize>,
    /// The instance of the last request.
    pub(super) asked_at: usize,
    pub(super) flight: SingleFlight,
    pub(super) objective: Option<Box<FreshnessObjective>>,
    pub(super) retries: Counts<ErrorType>,
    pub(super) suppressed: Counts<RetryStop>,
}

/// Says that a task polls a target, so that readers can wait for a poll.
#[derive(Debug)]
pub struct PolledTarget(Arc<TargetState>);

impl TargetState {
    /// The state of a target of which nothing is known.
    pub(super) fn new(
        slot: &Arc<TargetSlot>,
        keys: &Arc<TargetKeys>,
        settings: &ResilienceSettings,
        clock: &Clock,
    ) -> Arc<Self> {
        let rng = Rng::with_seed(seed(clock, slot.position));
        Arc::new(Self {
            slot: Arc::clone(slot),
            since: clock.now(),
            known: Mutex::new(HostState::new(keys, settings, rng)),
            verdict: Notify::new(),
            poll_ended: Notify::new(),
            wanted: Notify::new(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HostState> {
        // The state is consistent after each call of the core, so a panic elsewhere does no damage.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostState {
    fn new(keys: &Arc<TargetKeys>, settings: &ResilienceSettings, rng: Rng) -> Self {
        let mut new = Self {
            keys: Arc::clone(keys),
            circuits: PerInstance::default(),
            recorder: Recorder::default(),
            rng,
            endpoints: Box::default(),
            caution: Caution::default(),
            polling: 0,
        };
        new.arrange(keys, settings);
        new
    }

    /// Has an entry for each of these keys: the known one, or a new one. Entries of other keys are
    /// dropped.
    pub(super) fn arrange(&mut self, keys: &Arc<TargetKeys>, settings: &ResilienceSettings) {
        let now = Instant::now();
        let [endpoints, instances] = keys.positions_in(&self.keys);
        self.circuits.arrange(&instances);
        for circuit in self.circuits.iter_mut() {
            circuit.arrange(settings.circuit_breaker.scope, &endpoints, now);
        }
        self.recorder.arrange(&endpoints, &instances);
        self.caution.arrange(&endpoints);
        let before = std::mem::take(&mut self.endpoints);
        self.endpoints = endpoints.arrange(before, EndpointState::default);
        for endpoint in &mut self.endpoints {
            endpoint.arrange(&instances, keys.is_pool());
            endpoint.measure(settings.freshness_objective, now);
        }
        self.keys = Arc::clone(keys);
    }
}

impl EndpointState {
    fn arrange(&mut self, instances: &Positions, is_pool: bool) {
        self.timeouts.arrange(instances);
        match is_pool {
            true => self.loads.arrange(instances),
            false => self.loads = InstanceLoads::default(),
        }
        self.kept_from = self.kept_from.and_then(|was| instances.now_at(was));
        self.asked_at = instances.now_at(self.asked_at).unwrap_or_default();
    }

    /// Measures how long the data is younger than `max_age`, if that is an objective.
    fn measure(&mut self, max_age: Option<Duration>, now: Instant) {
        match (&mut self.objective, max_age) {
            (Some(objective), Some(max_age)) => objective.set_max_age(max_age, now),
            (objective, None) => *objective = None,
            (none, Some(max_age)) => *none = Some(Box::new(FreshnessObjective::new(max_age, now))),
        }
    }
}

impl PolledTarget {
    pub(super) fn new(state: &Arc<TargetState>) -> Self {
        state.lock().polling += 1;
        Self(Arc::clone(state))
    }
}

impl Drop for PolledTarget {
    fn drop(&mut self) {
        self.0.lock().polling -= 1;
        self.0.poll_ended.notify_waiters();
    }
}

/// Hosts draw different jitter, so that their trial requests do not coincide.
fn seed(clock: &Clock, position: usize) -> u64 {
    let time = u64::try_from(clock.since_epoch().as_nanos()).unwrap_or_default();
    time ^ (position as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_of_three_endpoints_takes_no_larger_blocks_of_memory() {
        // The sizes that the allocator has; an `Arc` adds its two counters.
        let counters = 2 * size_of::<usize>();
        assert!(counters + size_of::<TargetState>() <= 512);
        assert!(3 * size_of::<EndpointState>() <= 1280);
    }
}
