//! The circuit breaker: stops requests to a node that does not answer, and finds out when it
//! answers again.
//!
//! A [`Breaker`] is only state. Its [`BreakerPolicy`] is an argument, so that other settings apply to
//! what comes next, and change nothing that is known.
//!
//! A permit has the generation of the state that gave it. So a late result can neither close, trip
//! nor keep open a state that it does not belong to.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    outcome::BreakerOutcome,
    state::{
        BreakerCounters, BreakerState, BreakerView, TimeInState, Transition, TransitionReason,
    },
    time::{DecisionInputs, jittered, later, times},
};

/// When a breaker trips, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// The number of consecutive failures that open it.
    pub failure_threshold: u32,
    /// What counts as consecutive failures.
    pub counting: FailureCounting,
    /// How long it is open the first time. After a failed trial request the time counts from when
    /// that request was sent, so that a node gets one request in this time, however long its answer
    /// took. At least half of the time passes in any case.
    pub open_duration: Duration,
    /// The open time is random between (1 − this) and (1 + this) times its nominal value; 0 to 1.
    pub open_jitter: f64,
    /// Each consecutive opening is this many times longer than the previous one; 1 means constant.
    /// For each `open_duration` in the closed state, the time becomes shorter by one step.
    pub open_multiplier: f64,
    /// The longest nominal open time.
    pub max_open_duration: Duration,
    /// The most simultaneous trial requests. The first result decides.
    pub half_open_max_probes: u32,
}

/// What counts as consecutive failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCounting {
    /// Each failure counts.
    Each,
    /// A failure counts only if its attempt started after the previous failure was known:
    /// simultaneous failures of one short outage count once.
    Waves,
}

/// Permission for one attempt. It must be returned through [`Breaker::complete`] or
/// [`Breaker::give_back`], whatever happens to the attempt.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct BreakerPermit {
    generation: u64,
    given: Instant,
    /// The number of counted failures at that time.
    counted: u64,
    probe: bool,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerRefusal {
    /// The breaker is open.
    Open {
        /// When it permits a trial request.
        retry_at: Instant,
    },
    /// It is half-open, and a trial request is in progress.
    ProbeInFlight,
}

/// What a breaker would do with a request. The order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// Permit it.
    Free,
    /// Permit it as a trial request.
    Probe,
    /// Refuse it.
    Shut,
}

/// The state of a circuit breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    phase: Phase,
    since: Instant,
    /// Increases with each change of state.
    generation: u64,
    failures: u32,
    /// Counted failures in the closed state since the breaker was created.
    counted: u64,
    /// The number of consecutive openings, each longer than the previous one.
    growth: u32,
    held: bool,
    time: TimeInState,
    counters: BreakerCounters,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { in_flight: u32 },
}

