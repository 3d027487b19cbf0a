//! Simulates one outage, with the polls before and after it: a queue of events, each handled as the
//! polling task would handle it.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    SimulationSettings,
    fault::{Incident, Outage, USUAL},
};
use crate::resilience::{
    budget::RetryBudget,
    circuit::{Circuit, CircuitChanges, CircuitPermit, CircuitPolicy, CircuitRefusal},
    outcome::{ResultClass, Statuses},
    positions::Positions,
    retry::{self, FailedAttempt, RetryDecision, least},
    state::BreakerState,
    time::DecisionInputs,
    timeout::Timeout,
};

/// The number of answers of each endpoint before the first poll; enough to know its usual response
/// time.
const KNOWN_ANSWERS: usize = 64;

/// The result of one outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    /// Requests during the outage.
    pub requests: u32,
    /// The time from its start to the first opening of a breaker.
    pub detection: Option<Duration>,
    /// The time from its end until each endpoint had fresh data.
    pub recovery: Option<Duration>,
    /// Ticks that were lost because the previous poll took too long.
    pub late_ticks: u32,
    /// Polls with data.
    pub fresh_polls: u32,
    /// Polls that would be due without a failure.
    pub planned_polls: u32,
    /// Polls that were made and had no data.
    pub lost_polls: u32,
}

/// Simulates one outage of this kind. `seed` determines which one. `origin` may be any instant,
/// because only durations matter.
pub fn run(settings: &SimulationSettings, incident: &Incident, seed: u64, origin: Instant) -> Run {
    let mut simulation = Simulation::new(settings, incident, seed, origin);
    simulation.drain();
    let fresh = simulation.endpoints.iter().map(|polled| polled.fresh_after);
    let all_fresh: Option<Vec<Duration>> = fresh.collect();
    let last = all_fresh.and_then(|fresh| fresh.into_iter().max());
    Run {
        recovery: last.map(|last| last.saturating_sub(simulation.outage.to)),
        ..simulation.run
    }
}

/// The order is that of events at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SimulationEvent {
    Attempt(usize),
    Done(usize),
    Tick(usize),
}

/// One endpoint and its poll.
struct SimulatedEndpoint {
    timeout: Timeout,
    due: Duration,
    attempts: u32,
    in_flight: Option<SimulatedRequest>,
    fresh_after: Option<Duration>,
}

struct SimulatedRequest {
    permit: CircuitPermit,
    class: ResultClass,
    took: Duration,
}

struct Simulation<'a> {
    settings: &'a SimulationSettings,
    statuses: Statuses,
    retry: retry::RetryPolicy,
    outage: Outage,
    policy: CircuitPolicy,
    circuit: Circuit,
    budget: RetryBudget,
    rng: Rng,
    origin: Instant,
    now: Duration,
    end: Duration,
    events: BinaryHeap<Reverse<(Duration, SimulationEvent)>>,
    endpoints: Vec<SimulatedEndpoint>,
    /// Endpoints that wait for the result of a trial request.
    waiting: Vec<usize>,
    run: Run,
}

