//! Where a pipeline ends, which may change while it runs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::{
    instruments::TargetInstruments,
    pipeline::{Exporter, Farewell, Target},
    settings::ComponentId,
};

/// The exporters of a pipeline now, by id.
pub(in crate::service) type Exporters = Arc<[(ComponentId, Arc<dyn Exporter>)]>;

/// Where a pipeline ends. All that flows through it shares this.
#[derive(Default)]
pub(in crate::service) struct ExporterFanOut(RwLock<Exporters>);

impl ExporterFanOut {
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
pub(super) struct ExportedTarget {
    target: Arc<Target>,
    /// What it was before, of the same name, as long as exporters may show that.
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

    /// Those that are not among `now` forget the target, of which `instruments` know the series; one
    /// whose place another took of the same id has handed it on.
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

    /// What `old` showed stays until this one shows something; for exporters that are only its the
    /// target has ended, and they forget it.
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

    /// The series of the target have ended, which `instruments` know.
    pub(super) fn end(&self, instruments: &TargetInstruments) {
        for (_, exporter) in self.exporters.iter() {
            end(&**exporter, &self.target, instruments);
        }
    }

    /// The target has been shown as it is now.
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
    let make = |now| instruments.farewell(now);
    exporter.ended(target, &Farewell::new(&make));
}

fn has(exporters: &Exporters, id: &ComponentId) -> bool {
    exporters.iter().any(|(known, _)| known == id)
}
