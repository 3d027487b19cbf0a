//! Whether and when removed targets have ended.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use crate::runtime::Clock;

/// What an exporter knows about the end of targets.
#[derive(Debug)]
pub(super) struct Ending {
    clock: Clock,
    /// Set during a shutdown. Then removed targets have not ended: a series without an end
    /// continues when another exporter, or this one after a restart, shows the target before
    /// anybody considers it gone.
    is_closing: AtomicBool,
}

impl Ending {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            is_closing: AtomicBool::new(false),
        }
    }

    /// Targets that are removed after this call have not ended.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// The end time of a target that is removed now. `None` if the target has not ended.
    pub(super) fn time(&self) -> Option<SystemTime> {
        let is_closing = self.is_closing.load(Ordering::Relaxed);
        (!is_closing).then(|| self.clock.now())
    }
}
