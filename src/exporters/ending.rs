//! Whether targets that go have ended, and when.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use crate::runtime::Clock;

/// What an exporter knows of the end of targets.
#[derive(Debug)]
pub(super) struct Ending {
    clock: Clock,
    /// Targets go without an end: a series that has none goes on where another exporter, or this
    /// one started again, shows the target before anybody takes it for gone.
    is_closing: AtomicBool,
}

impl Ending {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            is_closing: AtomicBool::new(false),
        }
    }

    /// Targets that go from now on have not ended.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// When a target ended that goes now; none if it did not.
    pub(super) fn time(&self) -> Option<SystemTime> {
        let is_closing = self.is_closing.load(Ordering::Relaxed);
        (!is_closing).then(|| self.clock.now())
    }
}
