//! What the task of a target waits for beside its ticks: to stop, or to apply a new spec.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::runtime::idle;

/// The signals for the task of one target. `S` is the spec of the target.
pub(crate) struct TargetSignals<S> {
    stop: CancellationToken,
    spec: watch::Receiver<S>,
    /// Whether a new spec was noticed and not taken yet.
    is_changed: bool,
    turns: Turns,
}

/// Lets one target of a thread at a time start, end or apply a new spec.
///
/// A reload may concern sixty thousand targets at once. Those that are polled meanwhile, and those
/// of other receivers, get the worker threads in between.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

/// The turn of one target, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(
    #[expect(dead_code, reason = "given back when it is dropped")] Option<OwnedSemaphorePermit>,
);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Waits for the turn of the caller.
    pub(crate) async fn next(&self) -> Turn {
        // The semaphore is never closed.
        let turn = Arc::clone(&self.0).acquire_owned().await.ok();
        // All other tasks that are ready, and some polls that are due, run first, also where the
        // turn was free.
        idle::yield_now().await;
        Turn(turn)
    }
}

impl<S: Clone> TargetSignals<S> {
    /// The signals of a task that stops with `stop` and gets its specs from `spec`.
    pub(crate) fn new(stop: CancellationToken, spec: watch::Receiver<S>, turns: Turns) -> Self {
        Self {
            stop,
            spec,
            is_changed: false,
            turns,
        }
    }

    /// The signal to stop.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits for the turn of this target.
    pub(crate) async fn turn(&self) -> Turn {
        self.turns.next().await
    }

    /// Waits until there is a new spec and it is the turn of this target. If the wait is dropped,
    /// the next one finds the same spec.
    pub(crate) async fn changed(&mut self) -> Turn {
        if !self.is_changed && self.spec.changed().await.is_err() {
            // The receiver is gone: `stop` ends this task.
            std::future::pending::<()>().await;
        }
        self.is_changed = true;
        self.turns.next().await
    }

    /// The latest spec, if it is a new one.
    pub(crate) fn take_changed(&mut self) -> Option<S> {
        let is_changed = self.is_changed || self.spec.has_changed().unwrap_or(false);
        is_changed.then(|| self.latest())
    }

    /// The latest spec.
    pub(crate) fn latest(&mut self) -> S {
        self.is_changed = false;
        self.spec.borrow_and_update().clone()
    }
}