impl<'a> Simulation<'a> {
    fn new(
        settings: &'a SimulationSettings,
        incident: &Incident,
        seed: u64,
        origin: Instant,
    ) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (breaker, count) = (&settings.circuit_breaker, settings.endpoints.len());
        let mut circuit = Circuit::default();
        circuit.arrange(breaker.scope, &Positions::all_new(count), origin);
        let ticks = ticks(settings, incident);
        let every = (0..count).map(|endpoint| every(settings, endpoint));
        let planned = every.map(|every| ticks.div_ceil(every));
        Self {
            statuses: Statuses::new(&settings.retry, breaker),
            retry: settings.retry.policy(),
            outage: incident.draw(settings, &mut rng),
            policy: breaker.into(),
            circuit,
            budget: RetryBudget::new(settings.targets.len(), settings.interval.get(), origin),
            rng,
            origin,
            now: Duration::ZERO,
            end: settings.interval.get().saturating_mul(ticks),
            events: (0..count)
                .map(|endpoint| Reverse((Duration::ZERO, SimulationEvent::Tick(endpoint))))
                .collect(),
            endpoints: (0..count).map(|_| SimulatedEndpoint::new()).collect(),
            waiting: Vec::new(),
            run: Run {
                planned_polls: planned.fold(0, u32::saturating_add),
                ..Run::default()
            },
            settings,
        }
    }

    fn drain(&mut self) {
        while let Some(Reverse((when, event))) = self.events.pop() {
            if when >= self.end {
                break;
            }
            self.now = when;
            match event {
                SimulationEvent::Tick(endpoint) => self.tick(endpoint),
                SimulationEvent::Attempt(endpoint) => self.attempt(endpoint),
                SimulationEvent::Done(endpoint) => self.done(endpoint),
            }
        }
    }

    fn at(&mut self, when: Duration, event: SimulationEvent) {
        self.events.push(Reverse((when, event)));
    }

    fn instant(&self) -> Instant {
        self.origin + self.now
    }

    fn tick(&mut self, endpoint: usize) {
        if let Some(polled) = self.endpoints.get_mut(endpoint) {
            (polled.due, polled.attempts) = (self.now, 0);
        }
        self.attempt(endpoint);
    }

    fn attempt(&mut self, endpoint: usize) {
        let now = self.instant();
        match self.circuit.try_acquire(&self.policy, now, endpoint) {
            Err(CircuitRefusal::ProbeInFlight { .. }) => self.waiting.push(endpoint),
            Err(CircuitRefusal::Open { .. } | CircuitRefusal::Paused { .. }) => {
                self.over(endpoint, false);
            }
            Ok(permit) => self.send(endpoint, permit),
        }
    }

    fn send(&mut self, endpoint: usize, permit: CircuitPermit) {
        let deadline = self.settings.deadline();
        let now = self.instant();
        let Some(polled) = self.endpoints.get_mut(endpoint) else {
            return self.circuit.give_back(permit);
        };
        let remaining = polled.remaining(self.now, deadline);
        if remaining < least(polled.timeout.p50(), deadline) {
            // The result that it waited for came too late.
            self.circuit.give_back(permit);
            return self.over(endpoint, false);
        }
        let timeout = &self.settings.timeout;
        let limit = match permit.is_probe() {
            true => timeout.max.get(),
            false => polled.timeout.limit(timeout, polled.attempts),
        };
        let answer = self.outage.answer(self.now, endpoint, &mut self.rng);
        let (class, took) = match answer.took {
            Some(took) if took <= limit.min(remaining) => (answer.class, took),
            _ if limit <= remaining => (ResultClass::Timeout, limit),
            _ => {
                let overdue = remaining >= polled.timeout.limit(timeout, 0);
                (ResultClass::DeadlineCut { overdue }, remaining)
            }
        };
        polled.attempts += 1;
        polled.in_flight = Some(SimulatedRequest {
            permit,
            class,
            took,
        });
        self.run.requests += u32::from(self.outage.is_on(self.now));
        self.budget.attempt(now);
        self.at(
            self.now.saturating_add(took),
            SimulationEvent::Done(endpoint),
        );
    }

    fn done(&mut self, endpoint: usize) {
        let now = self.instant();
        let Some(polled) = self.endpoints.get_mut(endpoint) else {
            return;
        };
        let Some(SimulatedRequest {
            permit,
            class,
            took,
        }) = polled.in_flight.take()
        else {
            return;
        };
        if class == ResultClass::Transport {
            polled.timeout.back_off();
        }
        let (verdict, probe) = (self.statuses.classify(class), permit.is_probe());
        let rng = &mut self.rng;
        let inputs = DecisionInputs { now, rng };
        let changes = self
            .circuit
            .complete(&self.policy, permit, &verdict, inputs);
        self.run.detect(changes, self.now, self.outage.from);
        if class == ResultClass::Success {
            polled.timeout.sample(took);
            self.over(endpoint, true);
        } else {
            let deadline = self.settings.deadline();
            let failed = FailedAttempt {
                attempts: polled.attempts,
                retry: verdict.retry,
                retry_after: None,
                open: probe || self.circuit.view(now, endpoint).state() == BreakerState::Open,
                remaining: polled.remaining(self.now, deadline),
                least: least(polled.timeout.p50(), deadline),
            };
            self.failed(endpoint, class, &failed);
        }
        if probe {
            // Others wait for this result.
            for endpoint in std::mem::take(&mut self.waiting) {
                self.attempt(endpoint);
            }
        }
    }

    fn failed(&mut self, endpoint: usize, class: ResultClass, failed: &FailedAttempt) {
        let now = self.instant();
        let next = self
            .retry
            .next(now, failed, &mut self.budget, &mut self.rng);
        match next {
            RetryDecision::Retry { delay } => {
                self.at(
                    self.now.saturating_add(delay),
                    SimulationEvent::Attempt(endpoint),
                );
            }
            RetryDecision::Stop { .. } => {
                if matches!(
                    class,
                    ResultClass::Timeout | ResultClass::DeadlineCut { .. }
                ) && let Some(polled) = self.endpoints.get_mut(endpoint)
                {
                    polled.timeout.back_off();
                }
                self.over(endpoint, false);
            }
        }
    }

    /// The next tick is at the expiry of a breaker, if one is open, else on the grid.
    fn over(&mut self, endpoint: usize, fresh: bool) {
        let (now, interval) = (self.now, self.settings.interval.get());
        let view = self.circuit.view(self.instant(), endpoint);
        let expiry = view.retry_at().map(|retry_at| retry_at - self.origin);
        // One that has no data is polled at the next tick.
        let passed = match fresh {
            true => every(self.settings, endpoint),
            false => 1,
        };
        let next = interval.saturating_mul(periods(now, interval).saturating_add(passed));
        self.at(expiry.unwrap_or(next), SimulationEvent::Tick(endpoint));
        let Some(polled) = self.endpoints.get_mut(endpoint) else {
            return;
        };
        self.run.late_ticks += periods(now - polled.due, interval);
        self.run.fresh_polls += u32::from(fresh);
        // A poll that an open breaker refused was not made.
        self.run.lost_polls += u32::from(!fresh && polled.attempts > 0);
        if fresh && now >= self.outage.to {
            polled.fresh_after.get_or_insert(now);
        }
    }
}

