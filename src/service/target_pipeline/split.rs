//! A Resource that a stage split off: a separate target.

use tokio::time::Instant;

use super::exporter_fan_out::ExportedTarget;
use crate::instruments::TargetInstruments;

/// Passes its readings to the exporters. Dropping it removes the target and all its series.
pub(super) struct Split {
    pub(super) shown: ExportedTarget,
    pub(super) instruments: TargetInstruments,
    /// The time of its last reading.
    pub(super) last: Instant,
    /// Whether that was in the poll that was exported last, or comes next.
    pub(super) is_put: bool,
}

impl Split {
    /// Whether both have the same Resource.
    pub(super) fn is_of_resource(&self, other: &Self) -> bool {
        self.instruments.is_of_resource(&other.instruments)
    }

    /// Continues `old`, which has the same Resource.
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
