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

impl Drop for Split {
    fn drop(&mut self) {
        self.shown.end(&self.instruments);
    }
}
