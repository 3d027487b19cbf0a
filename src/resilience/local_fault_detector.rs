//! "Is it us?" When most hosts fail at once, it is more likely our own network than all of them.
//!
//! While that is suspected, no breaker is charged, the hosts that answer are polled as ever, and of
//! the others a sample is tried. The first of those that answers clears the suspicion.

use std::time::Duration;

use tokio::time::Instant;

use super::outcome::BreakerOutcome;

/// Fewer failing hosts prove nothing.
const MIN_FAILING: usize = 3;

/// At least one in so many failing hosts is tried in each interval.
const SAMPLE: usize = 10;

/// Watches all hosts together.
#[derive(Debug, Clone)]
pub struct LocalFaultDetector {
    interval: Duration,
    hosts: Vec<Seat>,
    /// Positions that hosts left.
    free: Vec<usize>,
    suspect_since: Option<Instant>,
}

/// What is known at one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// No host has it.
    Free,
    /// The last thing known of its host is no failure.
    Sound,
    /// The last thing known of its host is that it failed, and when.
    Failed(Instant),
}

/// The suspicion changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspicionChange {
    /// Most hosts fail: hold all breakers.
    Suspect {
        /// The hosts that failed within the last interval.
        failing: usize,
        /// All hosts.
        hosts: usize,
    },
    /// A host that failed answers again, or none of them is left: let the breakers go.
    Cleared {
        /// How long it was suspected.
        after: Duration,
    },
}

impl LocalFaultDetector {
    /// Watches so many hosts, each polled once an `interval`.
    pub fn new(hosts: usize, interval: Duration) -> Self {
        Self {
            interval,
            hosts: vec![Seat::Sound; hosts],
            free: Vec::new(),
            suspect_since: None,
        }
    }

    /// From now on each host is polled once in so long.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// A host comes; gives its position.
    pub fn join(&mut self) -> usize {
        let position = self.free.pop().unwrap_or(self.hosts.len());
        match self.hosts.get_mut(position) {
            Some(seat) => *seat = Seat::Sound,
            None => self.hosts.push(Seat::Sound),
        }
        position
    }

    /// The host at this position is gone. A suspicion ends with the last host that could clear it.
    pub fn leave(&mut self, now: Instant, host: usize) -> Option<SuspicionChange> {
        let seat = self.hosts.get_mut(host)?;
        if *seat == Seat::Free {
            return None;
        }
        *seat = Seat::Free;
        self.free.push(host);
        if self.failed().next().is_some() {
            return None;
        }
        self.clear(now)
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.hosts.len() - self.free.len()
    }

    /// Takes what a result was to a host, by its position ([`Verdict::host`]).
    ///
    /// [`Verdict::host`]: super::outcome::Verdict::host
    pub fn record(
        &mut self,
        now: Instant,
        host: usize,
        outcome: BreakerOutcome,
    ) -> Option<SuspicionChange> {
        let seat = self.hosts.get_mut(host)?;
        match (outcome, *seat) {
            (_, Seat::Free) | (BreakerOutcome::Neutral, _) | (BreakerOutcome::Ok, Seat::Sound) => {
                None
            }
            (BreakerOutcome::Fail, _) => {
                *seat = Seat::Failed(now);
                self.suspect(now)
            }
            (BreakerOutcome::Ok, Seat::Failed(_)) => {
                *seat = Seat::Sound;
                self.clear(now)
            }
        }
    }

    /// Since when the fault is suspected to be ours.
    pub fn suspect_since(&self) -> Option<Instant> {
        self.suspect_since
    }

    /// Whether a host is to be polled now. Only under suspicion and only failing ones are not,
    /// and each of those has its turn.
    pub fn admits(&self, now: Instant, host: usize) -> bool {
        let is_failing = matches!(self.hosts.get(host), Some(Seat::Failed(_)));
        let Some(since) = self.suspect_since.filter(|_| is_failing) else {
            return true;
        };
        // A sample of a small fleet is still three hosts.
        let stride = (self.hosts() / MIN_FAILING).clamp(1, SAMPLE);
        let suspected = now.saturating_duration_since(since).as_nanos();
        let round = suspected / self.interval.as_nanos().max(1);
        let turn = usize::try_from(round).unwrap_or_default();
        host % stride == turn % stride
    }

    fn suspect(&mut self, now: Instant) -> Option<SuspicionChange> {
        let hosts = self.hosts();
        let recent = |at: &Instant| now.saturating_duration_since(*at) <= self.interval;
        let failing = self.failed().filter(recent).count();
        if self.suspect_since.is_some() || failing < MIN_FAILING || failing * 2 <= hosts {
            return None;
        }
        self.suspect_since = Some(now);
        Some(SuspicionChange::Suspect { failing, hosts })
    }

    fn clear(&mut self, now: Instant) -> Option<SuspicionChange> {
        let since = self.suspect_since.take()?;
        let after = now.saturating_duration_since(since);
        Some(SuspicionChange::Cleared { after })
    }

    /// When each of those failed that did not answer since.
    fn failed(&self) -> impl Iterator<Item = Instant> {
        let when = |seat: &Seat| match seat {
            Seat::Failed(at) => Some(*at),
            Seat::Free | Seat::Sound => None,
        };
        self.hosts.iter().filter_map(when)
    }
}
