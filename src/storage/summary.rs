//! Which records a log has, without their contents. It is written with every change. So after
//! damage it is known how much is lost, and which of the records in the damaged file were removed
//! before.

use std::ops::RangeInclusive;

use super::frame::{self, FrameKind};

/// The most gaps that are stored. There are few: records are removed in their order, except those
/// that several consumers have at the same time.
const MAX_GAPS: usize = 256;

/// Which records a log has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// The number of changes.
    pub(super) change: u64,
    /// Data points in all records.
    pub(super) points: u64,
    /// The ids of its records, from the first to the last one.
    ids: RangeInclusive<u64>,
    /// The ids that were removed in between, in order.
    gaps: Vec<RangeInclusive<u64>>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            change: 0,
            points: 0,
            ids: NONE,
            gaps: Vec::new(),
        }
    }
}

/// A range without ids.
const NONE: RangeInclusive<u64> = RangeInclusive::new(1, 0);

impl Summary {
    /// An empty log after this number of changes.
    pub(super) fn empty(change: u64) -> Self {
        Self {
            change,
            ..Self::default()
        }
    }

    /// Sets the ids of its records, without the removed ones.
    pub(super) fn span(
        &mut self,
        ids: Option<RangeInclusive<u64>>,
        removed: &[RangeInclusive<u64>],
    ) {
        self.ids = ids.unwrap_or(NONE);
        self.gaps.extend_from_slice(removed);
        self.gaps.sort_unstable_by_key(|gap| *gap.start());
        let mut gaps: Vec<RangeInclusive<u64>> = Vec::new();
        for gap in self.gaps.drain(..) {
            if gap.end() < self.ids.start() || gap.start() > self.ids.end() {
                continue;
            }
            match gaps.last_mut() {
                Some(last) if *gap.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(gap.end());
                }
                _ => gaps.push(gap),
            }
        }
        gaps.truncate(MAX_GAPS);
        self.gaps = gaps;
    }

    /// Whether the log has a record that was written with `change`. The summary does not know
    /// records of later changes.
    pub(super) fn holds(&self, id: u64, change: u64) -> bool {
        let is_gone = || self.gaps.iter().any(|gap| gap.contains(&id));
        change > self.change || (self.ids.contains(&id) && !is_gone())
    }

    /// The summary as it is written.
    pub(super) fn frame(&self) -> Vec<u8> {
        let (first, last) = (*self.ids.start(), *self.ids.end());
        let ends = self.gaps.iter().flat_map(|gap| [*gap.start(), *gap.end()]);
        let numbers = [self.change, self.points, first, last].into_iter();
        let bytes: Vec<u8> = numbers.chain(ends).flat_map(u64::to_le_bytes).collect();
        frame::wrap(FrameKind::Summary, &[&bytes])
    }

    /// Reads the content of a frame.
    pub(super) fn read(mut content: &[u8]) -> Option<Self> {
        let mut number = || frame::number(&mut content);
        let (change, points) = (number()?, number()?);
        let ids = number()?..=number()?;
        let mut gaps = Vec::new();
        while let (Some(first), Some(last)) = (number(), number()) {
            gaps.push(first..=last);
        }
        Some(Self {
            change,
            points,
            ids,
            gaps,
        })
    }

    /// Reads a frame.
    pub(super) fn unwrap(frame: &[u8]) -> Option<Self> {
        match frame::unwrap(frame)? {
            (FrameKind::Summary, content) => Self::read(content),
            (FrameKind::Part, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_records_are_not_in_the_summary() {
        let mut summary = Summary::empty(7);
        summary.span(Some(3..=9), &[1..=2, 6..=6, 5..=5, 10..=11]);
        assert_eq!(summary.gaps, [5..=6]);
        let held = |summary: &Summary| -> Vec<u64> {
            (0..20).filter(|id| summary.holds(*id, 7)).collect()
        };
        assert_eq!(held(&summary), [3, 4, 7, 8, 9]);
        assert!(summary.holds(1, 8), "the summary does not know it");
        assert_eq!(Summary::unwrap(&summary.frame()), Some(summary.clone()));
        summary.span(None, &[3..=9]);
        assert_eq!(held(&summary), Vec::<u64>::new());
    }
}
