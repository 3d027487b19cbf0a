//! Load balancing: chooses one of several instances with the same data.
//!
//! It draws two instances at random and takes the one with the lower smoothed response time (power
//! of two choices). A slow answer counts at once. Two known problems of this algorithm with polls
//! are solved: a failure counts as a slow answer, or an instance that refuses within a millisecond
//! would look best; and the memory lasts for many polls, or a slow answer would be forgotten at the
//! next tick.
//!
//! A failed instance is ejected for a while and then tried again. Another instance has its data, so
//! one failure is enough. If more than half of the instances would be ejected, a common fault is
//! more likely, and none is ejected (panic). An open breaker is never overruled.

use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;
use tokio::time::Instant;

use super::{circuit::Admission, instances::Instances, positions::Positions, time::later};

/// A failure counts as an answer that took at least this long.
const PENALTY: Duration = Duration::from_secs(5);

/// The number of intervals in which the memory of an answer fades.
const DECAY_INTERVALS: u32 = 10;

/// How instances are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalancerPolicy {
    /// The time between two polls.
    pub interval: Duration,
    /// How long a failed instance is ejected.
    pub ejected_for: Duration,
}

/// What is known of the instances of a target, for one of its endpoints. Empty if the target is a
/// single instance.
#[derive(Debug, Clone, Default)]
pub struct InstanceLoads(Box<[InstanceLoad]>);

/// Chooses among instances by what is known of them.
#[derive(Debug, Clone, Copy)]
pub struct Balancer<'a> {
    policy: BalancerPolicy,
    loads: &'a [InstanceLoad],
}

/// What an attempt says about its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// It answered after this time.
    Answered(Duration),
    /// It did not answer, and asks for a pause of this length.
    Failed {
        /// `Retry-After`, if there was one.
        retry_after: Option<Duration>,
    },
    /// Nothing: the attempt was cancelled, or never sent.
    Unknown,
}

/// The instances whose breakers permit an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gates {
    free: Instances,
    probes: Instances,
}

/// The chosen instance, and the reason.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceSelection {
    /// Its position.
    pub instance: usize,
    /// Why it was chosen.
    pub because: SelectionReason,
    /// Its expected response time.
    pub expected: Duration,
    /// The other instance that was drawn, and its expected response time.
    pub over: Option<(usize, Duration)>,
}

/// Why an instance was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionReason {
    /// It is the faster one of two that were drawn.
    Faster,
    /// It is the only one left.
    Only,
    /// It was ejected, and the time is over.
    Due,
    /// More than half would be ejected, so none is.
    Panic,
    /// It is ejected, but no other one is left.
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

/// The number of attempts at one instance since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InstanceCounts {
    /// It answered.
    pub ok: u64,
    /// It did not answer, or its answer was a failure.
    pub failed: u64,
    /// Failed attempts that were repeated at another instance at once.
    pub failovers: u64,
}

impl InstanceLoads {
    /// Knows these instances. Unknown ones count as the fastest, so that all are known soon.
    pub fn arrange(&mut self, instances: &Positions) {
        let before = std::mem::take(&mut self.0);
        self.0 = instances.arrange(before, InstanceLoad::default);
    }

    /// Chooses by this policy.
    pub fn balancer(&self, policy: BalancerPolicy) -> Balancer<'_> {
        let loads = &self.0;
        Balancer { policy, loads }
    }

    /// Records the end of an attempt at an instance.
    pub fn ended(
        &mut self,
        policy: &BalancerPolicy,
        instance: usize,
        now: Instant,
        experience: AttemptResult,
    ) {
        let decay = policy.decay();
        let Some(load) = self.0.get_mut(instance) else {
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
            AttemptResult::Unknown => {}
        }
    }

    /// Counts an attempt that failed at this instance and was repeated at another one.
    pub fn failed_over(&mut self, instance: usize) {
        if let Some(load) = self.0.get_mut(instance) {
            load.counts.failovers += 1;
        }
    }
}

impl Balancer<'_> {
    /// The instance for the next request, without those in `tried` since the start of the poll or
    /// its last wait. `None` if no breaker permits a request.
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

    /// The number of attempts at an instance.
    pub fn counts(&self, instance: usize) -> InstanceCounts {
        let load = self.loads.get(instance);
        load.map(|load| load.counts).unwrap_or_default()
    }

    /// The expected response time of an instance.
    pub fn expected(&self, instance: usize, now: Instant) -> Duration {
        let load = self.loads.get(instance);
        let seconds = load.map_or(0.0, |load| load.faded(now, self.policy.decay()));
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// The instances that are ejected, or whose breakers are open.
    pub fn ejected(&self, now: Instant, gates: Gates) -> Instances {
        let shut = Instances::first_ones(self.loads.len()).without(gates.free);
        match self.is_panic(now, gates) {
            true => shut,
            false => shut.with(self.left_out(now)),
        }
    }

    /// Whether more than half would be ejected, so that only open breakers exclude instances.
    pub fn is_panic(&self, now: Instant, gates: Gates) -> bool {
        let asked = gates.free.without(self.left_out(now));
        asked.count() * 2 < self.loads.len()
    }

    fn left_out(&self, now: Instant) -> Instances {
        self.that(|load| {
            load.failed
                .is_some_and(|at| now < later(at, self.policy.ejected_for))
        })
    }

    fn due(&self, now: Instant) -> Instances {
        self.that(|load| {
            load.failed
                .is_some_and(|at| later(at, self.policy.ejected_for) <= now)
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

impl BalancerPolicy {
    /// The time in which the memory of an answer fades.
    fn decay(&self) -> Duration {
        self.interval.saturating_mul(DECAY_INTERVALS)
    }
}

impl InstanceLoad {
    /// A slow answer counts at once. A faster one counts only as the memory of the slower one
    /// fades.
    fn learn(&mut self, took: Duration, now: Instant, decay: Duration) {
        let took = took.as_secs_f64();
        let weight = self.weight(now, decay);
        self.seconds = took.max(self.seconds * weight + took * (1.0 - weight));
        self.updated = Some(now);
    }

    /// An instance without requests becomes attractive again after some time, or it would never get
    /// one.
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
    /// Whether an instance not in `tried` may get a request.
    pub fn lead_elsewhere(self, tried: Instances) -> bool {
        !self.free.with(self.probes).without(tried).is_empty()
    }

    /// Whether an instance with closed breakers may get a request.
    pub fn any_is_free(self) -> bool {
        !self.free.is_empty()
    }
}

impl FromIterator<Admission> for Gates {
    /// One admission for each instance, in the order of their positions.
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
