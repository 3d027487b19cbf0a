//! Checks that the real breaker agrees with the model, and that the same search finds each
//! well-known bug.

use std::{cell::Cell, time::Duration};

use fastrand::Rng;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use tokio::time::Instant;

use super::{
    OPEN,
    model::{Model, Op, Seen, ops},
    policy,
};
use crate::resilience::{
    breaker::{Breaker, BreakerPermit, BreakerPolicy, FailureCounting},
    outcome::BreakerOutcome,
    state::{BreakerState, TransitionReason},
    time::DecisionInputs,
};

/// The tested breaker: the real one, or a wrong one.
trait Gate {
    type Permit;
    fn acquire(&mut self, now: Instant) -> Option<Self::Permit>;
    fn complete(&mut self, now: Instant, permit: Self::Permit, outcome: BreakerOutcome);
    fn seen(&self, now: Instant) -> Seen;
}

/// Applies the same events to both, and compares after each step.
fn compare<G: Gate>(
    mut gate: G,
    policy: BreakerPolicy,
    start: Instant,
    ops: &[Op],
) -> Result<G, TestCaseError> {
    let (mut model, mut now) = (Model::new(policy), start);
    let (mut under_way, mut number) = (Vec::new(), 0);
    for op in ops {
        match op {
            Op::Wait(span) => now += *span,
            Op::Acquire => {
                let permit = gate.acquire(now);
                prop_assert_eq!(permit.is_some(), model.admits(now), "admission");
                if let Some(permit) = permit {
                    model.admitted(number, now);
                    under_way.push((number, permit));
                    number += 1;
                }
            }
            Op::Complete(which, outcome) if *which < under_way.len() => {
                let (number, permit) = under_way.remove(*which);
                gate.complete(now, permit, *outcome);
                model.ended(number, now, *outcome);
            }
            Op::Complete(..) => {}
        }
        prop_assert_eq!(gate.seen(now), model.seen(now));
    }
    Ok(gate)
}

struct Real {
    policy: BreakerPolicy,
    breaker: Breaker,
    rng: Rng,
    path: Vec<(BreakerState, BreakerState)>,
}

impl Gate for Real {
    type Permit = BreakerPermit;

    fn acquire(&mut self, now: Instant) -> Option<BreakerPermit> {
        let expired = self.breaker.advance(now);
        self.path.extend(expired.map(|t| (t.from, t.to)));
        self.breaker.try_acquire(&self.policy, now).ok()
    }

    fn complete(&mut self, now: Instant, permit: BreakerPermit, outcome: BreakerOutcome) {
        let rng = &mut self.rng;
        let inputs = DecisionInputs { now, rng };
        let changed = self.breaker.complete(&self.policy, permit, outcome, inputs);
        self.path.extend(changed.map(|t| (t.from, t.to)));
    }

    fn seen(&self, now: Instant) -> Seen {
        let view = self.breaker.view(now);
        Seen {
            state: view.state,
            retry_at: view.retry_at,
            failures: view.consecutive_failures,
        }
    }
}

fn policies() -> impl Strategy<Value = BreakerPolicy> {
    (1..4_u32, any::<bool>(), 1..3_u32).prop_map(|(failure_threshold, waves, probes)| {
        BreakerPolicy {
            failure_threshold,
            counting: if waves {
                FailureCounting::Waves
            } else {
                FailureCounting::Each
            },
            half_open_max_probes: probes,
            ..policy()
        }
    })
}

proptest! {
    #![proptest_config(Config { cases: 1000, ..Config::default() })]

    #[test]
    fn the_breaker_agrees_with_the_model(
        (policy, ops) in policies().prop_flat_map(|policy| (Just(policy), ops(policy)))
    ) {
        let start = Instant::now();
        let real = Real {
            policy,
            breaker: Breaker::new(start),
            rng: Rng::with_seed(1),
            path: Vec::new(),
        };
        let Real { breaker, path, .. } = compare(real, policy, start, &ops)?;
        let now = start + ops.iter().fold(Duration::ZERO, |sum, op| match op {
            Op::Wait(span) => sum + *span,
            _ => sum,
        });
        let view = breaker.view(now);
        let time = view.time;
        prop_assert_eq!(time.closed + time.half_open + time.open, now - start, "all time is spent");
        for (before, after) in path.iter().zip(path.iter().skip(1)) {
            prop_assert_eq!(before.1, after.0, "each transition starts in the state before it");
        }
        let mut breaker = breaker;
        let late = breaker.advance(now).map(|t| (t.from, t.to));
        for (reason, from, to) in TransitionReason::ALL {
            let told = path.iter().chain(&late).filter(|step| **step == (from, to)).count();
            prop_assert_eq!(view.counters.transitions(reason), told as u64);
        }
    }
}

