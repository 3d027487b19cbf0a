//! The exporters of a pipeline, which may change while it runs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::{
    instruments::TargetInstruments,
    pipeline::{EndOfSeries, Exporter, Target, WatchedTotals},
    settings::ComponentId,
};

/// The current exporters of a pipeline, by id.
pub(in crate::service) type Exporters = Arc<[(ComponentId, Arc<dyn Exporter>)]>;

/// The exporters of a pipeline. All its targets share this.
#[derive(Default)]
pub(in crate::service) struct ExporterFanOut {
    exporters: RwLock<Exporters>,
    watched: Arc<WatchedTotals>,
}

impl ExporterFanOut {
    /// Without exporters. Totals that somebody looks at go to `watched`.
    pub(in crate::service) fn new(watched: Arc<WatchedTotals>) -> Self {
        Self {
            exporters: RwLock::default(),
            watched,
        }
    }

    /// Where the totals go that somebody looks at.
    pub(super) fn watched(&self) -> &WatchedTotals {
        &self.watched
    }

    /// Replaces the exporters. When this returns, every holder of [`Self::open`] has exported its
    /// data, so that removed exporters can be drained.
    pub(in crate::service) fn set(&self, exporters: Exporters) {
        let mut current = self
            .exporters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = exporters;
    }

    /// The exporters, which do not change while this guard is held.
    pub(super) fn open(&self) -> RwLockReadGuard<'_, Exporters> {
        self.exporters
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which exporters have a target.
pub(super) struct ExportedTarget {
    target: Arc<Target>,
    /// Earlier descriptions of the target, as long as exporters may have them.
    before: Vec<Arc<Target>>,
    exporters: Exporters,
}

impl ExportedTarget {
    pub(super) fn new(target: Arc<Target>, exporters: Exporters) -> Self {
        Self {
            target,
            before: Vec::new(),
            exporters,
        }
    }

    pub(super) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Goes on with other exporters. For those that are not in `now`, the target has ended: they
    /// forget it. Its series are in `instruments`. One that was replaced by one with the same id
    /// shares its state.
    pub(super) fn set_exporters(&mut self, now: &Exporters, instruments: &TargetInstruments) {
        if Arc::ptr_eq(&self.exporters, now) {
            return;
        }
        let gone = self.exporters.iter().filter(|(id, _)| !has(now, id));
        for (_, exporter) in gone {
            end(&**exporter, &self.target, instruments);
            exporter.forget(&self.target);
        }
        self.exporters = Arc::clone(now);
    }

    /// Goes on with another description of the target and other exporters. What these have of the
    /// target stays until it is exported again.
    pub(super) fn apply(
        &mut self,
        target: Arc<Target>,
        now: &Exporters,
        instruments: &TargetInstruments,
    ) {
        self.set_exporters(now, instruments);
        if !Arc::ptr_eq(&self.target, &target) {
            let before = std::mem::replace(&mut self.target, target);
            self.before.push(before);
        }
    }

    /// Ends the series of the target, which are in `instruments`.
    pub(super) fn end(&self, instruments: &TargetInstruments) {
        for (_, exporter) in self.exporters.iter() {
            end(&**exporter, &self.target, instruments);
        }
    }

    /// Records that the target was exported with its current description.
    pub(super) fn mark_exported(&mut self) {
        self.before.clear();
    }
}

impl Drop for ExportedTarget {
    fn drop(&mut self) {
        for (_, exporter) in self.exporters.iter() {
            let before = self.before.iter();
            before.for_each(|target| exporter.forget(target));
            exporter.forget(&self.target);
        }
    }
}

fn end(exporter: &dyn Exporter, target: &Target, instruments: &TargetInstruments) {
    let make = |now| instruments.end_of_series(now);
    exporter.ended(target, &EndOfSeries::new(&make));
}

fn has(exporters: &Exporters, id: &ComponentId) -> bool {
    exporters.iter().any(|(known, _)| known == id)
}
