//! What a target keeps from one poll to the next, also when its settings change in between.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    endpoint::EndpointPoller,
    grid::{SchedulePlan, Timing},
    pace::Pace,
    schedule::Schedule,
    target_poller::TargetPoller,
};
use crate::{
    pipeline::{Inspect, Poll, Sink, StatusBoard, Target},
    receivers::http_json::telemetry::ReceiverTelemetry,
    resilience::{target_resilience::TargetResilience, target_state::PolledTarget},
    runtime::heavy,
};

/// The state of a target between two polls.
pub(crate) struct PollState {
    pub(crate) schedule: Schedule,
    pub(crate) pace: Pace,
    pub(crate) up: EndpointUp,
    /// Whether polling ends when the target answers 404 to everything: it may speak another
    /// definition.
    pub(crate) leaves_unknown: bool,
    pub(crate) sink: Box<dyn Sink>,
    board_entry: BoardEntry,
}

/// Which endpoints gave a body when they were last asked, and whether any did.
pub(crate) struct EndpointUp {
    pub(crate) endpoints: Vec<bool>,
    /// None before the first poll.
    pub(crate) target: Option<bool>,
}

/// A target on the status board, which is removed when this is dropped.
struct BoardEntry {
    target: Arc<Target>,
    polled: PolledTarget,
    board: Arc<StatusBoard>,
    telemetry: Arc<ReceiverTelemetry>,
}

impl PollState {
    /// The state of a target that was not polled yet.
    pub(crate) fn new(
        poller: &TargetPoller,
        timing: Timing,
        leaves_unknown: bool,
        sink: Box<dyn Sink>,
    ) -> Self {
        let (now, since_epoch) = (Instant::now(), poller.clock.since_epoch());
        Self {
            schedule: Schedule::new(plan(poller, timing), now, since_epoch),
            pace: Pace::default(),
            up: EndpointUp {
                endpoints: vec![false; poller.endpoints.len()],
                target: None,
            },
            leaves_unknown,
            sink,
            board_entry: BoardEntry::new(poller),
        }
    }

    /// Applies the settings of another poller of the target. If the name now means another target,
    /// its first poll comes soon. If not, also where only its instances changed, the next poll
    /// comes when it was due.
    pub(crate) fn apply(&mut self, poller: &TargetPoller, timing: Timing) {
        let is_described_anew = !Arc::ptr_eq(&self.board_entry.target, &poller.target);
        let is_other = is_described_anew && !poller.target.is_same_pool(&self.board_entry.target);
        let (now, since_epoch) = (Instant::now(), poller.clock.since_epoch());
        let plan = plan(poller, timing);
        match is_other {
            true => self.schedule.begin_again(plan, now, since_epoch),
            false => self.schedule.follow(plan, now, since_epoch),
        }
        if is_described_anew {
            self.pace = Pace::default();
        }
        let old = self.board_entry.apply(poller);
        let was_up = |endpoint: &EndpointPoller| {
            let position = old.definition.endpoint(endpoint.labels.id.as_str());
            let was_up = position.and_then(|at| self.up.endpoints.get(at));
            !is_other && was_up.copied().unwrap_or(false)
        };
        self.up.endpoints = poller.endpoints.iter().map(was_up).collect();
        if is_described_anew {
            self.sink.follow(&poller.target);
        }
    }

    /// Hands a poll to the pipelines. Large bodies give many readings, which take long: other tasks
    /// get another worker thread meanwhile.
    pub(crate) async fn accept(&mut self, poll: Poll) {
        match poll.is_large() {
            true => heavy::here(|| self.sink.accept(poll)).await,
            false => self.sink.accept(poll),
        }
    }
}

fn plan(poller: &TargetPoller, timing: Timing) -> SchedulePlan<'_> {
    let name = &poller.target.name;
    SchedulePlan { timing, name }
}

impl BoardEntry {
    fn new(poller: &TargetPoller) -> Self {
        let target = Arc::clone(&poller.target);
        poller.board.add(&target, &inspect(&poller.host));
        poller.telemetry.targets(1);
        Self {
            target,
            polled: poller.host.polled(),
            board: Arc::clone(&poller.board),
            telemetry: Arc::clone(&poller.telemetry),
        }
    }

    /// Gives the target as it was described before.
    fn apply(&mut self, poller: &TargetPoller) -> Arc<Target> {
        self.board.follow(&poller.target, &inspect(&poller.host));
        // The earlier one ends after that, so that readers of the same state go on waiting.
        drop(std::mem::replace(&mut self.polled, poller.host.polled()));
        std::mem::replace(&mut self.target, Arc::clone(&poller.target))
    }
}

impl Drop for BoardEntry {
    fn drop(&mut self) {
        self.telemetry.targets(-1);
        self.board.remove(&self.target);
    }
}

fn inspect(host: &Arc<TargetResilience>) -> Arc<dyn Inspect> {
    Arc::clone(host) as Arc<dyn Inspect>
}
