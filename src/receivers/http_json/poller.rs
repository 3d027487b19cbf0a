//! One target: waits for its tick, polls all its endpoints at once, hands the poll on.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    endpoint::EndpointPoller,
    schedule::{Plan, Schedule},
    telemetry::Telemetry,
};
use crate::{
    pipeline::{Poll, Sink, StatusBoard, Target},
    runtime::Clock,
};

/// What polls one target.
pub(super) struct TargetPoller {
    pub(super) target: Arc<Target>,
    pub(super) endpoints: Vec<EndpointPoller>,
    pub(super) clock: Clock,
    pub(super) board: Arc<StatusBoard>,
    pub(super) telemetry: Telemetry,
}

/// When it polls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) initial_delay: Duration,
    /// How many targets share the interval.
    pub(super) targets: usize,
    /// Whether to end when the target answers 404 to everything.
    pub(super) leave_unknown: bool,
}

/// Why a target is not polled any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The collector stops.
    Stopped,
    /// The target answered 404 to every endpoint.
    Unknown,
}

impl TargetPoller {
    /// Polls at each tick until `stop`; a poll under way is dropped then.
    pub(super) async fn run(
        &self,
        timing: Timing,
        sinks: Vec<Box<dyn Sink>>,
        stop: CancellationToken,
    ) -> Ended {
        self.board.add(&self.target);
        self.telemetry.targets(1);
        let ended = stop
            .run_until_cancelled(self.poll_until_unknown(timing, sinks))
            .await;
        self.telemetry.targets(-1);
        self.board.remove(&self.target);
        match ended {
            None => Ended::Stopped,
            Some(()) => Ended::Unknown,
        }
    }

    async fn poll_until_unknown(&self, timing: Timing, mut sinks: Vec<Box<dyn Sink>>) {
        let plan = Plan {
            interval: timing.interval,
            initial_delay: timing.initial_delay,
            name: &self.target.name,
            targets: timing.targets,
        };
        let mut schedule = Schedule::new(plan, Instant::now(), self.clock.since_epoch());
        let mut was_up = None;
        loop {
            sleep_until(schedule.due()).await;
            let poll = self.poll(schedule.missed()).await;
            self.report(&poll, &mut was_up);
            for sink in &mut sinks {
                sink.accept(&poll);
            }
            if timing.leave_unknown && poll.is_unknown() {
                return;
            }
            schedule.done(Instant::now());
        }
    }

    /// Polls once.
    pub(super) async fn poll(&self, missed_ticks: u64) -> Poll {
        let (started, start) = (self.clock.now(), Instant::now());
        let span = tracing::info_span!(
            "poll",
            otel.name = "poll",
            receiver = self.target.receiver,
            target = self.target.name,
            up = tracing::field::Empty,
        );
        let requests = self.endpoints.iter().map(|endpoint| {
            let span = tracing::info_span!(
                parent: &span,
                "GET",
                otel.kind = "client",
                server.address = self.target.server_address,
                server.port = self.target.server_port,
                url.template = endpoint.url.path(),
            );
            endpoint.poll().instrument(span)
        });
        let endpoints = join_all(requests).await;
        let ended = self.clock.now();
        let poll = Poll {
            started,
            ended,
            duration: start.elapsed(),
            missed_ticks,
            endpoints,
        };
        span.record("up", poll.is_up());
        poll
    }

    /// Keeps the books, and logs what changed; a node that stays down is not news.
    fn report(&self, poll: &Poll, was_up: &mut Option<bool>) {
        self.board.record(&self.target, poll);
        self.telemetry.polled(poll);
        let (receiver, target) = (&self.target.receiver, &self.target.name);
        let first_error = poll
            .endpoints
            .iter()
            .find_map(|e| e.failure())
            .map(|f| f.message.as_str());
        let is_up = poll.is_up();
        if *was_up == Some(is_up) || (was_up.is_none() && is_up) {
            tracing::debug!(receiver, target, up = is_up, error = first_error, "polled");
        } else if is_up {
            tracing::info!(receiver, target, "target is up again");
        } else {
            tracing::warn!(receiver, target, error = first_error, "target is down");
        }
        *was_up = Some(is_up);
    }
}
