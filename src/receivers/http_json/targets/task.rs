//! The task of one target: from its name to its last poll.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::definition_selection::DefinitionSelector;
use crate::{
    pipeline::Consumer,
    receivers::http_json::{
        poll::{
            grid::Timing,
            poll_loop::{PollLoop, PollingEnded},
            poll_state::PollState,
            signals::TargetSignals,
        },
        spec::TargetSpec,
        telemetry::TargetRefusal,
    },
    runtime::{PAUSE_AFTER_PANIC, catch_panic},
};

/// The signals of the task of a target.
pub(crate) type Signals = TargetSignals<TargetSpec>;

/// Polls a target until it is told to stop. Another receiver may use its name, or an earlier task
/// of this target may still be ending: then it waits.
pub(crate) async fn run(mut signals: Signals, consumer: Arc<dyn Consumer>) {
    let stop = signals.stop().clone();
    let spec = signals.latest();
    let name = spec.config.display_name();
    let leasing = lease(&spec, &name);
    // Given back when all else of the target is gone.
    let Some(_lease) = stop.run_until_cancelled(leasing).await else {
        return;
    };
    drop(spec);
    let Some(turn) = stop.run_until_cancelled(signals.turn()).await else {
        return;
    };
    // What polls is made in the turn of the target, of the spec that is the latest then.
    let spec = signals.latest();
    let (receiver, config) = (Arc::clone(&spec.receiver), Arc::clone(&spec.config));
    let selector = DefinitionSelector::new(spec);
    drop(turn);
    match selector {
        Ok(selector) => {
            // A later spec takes the place of these while the target is polled.
            drop((receiver, config));
            TargetTask { selector, consumer }.run(&mut signals).await;
        }
        Err(error) => receiver.refuse_invalid(&config, &error),
    }
}

async fn lease(spec: &TargetSpec, name: &str) -> crate::pipeline::NameLease {
    let context = &spec.receiver.context;
    let receiver = context.id.as_str();
    let leasing = context.names.take(name, receiver, |holder| {
        if holder != receiver {
            spec.receiver
                .shared
                .telemetry
                .refused(TargetRefusal::Duplicate);
            tracing::warn!(
                receiver,
                target = name,
                holder,
                "another receiver polls a target of this name; waiting until it is free"
            );
        }
    });
    leasing.await
}

/// Polls one target with one definition after the other.
struct TargetTask {
    selector: DefinitionSelector,
    consumer: Arc<dyn Consumer>,
}

impl TargetTask {
    /// Polls at each tick. A panic interrupts that for a while, for this target alone.
    async fn run(&mut self, signals: &mut Signals) {
        let mut timing = self.selector.spec.timing;
        while let Err(panic) = catch_panic(self.poll(timing, signals)).await {
            let spec = &self.selector.spec;
            let pause = spec.timing.interval.max(PAUSE_AFTER_PANIC);
            spec.receiver.shared.telemetry.panicked();
            tracing::error!(
                receiver = spec.receiver.context.id,
                target = spec.config.display_name(),
                panic,
                ?pause,
                "polling a target panicked"
            );
            let stop = signals.stop().clone();
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            timing = soon(spec.timing, Duration::ZERO);
        }
    }

    async fn poll(&mut self, timing: Timing, signals: &mut Signals) {
        let stop = signals.stop().clone();
        let Some(turn) = stop.run_until_cancelled(signals.turn()).await else {
            return;
        };
        let Some(mut state) = self.open(timing) else {
            return;
        };
        // A spec that came while it waited for its turn, or paused after a panic.
        self.apply(&mut state, signals);
        drop(turn);
        // How many definitions in a row the target did not know.
        let mut tried = 1;
        while let Some(poller) = self.selector.current() {
            let polling = PollLoop {
                poller,
                state: &mut state,
                signals: &mut *signals,
            };
            match polling.run().await {
                PollingEnded::Stopped => {
                    let _turn = signals.turn().await;
                    drop(state);
                    return;
                }
                PollingEnded::Changed(turn) => {
                    tried = 1;
                    self.apply(&mut state, signals);
                    drop(turn);
                }
                PollingEnded::Unknown => {
                    if state.up.target.is_some() {
                        tried = 1; // it spoke this definition until now
                    }
                    drop(state);
                    match self.try_next(tried) {
                        Some(next) => state = next,
                        None => return,
                    }
                    tried += 1;
                }
            }
        }
    }

    /// Goes on with the next definition: at once in the first round, at the pace of the ticks after
    /// that, when all definitions were tried in vain.
    fn try_next(&mut self, tried: usize) -> Option<PollState> {
        self.selector.select_next(tried);
        let timing = self.selector.spec.timing;
        let delay = match tried < self.selector.count() {
            true => Duration::ZERO,
            false => timing.interval,
        };
        self.open(soon(timing, delay))
    }

    fn open(&self, timing: Timing) -> Option<PollState> {
        let leaves_unknown = self.selector.count() > 1;
        let poller = self.selector.current()?;
        let sink = self.consumer.open(&poller.target);
        Some(PollState::new(poller, timing, leaves_unknown, sink))
    }

    /// Applies a new spec, if there is one. If it cannot be polled, the old one stays.
    fn apply(&mut self, state: &mut PollState, signals: &mut Signals) {
        let Some(spec) = signals.take_changed() else {
            return;
        };
        let (receiver, config) = (Arc::clone(&spec.receiver), Arc::clone(&spec.config));
        if let Err(error) = self.selector.apply(spec) {
            return receiver.refuse_invalid(&config, &error);
        }
        state.leaves_unknown = self.selector.count() > 1;
        if let Some(poller) = self.selector.current() {
            state.apply(poller, self.selector.spec.timing);
        }
    }
}

/// The timing of a target that begins alone, after a delay.
fn soon(timing: Timing, initial_delay: Duration) -> Timing {
    Timing {
        initial_delay,
        targets: 1,
        ..timing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the futures that `_make` makes.
    fn bytes<A, B, F>(_make: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_target_that_waits_for_its_next_poll_takes_little_memory() {
        let bytes = bytes(run);
        assert!(bytes <= 2_300, "{bytes}");
    }
}
