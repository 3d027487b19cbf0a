//! Which of several definitions a target speaks.
//!
//! Servers of one API may differ (Betanet has two dialects). A target that answers 404 to every
//! endpoint of a definition does not speak it, and the next one is tried; a target that is down or
//! hangs says nothing of its dialect and keeps the definition it has.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::poller::{Ended, TargetPoller, Timing};
use crate::{
    pipeline::{Consumer, Poll, Target},
    runtime::{PAUSE_AFTER_PANIC, catch_panic},
};

/// The pollers of one target, one a definition, in the order in which they are tried.
pub(super) struct Candidates(Vec<TargetPoller>);

impl Candidates {
    pub(super) fn new(pollers: Vec<TargetPoller>) -> Self {
        Self(pollers)
    }

    /// Polls at each tick until `stop`, with the definition that the target speaks. A panic ends
    /// that for a while, for this target alone.
    pub(super) async fn run(
        &self,
        mut timing: Timing,
        consumers: &[Arc<dyn Consumer>],
        stop: CancellationToken,
    ) {
        let Some(TargetPoller {
            target, telemetry, ..
        }) = self.0.first()
        else {
            return;
        };
        let (receiver, name) = (&target.receiver, &target.name);
        timing.leave_unknown = self.0.len() > 1;
        while let Err(panic) = catch_panic(self.poll(timing, consumers, stop.clone())).await {
            let pause = timing.interval.max(PAUSE_AFTER_PANIC);
            telemetry.panicked();
            tracing::error!(
                receiver,
                target = name,
                panic,
                ?pause,
                "polling a target panicked"
            );
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            timing.initial_delay = Duration::ZERO;
            timing.targets = 1;
        }
    }

    async fn poll(
        &self,
        mut timing: Timing,
        consumers: &[Arc<dyn Consumer>],
        stop: CancellationToken,
    ) {
        for (tried, poller) in self.0.iter().cycle().enumerate() {
            let sinks = consumers
                .iter()
                .map(|consumer| consumer.open(&poller.target))
                .collect();
            match poller.run(timing, sinks, stop.clone()).await {
                Ended::Stopped => return,
                Ended::Unknown => tracing::info!(
                    receiver = poller.target.receiver,
                    target = poller.target.name,
                    definition = poller.target.definition.name,
                    "target answers 404 to the whole definition; trying the next one"
                ),
            }
            // Each is tried at once in the first round, at the pace of the ticks after that.
            let first_round = tried + 1 < self.0.len();
            timing.initial_delay = if first_round {
                Duration::ZERO
            } else {
                timing.interval
            };
            timing.targets = 1;
        }
    }

    /// Polls once, with the definition that the target speaks.
    pub(super) async fn poll_once(&self) -> Option<(Arc<Target>, Poll)> {
        let mut first = None;
        for poller in &self.0 {
            let poll = poller.poll_all().await;
            let is_unknown = poll.is_unknown();
            let polled = (Arc::clone(&poller.target), poll);
            if !is_unknown {
                return Some(polled);
            }
            first.get_or_insert(polled);
        }
        first
    }
}