impl Breaker {
    /// Creates a closed breaker.
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Closed,
            since: now,
            generation: 0,
            failures: 0,
            counted: 0,
            growth: 0,
            held: false,
            time: TimeInState::default(),
            counters: BreakerCounters::default(),
        }
    }

    /// Makes an open breaker half-open if its time is over. Other methods do this too; a caller
    /// that needs the transition calls this one first.
    pub fn advance(&mut self, now: Instant) -> Option<Transition> {
        match self.phase {
            Phase::Open { until } if until <= now => Some(self.enter(
                Phase::HalfOpen { in_flight: 0 },
                TransitionReason::OpenExpired,
                until,
            )),
            Phase::Open { .. } | Phase::Closed | Phase::HalfOpen { .. } => None,
        }
    }

    /// Asks for permission for an attempt.
    ///
    /// # Errors
    /// If there is none. A refusal is a decision, not a failure, and nothing is counted.
    pub fn try_acquire(
        &mut self,
        policy: &BreakerPolicy,
        now: Instant,
    ) -> Result<BreakerPermit, BreakerRefusal> {
        self.advance(now);
        match &mut self.phase {
            Phase::Closed => Ok(self.permit(now, false)),
            Phase::HalfOpen { in_flight } if *in_flight < policy.half_open_max_probes.max(1) => {
                *in_flight += 1;
                Ok(self.permit(now, true))
            }
            // This is not a rejection yet: it is worth waiting for the trial request.
            Phase::HalfOpen { .. } => Err(BreakerRefusal::ProbeInFlight),
            Phase::Open { until } => {
                let retry_at = *until;
                self.reject();
                Err(BreakerRefusal::Open { retry_at })
            }
        }
    }

    /// What it would do with a request now. It changes nothing.
    pub fn gate(&self, policy: &BreakerPolicy, now: Instant) -> Admission {
        let most = policy.half_open_max_probes.max(1);
        match self.phase {
            Phase::Closed => Admission::Free,
            Phase::Open { until } if now < until => Admission::Shut,
            Phase::HalfOpen { in_flight } if in_flight >= most => Admission::Shut,
            Phase::Open { .. } | Phase::HalfOpen { .. } => Admission::Probe,
        }
    }

    /// Counts a request that was finally refused.
    pub fn reject(&mut self) {
        self.counters.rejections += 1;
    }

    /// Records the result of the attempt with this permit.
    pub fn complete(
        &mut self,
        policy: &BreakerPolicy,
        permit: BreakerPermit,
        outcome: BreakerOutcome,
        inputs: DecisionInputs<'_>,
    ) -> Option<Transition> {
        if permit.generation != self.generation {
            self.counters.stale_results += 1;
            return None;
        }
        // While a fault on the collector's side is likely, a failure is no evidence against a node.
        let outcome = match outcome {
            BreakerOutcome::Fail if self.held => BreakerOutcome::Neutral,
            other => other,
        };
        match &mut self.phase {
            Phase::Closed => self.count(policy, &permit, outcome, inputs),
            Phase::HalfOpen { in_flight } => {
                *in_flight = in_flight.saturating_sub(1);
                self.judge_probe(policy, permit.given, outcome, inputs)
            }
            // No permit has this generation.
            Phase::Open { .. } => None,
        }
    }

    /// The failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a failure of the attempt with this permit would count.
    pub fn counts(&self, permit: &BreakerPermit) -> bool {
        let is_closed = matches!(self.phase, Phase::Closed);
        is_closed && !self.held && permit.generation == self.generation
    }

    /// Takes back an unused permit: nothing was sent, so nothing is counted.
    pub fn give_back(&mut self, permit: BreakerPermit) {
        if let Phase::HalfOpen { in_flight } = &mut self.phase
            && permit.generation == self.generation
        {
            *in_flight = in_flight.saturating_sub(1);
        }
    }

    /// While held, the breaker counts no failures: it neither trips nor opens again.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Its state now. The open time expires by the same rule as for polls.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Open { until } if until <= now => BreakerState::HalfOpen,
            phase => phase.state(),
        }
    }

    /// When it permits a trial request, if it is open.
    pub fn retry_at(&self, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Open { until } => Some(until).filter(|until| now < *until),
            Phase::Closed | Phase::HalfOpen { .. } => None,
        }
    }

    /// The current state, for readers.
    pub fn view(&self, now: Instant) -> BreakerView {
        // The state expires by the same rule as for polls.
        let mut current = self.clone();
        current.advance(now);
        current.spend(now);
        BreakerView {
            state: current.phase.state(),
            since: current.since,
            retry_at: match current.phase {
                Phase::Open { until } => Some(until),
                Phase::Closed | Phase::HalfOpen { .. } => None,
            },
            consecutive_failures: current.failures,
            time: current.time,
            counters: current.counters,
        }
    }

    fn permit(&self, now: Instant, probe: bool) -> BreakerPermit {
        BreakerPermit {
            generation: self.generation,
            given: now,
            counted: self.counted,
            probe,
        }
    }

    fn count(
        &mut self,
        policy: &BreakerPolicy,
        permit: &BreakerPermit,
        outcome: BreakerOutcome,
        DecisionInputs { now, rng }: DecisionInputs<'_>,
    ) -> Option<Transition> {
        match outcome {
            BreakerOutcome::Neutral => return None,
            BreakerOutcome::Ok => self.failures = 0,
            BreakerOutcome::Fail if self.is_news(policy, permit) => {
                self.failures = self.failures.saturating_add(1);
                self.counted += 1;
            }
            BreakerOutcome::Fail => {}
        }
        if self.failures < policy.failure_threshold.max(1) {
            return None;
        }
        let healthy = now.saturating_duration_since(self.since).as_nanos();
        let steps = healthy / policy.open_duration.as_nanos().max(1);
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.growth = self.growth.saturating_sub(steps);
        let open = self.draw_open(policy, rng);
        let until = later(now, open);
        Some(self.enter(
            Phase::Open { until },
            TransitionReason::FailureThreshold,
            now,
        ))
    }

    fn is_news(&self, policy: &BreakerPolicy, permit: &BreakerPermit) -> bool {
        policy.counting == FailureCounting::Each || permit.counted == self.counted
    }

    fn judge_probe(
        &mut self,
        policy: &BreakerPolicy,
        sent: Instant,
        outcome: BreakerOutcome,
        DecisionInputs { now, rng }: DecisionInputs<'_>,
    ) -> Option<Transition> {
        match outcome {
            BreakerOutcome::Ok => {
                let closed = self.enter(Phase::Closed, TransitionReason::ProbeSucceeded, now);
                self.failures = 0;
                Some(closed)
            }
            BreakerOutcome::Fail => {
                self.failures = self.failures.saturating_add(1);
                let open = self.draw_open(policy, rng);
                // A trial request may have taken longer than that. The next one does not follow at
                // once.
                let until = later(sent, open).max(later(now, open / 2));
                Some(self.enter(Phase::Open { until }, TransitionReason::ProbeFailed, now))
            }
            BreakerOutcome::Neutral => {
                self.counters.cancelled_probes += 1;
                None
            }
        }
    }

    /// How long the opening that starts now lasts.
    fn draw_open(&mut self, policy: &BreakerPolicy, rng: &mut Rng) -> Duration {
        let longest = policy.max_open_duration.max(policy.open_duration);
        let exponent = i32::try_from(self.growth).unwrap_or(i32::MAX);
        let nominal = times(policy.open_duration, policy.open_multiplier.powi(exponent));
        let open = jittered(nominal.min(longest), policy.open_jitter, rng);
        // The growth stops at the longest time, or recovery would take as long as the outage.
        self.growth = self.growth.saturating_add(u32::from(nominal < longest));
        open
    }

    fn enter(&mut self, phase: Phase, reason: TransitionReason, at: Instant) -> Transition {
        let from = self.phase.state();
        self.spend(at);
        self.phase = phase;
        self.since = at;
        self.generation += 1;
        let counter = match reason {
            TransitionReason::FailureThreshold => &mut self.counters.trips,
            TransitionReason::OpenExpired => &mut self.counters.expiries,
            TransitionReason::ProbeFailed => &mut self.counters.failed_probes,
            TransitionReason::ProbeSucceeded => &mut self.counters.recoveries,
        };
        *counter += 1;
        Transition {
            from,
            to: phase.state(),
            reason,
            failures: self.failures,
            at,
        }
    }

    /// Adds the time from the last change of state until `now`.
    fn spend(&mut self, now: Instant) {
        let spent = match self.phase {
            Phase::Closed => &mut self.time.closed,
            Phase::HalfOpen { .. } => &mut self.time.half_open,
            Phase::Open { .. } => &mut self.time.open,
        };
        *spent = spent.saturating_add(now.saturating_duration_since(self.since));
    }
}

impl BreakerPermit {
    /// Whether the attempt is a trial request of a half-open breaker: one attempt, with the longest
    /// timeout.
    pub fn is_probe(&self) -> bool {
        self.probe
    }
}

impl Phase {
    fn state(self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}
