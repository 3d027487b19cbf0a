//! How a target is, in one word.

use serde::{Deserialize, Serialize};

use crate::pipeline::{BreakerGlance, Glance, TargetStatus};

use std::time::{Duration, SystemTime};

/// How a target is. The order is from bad to good, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Its breaker is open: it is not asked.
    Open,
    /// The next request decides whether its breaker closes.
    Probing,
    /// The last poll gave nothing.
    Failing,
    /// Some endpoints answer and some do not.
    Partial,
    /// It answers, and its data is older than two intervals.
    Late,
    /// It was not polled yet.
    Pending,
    /// All of it answers in time.
    Fresh,
}

impl TargetState {
    /// All of them, bad ones first.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Probing,
        Self::Failing,
        Self::Partial,
        Self::Late,
        Self::Pending,
        Self::Fresh,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Probing => "probing",
            Self::Failing => "failing",
            Self::Partial => "partial",
            Self::Late => "late",
            Self::Pending => "pending",
            Self::Fresh => "fresh",
        }
    }

    /// A sign that tells it apart without its color.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Open => "✕",
            Self::Probing => "?",
            Self::Failing => "!",
            Self::Partial => "◐",
            Self::Late => "↓",
            Self::Pending => "·",
            Self::Fresh => "✓",
        }
    }

    /// What it means, as a short sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Open => {
                "The breaker is open: the target is not asked until the next trial request."
            }
            Self::Probing => "The next answer decides whether the breaker closes.",
            Self::Failing => "The last poll gave nothing.",
            Self::Partial => "Some endpoints answer, and some do not.",
            Self::Late => "The target answers, but its data is older than two intervals.",
            Self::Pending => "The target was not polled yet.",
            Self::Fresh => "All endpoints answer in time.",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// How a target is at `now`.
    pub(super) fn of(status: &TargetStatus, glance: &Glance, now: SystemTime) -> Self {
        if status.last_poll.is_none() {
            return Self::Pending;
        }
        match glance.breaker {
            BreakerGlance::Open => return Self::Open,
            BreakerGlance::HalfOpen => return Self::Probing,
            BreakerGlance::Closed => {}
        }
        if !status.is_up() {
            return Self::Failing;
        }
        if status.endpoints.iter().any(|e| e.last_error.is_some()) {
            return Self::Partial;
        }
        let since = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        let oldest = status.endpoints.iter().filter_map(|e| e.last_success).min();
        let age = oldest.map_or(Duration::ZERO, since);
        let overdue = status.next_poll.map_or(Duration::ZERO, since);
        match age > glance.interval * 2 || overdue > glance.interval {
            true => Self::Late,
            false => Self::Fresh,
        }
    }
}
