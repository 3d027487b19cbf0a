//! How every target is at one moment.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{TargetState, natural_order::natural_key};
use crate::pipeline::{Glance, PollFailure, StatusBoard, Target, TargetStatus};

/// So many targets are copied at a time: those who poll wait for no more than that.
const PAGE: usize = 256;

/// All targets at one moment.
#[derive(Debug, Default)]
pub struct FleetSnapshot {
    /// Bad ones first, each state by name in natural order.
    pub targets: Vec<TargetGlance>,
    /// How many there are in each state, in the order of [`TargetState::ALL`].
    pub counts: [usize; TargetState::ALL.len()],
}

/// One target at one moment. It keeps nothing of a target alive that is not polled any more.
#[derive(Debug, Clone)]
pub struct TargetGlance {
    /// Who it is.
    pub target: Arc<Target>,
    /// Its place in the natural order of all names.
    pub rank: u32,
    /// How it is.
    pub state: TargetState,
    /// Its breaker and the like.
    pub glance: Glance,
    /// The age of its oldest endpoint's data; none if an endpoint never answered.
    pub age: Option<Duration>,
    /// When its last poll began; none before the first.
    pub last_poll: Option<SystemTime>,
    /// When its next poll is due.
    pub next_poll: Option<SystemTime>,
    /// How long the last poll took.
    pub last_duration: Duration,
    /// Whether its last poll gave at least one body.
    pub is_up: bool,
    /// The position of the first endpoint that fails, and why.
    pub failure: Option<(usize, PollFailure)>,
}

impl FleetSnapshot {
    /// Looks at all targets.
    pub(super) fn of(board: &StatusBoard, now: SystemTime) -> Self {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = board.page(&after, PAGE);
            let Some(last) = page.last() else { break };
            after.clone_from(&last.target.name);
            all.extend(page.iter().map(|status| TargetGlance::of(status, now)));
        }
        all.sort_by_cached_key(|seen| natural_key(&seen.target.name));
        let mut by_state: BTreeMap<TargetState, Vec<TargetGlance>> = BTreeMap::new();
        for (rank, mut seen) in (0..).zip(all) {
            seen.rank = rank;
            by_state.entry(seen.state).or_default().push(seen);
        }
        let counts = TargetState::ALL.map(|state| by_state.get(&state).map_or(0, Vec::len));
        Self {
            targets: by_state.into_values().flatten().collect(),
            counts,
        }
    }

    /// How many targets are in a state.
    pub fn count(&self, state: TargetState) -> usize {
        let at = TargetState::ALL.iter().position(|known| *known == state);
        at.and_then(|at| self.counts.get(at)).copied().unwrap_or(0)
    }
}

impl TargetGlance {
    /// What a look at a target shows.
    pub(super) fn of(status: &TargetStatus, now: SystemTime) -> Self {
        let glance = status.inner.glance();
        let endpoints = || status.endpoints.iter();
        let answered = endpoints().all(|endpoint| endpoint.last_success.is_some());
        let oldest = endpoints().filter_map(|e| e.last_success).min();
        let oldest = oldest.filter(|_| answered);
        let failures = endpoints().enumerate();
        let mut failures =
            failures.filter_map(|(at, endpoint)| Some((at, endpoint.last_error.as_ref()?)));
        // What was sent and failed is the cause of what was not sent at all.
        let cause = failures.clone().find(|(_, failure)| failure.was_sent());
        let cause = cause.or_else(|| failures.next());
        Self {
            rank: 0,
            state: TargetState::of(status, &glance, now),
            target: Arc::clone(&status.target),
            glance,
            age: oldest.map(|time| now.duration_since(time).unwrap_or_default()),
            last_poll: status.last_poll,
            next_poll: status.next_poll,
            last_duration: status.last_duration,
            is_up: status.is_up(),
            failure: cause.map(|(at, failure)| (at, failure.clone())),
        }
    }
}

/// A look that those who come soon after share.
#[derive(Debug)]
pub(super) struct SharedLook {
    pub(super) snapshot: Arc<FleetSnapshot>,
    /// Until when it is good enough.
    pub(super) until: Instant,
}
