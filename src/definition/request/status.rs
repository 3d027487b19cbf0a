//! Statuses of which the body is read.

use std::ops::RangeInclusive;

/// Statuses, as ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedStatuses(Vec<RangeInclusive<u16>>);

impl AcceptedStatuses {
    /// These, or those of a success if there are none.
    pub(in crate::definition) fn of(ranges: Vec<RangeInclusive<u16>>) -> Self {
        Self(match ranges.is_empty() {
            true => vec![200..=299],
            false => ranges,
        })
    }

    /// Whether the body of an answer with this status is read.
    pub fn holds(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}
