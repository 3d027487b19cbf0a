//! Which of several definitions a target speaks.
//!
//! Servers of one API may differ (Betanet has two dialects). A target that answers 404 to every
//! endpoint of a definition does not speak it, and the next one is tried; a target that is down or
//! hangs says nothing of its dialect and keeps the definition it has.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    config::TargetConfig,
    context::BuildError,
    course::Course,
    factory::Factory,
    orders::Orders,
    poller::{Ended, TargetPoller},
    schedule::Timing,
};
use crate::{
    pipeline::{Consumer, Poll, Target},
    runtime::{PAUSE_AFTER_PANIC, catch_panic},
};

/// What polls one target.
pub(super) struct Candidates {
    pub(super) made_by: Arc<Factory>,
    pub(super) config: Arc<TargetConfig>,
    /// One a definition, in the order in which they are tried. Made when it is first needed: what
    /// is known of a host takes room, and few targets speak another one than the first.
    pub(super) pollers: Vec<Option<Box<TargetPoller>>>,
    /// The position of the one that polls, which is there.
    pub(super) current: usize,
}

impl Candidates {
    /// The one that polls.
    pub(super) fn current(&self) -> Option<&TargetPoller> {
        self.pollers.get(self.current)?.as_deref()
    }

    /// Those that were needed.
    pub(super) fn made(&self) -> impl Iterator<Item = &TargetPoller> {
        self.pollers.iter().filter_map(Option::as_deref)
    }

    /// The poller at a position is the one that polls.
    pub(super) fn turn_to(&mut self, position: usize) -> Result<(), BuildError> {
        let poller = self.pollers.get(position);
        if poller.is_some_and(Option::is_none) {
            let poller = self.made_by.another(self, position)?;
            if let Some(free) = self.pollers.get_mut(position) {
                *free = Some(Box::new(poller));
            }
        }
        self.current = position;
        Ok(())
    }

    /// Polls at each tick, with the definition that the target speaks, as `orders` say. A panic
    /// ends that for a while, for this target alone.
    pub(super) async fn run(
        &mut self,
        mut timing: Timing,
        consumers: &[Arc<dyn Consumer>],
        orders: &Orders,
    ) {
        while let Err(panic) = catch_panic(self.poll(&mut timing, consumers, orders)).await {
            let pause = timing.interval.max(PAUSE_AFTER_PANIC);
            self.made_by.shared.telemetry.panicked();
            tracing::error!(
                receiver = self.made_by.context.id,
                target = self.config.display_name(),
                panic,
                ?pause,
                "polling a target panicked"
            );
            let paused = orders.stop().run_until_cancelled(sleep(pause)).await;
            if paused.is_none() {
                return;
            }
            timing.initial_delay = Duration::ZERO;
            timing.targets = 1;
        }
    }

    async fn poll(
        &mut self,
        timing: &mut Timing,
        consumers: &[Arc<dyn Consumer>],
        orders: &Orders,
    ) {
        let mut tried = 1;
        let Some(turn) = orders.stop().run_until_cancelled(orders.turn()).await else {
            return;
        };
        let Some(mut course) = self.set_out(*timing, consumers) else {
            return;
        };
        drop(turn);
        while let Some(poller) = self.current() {
            match poller.run(&mut course, orders).await {
                Ended::Stopped => {
                    let _turn = orders.turn().await;
                    drop(course);
                    return;
                }
                Ended::Changed => {
                    tried = 1;
                    let turn = orders.turn().await;
                    self.go_over(&mut course, timing, orders);
                    drop(turn);
                }
                Ended::Unknown => {
                    tracing::info!(
                        receiver = poller.target.receiver,
                        target = poller.target.name,
                        definition = poller.target.definition.name,
                        "target answers 404 to the whole definition; trying the next one"
                    );
                    // Each is tried at once in the first round, at the pace of the ticks after that.
                    let first_round = tried < self.pollers.len();
                    timing.initial_delay = if first_round {
                        Duration::ZERO
                    } else {
                        timing.interval
                    };
                    timing.targets = 1;
                    tried += 1;
                    let next = (self.current + 1) % self.pollers.len().max(1);
                    if let Err(error) = self.turn_to(next) {
                        self.made_by.refuse_invalid(&self.config, &error);
                    }
                    drop(course);
                    let Some(next) = self.set_out(*timing, consumers) else {
                        return;
                    };
                    course = next;
                }
            }
        }
    }

    fn set_out(&self, timing: Timing, consumers: &[Arc<dyn Consumer>]) -> Option<Course> {
        let leaves_unknown = self.pollers.len() > 1;
        let poller = self.current()?;
        let consumers = consumers.iter();
        let sinks = consumers.map(|consumer| consumer.open(&poller.target));
        let sinks = sinks.collect();
        Some(Course::new(poller, timing, leaves_unknown, sinks))
    }

    /// Goes on under other settings. Where they cannot be, the old ones stay.
    fn go_over(&mut self, course: &mut Course, timing: &mut Timing, orders: &Orders) {
        let Some(next) = orders.take() else { return };
        match next.factory.target_after(&next.config, self) {
            Ok(candidates) => *self = candidates,
            Err(error) => {
                next.factory.refuse_invalid(&next.config, &error);
                return;
            }
        }
        *timing = next.timing;
        course.leaves_unknown = self.pollers.len() > 1;
        if let Some(poller) = self.current() {
            course.follow(poller, *timing);
        }
    }

    /// Polls once, with the definition that the target speaks.
    pub(super) async fn poll_once(&mut self) -> Result<Option<(Arc<Target>, Poll)>, BuildError> {
        let mut first = None;
        for position in 0..self.pollers.len() {
            self.turn_to(position)?;
            let Some(poller) = self.current() else { break };
            let poll = poller.poll_all().await;
            let is_unknown = poll.is_unknown();
            let polled = (Arc::clone(&poller.target), poll);
            if !is_unknown {
                return Ok(Some(polled));
            }
            first.get_or_insert(polled);
        }
        Ok(first)
    }
}