/// A bug that some breaker has or had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    HalfOpenAdmitsAll,
    FailedProbeStaysHalfOpen,
    FailedProbeNeedsThreshold,
    ThresholdPlusOne,
    LateSuccessCloses,
    LateFailureExtendsOpening,
    LateFailureCounts,
    NeutralProbeLeaksSlot,
    NeutralProbeCloses,
    RejectionIsFailure,
    SuccessKeepsRun,
    NeutralResetsRun,
    ConcurrentFailuresCount,
    ClosesWithOldRun,
    NeverExpires,
    OpensFromStart,
    FailedProbeOpensFromResult,
    FailedProbeIsOverAtOnce,
}

const BUGS: [Bug; 18] = [
    Bug::HalfOpenAdmitsAll,
    Bug::FailedProbeStaysHalfOpen,
    Bug::FailedProbeNeedsThreshold,
    Bug::ThresholdPlusOne,
    Bug::LateSuccessCloses,
    Bug::LateFailureExtendsOpening,
    Bug::LateFailureCounts,
    Bug::NeutralProbeLeaksSlot,
    Bug::NeutralProbeCloses,
    Bug::RejectionIsFailure,
    Bug::SuccessKeepsRun,
    Bug::NeutralResetsRun,
    Bug::ConcurrentFailuresCount,
    Bug::ClosesWithOldRun,
    Bug::NeverExpires,
    Bug::OpensFromStart,
    Bug::FailedProbeOpensFromResult,
    Bug::FailedProbeIsOverAtOnce,
];

/// A small copy of the rules, with a place for each bug.
struct Buggy {
    bug: Bug,
    state: BreakerState,
    generation: u32,
    until: Instant,
    in_flight: u32,
    failures: u32,
    counted: u32,
}

impl Buggy {
    const THRESHOLD: u32 = 2;

    fn new(bug: Bug, now: Instant) -> Self {
        Self {
            bug,
            state: BreakerState::Closed,
            generation: 0,
            until: now,
            in_flight: 0,
            failures: 0,
            counted: 0,
        }
    }

    fn policy(bug: Bug) -> BreakerPolicy {
        // Counting simultaneous failures once hides a late failure: its attempt started before the
        // one that tripped was known.
        let counting = match bug {
            Bug::LateFailureCounts => FailureCounting::Each,
            _ => FailureCounting::Waves,
        };
        BreakerPolicy {
            failure_threshold: Self::THRESHOLD,
            counting,
            ..policy()
        }
    }

    fn enter(&mut self, state: BreakerState) {
        self.state = state;
        self.generation += 1;
        self.in_flight = 0;
    }

    fn open(&mut self, from: Instant) {
        self.until = from + OPEN;
        self.enter(BreakerState::Open);
    }

    fn expire(&mut self, now: Instant) {
        let never = self.bug == Bug::NeverExpires;
        if self.state == BreakerState::Open && self.until <= now && !never {
            self.enter(BreakerState::HalfOpen);
        }
    }

    /// Whether a result of an older generation is ignored.
    fn drops(&mut self, now: Instant, outcome: BreakerOutcome) -> bool {
        match (self.bug, self.state, outcome) {
            (Bug::LateSuccessCloses, BreakerState::HalfOpen, BreakerOutcome::Ok) => false,
            (Bug::LateFailureCounts, BreakerState::Closed, BreakerOutcome::Fail) => false,
            (Bug::LateFailureExtendsOpening, BreakerState::Open, BreakerOutcome::Fail) => {
                self.until = now + OPEN;
                true
            }
            _ => true,
        }
    }

    fn fail(&mut self, now: Instant, started: Instant, counted: u32) {
        let each = [Bug::ConcurrentFailuresCount, Bug::LateFailureCounts].contains(&self.bug);
        if each || counted == self.counted {
            self.failures += 1;
            self.counted += 1;
        }
        let threshold = Self::THRESHOLD + u32::from(self.bug == Bug::ThresholdPlusOne);
        if self.failures >= threshold {
            let from_start = self.bug == Bug::OpensFromStart;
            self.open(if from_start { started } else { now });
        }
    }

