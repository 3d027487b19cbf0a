//! The resilience state of a target, and of all targets of a receiver.

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
    receiver_counts::ReceiverCounts,
    recorder::{DecisionEvent, DecisionScope, Names, Recorder},
    retry::{self, FailedAttempt, RetryDecision, RetryStop},
    single_flight::SingleFlight,
    state::{BreakerState, Transition, TransitionReason},
    timeout::Timeout,
};
use crate::{
    definition::EndpointLabels,
    pipeline::{Body, ErrorType},
    runtime::{Clock, rounded_seconds},
    telemetry::Meter,
};

/// Every node has these errors at some time. Their retries are counted from 0, so that a rate sees
/// the first one. Counters of other errors start with the first one.
const RETRIED: [ErrorType; 2] = [ErrorType::Timeout, ErrorType::Connect];

/// The resilience settings of a receiver.
#[derive(Debug, Clone)]
pub struct ResilienceSettings {
    /// The time between two polls.
    pub interval: Duration,
    /// The time limit of a poll, including retries.
    pub deadline: Duration,
    /// How HTTP statuses are classified.
    pub statuses: Statuses,
    /// How attempts are repeated.
    pub retry: retry::RetryPolicy,
    /// The time limit of one attempt.
    pub timeout: TimeoutConfig,
    /// When attempts are refused.
    pub circuit_breaker: CircuitBreakerConfig,
    /// How long answers are cached.
    pub cache: cache::CachePolicy,
    /// The freshness objective, if there is one.
    pub freshness_objective: Option<Duration>,
}

/// The state that all targets of a receiver share.
#[derive(Debug)]
pub struct ReceiverResilience {
    settings: Mutex<Arc<ResilienceSettings>>,
    budget: Mutex<RetryBudget>,
    guard: Mutex<LocalFaultDetector>,
    /// Whether its targets are polled only once, so that their changes of state need no log line.
    is_passing: bool,
    /// What was done for all of its targets together.
    pub(super) counts: Arc<ReceiverCounts>,
}

/// A position among the targets of a receiver, which is freed when it is dropped. The states of one
/// target with several definitions share it.
#[derive(Debug)]
pub struct TargetSlot {
    fleet: Arc<ReceiverResilience>,
    /// The position among the hosts of the receiver.
    pub(super) position: usize,
}

/// One target: the breakers of its host, or of each of its instances, and the state of each of its
/// endpoints.
#[derive(Debug)]
pub struct TargetResilience {
    pub(super) fleet: Arc<ReceiverResilience>,
    pub(super) settings: Arc<ResilienceSettings>,
    pub(super) member: Arc<TargetSlot>,
    pub(super) name: String,
    /// The names and paths of the endpoints, for metrics, logs and the record.
    pub(super) labels: Vec<EndpointLabels>,
    /// The names of the instances of a pool. Empty if the target is a single instance.
    pub(super) instances: Vec<Arc<str>>,
    pub(super) clock: Clock,
    pub(super) state: Mutex<HostState>,
    /// Notified after each attempt, for requests that wait for a trial request.
    pub(super) verdict: Notify,
    /// Notified after each poll, for readers that wait for it.
    pub(super) poll_ended: Notify,
    /// Notified when a reader requests a poll.
    pub(super) wanted: Notify,
}

#[derive(Debug)]
pub(super) struct HostState {
    pub(super) circuits: PerInstance<Circuit>,
    pub(super) recorder: Recorder,
    pub(super) rng: Rng,
    pub(super) endpoints: Vec<EndpointState>,
    pub(super) caution: Caution,
    /// Whether a task polls the target.
    pub(super) is_polled: bool,
}

#[derive(Debug)]
pub(super) struct EndpointState {
    pub(super) timeouts: PerInstance<Timeout>,
    /// `None` if the target is a single instance.
    pub(super) balancer: Option<Box<Balancer>>,
    pub(super) slot: CacheSlot<Body>,
    /// The instance that gave the cached answer: its validators are meaningless to others.
    pub(super) kept_from: Option<usize>,
    /// The instance of the last request.
    pub(super) asked_at: usize,
    pub(super) flight: SingleFlight,
    pub(super) objective: Option<FreshnessObjective>,
    pub(super) retries: BTreeMap<ErrorType, u64>,
    pub(super) suppressed: BTreeMap<RetryStop, u64>,
}

