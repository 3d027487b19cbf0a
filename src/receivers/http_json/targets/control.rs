//! What the task that polls a target is told while it does.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::yield_now,
};
use tokio_util::sync::CancellationToken;

use super::factory::PollerFactory;
use crate::receivers::http_json::{config::TargetConfig, poll::schedule::Timing};

/// Where the task of a target is told what to do.
pub(crate) struct TargetControl {
    stop: CancellationToken,
    /// Only the latest counts.
    next: Mutex<Option<TargetUpdate>>,
    has_ended: AtomicBool,
    news: Notify,
    turns: Turns,
    /// The turn that came with news.
    held: Mutex<Option<Turn>>,
}

/// Whose turn it is among the targets of a receiver that begin, end or go over to other settings.
/// Where sixty thousand of them are to do that at once, those that are polled and those of other
/// receivers get a worker in between.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

/// It is the turn of the holder.
pub(crate) struct Turn(
    #[expect(dead_code, reason = "given back when it is dropped")] Option<OwnedSemaphorePermit>,
);

impl Turns {
    /// It is the turn of one at a time.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// Held by the task, which has ended when this is dropped.
pub(crate) struct RunningGuard(Arc<TargetControl>);

/// Targets that were told to stop and may not have yet.
#[derive(Default)]
pub struct StopHandle(Vec<Arc<TargetControl>>);

/// How a target is polled from now on.
pub(crate) struct TargetUpdate {
    pub(crate) factory: Arc<PollerFactory>,
    pub(crate) config: Arc<TargetConfig>,
    pub(crate) timing: Timing,
}

impl TargetControl {
    /// To go on until `stop`, and to do in `turns` what many do at once.
    pub(crate) fn until(stop: CancellationToken, turns: Turns) -> Self {
        Self {
            turns,
            held: Mutex::default(),
            stop,
            next: Mutex::default(),
            has_ended: AtomicBool::new(false),
            news: Notify::new(),
        }
    }

    /// What the task holds until all else of it is gone.
    pub(crate) fn at_work(self: &Arc<Self>) -> RunningGuard {
        RunningGuard(Arc::clone(self))
    }

    /// The signal to stop.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Lets the task go over to other settings once the poll under way has ended.
    pub(crate) fn assign(&self, next: TargetUpdate) {
        *self.lock() = Some(next);
        self.news.notify_one();
    }

    /// Waits until it is the turn of this target.
    pub(crate) async fn turn(&self) -> Turn {
        if let Some(turn) = self.held().take() {
            return turn;
        }
        // Nobody closes it.
        let turn = Arc::clone(&self.turns.0).acquire_owned().await.ok();
        // All others that are ready to run come first, also where nobody waited for the turn.
        yield_now().await;
        Turn(turn)
    }

    /// Waits until there are other settings and it is the turn of this target, which
    /// [`Self::turn`] gives then.
    pub(crate) async fn news(&self) {
        while self.lock().is_none() {
            self.news.notified().await;
        }
        let turn = self.turn().await;
        *self.held() = Some(turn);
    }

    /// The other settings, once.
    pub(crate) fn take(&self) -> Option<TargetUpdate> {
        self.lock().take()
    }

    /// Waits for the end of a task that was told to stop, which waits for no news any more.
    async fn ended(&self) {
        while !self.has_ended.load(Ordering::Acquire) {
            self.news.notified().await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Turn>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<TargetUpdate>> {
        // It is replaced as a whole.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        drop(self.0.held().take());
        self.0.has_ended.store(true, Ordering::Release);
        self.0.news.notify_one();
    }
}

impl StopHandle {
    /// Tells a target to stop.
    pub(crate) fn stop(&mut self, control: Arc<TargetControl>) {
        control.stop().cancel();
        self.0.push(control);
    }

    /// Waits until none of them is polled and nothing of them is shown any more.
    pub async fn done(self) {
        for control in self.0 {
            control.ended().await;
        }
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ending").field(&self.0.len()).finish()
    }
}
