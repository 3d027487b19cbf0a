//! What the task that polls a target is told while it does.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{config::TargetConfig, factory::Factory, schedule::Timing};

/// Where the task of a target is told what to do.
pub(super) struct Orders {
    stop: CancellationToken,
    /// Only the latest counts.
    next: Mutex<Option<Assignment>>,
    has_ended: AtomicBool,
    news: Notify,
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
    /// To go on until `stop`.
    pub(super) fn until(stop: CancellationToken) -> Self {
        Self {
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

    /// Waits until there are other settings.
    pub(super) async fn news(&self) {
        while self.lock().is_none() {
            self.news.notified().await;
        }
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

    fn lock(&self) -> MutexGuard<'_, Option<Assignment>> {
        // It is replaced as a whole.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
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
