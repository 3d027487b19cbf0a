//! A second breaker as a model. It only stores a list of events, and reads the whole list for each
//! question. It has no counters and no generations, so it cannot share bugs with the real one.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use crate::resilience::{
    breaker::{BreakerPolicy, FailureCounting},
    outcome::BreakerOutcome,
    state::BreakerState,
};

/// An event for a breaker.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Acquire,
    /// One of the attempts in progress ends.
    Complete(usize, BreakerOutcome),
    Wait(Duration),
}

pub(super) fn ops(policy: BreakerPolicy) -> impl Strategy<Value = Vec<Op>> {
    let outcome = prop_oneof![
        3 => Just(BreakerOutcome::Fail),
        1 => Just(BreakerOutcome::Ok),
        1 => Just(BreakerOutcome::Neutral)
    ];
    let (open, millisecond) = (policy.open_duration, Duration::from_millis(1));
    let wait = prop_oneof![
        Just(millisecond),
        Just(open - millisecond),
        Just(open),
        (0..100_000_u64).prop_map(Duration::from_millis),
    ];
    let op = prop_oneof![
        4 => Just(Op::Acquire),
        4 => (0..4_usize, outcome).prop_map(|(which, outcome)| Op::Complete(which, outcome)),
        2 => wait.prop_map(Op::Wait),
    ];
    prop::collection::vec(op, 0..80)
}

/// The visible state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) state: BreakerState,
    pub(super) retry_at: Option<Instant>,
    pub(super) failures: u32,
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    /// The attempt with this number was permitted.
    Admitted(usize, Instant),
    /// The attempt ended.
    Ended(usize, Instant, BreakerOutcome),
}

/// The list of events.
#[derive(Debug)]
pub(super) struct Model {
    policy: BreakerPolicy,
    diary: Vec<Entry>,
}

/// A part of the list with one state.
#[derive(Debug, Clone, Copy)]
struct Era {
    state: BreakerState,
    /// Its first event in the list.
    first: usize,
    /// When it ends by itself.
    until: Option<Instant>,
    /// The number of failures at its start.
    failures: u32,
}

impl Model {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            diary: Vec::new(),
        }
    }

    pub(super) fn admits(&self, now: Instant) -> bool {
        let era = self.era(now);
        match era.state {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => {
                let own = &self.diary[era.first..];
                let admitted = own.iter().filter(|e| matches!(e, Entry::Admitted(..)));
                let ended = own.iter().filter(|e| self.ended_in(era, e).is_some());
                admitted.count() - ended.count()
                    < usize::try_from(self.policy.half_open_max_probes).unwrap()
            }
        }
    }

    pub(super) fn admitted(&mut self, number: usize, now: Instant) {
        self.diary.push(Entry::Admitted(number, now));
    }

    pub(super) fn ended(&mut self, number: usize, now: Instant, outcome: BreakerOutcome) {
        self.diary.push(Entry::Ended(number, now, outcome));
    }

    pub(super) fn seen(&self, now: Instant) -> Seen {
        let era = self.era(now);
        Seen {
            state: era.state,
            retry_at: era.until,
            failures: match era.state {
                BreakerState::Closed => self.run(era, self.diary.len()),
                BreakerState::Open | BreakerState::HalfOpen => era.failures,
            },
        }
    }

    /// Reads the whole list.
    fn era(&self, now: Instant) -> Era {
        let mut era = Era {
            state: BreakerState::Closed,
            first: 0,
            until: None,
            failures: 0,
        };
        for (at, entry) in self.diary.iter().enumerate() {
            let (Entry::Admitted(_, when) | Entry::Ended(_, when, _)) = *entry;
            era = Self::expire(era, at, when);
            let Some(outcome) = self.ended_in(era, entry) else {
                continue;
            };
            let open_duration = self.policy.open_duration;
            let open = |failures, until| Era {
                state: BreakerState::Open,
                first: at + 1,
                until: Some(until),
                failures,
            };
            let run = self.run(era, at + 1);
            era = match (era.state, outcome) {
                (BreakerState::HalfOpen, BreakerOutcome::Ok) => Era {
                    state: BreakerState::Closed,
                    first: at + 1,
                    until: None,
                    failures: 0,
                },
                (BreakerState::HalfOpen, BreakerOutcome::Fail) => {
                    let half = when + open_duration / 2;
                    let until = half.max(self.sent(entry).unwrap_or(when) + open_duration);
                    open(era.failures + 1, until)
                }
                (BreakerState::Closed, BreakerOutcome::Fail)
                    if run >= self.policy.failure_threshold =>
                {
                    open(run, when + open_duration)
                }
                _ => era,
            };
        }
        Self::expire(era, self.diary.len(), now)
    }

    fn expire(era: Era, first: usize, now: Instant) -> Era {
        match era.until {
            Some(until) if until <= now => Era {
                state: BreakerState::HalfOpen,
                first,
                until: None,
                ..era
            },
            _ => era,
        }
    }

    /// The outcome, if the entry is the end of an attempt that this era permitted.
    fn ended_in(&self, era: Era, entry: &Entry) -> Option<BreakerOutcome> {
        let Entry::Ended(number, _, outcome) = *entry else {
            return None;
        };
        let own = self.diary.get(era.first..)?;
        own.iter()
            .any(|e| matches!(e, Entry::Admitted(n, _) if *n == number))
            .then_some(outcome)
    }

    /// When the attempt of this entry was permitted.
    fn sent(&self, end: &Entry) -> Option<Instant> {
        let Entry::Ended(ended, ..) = end else {
            return None;
        };
        self.diary.iter().find_map(|entry| match entry {
            Entry::Admitted(number, when) if number == ended => Some(*when),
            _ => None,
        })
    }

    /// The consecutive failures of a closed era before `end`.
    fn run(&self, era: Era, end: usize) -> u32 {
        let own = self.diary.get(era.first..end).unwrap_or_default();
        let admitted_at = |number| {
            let is_it = |e: &Entry| matches!(e, Entry::Admitted(n, _) if *n == number);
            own.iter().position(is_it)
        };
        let each = self.policy.counting == FailureCounting::Each;
        let (mut run, mut counted_at) = (0, None);
        for (at, entry) in own.iter().enumerate() {
            match (self.ended_in(era, entry), entry) {
                (Some(BreakerOutcome::Ok), _) => run = 0,
                (Some(BreakerOutcome::Fail), Entry::Ended(number, ..))
                    if each || admitted_at(*number) > counted_at =>
                {
                    counted_at = Some(at);
                    run += 1;
                }
                _ => {}
            }
        }
        run
    }
}
