//! What can be seen of a breaker.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// What a breaker does with requests. The order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Lets them through.
    Closed,
    /// Lets probes through.
    HalfOpen,
    /// Refuses them.
    Open,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// Why.
    pub reason: TransitionReason,
    /// The consecutive failures known then.
    pub failures: u32,
    /// When.
    pub at: Instant,
}

/// Why a state changed; each reason belongs to one pair of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionReason {
    /// Closed → open: enough consecutive failures.
    FailureThreshold,
    /// Open → half-open: its time is over.
    OpenExpired,
    /// Half-open → open.
    ProbeFailed,
    /// Half-open → closed.
    ProbeSucceeded,
}

/// What a breaker has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerCounters {
    /// Closed → open.
    pub trips: u64,
    /// Open → half-open.
    pub expiries: u64,
    /// Half-open → open.
    pub failed_probes: u64,
    /// Half-open → closed.
    pub recoveries: u64,
    /// Probes that ended without evidence.
    pub cancelled_probes: u64,
    /// Requests refused.
    pub rejections: u64,
    /// Results that came after the state they belong to.
    pub stale_results: u64,
}

/// Time spent in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeInState {
    /// Closed.
    pub closed: Duration,
    /// Half-open.
    pub half_open: Duration,
    /// Open.
    pub open: Duration,
}

/// What a breaker is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerView {
    /// The state in force: open only until its time is over, whether or not anybody asked since.
    pub state: BreakerState,
    /// Since when.
    pub since: Instant,
    /// When an open breaker lets a probe through.
    pub retry_at: Option<Instant>,
    /// Failures since the last success; from the opening on, with its failed probes.
    pub consecutive_failures: u32,
    /// Since the breaker was made; adds up to its age.
    pub time: TimeInState,
    /// Since the breaker was made.
    pub counters: BreakerCounters,
}

impl BreakerState {
    /// The number on dashboards: 0 closed, 1 open, 2 half-open.
    pub fn number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
        }
    }
}

impl TransitionReason {
    /// All of them, with the states they lead from and to.
    pub const ALL: [(Self, BreakerState, BreakerState); 4] = [
        (
            Self::FailureThreshold,
            BreakerState::Closed,
            BreakerState::Open,
        ),
        (
            Self::OpenExpired,
            BreakerState::Open,
            BreakerState::HalfOpen,
        ),
        (
            Self::ProbeFailed,
            BreakerState::HalfOpen,
            BreakerState::Open,
        ),
        (
            Self::ProbeSucceeded,
            BreakerState::HalfOpen,
            BreakerState::Closed,
        ),
    ];
}

impl BreakerCounters {
    /// How often a state changed for this reason.
    pub fn transitions(&self, reason: TransitionReason) -> u64 {
        match reason {
            TransitionReason::FailureThreshold => self.trips,
            TransitionReason::OpenExpired => self.expiries,
            TransitionReason::ProbeFailed => self.failed_probes,
            TransitionReason::ProbeSucceeded => self.recoveries,
        }
    }
}
