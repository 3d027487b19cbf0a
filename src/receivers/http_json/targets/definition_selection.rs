//! Which of several definitions a target speaks.
//!
//! Servers of one API may differ (Betanet has two dialects). A target that answers 404 to every
//! endpoint of a definition does not speak it, and the next one is tried; a target that is down or
//! hangs says nothing of its dialect and keeps the definition it has.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{control::TargetControl, factory::PollerFactory};
use crate::{
    pipeline::{Consumer, Poll, Target},
    receivers::http_json::{
        config::TargetConfig,
        context::BuildError,
        poll::{
            poller::{PollingEnded, TargetPoller},
            schedule::Timing,
            state::PollState,
        },
    },
    runtime::{PAUSE_AFTER_PANIC, catch_panic},
};

/// What polls one target.
pub(crate) struct DefinitionSelector {
    pub(crate) factory: Arc<PollerFactory>,
    pub(crate) config: Arc<TargetConfig>,
    /// One a definition, in the order in which they are tried. Made when it is first needed: what
    /// is known of a host takes room, and few targets speak another one than the first.
    pub(crate) pollers: Vec<Option<Box<TargetPoller>>>,
    /// The position of the one that polls, which is there.
    pub(crate) current: usize,
}

impl DefinitionSelector {
    /// The one that polls.
    pub(crate) fn current(&self) -> Option<&TargetPoller> {
        self.pollers.get(self.current)?.as_deref()
    }

    /// Those that were needed.
    pub(crate) fn made(&self) -> impl Iterator<Item = &TargetPoller> {
        self.pollers.iter().filter_map(Option::as_deref)
    }

    /// The poller at a position is the one that polls.
    pub(crate) fn turn_to(&mut self, position: usize) -> Result<(), BuildError> {
        let poller = self.pollers.get(position);
        if poller.is_some_and(Option::is_none) {
            let poller = self.factory.another(self, position)?;
            if let Some(free) = self.pollers.get_mut(position) {
                *free = Some(Box::new(poller));
            }
        }
        self.current = position;
        Ok(())
    }

    /// Polls at each tick, with the definition that the target speaks, as `orders` say. A panic
    /// ends that for a while, for this target alone.
    pub(crate) async fn run(
        &mut self,
        mut timing: Timing,
        consumers: &[Arc<dyn Consumer>],
        control: &TargetControl,
    ) {
        while let Err(panic) = catch_panic(self.poll(&mut timing, consumers, control)).await {
            let pause = timing.interval.max(PAUSE_AFTER_PANIC);
            self.factory.shared.telemetry.panicked();
            tracing::error!(
                receiver = self.factory.context.id,
                target = self.config.display_name(),
                panic,
                ?pause,
                "polling a target panicked"
            );
            let paused = control.stop().run_until_cancelled(sleep(pause)).await;
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
        control: &TargetControl,
    ) {
        let mut tried = 1;
        let Some(turn) = control.stop().run_until_cancelled(control.turn()).await else {
            return;
        };
        let Some(mut state) = self.set_out(*timing, consumers) else {
            return;
        };
        // What came while it waited or paused.
        self.go_over(&mut state, timing, control);
        drop(turn);
        while let Some(poller) = self.current() {
            match poller.run(&mut state, control).await {
                PollingEnded::Stopped => {
                    let _turn = control.turn().await;
                    drop(state);
                    return;
                }
                PollingEnded::Changed => {
                    tried = 1;
                    let turn = control.turn().await;
                    self.go_over(&mut state, timing, control);
                    drop(turn);
                }
                PollingEnded::Unknown => {
                    // Each is tried at once in the first round, at the pace of the ticks after that,
                    // which is no news.
                    if state.up.target.is_some() {
                        tried = 1; // it spoke this one until now
                    }
                    let first_round = tried < self.pollers.len();
                    self.log_unknown(poller, tried);
                    timing.initial_delay = if first_round {
                        Duration::ZERO
                    } else {
                        timing.interval
                    };
                    timing.targets = 1;
                    tried += 1;
                    let next = (self.current + 1) % self.pollers.len().max(1);
                    if let Err(error) = self.turn_to(next) {
                        self.factory.refuse_invalid(&self.config, &error);
                    }
                    drop(state);
                    let Some(next) = self.set_out(*timing, consumers) else {
                        return;
                    };
                    state = next;
                }
            }
        }
    }

    /// The target does not speak the definition of `poller`, which is the so many-th in a row.
    fn log_unknown(&self, poller: &TargetPoller, tried: usize) {
        let Target {
            receiver,
            name: target,
            definition,
            ..
        } = &*poller.target;
        let definition = &definition.name;
        match tried.cmp(&self.pollers.len()) {
            Ordering::Less => tracing::info!(
                receiver,
                target,
                definition,
                "target answers 404 to the whole definition; trying the next one"
            ),
            Ordering::Equal => tracing::warn!(
                receiver,
                target,
                definition,
                "target answers 404 to every definition; trying them in turns"
            ),
            Ordering::Greater => tracing::debug!(
                receiver,
                target,
                definition,
                "target answers 404 to the whole definition"
            ),
        }
    }

    fn set_out(&self, timing: Timing, consumers: &[Arc<dyn Consumer>]) -> Option<PollState> {
        let leaves_unknown = self.pollers.len() > 1;
        let poller = self.current()?;
        let consumers = consumers.iter();
        let sinks = consumers.map(|consumer| consumer.open(&poller.target));
        let sinks = sinks.collect();
        Some(PollState::new(poller, timing, leaves_unknown, sinks))
    }

    /// Goes on under other settings. Where they cannot be, the old ones stay.
    fn go_over(&mut self, state: &mut PollState, timing: &mut Timing, control: &TargetControl) {
        let Some(next) = control.take() else { return };
        match next.factory.target_after(&next.config, self) {
            Ok(candidates) => *self = candidates,
            Err(error) => {
                next.factory.refuse_invalid(&next.config, &error);
                return;
            }
        }
        *timing = next.timing;
        state.leaves_unknown = self.pollers.len() > 1;
        if let Some(poller) = self.current() {
            state.follow(poller, *timing);
        }
    }

    /// Polls once, with the definition that the target speaks.
    pub(crate) async fn poll_once(&mut self) -> Result<Option<(Arc<Target>, Poll)>, BuildError> {
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
