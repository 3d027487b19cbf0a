//! What the task that polls a target is told while it does.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{config::TargetConfig, factory::Factory, schedule::Timing};

/// Where the task of a target is told what to do.
pub(super) struct Orders {
    stop: CancellationToken,
    /// Only the latest counts.
    next: Mutex<Option<Assignment>>,
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
pub(super) struct Turns(Arc<Semaphore>);

/// It is the turn of the holder.
pub(super) struct Turn(
    #[expect(dead_code, reason = "given back when it is dropped")] Option<OwnedSemaphorePermit>,
);

impl Turns {
    /// It is the turn of one at a time.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// Held by the task, which has ended when this is dropped.
pub(super) struct AtWork(Arc<Orders>);

/// Targets that were told to stop and may not have yet.
#[derive(Default)]
pub struct Ending(Vec<Arc<Orders>>);

/// How a target is polled from now on.
pub(super) struct Assignment {
    pub(super) factory: Arc<Factory>,
    pub(super) config: Arc<TargetConfig>,
    pub(super) timing: Timing,
}

impl Orders {
    /// To go on until `stop`, and to do in `turns` what many do at once.
    pub(super) fn until(stop: CancellationToken, turns: Turns) -> Self {
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
    pub(super) fn at_work(self: &Arc<Self>) -> AtWork {
        AtWork(Arc::clone(self))
    }

    /// The signal to stop.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Lets the task go over to other settings once the poll under way has ended.
    pub(super) fn assign(&self, next: Assignment) {
        *self.lock() = Some(next);
        self.news.notify_one();
    }

    /// Waits until it is the turn of this target.
    pub(super) async fn turn(&self) -> Turn {
        if let Some(turn) = self.held().take() {
            return turn;
        }
        // Nobody closes it.
        Turn(Arc::clone(&self.turns.0).acquire_owned().await.ok())
    }

    /// Waits until there are other settings and it is the turn of this target, which
    /// [`Self::turn`] gives then.
    pub(super) async fn news(&self) {
        while self.lock().is_none() {
            self.news.notified().await;
        }
        let turn = self.turn().await;
        *self.held() = Some(turn);
    }

    /// The other settings, once.
    pub(super) fn take(&self) -> Option<Assignment> {
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

    fn lock(&self) -> MutexGuard<'_, Option<Assignment>> {
        // It is replaced as a whole.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        drop(self.0.held().take());
        self.0.has_ended.store(true, Ordering::Release);
        self.0.news.notify_one();
    }
}

impl Ending {
    /// Tells a target to stop.
    pub(super) fn stop(&mut self, orders: Arc<Orders>) {
        orders.stop().cancel();
        self.0.push(orders);
    }

    /// Waits until none of them is polled and nothing of them is shown any more.
    pub async fn done(self) {
        for orders in self.0 {
            orders.ended().await;
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ending").field(&self.0.len()).finish()
    }
}
