//! What is kept of a target while the collector runs, and what all targets of a receiver share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use tokio::{sync::Notify, time::Instant};

use super::{
    balancer::Balancer,
    budget::RetryBudget,
    cache::{self, CacheSlot},
    caution::Caution,
    circuit::{BreakerLevel, Circuit, CircuitChanges},
    config::{CircuitBreakerConfig, TimeoutConfig},
    freshness::FreshnessObjective,
    local_fault_detector::{LocalFaultDetector, SuspicionChange},
    outcome::{BreakerOutcome, Statuses},
    per_instance::PerInstance,
    recorder::{DecisionEvent, DecisionScope, Names, Recorder},
    retry::{self, FailedAttempt, RetryDecision, RetryStop},
    single_flight::SingleFlight,
    state::{BreakerState, Transition, TransitionReason},
    timeout::Timeout,
};
use crate::{
    pipeline::{Body, ErrorType},
    runtime::Clock,
};

/// What every node does some day. Their retries are counted from 0, so that a rate sees the
/// first of them; those of other errors begin with it.
const RETRIED: [ErrorType; 2] = [ErrorType::Timeout, ErrorType::Connect];

/// How the hosts of a receiver are treated.
#[derive(Debug, Clone)]
pub struct ResilienceSettings {
    /// Time between two polls.
    pub interval: Duration,
    /// What a poll has in all, retries included.
    pub deadline: Duration,
    /// How statuses are judged.
    pub statuses: Statuses,
    /// How attempts are repeated.
    pub retry: retry::RetryPolicy,
    /// How long one may take.
    pub timeout: TimeoutConfig,
    /// Whether a second of several instances is asked, and after the time in which this share of
    /// the answers of the first one came.
    pub hedge: Option<f64>,
    /// When they are refused.
    pub circuit_breaker: CircuitBreakerConfig,
    /// What is kept of answers.
    pub cache: cache::CachePolicy,
    /// The promised age of data, if one is promised.
    pub freshness_objective: Option<Duration>,
}

/// What all hosts of a receiver share.
#[derive(Debug)]
pub struct ReceiverResilience {
    settings: Mutex<Arc<ResilienceSettings>>,
    budget: Mutex<RetryBudget>,
    guard: Mutex<LocalFaultDetector>,
    /// Whether its hosts are polled once, so that nobody has to know how each of them is.
    is_passing: bool,
}

/// A place in a fleet, given back when it is dropped. The hosts that stand for one target, one a
/// definition, share it.
#[derive(Debug)]
pub struct TargetSlot {
    fleet: Arc<ReceiverResilience>,
    /// Among the hosts of the fleet.
    pub(super) position: usize,
}

/// One target: the breakers of its host, or of each of the instances that answer for it, and what
/// is kept of each of its endpoints.
#[derive(Debug)]
pub struct TargetResilience {
    pub(super) fleet: Arc<ReceiverResilience>,
    pub(super) settings: Arc<ResilienceSettings>,
    pub(super) member: Arc<TargetSlot>,
    pub(super) name: String,
    /// Paths of the endpoints, for the record.
    pub(super) paths: Vec<Arc<str>>,
    /// What the instances of a pool are called; empty where the target is one instance itself.
    pub(super) instances: Vec<Arc<str>>,
    pub(super) clock: Clock,
    pub(super) state: Mutex<HostState>,
    /// Told after each attempt, for those who wait for a probe.
    pub(super) verdict: Notify,
    /// Told after each poll, for those who follow it.
    pub(super) landed: Notify,
    /// Told when a reader wants a poll.
    pub(super) wanted: Notify,
}

#[derive(Debug)]
pub(super) struct HostState {
    pub(super) circuits: PerInstance<Circuit>,
    pub(super) recorder: Recorder,
    pub(super) rng: Rng,
    pub(super) endpoints: Vec<EndpointState>,
    pub(super) caution: Caution,
    /// Whether there is a task that polls.
    pub(super) is_polled: bool,
}

#[derive(Debug)]
pub(super) struct EndpointState {
    pub(super) timeouts: PerInstance<Timeout>,
    /// None where the target is one instance itself.
    pub(super) balancer: Option<Box<Balancer>>,
    pub(super) slot: CacheSlot<Body>,
    /// The instance that gave what is in the slot: its validators mean nothing to another one.
    pub(super) kept_from: Option<usize>,
    /// The instance that was asked last.
    pub(super) asked_at: usize,
    pub(super) flight: SingleFlight,
    pub(super) objective: Option<FreshnessObjective>,
    pub(super) retries: BTreeMap<ErrorType, u64>,
    pub(super) suppressed: BTreeMap<RetryStop, u64>,
}

impl ReceiverResilience {
    /// A fleet that nobody has joined.
    pub fn new(settings: ResilienceSettings) -> Arc<Self> {
        Self::of(settings, false)
    }

