//! Which of several instances with the same data is asked.
//!
//! The better of two drawn at random (power of two choices) by their load: the smoothed time of
//! their answers, peaks at once, times the requests under way. Two traps of this algorithm at the
//! pace of polls are closed: a failure counts as a slow answer, or an instance that refuses in a
//! millisecond would look best; and the memory lasts for many polls, or a slow answer would be
//! forgotten at the next tick.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

/// What an instance that nothing is known of is taken for.
const INITIAL: Duration = Duration::from_millis(30);

/// A failure counts as an answer that took at least so long.
const PENALTY: Duration = Duration::from_secs(5);

/// The memory of an answer fades in so many intervals.
const DECAY_INTERVALS: u32 = 10;

/// Chooses among the instances of one target.
#[derive(Debug, Clone)]
pub struct Balancer {
    decay: Duration,
    instances: Vec<Load>,
}

/// How an attempt at an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It answered after so long.
    Answered(Duration),
    /// It did not, and asks for so long a pause.
    Failed {
        /// `Retry-After`, if it gave one.
        retry_after: Option<Duration>,
    },
    /// Nothing is known: the attempt was given up.
    Unknown,
}

/// Which instances may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Their breakers let requests through.
    pub active: usize,
    /// Their breakers are open.
    pub ejected: usize,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    seconds: f64,
    updated: Option<Instant>,
    in_flight: u32,
}

impl Balancer {
    /// A choice of so many instances, which are polled once an `interval`.
    pub fn new(instances: usize, interval: Duration) -> Self {
        let load = Load {
            seconds: INITIAL.as_secs_f64(),
            updated: None,
            in_flight: 0,
        };
        Self {
            decay: interval.saturating_mul(DECAY_INTERVALS),
            instances: vec![load; instances],
        }
    }

    /// The instance to ask, of those that `may` be; none if none may.
    pub fn pick(&self, now: Instant, may: impl Fn(usize) -> bool, rng: &mut Rng) -> Option<usize> {
        let candidates: Vec<usize> = (0..self.instances.len()).filter(|i| may(*i)).collect();
        let first = *candidates.get(rng.usize(..candidates.len().max(1)))?;
        let others = candidates.iter().copied().filter(|other| *other != first);
        let second = others.clone().nth(rng.usize(..others.count().max(1)));
        let cost = |index: &usize| self.cost(*index, now);
        [Some(first), second]
            .into_iter()
            .flatten()
            .min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// An attempt at an instance begins.
    pub fn started(&mut self, instance: usize) {
        if let Some(load) = self.instances.get_mut(instance) {
            load.in_flight += 1;
        }
    }

    /// An attempt at an instance has ended.
    pub fn ended(&mut self, instance: usize, now: Instant, ended: Ended) {
        let decay = self.decay;
        let Some(load) = self.instances.get_mut(instance) else {
            return;
        };
        load.in_flight = load.in_flight.saturating_sub(1);
        match ended {
            Ended::Answered(took) => load.learn(took, now, decay),
            Ended::Failed { retry_after } => {
                load.learn(PENALTY.max(retry_after.unwrap_or_default()), now, decay);
            }
            Ended::Unknown => {}
        }
    }

    /// What an instance costs now, in seconds; lower is better.
    fn cost(&self, instance: usize, now: Instant) -> f64 {
        let Some(load) = self.instances.get(instance) else {
            return f64::INFINITY;
        };
        load.faded(now, self.decay) * f64::from(load.in_flight + 1)
    }
}

impl Load {
    /// A peak is believed at once, what is faster only as the memory of the slower one fades.
    fn learn(&mut self, took: Duration, now: Instant, decay: Duration) {
        let took = took.as_secs_f64();
        let weight = self.weight(now, decay);
        self.seconds = took.max(self.seconds * weight + took * (1.0 - weight));
        self.updated = Some(now);
    }

    /// What is not asked becomes attractive again in time, or it would never be asked again.
    fn faded(&self, now: Instant, decay: Duration) -> f64 {
        let initial = INITIAL.as_secs_f64();
        let weight = self.weight(now, decay);
        self.seconds * weight + self.seconds.min(initial) * (1.0 - weight)
    }

    fn weight(&self, now: Instant, decay: Duration) -> f64 {
        let age = self
            .updated
            .map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        (-age.as_secs_f64() / decay.as_secs_f64().max(f64::MIN_POSITIVE)).exp()
    }
}

impl Health {
    /// Counts instances whose breakers are open.
    pub fn of(open: impl Iterator<Item = bool>) -> Self {
        open.fold(Self::default(), |mut health, open| {
            match open {
                true => health.ejected += 1,
                false => health.active += 1,
            }
            health
        })
    }

    /// Whether so many are ejected that the breakers are more likely wrong than the instances:
    /// more than half. All are asked then.
    pub fn is_panic(&self) -> bool {
        self.ejected > self.active
    }
}
