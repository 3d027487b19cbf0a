//! The values of one source of a target, in rows. What the same source of other targets has too is
//! in a [`Layout`], which they share: a poll that brings the same series only replaces numbers.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    descriptor::FamilyDescriptor,
    labels::TargetLabels,
    number::{Number, NumberKind, Timestamp},
    point_id::PointId,
};
use crate::telemetry::Trace;

/// The number of a target.
pub(super) type TargetId = u32;
/// The number of a family.
pub(super) type FamilyId = usize;

/// The source of series in a target. All series of one source are replaced together.
pub(super) type SourceId = u32;
/// The source of `target_info`.
pub(super) const INFO: SourceId = 0;
/// The source of the collector's own metrics about the target.
pub(super) const OWN: SourceId = 1;
/// The source of the first endpoint of the definition. The others follow.
pub(super) const ENDPOINTS: SourceId = 2;

/// A source of a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceKey {
    pub(super) target: TargetKey,
    pub(super) source: SourceId,
}

/// A target. Targets are in the order of their labels: neighbors on a scrape are alike then, and it
/// compresses better.
#[derive(Debug, Clone)]
pub(super) struct TargetKey {
    pub(super) labels: Arc<TargetLabels>,
    pub(super) id: TargetId,
}

impl TargetKey {
    /// One of its sources.
    pub(super) fn source(&self, source: SourceId) -> SourceKey {
        SourceKey {
            target: self.clone(),
            source,
        }
    }
}

impl Ord for TargetKey {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.labels, &other.labels) {
            return self.id.cmp(&other.id);
        }
        let labels = self.labels.text().cmp(other.labels.text());
        labels.then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for TargetKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for TargetKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for TargetKey {}

/// The current values of a source.
#[derive(Debug)]
pub(super) struct SourceRows {
    pub(super) layout: Arc<Layout>,
    /// The bits of each row's number.
    pub(super) numbers: Box<[u64]>,
    /// What most sources do not have.
    pub(super) more: Option<Box<RowAdditions>>,
}

/// What rows have beside their numbers.
#[derive(Debug)]
pub(super) struct RowAdditions {
    /// The time of each row, if times are shown.
    pub(super) times: Box<[Timestamp]>,
    /// In the order of their rows.
    pub(super) exemplars: Box<[RowExemplar]>,
}

/// The series of a source without their values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) rows: Box<[Row]>,
    /// The rendered labels of all rows, one after the other.
    pub(super) labels: Box<str>,
    pub(super) sections: Box<[Section]>,
    /// The identity of each series in its family: a hash of its labels.
    pub(super) series: Box<[u64]>,
    /// Where each point of the SDK is, sorted by id.
    pub(super) points: Box<[PointRow]>,
    /// Whether a label name needs UTF-8 quoting.
    pub(super) is_odd: bool,
}

/// The first row of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PointRow {
    pub(super) id: PointId,
    pub(super) row: u32,
}

/// One line of a scrape without its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    /// The end of its labels. They start where those of the previous row end.
    pub(super) labels_end: u32,
    pub(super) suffix: Suffix,
    pub(super) kind: NumberKind,
    /// Whether its labels include those of the target.
    pub(super) is_complete: bool,
}

/// The rows and series of one family. They start where those of the previous section end.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) family: FamilyId,
    /// As the metric of this source describes the family.
    pub(super) descriptor: Arc<FamilyDescriptor>,
    pub(super) rows_end: u32,
    pub(super) series_end: u32,
}

/// What follows the name of a family in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Suffix {
    None,
    Bucket,
    Sum,
    Count,
    /// The line has the start time of a total.
    Created,
}

impl Suffix {
    /// All suffixes, in their order.
    pub(super) const ALL: [Self; 5] = [
        Self::None,
        Self::Bucket,
        Self::Sum,
        Self::Count,
        Self::Created,
    ];

    /// The text of the suffix.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bucket => "_bucket",
            Self::Sum => "_sum",
            Self::Count => "_count",
            Self::Created => "_created",
        }
    }
}

/// One event that the total in a row counted.
#[derive(Debug, Clone)]
pub(super) struct RowExemplar {
    pub(super) row: u32,
    pub(super) trace: Trace,
    pub(super) time: Timestamp,
}

/// The rows of one family.
#[derive(Clone, Copy)]
pub(super) struct SectionRows<'a> {
    of: &'a SourceRows,
    start: usize,
    end: usize,
}

/// A row with its number.
pub(super) struct RowView<'a> {
    pub(super) row: Row,
    pub(super) labels: &'a str,
    pub(super) number: Number,
    pub(super) time: Option<Timestamp>,
    pub(super) exemplar: Option<&'a RowExemplar>,
}

impl SourceRows {
    /// The rows of a family.
    pub(super) fn section(&self, family: FamilyId) -> Option<SectionRows<'_>> {
        let sections = &self.layout.sections;
        let at = sections.iter().position(|of| of.family == family)?;
        let before = at.checked_sub(1).and_then(|at| sections.get(at));
        Some(SectionRows {
            of: self,
            start: before.map_or(0, |of| of.rows_end as usize),
            end: sections.get(at)?.rows_end as usize,
        })
    }
}

impl<'a> SectionRows<'a> {
    /// Whether a label name of the source needs UTF-8 quoting.
    pub(super) fn is_odd(self) -> bool {
        self.of.layout.is_odd
    }

    /// The bits of the first number.
    pub(super) fn first(self) -> Option<u64> {
        self.of.numbers.get(self.start).copied()
    }

    /// The rows, in their order.
    pub(super) fn iter(self) -> impl Iterator<Item = RowView<'a>> {
        let layout = &*self.of.layout;
        let before = self.start.checked_sub(1).and_then(|at| layout.rows.get(at));
        let mut start = before.map_or(0, |row| row.labels_end as usize);
        let rows = layout.rows.get(self.start..self.end).unwrap_or_default();
        let numbers = self.of.numbers.get(self.start..self.end);
        let rows = rows.iter().zip(numbers.unwrap_or_default());
        rows.enumerate().map(move |(index, (row, bits))| {
            let index = self.start + index;
            let end = row.labels_end as usize;
            let labels = layout.labels.get(start..end).unwrap_or_default();
            start = end;
            let more = self.of.more.as_deref();
            let mut exemplars = more.iter().flat_map(|more| &more.exemplars);
            RowView {
                row: *row,
                labels,
                number: Number {
                    kind: row.kind,
                    bits: *bits,
                },
                time: more.and_then(|more| more.times.get(index).copied()),
                exemplar: exemplars.find(|of| of.row as usize == index),
            }
        })
    }
}

impl Layout {
    /// The first row of a point.
    pub(super) fn row_of(&self, id: PointId) -> Option<u32> {
        let found = self.points.binary_search_by_key(&id, |point| point.id);
        Some(self.points.get(found.ok()?)?.row)
    }

    /// The series of each family.
    pub(super) fn series(&self) -> impl Iterator<Item = (FamilyId, u64)> {
        let mut start = 0;
        self.sections.iter().flat_map(move |section| {
            let end = section.series_end as usize;
            let series = self.series.get(start..end).unwrap_or_default();
            start = end;
            series.iter().map(|series| (section.family, *series))
        })
    }
}

impl Hash for Layout {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The rest follows from these, as good as always.
        (&self.labels, &self.rows).hash(state);
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        self.family == other.family
            && Arc::ptr_eq(&self.descriptor, &other.descriptor)
            && self.rows_end == other.rows_end
            && self.series_end == other.series_end
    }
}

impl Eq for Section {}
