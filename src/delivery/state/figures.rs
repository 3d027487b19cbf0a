//! The values of the metrics of one exporter.

use super::DiskFailure;
use crate::delivery::ledger::PointCounts;

/// What one exporter has done and holds, at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::delivery) struct Figures {
    /// Points by result, without those that are held.
    pub(in crate::delivery) tally: PointCounts,
    /// Held points.
    pub(in crate::delivery) held_points: u64,
    /// Held bytes, before compression.
    pub(in crate::delivery) held_bytes: u64,
    /// The amount in the queue, in the unit of its sizer.
    pub(in crate::delivery) queue_size: u64,
    /// The capacity of the queue, in the same unit.
    pub(in crate::delivery) queue_capacity: u64,
    /// Whole seconds since the oldest held point arrived.
    pub(in crate::delivery) oldest_age_seconds: u64,
    /// Points that an ended delivery left on disk.
    pub(in crate::delivery) left_points: u64,
    /// Points that were found on disk.
    pub(in crate::delivery) found_points: u64,
    /// Points that were written to disk.
    pub(in crate::delivery) stored_points: u64,
    /// Failures of the disk, in the order of [`DiskFailure::ALL`].
    pub(in crate::delivery) storage_failures: [u64; DiskFailure::ALL.len()],
}

impl Figures {
    /// The sum with a later delivery. The capacity is that of the later one.
    pub(in crate::delivery) fn followed_by(&self, later: &Self) -> Self {
        let mut failures = later.storage_failures;
        for (sum, earlier) in failures.iter_mut().zip(self.storage_failures) {
            *sum += earlier;
        }
        Self {
            tally: self.tally + later.tally,
            held_points: self.held_points + later.held_points,
            held_bytes: self.held_bytes + later.held_bytes,
            queue_size: self.queue_size + later.queue_size,
            queue_capacity: later.queue_capacity,
            left_points: self.left_points + later.left_points,
            found_points: self.found_points + later.found_points,
            oldest_age_seconds: self.oldest_age_seconds.max(later.oldest_age_seconds),
            stored_points: self.stored_points + later.stored_points,
            storage_failures: failures,
        }
    }
}