    fn of(settings: ResilienceSettings, is_passing: bool) -> Arc<Self> {
        let budget = RetryBudget::new(0, settings.interval, Instant::now());
        let guard = LocalFaultDetector::new(0, settings.interval);
        Arc::new(Self {
            settings: Mutex::new(Arc::new(settings)),
            budget: Mutex::new(budget),
            guard: Mutex::new(guard),
            is_passing,
        })
    }

    /// A fleet for one poll that is treated alike and shares nothing with this one. It takes no
    /// longer than `deadline`.
    pub fn apart(&self, deadline: Duration) -> Arc<Self> {
        let settings = self.settings();
        let settings = ResilienceSettings {
            deadline: deadline.min(settings.deadline),
            ..settings.as_ref().clone()
        };
        Self::of(settings, true)
    }

    /// From now on hosts are made with these settings; those that there are keep theirs. What was
    /// retried and who failed stays known.
    pub fn follow(&self, settings: ResilienceSettings) {
        lock(&self.budget).set_interval(settings.interval, Instant::now());
        lock(&self.guard).set_interval(settings.interval);
        *lock(&self.settings) = Arc::new(settings);
    }

    fn settings(&self) -> Arc<ResilienceSettings> {
        Arc::clone(&lock(&self.settings))
    }

    /// What a poll has in all.
    pub fn deadline(&self) -> Duration {
        self.settings().deadline
    }

    /// One host more.
    pub fn join(self: &Arc<Self>) -> Arc<TargetSlot> {
        let mut guard = lock(&self.guard);
        let position = guard.join();
        lock(&self.budget).set_targets(guard.hosts());
        Arc::new(TargetSlot {
            fleet: Arc::clone(self),
            position,
        })
    }

    fn leave(&self, position: usize) {
        let mut guard = lock(&self.guard);
        let change = guard.leave(Instant::now(), position);
        lock(&self.budget).set_targets(guard.hosts());
        if change.is_some() {
            tracing::info!("the hosts that failed are gone: breakers are no longer held");
        }
    }

    /// Retries that the fleet may still make in this interval.
    pub fn retries_available(&self) -> u64 {
        lock(&self.budget).available(Instant::now())
    }

    pub(super) fn note_attempt(&self, now: Instant) {
        lock(&self.budget).attempt(now);
    }

    /// Takes one retry of the fleet's if there is one.
    pub(super) fn take_retry(&self, now: Instant) -> bool {
        lock(&self.budget).try_retry(now)
    }

    pub(super) fn decide(
        &self,
        policy: &retry::RetryPolicy,
        now: Instant,
        failed: &FailedAttempt,
        rng: &mut Rng,
    ) -> RetryDecision {
        policy.next(now, failed, &mut lock(&self.budget), rng)
    }

    /// Whether a host is polled now, and whether the fault is suspected to be ours.
    pub(super) fn ask_guard(&self, now: Instant, host: usize) -> (bool, bool) {
        let guard = lock(&self.guard);
        (guard.admits(now, host), guard.suspect_since().is_some())
    }

    /// Whether the fault is suspected to be ours after this result, and whether it changed that.
    pub(super) fn tell_guard(
        &self,
        now: Instant,
        host: usize,
        outcome: BreakerOutcome,
        name: &str,
    ) -> (bool, bool) {
        let mut guard = lock(&self.guard);
        let change = guard.record(now, host, outcome);
        match change {
            None => {}
            Some(SuspicionChange::Suspect { failing, hosts }) => tracing::warn!(
                failing,
                hosts,
                "most hosts fail at once: the fault may be ours; breakers are held, a sample is tried"
            ),
            Some(SuspicionChange::Cleared { after }) => tracing::info!(
                answered = name,
                after_seconds = after.as_secs_f64(),
                "a host answers again: breakers are no longer held"
            ),
        }
        (guard.suspect_since().is_some(), change.is_some())
    }
}

impl Drop for TargetSlot {
    fn drop(&mut self) {
        self.fleet.leave(self.position);
    }
}

impl TargetResilience {
    /// A host that nothing is known of, with endpoints at `paths`.
    pub fn new(member: &Arc<TargetSlot>, name: &str, paths: Vec<Arc<str>>, clock: &Clock) -> Self {
        Self::of_several(member, name, Vec::new(), paths, clock)
    }

    /// The same for a pool of `instances`, of which each has all endpoints. One that has a single
    /// instance for now is none the less a pool.
    pub fn of_several(
        member: &Arc<TargetSlot>,
        name: &str,
        instances: Vec<Arc<str>>,
        paths: Vec<Arc<str>>,
        clock: &Clock,
    ) -> Self {
        let fleet = &member.fleet;
        let (settings, now) = (fleet.settings(), Instant::now());
        let breaker = &settings.circuit_breaker;
        let (host, endpoint) = (breaker.host_policy(), breaker.endpoint_policy());
        let circuit = Circuit::new(breaker.scope, host, endpoint, paths.len(), now);
        let count = instances.len();
        let endpoints = paths
            .iter()
            .map(|_| EndpointState::new(&settings, count, now));
        let state = HostState {
            circuits: PerInstance::repeat(circuit, count),
            recorder: Recorder::default(),
            rng: Rng::with_seed(seed(clock, member.position)),
            endpoints: endpoints.collect(),
            caution: Caution::new(paths.len()),
            is_polled: false,
        };
        Self {
            fleet: Arc::clone(fleet),
            settings,
            member: Arc::clone(member),
            name: name.to_owned(),
            clock: clock.clone(),
            state: Mutex::new(state),
            verdict: Notify::new(),
            landed: Notify::new(),
            wanted: Notify::new(),
            paths,
            instances,
        }
    }

