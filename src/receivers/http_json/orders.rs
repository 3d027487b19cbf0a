//! What the task that polls a target is told while it does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{config::TargetConfig, factory::Factory, schedule::Timing};

/// Where the task of a target is told what to do.
pub(super) struct Orders {
    stop: CancellationToken,
    /// Only the latest counts.
    next: Mutex<Option<Assignment>>,
    news: Notify,
}

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
            news: Notify::new(),
        }
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

    fn lock(&self) -> MutexGuard<'_, Option<Assignment>> {
        // It is replaced as a whole.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
