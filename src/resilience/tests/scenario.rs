//! Outages of one host with six endpoints, in virtual time: the core in the order in which it is
//! meant to be composed, held to the behaviour that was measured for that order.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::Instant;

use super::secs;
use crate::resilience::{
    budget::Budget,
    circuit::{Circuit, CircuitPermit, Refused, Scope},
    config::{CircuitBreakerConfig, RetryConfig},
    outcome::{Class, Statuses},
    retry::{Decision, Failed, least},
    state::State,
};

const ENDPOINTS: usize = 6;
const INTERVAL: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_millis(13_500);
const TIMEOUT: Duration = Duration::from_secs(5);
const REPLY: Duration = Duration::from_millis(40);
const END: Duration = Duration::from_secs(585); // 39 ticks × 6 endpoints = 234 polls

#[derive(Debug, Clone, Copy)]
struct Fault {
    from: Duration,
    to: Duration,
    class: Class,
    took: Duration,
    /// Only this endpoint.
    path: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Attempt(usize),
    Done(usize),
    Tick(usize),
}

#[derive(Default)]
struct Poll {
    due: Duration,
    attempts: u32,
    under_way: Option<(CircuitPermit, Class)>,
    first_fresh_after: Option<Duration>,
}

struct Simulation {
    fault: Fault,
    circuit: Circuit,
    budget: Budget,
    rng: Rng,
    origin: Instant,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    polls: BTreeMap<usize, Poll>,
    waiting: Vec<usize>,
    requests: u32,
    failed_polls: u32,
    opened: Option<Duration>,
}

impl Simulation {
    fn run(fault: Fault, seed: u64) -> Self {
        let (breaker, origin) = (CircuitBreakerConfig::default(), Instant::now());
        let (host, endpoint) = (breaker.host_policy(), breaker.endpoint_policy());
        let mut simulation = Self {
            fault,
            circuit: Circuit::new(Scope::Both, host, endpoint, ENDPOINTS, origin),
            budget: Budget::new(1, INTERVAL, origin),
            rng: Rng::with_seed(seed),
            origin,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            polls: (0..ENDPOINTS).map(|at| (at, Poll::default())).collect(),
            waiting: Vec::new(),
            requests: 0,
            failed_polls: 0,
            opened: None,
        };
        for endpoint in 0..ENDPOINTS {
            simulation.at(Duration::ZERO, Event::Tick(endpoint));
        }
        while let Some(Reverse((when, event))) = simulation.events.pop() {
            if when >= END {
                break;
            }
            simulation.now = when;
            match event {
                Event::Tick(endpoint) => simulation.tick(endpoint),
                Event::Attempt(endpoint) => simulation.attempt(endpoint),
                Event::Done(endpoint) => simulation.done(endpoint),
            }
        }
        simulation
    }

    fn at(&mut self, when: Duration, event: Event) {
        self.events.push(Reverse((when, event)));
    }

    fn instant(&self) -> Instant {
        self.origin + self.now
    }

    fn in_fault(&self) -> bool {
        (self.fault.from..self.fault.to).contains(&self.now)
    }

    fn tick(&mut self, endpoint: usize) {
        let due = self.now;
        let poll = self.polls.get_mut(&endpoint).unwrap();
        (poll.due, poll.attempts) = (due, 0);
        self.attempt(endpoint);
    }

    fn attempt(&mut self, endpoint: usize) {
        let now = self.instant();
        match self.circuit.try_acquire(now, endpoint) {
            Err(Refused::ProbeInFlight { .. }) => self.waiting.push(endpoint),
            Err(Refused::Open { .. } | Refused::Paused { .. }) => self.over(endpoint, false),
            Ok(permit) => {
                let hit = self.in_fault() && self.fault.path.is_none_or(|path| path == endpoint);
                let (class, took) = match hit {
                    true => (self.fault.class, self.fault.took),
                    false => (Class::Success, REPLY),
                };
                self.requests += u32::from(self.in_fault());
                self.budget.attempt(now);
                let poll = self.polls.get_mut(&endpoint).unwrap();
                poll.attempts += 1;
                let left = poll.due + DEADLINE - self.now;
                let class = match took > left {
                    true => Class::DeadlineCut { overdue: false },
                    false => class,
                };
                poll.under_way = Some((permit, class));
                self.at(self.now + took.min(left), Event::Done(endpoint));
            }
        }
    }

