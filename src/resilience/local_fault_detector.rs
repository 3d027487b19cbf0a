//! Suspects a fault on the collector's side: when most hosts fail at once, its own network is a
//! more likely cause than all of them.
//!
//! During a suspicion, no breaker counts failures. Hosts that answer are polled as usual, and a
//! sample of the others is tried. The first of those that answers ends the suspicion.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::outcome::BreakerOutcome;

/// With fewer failing hosts there is no suspicion.
const MIN_FAILING: usize = 3;

/// At least one of this number of failing hosts is tried in each interval.
const SAMPLE: usize = 10;

/// Observes all hosts together. When all of them fail, each failure costs as little as when one does.
#[derive(Debug, Clone)]
pub struct LocalFaultDetector {
    interval: Duration,
    hosts: Vec<Seat>,
    /// Positions that are free again.
    free: Vec<usize>,
    /// How many hosts have failed.
    failed: usize,
    /// Those of them that failed within the last interval, by the time of their last failure.
    recent: BTreeSet<(Instant, usize)>,
    suspect_since: Option<Instant>,
}

/// What is known of the host at one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// No host has this position.
    Free,
    /// The last result of the host is not a failure.
    Sound,
    /// The last result of the host is a failure, at this time.
    Failed(Instant),
}

/// A change of the suspicion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspicionChange {
    /// Most hosts fail: hold all breakers.
    Suspect {
        /// The hosts that failed within the last interval.
        failing: usize,
        /// All hosts.
        hosts: usize,
    },
    /// A failed host answers again, or none of them is left: release the breakers.
    Cleared {
        /// How long the suspicion lasted.
        after: Duration,
    },
}

impl LocalFaultDetector {
    /// Observes `hosts`, each polled once per `interval`.
    pub fn new(hosts: usize, interval: Duration) -> Self {
        Self {
            interval,
            hosts: vec![Seat::Sound; hosts],
            free: Vec::new(),
            failed: 0,
            recent: BTreeSet::new(),
            suspect_since: None,
        }
    }

    /// Sets the interval of polls.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Adds a host. Returns its position.
    pub fn join(&mut self) -> usize {
        let position = self.free.pop().unwrap_or(self.hosts.len());
        match self.hosts.get_mut(position) {
            Some(seat) => *seat = Seat::Sound,
            None => self.hosts.push(Seat::Sound),
        }
        position
    }

    /// Removes the host at this position. A suspicion ends with the last host that could clear it.
    pub fn leave(&mut self, now: Instant, host: usize) -> Option<SuspicionChange> {
        if self.replace(host, Seat::Free)? == Seat::Free {
            return None;
        }
        self.free.push(host);
        match self.failed {
            0 => self.clear(now),
            _ => None,
        }
    }

    /// The number of hosts.
    pub fn hosts(&self) -> usize {
        self.hosts.len() - self.free.len()
    }

    /// Records what a result says about a host, by its position ([`Verdict::host`]).
    ///
    /// [`Verdict::host`]: super::outcome::Verdict::host
    pub fn record(
        &mut self,
        now: Instant,
        host: usize,
        outcome: BreakerOutcome,
    ) -> Option<SuspicionChange> {
        match (outcome, *self.hosts.get(host)?) {
            (_, Seat::Free) | (BreakerOutcome::Neutral, _) | (BreakerOutcome::Ok, Seat::Sound) => {
                None
            }
            (BreakerOutcome::Fail, _) => {
                self.replace(host, Seat::Failed(now));
                self.suspect(now)
            }
            (BreakerOutcome::Ok, Seat::Failed(_)) => {
                self.replace(host, Seat::Sound);
                self.clear(now)
            }
        }
    }

    /// When the current suspicion started.
    pub fn suspect_since(&self) -> Option<Instant> {
        self.suspect_since
    }

    /// Whether a host is polled now. During a suspicion, failing hosts are polled in turn.
    pub fn admits(&self, now: Instant, host: usize) -> bool {
        let is_failing = matches!(self.hosts.get(host), Some(Seat::Failed(_)));
        let Some(since) = self.suspect_since.filter(|_| is_failing) else {
            return true;
        };
        // The sample of a small fleet is still three hosts.
        let stride = (self.hosts() / MIN_FAILING).clamp(1, SAMPLE);
        let suspected = now.saturating_duration_since(since).as_nanos();
        let round = suspected / self.interval.as_nanos().max(1);
        let turn = usize::try_from(round).unwrap_or_default();
        host % stride == turn % stride
    }

    /// Puts something else at a position. Returns what was there.
    fn replace(&mut self, host: usize, seat: Seat) -> Option<Seat> {
        let before = std::mem::replace(self.hosts.get_mut(host)?, seat);
        if let Seat::Failed(at) = before {
            self.failed -= 1;
            self.recent.remove(&(at, host));
        }
        if let Seat::Failed(at) = seat {
            self.failed += 1;
            self.recent.insert((at, host));
        }
        Some(before)
    }

    fn suspect(&mut self, now: Instant) -> Option<SuspicionChange> {
        let is_old = |at: Instant| now.saturating_duration_since(at) > self.interval;
        while self.recent.first().is_some_and(|(at, _)| is_old(*at)) {
            self.recent.pop_first();
        }
        let (failing, hosts) = (self.recent.len(), self.hosts());
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
}