    /// Its place in the fleet.
    pub fn member(&self) -> Arc<TargetSlot> {
        Arc::clone(&self.member)
    }

    /// When the breakers or the server's wish let an endpoint be tried at any instance, if they are
    /// in the way at all of them. Never for one that is left out.
    pub fn retry_at(&self, endpoint: usize) -> Option<Instant> {
        let (now, state) = (Instant::now(), self.lock());
        if state.caution.is_left_out(now, endpoint) {
            return None;
        }
        let waits = state.circuits.iter().map(|circuit| {
            let view = circuit.view(now, endpoint);
            view.retry_at()
        });
        // None, which is at once, comes before any time.
        waits.min().flatten()
    }

    /// Whether the next attempt at any of the endpoints is a probe because no instance is sound.
    pub fn is_half_open(&self) -> bool {
        let (now, state) = (Instant::now(), self.lock());
        let mut asked =
            (0..self.paths.len()).filter(|endpoint| !state.caution.is_left_out(now, *endpoint));
        asked.any(|endpoint| {
            let views = state.circuits.iter().map(|c| c.view(now, endpoint).state());
            views.min() == Some(BreakerState::HalfOpen)
        })
    }

    /// Whether it is polled once, so that nobody has to know how it is.
    pub(super) fn is_passing(&self) -> bool {
        self.fleet.is_passing
    }

    pub(super) fn path(&self, endpoint: usize) -> &str {
        self.paths.get(endpoint).map_or("", |path| path)
    }

    /// Whether the target is a pool of instances, be it of one for now.
    pub(super) fn is_pool(&self) -> bool {
        !self.instances.is_empty()
    }

    /// An endpoint of an instance; where the target is one itself, that goes without saying.
    pub(super) fn place(&self, endpoint: usize, instance: usize) -> DecisionScope {
        DecisionScope::endpoint(endpoint).at(self.is_pool().then_some(instance))
    }

    /// What the positions in the record stand for.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            endpoints: &self.paths,
            instances: &self.instances,
        }
    }

    pub(super) fn record(&self, state: &mut HostState, place: DecisionScope, event: DecisionEvent) {
        state.recorder.record(self.clock.now(), place, event);
    }

    /// Records changes of state with the evidence, and logs where a breaker opens and where it
    /// closes: an outage is two lines, however long it is.
    pub(super) fn note_changes(
        &self,
        state: &mut HostState,
        place: DecisionScope,
        changes: CircuitChanges,
        error: Option<&str>,
    ) {
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
            to if self.fleet.is_passing => {
                tracing::debug!(target, instance, of, ?to, error, "breaker of a single poll");
            }
            BreakerState::Open if transition.reason == TransitionReason::FailureThreshold => {
                tracing::warn!(target, instance, of, failures, error, "breaker opened");
            }
            // What goes on is no news, however long it does.
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
                tracing::debug!(target, instance, of, "breaker half-open: probing");
            }
            BreakerState::Closed => {
                tracing::info!(target, instance, of, "breaker closed: the probe succeeded");
            }
        }
    }
}

impl EndpointState {
    /// Of an endpoint at so many instances of a pool; of none where the target is one itself.
    fn new(settings: &ResilienceSettings, instances: usize, now: Instant) -> Self {
        let timeout = Timeout::new(settings.timeout.max.get(), settings.timeout.adaptive);
        let left_out_for = settings.circuit_breaker.open_duration.get();
        let balancer = || Box::new(Balancer::new(instances, settings.interval, left_out_for));
        Self {
            timeouts: PerInstance::repeat(timeout, instances),
            balancer: (instances > 0).then(balancer),
            slot: CacheSlot::new(settings.cache),
            kept_from: None,
            asked_at: 0,
            flight: SingleFlight::default(),
            objective: settings
                .freshness_objective
                .map(|age| FreshnessObjective::new(age, now)),
            retries: RETRIED.map(|error_type| (error_type, 0)).into(),
            suppressed: RetryStop::SUPPRESSING.map(|reason| (reason, 0)).into(),
        }
    }
}

/// Hosts draw different jitter, or their probes would come together.
fn seed(clock: &Clock, position: usize) -> u64 {
    let time = u64::try_from(clock.since_epoch().as_nanos()).unwrap_or_default();
    time ^ (position as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole after each call of the core.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
