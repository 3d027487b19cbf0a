//! Which of several instances with the same data is asked.
//!
//! The better of two drawn at random (power of two choices) by the smoothed time of their answers,
//! in which a peak counts at once. Two traps of this algorithm at the pace of polls are closed: a
//! failure counts as a slow answer, or an instance that refuses in a millisecond would look best;
//! and the memory lasts for many polls, or a slow answer would be forgotten at the next tick.
//!
//! One that failed is left out for a while, then tried again: another one has its data, so a
//! single failure is enough. If that leaves out more than half of them, the fault is more likely
//! one that they share, and nobody is left out (panic). A breaker that is open is never overruled.

use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;
use tokio::time::Instant;

use super::{circuit::Admission, instances::Instances, time::later};

/// A failure counts as an answer that took at least so long.
const PENALTY: Duration = Duration::from_secs(5);

/// The memory of an answer fades in so many intervals.
const DECAY_INTERVALS: u32 = 10;

/// Chooses among the instances of a target for one of its endpoints.
#[derive(Debug, Clone)]
pub struct Balancer {
    decay: Duration,
    left_out_for: Duration,
    loads: Vec<InstanceLoad>,
    hedges: Hedges,
}

/// What an attempt at an instance says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// It answered after so long.
    Answered(Duration),
    /// It did not, and asks for so long a pause.
    Failed {
        /// `Retry-After`, if it gave one.
        retry_after: Option<Duration>,
    },
    /// It had not answered after so long, when another one had.
    Outrun(Duration),
    /// Nothing: it was given up, or never sent.
    Unknown,
}

/// What became of a second request beside a slow first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedged {
    /// Its answer came first.
    Won,
    /// The answer to the first request came first.
    Lost,
    /// It brought none.
    Failed,
}

/// Second requests since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hedges {
    /// Their answers came first.
    pub won: u64,
    /// The answers to the first requests did.
    pub lost: u64,
    /// They brought none.
    pub failed: u64,
}

/// Which instances the breakers let an attempt through to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gates {
    free: Instances,
    probes: Instances,
}

/// An instance, and why it is the one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceSelection {
    /// Its position.
    pub instance: usize,
    /// Why it.
    pub because: SelectionReason,
    /// The time that its answer is expected to take.
    pub expected: Duration,
    /// The other one that was drawn, and its time.
    pub over: Option<(usize, Duration)>,
}

/// Why an instance is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionReason {
    /// It is the faster one of two that were drawn.
    Faster,
    /// Only it is left.
    Only,
    /// It was left out, and its time is over.
    Due,
    /// More than half would be left out, so nobody is.
    Panic,
    /// It should be left out, but no other is left.
    LastResort,
}

/// What is known of one instance.
#[derive(Debug, Clone, Copy, Default)]
struct InstanceLoad {
    seconds: f64,
    updated: Option<Instant>,
    /// When it failed, if it has not answered since.
    failed: Option<Instant>,
    counts: InstanceCounts,
}

/// Attempts at one instance since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InstanceCounts {
    /// It answered.
    pub ok: u64,
    /// It did not, or answered that it cannot.
    pub failed: u64,
    /// Of the failed ones, those that were made up for at another instance at once.
    pub failovers: u64,
}

impl Balancer {
    /// A choice of so many instances, which are polled once an `interval`; one that fails is left
    /// out for `left_out_for`.
    pub fn new(instances: usize, interval: Duration, left_out_for: Duration) -> Self {
        // What nothing is known of is the fastest: so all are known soon.
        let load = InstanceLoad::default();
        Self {
            decay: interval.saturating_mul(DECAY_INTERVALS),
            left_out_for,
            loads: vec![load; instances],
            hedges: Hedges::default(),
        }
    }

    /// Knows what `old` knew. `from` says which instance of it each is.
    pub fn take_over(&mut self, old: Self, from: &[Option<usize>]) {
        for (load, from) in self.loads.iter_mut().zip(from) {
            if let Some(old) = from.and_then(|position| old.loads.get(position)) {
                *load = *old;
            }
        }
        self.hedges = old.hedges;
    }

    /// The instance to ask, not one of those that were `tried` since the poll began or last
    /// paused; none if the breakers let nobody through.
    pub fn choose(
        &self,
        now: Instant,
        gates: Gates,
        tried: Instances,
        rng: &mut Rng,
    ) -> Option<InstanceSelection> {
        let (free, probes) = (gates.free.without(tried), gates.probes.without(tried));
        if tried.is_empty()
            && let Some(due) = probes.with(free.and(self.due(now))).first()
        {
            return Some(self.choice(now, due, SelectionReason::Due));
        }
        let panic = self.is_panic(now, gates);
        let sound = match panic {
            true => free,
            false => free.without(self.left_out(now)),
        };
        let (from, because) = match (sound.count(), free.is_empty()) {
            (0, true) => (probes, SelectionReason::LastResort),
            (0, false) => (free, SelectionReason::LastResort),
            (_, _) if panic => (sound, SelectionReason::Panic),
            (1, _) => (sound, SelectionReason::Only),
            (_, _) => (sound, SelectionReason::Faster),
        };
        self.faster_of_two(now, from, because, rng)
    }

