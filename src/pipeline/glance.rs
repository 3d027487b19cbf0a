//! What is known of a target at a glance: cheap enough to be asked of a whole fleet each second.

use std::time::Duration;

/// What the breakers of a target do with requests. The order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerGlance {
    /// At least one endpoint is asked as ever.
    Closed,
    /// The next request to any endpoint is a probe.
    HalfOpen,
    /// No endpoint is asked.
    Open,
}

/// A target at a glance.
#[derive(Debug, Clone, Copy)]
pub struct Glance {
    /// Time between two polls.
    pub interval: Duration,
    /// The best that any of its endpoints can expect.
    pub breaker: BreakerGlance,
    /// How long the breaker has been in this state.
    pub breaker_for: Duration,
    /// Until the next request may go; none if nothing is in its way.
    pub retry_in: Option<Duration>,
    /// Whether most targets of the receiver fail at once, so that the fault is more likely on this
    /// side.
    pub is_fault_local: bool,
}
