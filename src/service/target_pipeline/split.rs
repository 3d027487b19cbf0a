//! A Resource that a stage split off: a target of its own.

use tokio::time::Instant;

use super::exporter_fan_out::ExportedTarget;
use crate::instruments::TargetInstruments;

/// What takes it to the exporters. Dropping it removes the target and all its series.
pub(super) struct Split {
    pub(super) shown: ExportedTarget,
    pub(super) instruments: TargetInstruments,
    /// When something was last of it.
    pub(super) last: Instant,
}

impl Split {
    /// Whether both are of one Resource.
    pub(super) fn is_of_resource(&self, other: &Self) -> bool {
        self.instruments.is_of_resource(&other.instruments)
    }

    /// Goes on where `old` ends, of the same Resource.
    pub(super) fn take_over(&mut self, old: &mut Self) {
        self.shown.take_over(&mut old.shown, &old.instruments);
        self.instruments.take_over(&mut old.instruments);
    }
}

impl Drop for Split {
    fn drop(&mut self) {
        self.shown.end(&self.instruments);
    }
}
