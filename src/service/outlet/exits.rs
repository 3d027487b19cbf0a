//! Where a pipeline ends, which may change while it runs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::{
    pipeline::{Exporter, Target},
    settings::ComponentId,
};

/// The exporters of a pipeline now, by id.
pub(in crate::service) type Exporters = Arc<[(ComponentId, Arc<dyn Exporter>)]>;

/// Where a pipeline ends. All that flows through it shares this.
#[derive(Default)]
pub(in crate::service) struct Exits(RwLock<Exporters>);

impl Exits {
    /// From now on the pipeline ends here. Who held [`Self::open`] before has shown all of it when
    /// this returns, so that those that are not in it can be drained.
    pub(in crate::service) fn set(&self, exporters: Exporters) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = exporters;
    }

    /// The exporters, which stay the same as long as this is held.
    pub(super) fn open(&self) -> RwLockReadGuard<'_, Exporters> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which exporters show a target.
pub(super) struct Shown {
    target: Arc<Target>,
    exporters: Exporters,
}

impl Shown {
    pub(super) fn new(target: Arc<Target>, exporters: Exporters) -> Self {
        Self { target, exporters }
    }

    pub(super) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Those that are not among `now` forget the target; one whose place another took of the same
    /// id has handed it on.
    pub(super) fn follow(&mut self, now: &Exporters) {
        if Arc::ptr_eq(&self.exporters, now) {
            return;
        }
        let gone = self.exporters.iter().filter(|(id, _)| !has(now, id));
        gone.for_each(|(_, exporter)| exporter.forget(&self.target));
        self.exporters = Arc::clone(now);
    }

    /// Another one goes on to show the target to `others`.
    pub(super) fn leave_to(&mut self, others: &Exporters) {
        let mine = self.exporters.iter().filter(|(id, _)| !has(others, id));
        self.exporters = mine.cloned().collect();
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        for (_, exporter) in self.exporters.iter() {
            exporter.forget(&self.target);
        }
    }
}

fn has(exporters: &Exporters, id: &ComponentId) -> bool {
    exporters.iter().any(|(known, _)| known == id)
}
