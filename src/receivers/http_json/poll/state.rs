//! What goes on from one poll of a target to the next, also where its settings change in between.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    poller::TargetPoller,
    schedule::{Schedule, SchedulePlan, Timing},
};
use crate::{
    pipeline::{Inspect, Poll, Sink, StatusBoard, Target},
    receivers::http_json::telemetry::ReceiverTelemetry,
    resilience::target_resilience::TargetResilience,
    runtime::heavy,
};

/// How polling a target goes on.
pub(crate) struct PollState {
    pub(crate) schedule: Schedule,
    pub(crate) up: EndpointUp,
    /// Whether to end when the target answers 404 to everything.
    pub(crate) leaves_unknown: bool,
    sinks: Vec<Box<dyn Sink>>,
    presence: BoardEntry,
}

/// Which endpoints gave a body when they were last asked, and whether any did.
pub(crate) struct EndpointUp {
    pub(crate) endpoints: Vec<bool>,
    pub(crate) target: Option<bool>,
}

/// A target on the board, until it is dropped.
struct BoardEntry {
    target: Arc<Target>,
    host: Arc<TargetResilience>,
    board: Arc<StatusBoard>,
    telemetry: ReceiverTelemetry,
}

impl PollState {
    /// The target of `poller` has not been polled yet.
    pub(crate) fn new(
        poller: &TargetPoller,
        timing: Timing,
        leaves_unknown: bool,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Self {
        let (now, since_epoch) = (Instant::now(), poller.clock.since_epoch());
        Self {
            schedule: Schedule::new(plan(poller, timing), now, since_epoch),
            up: EndpointUp::new(poller.endpoints.len()),
            leaves_unknown,
            sinks,
            presence: BoardEntry::of(poller),
        }
    }

    /// From now on `poller` polls. A target that is another one under the same name is polled
    /// soon, any other when it was to be: also one of which only the instances are others.
    pub(crate) fn follow(&mut self, poller: &TargetPoller, timing: Timing) {
        let is_described_anew = !Arc::ptr_eq(&self.presence.target, &poller.target);
        let is_other = is_described_anew && !poller.target.is_same_pool(&self.presence.target);
        let (now, since_epoch) = (Instant::now(), poller.clock.since_epoch());
        let plan = plan(poller, timing);
        match is_other {
            true => self.schedule.begin_again(plan, now, since_epoch),
            false => self.schedule.follow(plan, now, since_epoch),
        }
        self.presence.follow(poller);
        if is_other {
            self.up.endpoints = vec![false; poller.endpoints.len()];
        }
        if is_described_anew {
            for sink in &mut self.sinks {
                sink.follow(&poller.target);
            }
        }
    }

    /// Whether nobody would take a poll. All are asked: each has a turn to give.
    pub(crate) fn is_refused(&mut self) -> bool {
        let sinks = self.sinks.iter_mut();
        let admitting = sinks.filter_map(|sink| sink.admits().then_some(())).count();
        admitting == 0 && !self.sinks.is_empty()
    }

    /// Hands a poll on. What is made of large bodies takes long: other tasks go on meanwhile.
    pub(crate) async fn accept(&mut self, poll: Poll) {
        match poll.is_large() {
            true => heavy::here(|| self.hand_on(poll)).await,
            false => self.hand_on(poll),
        }
    }

    fn hand_on(&mut self, poll: Poll) {
        let Some((last, others)) = self.sinks.split_last_mut() else {
            return;
        };
        for sink in others {
            sink.accept(poll.clone());
        }
        last.accept(poll);
    }
}

fn plan(poller: &TargetPoller, timing: Timing) -> SchedulePlan<'_> {
    let name = &poller.target.name;
    SchedulePlan { timing, name }
}

impl EndpointUp {
    fn new(endpoints: usize) -> Self {
        Self {
            endpoints: vec![false; endpoints],
            target: None,
        }
    }
}

impl BoardEntry {
    fn of(poller: &TargetPoller) -> Self {
        let (target, host) = (Arc::clone(&poller.target), Arc::clone(&poller.host));
        poller.board.add(&target, &inspect(&host));
        poller.telemetry.targets(1);
        host.set_polled(true);
        Self {
            target,
            host,
            board: Arc::clone(&poller.board),
            telemetry: poller.telemetry.clone(),
        }
    }

    fn follow(&mut self, poller: &TargetPoller) {
        poller.host.set_polled(true);
        self.board.follow(&poller.target, &inspect(&poller.host));
        let old = std::mem::replace(&mut self.host, Arc::clone(&poller.host));
        old.set_polled(false);
        self.target = Arc::clone(&poller.target);
    }
}

impl Drop for BoardEntry {
    fn drop(&mut self) {
        self.telemetry.targets(-1);
        self.host.set_polled(false);
        self.board.remove(&self.target);
    }
}

fn inspect(host: &Arc<TargetResilience>) -> Arc<dyn Inspect> {
    Arc::clone(host) as Arc<dyn Inspect>
}
