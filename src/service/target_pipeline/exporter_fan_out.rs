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

    /// Makes the exporters that are not in `now` forget the target, whose series are in
    /// `instruments`. An exporter that was replaced by one with the same id has handed the target
    /// over.
    pub(super) fn follow(&mut self, now: &Exporters, instruments: &TargetInstruments) {
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

    /// What `old` exported stays until this one exports something. For exporters that only `old`
    /// has, the target has ended, and they forget it.
    pub(super) fn take_over(&mut self, old: &mut Self, instruments: &TargetInstruments) {
        let only_old = old
            .exporters
            .iter()
            .filter(|(id, _)| !has(&self.exporters, id));
        old.exporters = only_old.cloned().collect();
        old.end(instruments);
        self.before.append(&mut old.before);
        if !Arc::ptr_eq(&self.target, &old.target) {
            self.before.push(Arc::clone(&old.target));
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
