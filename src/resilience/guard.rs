//! "Is it us?" When most hosts fail at once, it is more likely our own network than all of them.
//!
//! While that is suspected, no breaker is charged, the hosts that answer are polled as ever, and of
//! the others a sample is tried. The first of those that answers clears the suspicion.

use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Outcome;

/// Fewer failing hosts prove nothing.
const MIN_FAILING: usize = 3;

/// At least one in so many failing hosts is tried in each interval.
const SAMPLE: usize = 10;

/// Watches all hosts together.
#[derive(Debug, Clone)]
pub struct Guard {
    interval: Duration,
    /// When each host failed, if the last thing known of it is a failure.
    failed: Vec<Option<Instant>>,
    suspect_since: Option<Instant>,
}

/// The suspicion changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Most hosts fail: hold all breakers.
    Suspect {
        /// The hosts that failed within the last interval.
        failing: usize,
        /// All hosts.
        hosts: usize,
    },
    /// A host that failed answers again: let the breakers go.
    Cleared {
        /// How long it was suspected.
        after: Duration,
    },
}

impl Guard {
    /// Watches so many hosts, each polled once an `interval`.
    pub fn new(hosts: usize, interval: Duration) -> Self {
        Self {
            interval,
            failed: vec![None; hosts],
            suspect_since: None,
        }
    }

    /// Takes what a result was to a host, by its position ([`Verdict::host`]).
    ///
    /// [`Verdict::host`]: super::outcome::Verdict::host
    pub fn record(&mut self, now: Instant, host: usize, outcome: Outcome) -> Option<Change> {
        let last = self.failed.get_mut(host)?;
        match outcome {
            Outcome::Neutral => None,
            Outcome::Fail => {
                *last = Some(now);
                self.suspect(now)
            }
            Outcome::Ok => {
                last.take()?;
                let since = self.suspect_since.take()?;
                let after = now.saturating_duration_since(since);
                Some(Change::Cleared { after })
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
        let is_failing = self.failed.get(host).is_some_and(Option::is_some);
        let Some(since) = self.suspect_since.filter(|_| is_failing) else {
            return true;
        };
        // A sample of a small fleet is still three hosts.
        let stride = (self.failed.len() / MIN_FAILING).clamp(1, SAMPLE);
        let suspected = now.saturating_duration_since(since).as_nanos();
        let round = suspected / self.interval.as_nanos().max(1);
        let turn = usize::try_from(round).unwrap_or_default();
        host % stride == turn % stride
    }

    fn suspect(&mut self, now: Instant) -> Option<Change> {
        let hosts = self.failed.len();
        let recent = |at: &&Instant| now.saturating_duration_since(**at) <= self.interval;
        let failing = self.failed.iter().flatten().filter(recent).count();
        if self.suspect_since.is_some() || failing < MIN_FAILING || failing * 2 <= hosts {
            return None;
        }
        self.suspect_since = Some(now);
        Some(Change::Suspect { failing, hosts })
    }
}