    fn done(&mut self, endpoint: usize) {
        let now = self.instant();
        let poll = self.polls.get_mut(&endpoint).unwrap();
        let (permit, class) = poll.under_way.take().unwrap();
        let (attempts, remaining) = (poll.attempts, poll.due + DEADLINE - self.now);
        let (verdict, probe) = (Statuses::default().classify(class), permit.is_probe());
        self.circuit.complete(now, permit, &verdict, &mut self.rng);
        let open = self.circuit.view(now, endpoint).state() == State::Open;
        if open && self.opened.is_none() {
            self.opened = Some(self.now);
        }
        if class == Class::Success {
            self.over(endpoint, true);
        } else {
            let failed = Failed {
                attempts,
                retry: verdict.retry,
                retry_after: None,
                open: open || probe,
                remaining,
                least: least(Some(REPLY), DEADLINE),
            };
            let policy = RetryConfig::default().policy();
            match policy.next(now, &failed, &mut self.budget, &mut self.rng) {
                Decision::Retry { delay } => self.at(self.now + delay, Event::Attempt(endpoint)),
                Decision::Stop { .. } => self.over(endpoint, false),
            }
        }
        if probe {
            // The verdict that others wait for.
            for endpoint in std::mem::take(&mut self.waiting) {
                self.attempt(endpoint);
            }
        }
    }

    /// The next tick is at the expiry if a breaker is in the way, else on the grid.
    fn over(&mut self, endpoint: usize, fresh: bool) {
        let view = self.circuit.view(self.instant(), endpoint);
        let periods = self.now.as_nanos() / INTERVAL.as_nanos() + 1;
        let next = INTERVAL * u32::try_from(periods).unwrap();
        let expiry = view.retry_at().map(|retry_at| retry_at - self.origin);
        self.at(expiry.unwrap_or(next), Event::Tick(endpoint));
        self.failed_polls += u32::from(!fresh);
        let poll = self.polls.get_mut(&endpoint).unwrap();
        if fresh && self.now >= self.fault.to {
            poll.first_fresh_after.get_or_insert(self.now);
        }
    }

    fn recovery(&self) -> Duration {
        let fresh = self
            .polls
            .values()
            .map(|poll| poll.first_fresh_after.unwrap());
        fresh.max().unwrap() - self.fault.to
    }
}

/// Mean requests, mean detection, mean and longest recovery, of 300 outages of 240 to 300 s.
fn outages(class: Class, took: Duration, path: Option<usize>) -> [f64; 4] {
    let [mut requests, mut detection, mut recovery, mut longest] = [0.0_f64; 4];
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let from = Duration::from_millis(rng.u64(60_000..75_000));
        let to = from + Duration::from_millis(rng.u64(240_000..300_000));
        let fault = Fault {
            from,
            to,
            class,
            took,
            path,
        };
        let run = Simulation::run(fault, seed);
        requests += f64::from(run.requests) / 300.0;
        detection += (run.opened.unwrap() - from).as_secs_f64() / 300.0;
        recovery += run.recovery().as_secs_f64() / 300.0;
        longest = longest.max(run.recovery().as_secs_f64());
    }
    [requests, detection, recovery, longest]
}

#[test]
fn a_host_that_hangs_is_found_left_alone_and_found_again() {
    let found = outages(Class::Timeout, TIMEOUT, None);
    let [requests, detection, recovery, longest] = found;
    assert!(requests <= 40.0 && detection <= 45.0, "{found:?}");
    // At worst the host comes back just after a probe was sent: its 5 s, and 33 s of jittered 30.
    assert!(recovery <= 20.0 && longest <= 38.1, "{found:?}");
}

#[test]
fn a_host_that_refuses_is_found_sooner() {
    let found = outages(Class::Transport, Duration::from_millis(1), None);
    let [requests, detection, recovery, longest] = found;
    assert!(requests <= 40.0 && detection <= 30.0, "{found:?}");
    assert!(recovery <= 20.0 && longest <= 36.0, "{found:?}");
}

#[test]
fn one_path_of_six_that_fails_is_found_and_the_others_are_polled() {
    let found = outages(Class::Status(500), REPLY, Some(3));
    let [requests, detection, recovery, longest] = found;
    assert!(
        (90.0..=115.0).contains(&requests) && detection <= 45.0,
        "{found:?}"
    );
    assert!(recovery <= 20.0 && longest <= 36.0, "{found:?}");
}

#[test]
fn a_hiccup_of_six_seconds_loses_no_poll() {
    for seed in 0..300 {
        let from = Duration::from_millis(Rng::with_seed(seed).u64(60_000..75_000));
        let fault = Fault {
            from,
            to: from + secs(6),
            class: Class::Timeout,
            took: TIMEOUT,
            path: None,
        };
        let run = Simulation::run(fault, seed);
        assert_eq!((run.failed_polls, run.opened), (0, None), "from {from:?}");
    }
}