impl ReceiverResilience {
    /// The state of a receiver without targets.
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
            counts: Arc::default(),
        })
    }

    /// A separate state with the same settings, for one poll with at most this `deadline`.
    pub fn with_deadline(&self, deadline: Duration) -> Arc<Self> {
        let settings = self.settings();
        let settings = ResilienceSettings {
            deadline: deadline.min(settings.deadline),
            ..settings.as_ref().clone()
        };
        Self::of(settings, true)
    }

    /// Registers the metrics about all targets of the receiver together.
    pub fn observe(&self, meter: &Meter, receiver: &str) {
        self.counts.observe(meter, receiver);
    }

    /// Applies new settings to targets that are created later; existing ones keep theirs. The
    /// retries and the failed hosts stay known.
    pub fn follow(&self, settings: ResilienceSettings) {
        lock(&self.budget).set_interval(settings.interval, Instant::now());
        lock(&self.guard).set_interval(settings.interval);
        *lock(&self.settings) = Arc::new(settings);
    }

    fn settings(&self) -> Arc<ResilienceSettings> {
        Arc::clone(&lock(&self.settings))
    }

    /// The time limit of a poll.
    pub fn deadline(&self) -> Duration {
        self.settings().deadline
    }

    /// Adds a host.
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
            tracing::info!("the failed hosts were removed: breakers may open again");
        }
    }

    /// The retries that are left in this interval.
    pub fn retries_available(&self) -> u64 {
        lock(&self.budget).available(Instant::now())
    }

    pub(super) fn note_attempt(&self, now: Instant) {
        lock(&self.budget).attempt(now);
    }

    /// Takes one retry of the receiver, if there is one.
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

    /// Whether a host is polled now, and whether a fault on the collector's side is suspected.
    pub(super) fn ask_guard(&self, now: Instant, host: usize) -> (bool, bool) {
        let guard = lock(&self.guard);
        (guard.admits(now, host), guard.suspect_since().is_some())
    }

    /// Whether most hosts fail at once, so that the fault is more likely on this side.
    pub(super) fn suspects_local_fault(&self) -> bool {
        lock(&self.guard).suspect_since().is_some()
    }

    /// Records a result. Returns whether a fault on the collector's side is suspected, and whether
    /// this changed.
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
                "most hosts fail at once: the fault may be on the collector's side; no breaker opens, a sample of the hosts is tried"
            ),
            Some(SuspicionChange::Cleared { after }) => tracing::info!(
                answered = name,
                after_seconds = rounded_seconds(after),
                "a host answers again: breakers may open again"
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
    /// A new host with these endpoints.
    pub fn new(
        member: &Arc<TargetSlot>,
        name: &str,
        endpoints: Vec<EndpointLabels>,
        clock: &Clock,
    ) -> Self {
        Self::of_several(member, name, Vec::new(), endpoints, clock)
    }

    /// A new pool of `instances`, each of which has all endpoints. A pool may have a single
    /// instance.
    pub fn of_several(
        member: &Arc<TargetSlot>,
        name: &str,
        instances: Vec<Arc<str>>,
        labels: Vec<EndpointLabels>,
        clock: &Clock,
    ) -> Self {
        let fleet = &member.fleet;
        let (settings, now) = (fleet.settings(), Instant::now());
        let breaker = &settings.circuit_breaker;
        let (host, endpoint) = (breaker.host_policy(), breaker.endpoint_policy());
        let circuit = Circuit::new(breaker.scope, host, endpoint, labels.len(), now);
        let count = instances.len();
        let endpoints = labels
            .iter()
            .map(|_| EndpointState::new(&settings, count, now));
        let state = HostState {
            circuits: PerInstance::repeat(circuit, count),
            recorder: Recorder::default(),
            rng: Rng::with_seed(seed(clock, member.position)),
            endpoints: endpoints.collect(),
            caution: Caution::new(labels.len()),
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
            poll_ended: Notify::new(),
            wanted: Notify::new(),
            labels,
            instances,
        }
    }

    /// What is known of which endpoints may be asked.
    pub fn caution(&self) -> Caution {
        self.lock().caution.clone()
    }

    /// Knows this of which endpoints may be asked. No poll may be under way.
    pub fn set_caution(&self, caution: Caution) {
        self.lock().caution = caution;
    }

    /// Its position among the targets of the receiver.
    pub fn member(&self) -> Arc<TargetSlot> {
        Arc::clone(&self.member)
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
        let mut asked =
            (0..self.labels.len()).filter(|endpoint| !state.caution.is_left_out(now, *endpoint));
        asked.any(|endpoint| {
            let states = state.circuits.iter().map(|c| c.state(now, endpoint));
            states.min() == Some(BreakerState::HalfOpen)
        })
    }

    /// Whether it is polled only once, so that its changes of state need no log line.
    pub(super) fn is_passing(&self) -> bool {
        self.fleet.is_passing
    }

    /// The name of an endpoint, for logs.
    pub(super) fn endpoint_name(&self, endpoint: usize) -> &str {
        let labels = self.labels.get(endpoint);
        labels.map_or("", |labels| labels.id.as_str())
    }

    /// Whether the target is a pool of instances, even of a single one.
    pub(super) fn is_pool(&self) -> bool {
        !self.instances.is_empty()
    }

    /// An endpoint of an instance, or only the endpoint if the target is a single instance.
    pub(super) fn place(&self, endpoint: usize, instance: usize) -> DecisionScope {
        DecisionScope::endpoint(endpoint).at(self.is_pool().then_some(instance))
    }

    /// The names for the positions in the record.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            endpoints: &self.labels,
            instances: &self.instances,
        }
    }

    pub(super) fn record(&self, state: &mut HostState, place: DecisionScope, event: DecisionEvent) {
        self.fleet.counts.note(&event);
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

impl EndpointState {
    /// The state of an endpoint, with the given number of instances of a pool, or 0 for a single
    /// instance.
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

/// Hosts draw different jitter, so that their trial requests do not coincide.
fn seed(clock: &Clock, position: usize) -> u64 {
    let time = u64::try_from(clock.since_epoch().as_nanos()).unwrap_or_default();
    time ^ (position as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The state is consistent after each call of the core.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