    /// An attempt at an instance has ended.
    pub fn ended(&mut self, instance: usize, now: Instant, experience: AttemptResult) {
        let decay = self.decay;
        let Some(load) = self.loads.get_mut(instance) else {
            return;
        };
        match experience {
            AttemptResult::Answered(took) => {
                load.learn(took, now, decay);
                load.failed = None;
                load.counts.ok += 1;
            }
            AttemptResult::Failed { retry_after } => {
                load.learn(PENALTY.max(retry_after.unwrap_or_default()), now, decay);
                load.failed = Some(now);
                load.counts.failed += 1;
            }
            AttemptResult::Outrun(took) => load.learn_at_least(took, now, decay),
            AttemptResult::Unknown => {}
        }
    }

    /// A second request beside a slow first one has ended.
    pub fn hedged(&mut self, hedged: Hedged) {
        let Hedges { won, lost, failed } = &mut self.hedges;
        *match hedged {
            Hedged::Won => won,
            Hedged::Lost => lost,
            Hedged::Failed => failed,
        } += 1;
    }

    /// Second requests to any instance.
    pub fn hedges(&self) -> Hedges {
        self.hedges
    }

    /// What failed at this instance was sent to another.
    pub fn failed_over(&mut self, instance: usize) {
        if let Some(load) = self.loads.get_mut(instance) {
            load.counts.failovers += 1;
        }
    }

    /// Attempts at an instance.
    pub fn counts(&self, instance: usize) -> InstanceCounts {
        let load = self.loads.get(instance);
        load.map(|load| load.counts).unwrap_or_default()
    }

    /// The time that an answer of an instance is expected to take now.
    pub fn expected(&self, instance: usize, now: Instant) -> Duration {
        let load = self.loads.get(instance);
        let seconds = load.map_or(0.0, |load| load.faded(now, self.decay));
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Those that are left out now: by their breakers, or because they failed.
    pub fn ejected(&self, now: Instant, gates: Gates) -> Instances {
        let shut = Instances::first_ones(self.loads.len()).without(gates.free);
        match self.is_panic(now, gates) {
            true => shut,
            false => shut.with(self.left_out(now)),
        }
    }

    /// Whether more than half would be left out, and so only those are that a breaker leaves out.
    pub fn is_panic(&self, now: Instant, gates: Gates) -> bool {
        let asked = gates.free.without(self.left_out(now));
        asked.count() * 2 < self.loads.len()
    }

    fn left_out(&self, now: Instant) -> Instances {
        self.that(|load| {
            load.failed
                .is_some_and(|at| now < later(at, self.left_out_for))
        })
    }

    fn due(&self, now: Instant) -> Instances {
        self.that(|load| {
            load.failed
                .is_some_and(|at| later(at, self.left_out_for) <= now)
        })
    }

    fn that(&self, is: impl Fn(&InstanceLoad) -> bool) -> Instances {
        let found = self.loads.iter().enumerate().filter(|(_, load)| is(load));
        found.map(|(instance, _)| instance).collect()
    }

    fn faster_of_two(
        &self,
        now: Instant,
        from: Instances,
        because: SelectionReason,
        rng: &mut Rng,
    ) -> Option<InstanceSelection> {
        let one = from.nth(rng.usize(..from.count().max(1)))?;
        let others = from.without(Instances::of(one));
        let first = self.choice(now, one, because);
        let Some(other) = others.nth(rng.usize(..others.count().max(1))) else {
            return Some(first);
        };
        let second = self.choice(now, other, because);
        let (faster, slower) = match second.expected < first.expected {
            true => (second, first),
            false => (first, second),
        };
        let over = Some((slower.instance, slower.expected));
        Some(InstanceSelection { over, ..faster })
    }

    fn choice(&self, now: Instant, instance: usize, because: SelectionReason) -> InstanceSelection {
        InstanceSelection {
            instance,
            because,
            expected: self.expected(instance, now),
            over: None,
        }
    }
}

impl InstanceLoad {
    /// A peak is believed at once, what is faster only as the memory of the slower one fades.
    fn learn(&mut self, took: Duration, now: Instant, decay: Duration) {
        let took = took.as_secs_f64();
        let weight = self.weight(now, decay);
        self.seconds = took.max(self.seconds * weight + took * (1.0 - weight));
        self.updated = Some(now);
    }

    /// It would have taken longer than this.
    fn learn_at_least(&mut self, took: Duration, now: Instant, decay: Duration) {
        self.seconds = self.faded(now, decay).max(took.as_secs_f64());
        self.updated = Some(now);
    }

    /// What is not asked becomes attractive again in time, or it would never be asked again.
    fn faded(&self, now: Instant, decay: Duration) -> f64 {
        self.seconds * self.weight(now, decay)
    }

    fn weight(&self, now: Instant, decay: Duration) -> f64 {
        let age = self
            .updated
            .map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        (-age.as_secs_f64() / decay.as_secs_f64().max(f64::MIN_POSITIVE)).exp()
    }
}

impl Gates {
    /// Whether one that was not `tried` may be asked.
    pub fn lead_elsewhere(self, tried: Instances) -> bool {
        !self.free.with(self.probes).without(tried).is_empty()
    }

    /// Whether one may be asked whose breakers are closed.
    pub fn any_is_free(self) -> bool {
        !self.free.is_empty()
    }
}

impl FromIterator<Admission> for Gates {
    /// One an instance, in the order of their positions.
    fn from_iter<I: IntoIterator<Item = Admission>>(gates: I) -> Self {
        let mut all = Self::default();
        for (instance, gate) in gates.into_iter().enumerate() {
            let of = Instances::of(instance);
            match gate {
                Admission::Free => all.free = all.free.with(of),
                Admission::Probe => all.probes = all.probes.with(of),
                Admission::Shut => {}
            }
        }
        all
    }
}
