//! The resilience settings of a receiver, and the state that all of its targets share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    balancer::BalancerPolicy,
    budget::RetryBudget,
    cache,
    config::{CircuitBreakerConfig, TimeoutConfig},
    local_fault_detector::{LocalFaultDetector, SuspicionChange},
    outcome::{BreakerOutcome, Statuses},
    receiver_counts::ReceiverCounts,
    retry::{self, FailedAttempt, RetryDecision},
};
use crate::{runtime::rounded_seconds, telemetry::Meter};

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
    /// Whether the guard suspects a fault on the collector's side. It is written under the guard's
    /// lock, and each attempt reads it without one.
    is_suspect: AtomicBool,
    /// Whether its targets are polled only once, so that their changes of state need no log line.
    pub(super) is_passing: bool,
    /// What was done for all of its targets together.
    pub(super) counts: Arc<ReceiverCounts>,
}

/// A position among the targets of a receiver, which is freed when it is dropped. The states of one
/// target with several definitions share it.
#[derive(Debug)]
pub struct TargetSlot {
    pub(super) fleet: Arc<ReceiverResilience>,
    /// The position among the hosts of the receiver.
    pub(super) position: usize,
}

/// What the outage guard says after a result.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardReply {
    /// Whether a fault on the collector's side is suspected.
    pub(super) suspect: bool,
    /// Whether the result changed this.
    pub(super) changed: bool,
}

impl ResilienceSettings {
    /// How instances are chosen. One that failed is ejected as long as a breaker is open.
    pub fn balancer(&self) -> BalancerPolicy {
        BalancerPolicy {
            interval: self.interval,
            ejected_for: self.circuit_breaker.open_duration.get(),
        }
    }
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
            is_suspect: AtomicBool::new(false),
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

    /// Has other settings, for policies that are made later. The retries and the failed hosts stay
    /// known.
    pub fn apply(&self, settings: ResilienceSettings) {
        lock(&self.budget).set_interval(settings.interval, Instant::now());
        lock(&self.guard).set_interval(settings.interval);
        *lock(&self.settings) = Arc::new(settings);
    }

    pub(super) fn settings(&self) -> Arc<ResilienceSettings> {
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
            self.note_suspicion(&guard);
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
        if !self.suspects_local_fault() {
            return (true, false);
        }
        let guard = lock(&self.guard);
        (guard.admits(now, host), guard.suspect_since().is_some())
    }

    /// Whether most hosts fail at once, so that the fault is more likely on this side.
    pub(super) fn suspects_local_fault(&self) -> bool {
        self.is_suspect.load(Ordering::Acquire)
    }

    fn note_suspicion(&self, guard: &LocalFaultDetector) {
        let is_suspect = guard.suspect_since().is_some();
        self.is_suspect.store(is_suspect, Ordering::Release);
    }

    /// Records a result.
    pub(super) fn tell_guard(
        &self,
        now: Instant,
        host: usize,
        outcome: BreakerOutcome,
        name: &str,
    ) -> GuardReply {
        let mut guard = lock(&self.guard);
        let change = guard.record(now, host, outcome);
        if change.is_some() {
            self.note_suspicion(&guard);
        }
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
        GuardReply {
            suspect: guard.suspect_since().is_some(),
            changed: change.is_some(),
        }
    }
}

impl Drop for TargetSlot {
    fn drop(&mut self) {
        self.fleet.leave(self.position);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The state is consistent after each call of the core.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
