//! The visible state of a breaker.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// What a breaker does with requests. The order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// It permits them.
    Closed,
    /// It permits trial requests.
    HalfOpen,
    /// It refuses them.
    Open,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before the change.
    pub from: BreakerState,
    /// The state after the change.
    pub to: BreakerState,
    /// The reason of the change.
    pub reason: TransitionReason,
    /// The consecutive failures at that time.
    pub failures: u32,
    /// The time of the change.
    pub at: Instant,
}

/// Why a state changed. Each reason belongs to one pair of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionReason {
    /// Closed → open: enough consecutive failures.
    FailureThreshold,
    /// Open → half-open: the open time is over.
    OpenExpired,
    /// Half-open → open: the trial request failed.
    ProbeFailed,
    /// Half-open → closed: the trial request succeeded.
    ProbeSucceeded,
}

/// The counts of a breaker since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerCounters {
    /// Changes from closed to open.
    pub trips: u64,
    /// Changes from open to half-open.
    pub expiries: u64,
    /// Changes from half-open to open.
    pub failed_probes: u64,
    /// Changes from half-open to closed.
    pub recoveries: u64,
    /// Trial requests that ended without evidence.
    pub cancelled_probes: u64,
    /// Refused requests.
    pub rejections: u64,
    /// Results that arrived after their state had ended.
    pub stale_results: u64,
}

/// Time spent in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeInState {
    /// Time in the closed state.
    pub closed: Duration,
    /// Time in the half-open state.
    pub half_open: Duration,
    /// Time in the open state.
    pub open: Duration,
}

/// The state of a breaker at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerView {
    /// The current state: open only until its time is over, whether or not there was a request
    /// since.
    pub state: BreakerState,
    /// When the state started.
    pub since: Instant,
    /// When an open breaker permits a trial request.
    pub retry_at: Option<Instant>,
    /// Failures since the last success; after the opening, including its failed trial requests.
    pub consecutive_failures: u32,
    /// Time since the breaker was created, by state. The sum is its age.
    pub time: TimeInState,
    /// Counts since the breaker was created.
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

    /// The value of the `state` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl TransitionReason {
    /// All reasons, with the states before and after.
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

    /// The value of the `reason` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::FailureThreshold => "failure_threshold",
            Self::OpenExpired => "open_expired",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeSucceeded => "probe_succeeded",
        }
    }
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