impl Run {
    fn detect(&mut self, changes: CircuitChanges, now: Duration, from: Duration) {
        let mut changes = changes.host.into_iter().chain(changes.endpoint);
        if now >= from && changes.any(|change| change.to == BreakerState::Open) {
            self.detection.get_or_insert(now - from);
        }
    }
}

impl SimulatedEndpoint {
    fn new() -> Self {
        let mut timeout = Timeout::default();
        for _ in 0..KNOWN_ANSWERS {
            timeout.sample(USUAL);
        }
        Self {
            timeout,
            due: Duration::ZERO,
            attempts: 0,
            in_flight: None,
            fresh_after: None,
        }
    }

    /// The time that is left of its poll.
    fn remaining(&self, now: Duration, deadline: Duration) -> Duration {
        self.due.saturating_add(deadline).saturating_sub(now)
    }
}

/// An endpoint is polled at every so many ticks.
fn every(settings: &SimulationSettings, endpoint: usize) -> u32 {
    let requests = settings.requests.get(endpoint);
    requests.map_or(1, |requests| requests.every.max(1))
}

/// The ticks of an endpoint from before the outage until every breaker could have closed.
fn ticks(settings: &SimulationSettings, incident: &Incident) -> u32 {
    let (breaker, interval) = (&settings.circuit_breaker, settings.interval.get());
    let open = match breaker.open_multiplier > 1.0 {
        true => breaker.max_open_duration.max(breaker.open_duration),
        false => breaker.open_duration,
    };
    let requests = settings.requests.iter();
    let rarest = requests.map(|of| of.every).max().unwrap_or(1);
    let calm = interval
        .saturating_mul(10.max(rarest.saturating_mul(2)))
        .saturating_add(open.get().saturating_mul(2));
    let end = incident.latest_end(settings).saturating_add(calm);
    periods(end, interval).saturating_add(u32::from(
        !end.as_nanos().is_multiple_of(interval.as_nanos().max(1)),
    ))
}

/// The number of whole intervals in a duration.
fn periods(span: Duration, interval: Duration) -> u32 {
    let periods = span.as_nanos() / interval.as_nanos().max(1);
    u32::try_from(periods).unwrap_or(u32::MAX)
}