    fn probe(&mut self, now: Instant, started: Instant, outcome: BreakerOutcome) {
        let closes = self.bug == Bug::NeutralProbeCloses;
        let leaks = self.bug == Bug::NeutralProbeLeaksSlot && outcome == BreakerOutcome::Neutral;
        self.in_flight = self.in_flight.saturating_sub(u32::from(!leaks));
        match outcome {
            BreakerOutcome::Neutral if !closes => {}
            BreakerOutcome::Ok | BreakerOutcome::Neutral => {
                if self.bug != Bug::ClosesWithOldRun {
                    self.failures = 0;
                }
                self.enter(BreakerState::Closed);
            }
            BreakerOutcome::Fail => {
                self.failures += 1;
                let patient = self.bug == Bug::FailedProbeNeedsThreshold;
                let needed = if patient { 2 * Self::THRESHOLD } else { 0 };
                if self.bug != Bug::FailedProbeStaysHalfOpen && self.failures >= needed {
                    self.open(match self.bug {
                        Bug::FailedProbeOpensFromResult => now,
                        Bug::FailedProbeIsOverAtOnce => started,
                        _ => started.max(now - OPEN / 2),
                    });
                }
            }
        }
    }
}

impl Gate for Buggy {
    type Permit = (u32, Instant, u32);

    fn acquire(&mut self, now: Instant) -> Option<Self::Permit> {
        self.expire(now);
        let all = self.bug == Bug::HalfOpenAdmitsAll;
        let admits = match self.state {
            BreakerState::Closed => true,
            BreakerState::HalfOpen => self.in_flight == 0 || all,
            BreakerState::Open => false,
        };
        if admits {
            self.in_flight += 1;
        } else if self.bug == Bug::RejectionIsFailure {
            self.failures += 1;
        }
        admits.then_some((self.generation, now, self.counted))
    }

    fn complete(&mut self, now: Instant, permit: Self::Permit, outcome: BreakerOutcome) {
        let (generation, started, counted) = permit;
        self.expire(now);
        if generation != self.generation && self.drops(now, outcome) {
            return;
        }
        match (self.state, outcome) {
            (BreakerState::HalfOpen, _) => self.probe(now, started, outcome),
            (BreakerState::Closed, BreakerOutcome::Ok) if self.bug != Bug::SuccessKeepsRun => {
                self.failures = 0;
            }
            (BreakerState::Closed, BreakerOutcome::Neutral)
                if self.bug == Bug::NeutralResetsRun =>
            {
                self.failures = 0;
            }
            (BreakerState::Closed, BreakerOutcome::Fail) => self.fail(now, started, counted),
            _ => {}
        }
    }

    fn seen(&self, now: Instant) -> Seen {
        let expired = self.until <= now && self.bug != Bug::NeverExpires;
        let state = match self.state {
            BreakerState::Open if expired => BreakerState::HalfOpen,
            same => same,
        };
        Seen {
            state,
            retry_at: (state == BreakerState::Open).then_some(self.until),
            failures: self.failures,
        }
    }
}

/// The number of cases that are needed to find the bug.
fn cases_until_found(bug: Bug) -> Option<u32> {
    let config = Config {
        cases: 1000,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let seeded = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, seeded);
    let (start, policy, cases) = (Instant::now(), Buggy::policy(bug), Cell::new(0));
    let found = runner.run(&ops(policy), |ops| {
        cases.set(cases.get() + 1);
        compare(Buggy::new(bug, start), policy, start, &ops).map(drop)
    });
    matches!(found, Err(TestError::Fail(..))).then_some(cases.get())
}

#[test]
fn the_copy_without_a_bug_agrees_with_the_model() {
    assert_eq!(cases_until_found(Bug::None), None);
}

#[test]
fn every_known_bug_is_found() {
    let found: Vec<_> = BUGS.map(|bug| (bug, cases_until_found(bug))).to_vec();
    let is_missed = |(_, cases): &&(Bug, Option<u32>)| cases.is_none_or(|cases| cases > 200);
    let missed: Vec<_> = found.iter().filter(is_missed).collect();
    assert!(missed.is_empty(), "{missed:?} of {found:?}");
}
