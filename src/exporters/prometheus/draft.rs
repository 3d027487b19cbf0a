//! The rows of a snapshot before they are shown.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Range,
    sync::Arc,
};

use super::{
    descriptor::FamilyDescriptor,
    escape,
    histogram_rows::{HistogramRow, HistogramRows},
    number::{Number, Timestamp},
    point_id::PointId,
    rows::{
        FamilyId, Layout, PointRow, Row, RowAdditions, RowExemplar, Section, SourceId, SourceRows,
        Suffix,
    },
    text,
};
use crate::{pipeline::Exemplar, telemetry::Trace};

/// A draft with more rows is not used again, so that the memory of one large answer is freed.
const SPARE_ROWS: usize = 4096;

/// The rows of a snapshot, by source.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) sources: BTreeMap<SourceId, SourceDraft>,
    /// Memory for sorting.
    spare: SourceDraft,
}

/// The rows of one source. In each list, the part of an element starts where that of the previous
/// element ends.
#[derive(Debug, Default)]
pub(super) struct SourceDraft {
    labels: String,
    rows: Vec<Row>,
    numbers: Vec<u64>,
    times: Vec<Timestamp>,
    series: Vec<SeriesDraft>,
    pub(super) sections: Vec<SectionDraft>,
    /// Events that totals counted, each with the index of its series.
    exemplars: Vec<(usize, Trace, Timestamp)>,
}

/// One series.
#[derive(Debug, Clone, Copy)]
struct SeriesDraft {
    rows_end: usize,
    /// Its identity in its family, once it is needed.
    id: u64,
    /// The point that it shows, if the SDK has it.
    point: Option<PointId>,
}

/// The series of one family.
#[derive(Debug)]
pub(super) struct SectionDraft {
    pub(super) rank: usize,
    pub(super) descriptor: Arc<FamilyDescriptor>,
    /// The family that shows the section, or why it is not shown.
    pub(super) family: Result<FamilyId, &'static str>,
    pub(super) series_end: usize,
}

/// What the rows of a series have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SeriesTimes {
    /// The time of the value, if it is shown.
    pub(super) time: Option<Timestamp>,
    /// The start time of the total, if it is shown.
    pub(super) created: Option<Timestamp>,
    /// The point of the number.
    pub(super) point: Option<PointId>,
}

/// The labels of the next series: those after the labels of the target, or all.
#[derive(Debug, Default)]
pub(super) struct SeriesLabels {
    pub(super) text: String,
    /// Whether they include those of the target.
    pub(super) is_complete: bool,
}

impl Draft {
    /// The rows of a source.
    pub(super) fn source(&mut self, id: SourceId) -> &mut SourceDraft {
        self.sources.entry(id).or_default()
    }

    /// Sorts the series of each family by their labels: the SDK has them in any order.
    pub(super) fn sort(&mut self) {
        for source in self.sources.values_mut() {
            source.sort(&mut self.spare);
        }
    }

    /// An empty draft that may use the memory of this one.
    pub(super) fn cleared(mut self) -> Self {
        let rows: usize = self.sources.values().map(|of| of.rows.len()).sum();
        if rows > SPARE_ROWS {
            return Self::default();
        }
        self.sources.values_mut().for_each(SourceDraft::clear);
        self
    }
}

impl SourceDraft {
    /// Starts the series of a family, or continues them. `rank` is the position of the metric in
    /// the snapshot: if two metrics want the same name, the first one gets it.
    pub(super) fn family(&mut self, rank: usize, descriptor: &Arc<FamilyDescriptor>) {
        self.drop_empty_section();
        let last = self.sections.last();
        if !last.is_some_and(|last| last.descriptor.is_of_family(descriptor)) {
            self.sections.push(SectionDraft {
                rank,
                descriptor: Arc::clone(descriptor),
                family: Err("unplaced"),
                series_end: self.series.len(),
            });
        }
    }

    fn drop_empty_section(&mut self) {
        let mut ends = self.sections.iter().rev().map(|section| section.series_end);
        if ends
            .next()
            .is_some_and(|end| end == ends.next().unwrap_or_default())
        {
            self.sections.pop();
        }
    }

    /// Adds a series with one value.
    pub(super) fn sample(
        &mut self,
        labels: &SeriesLabels,
        number: impl Into<Number>,
        times: SeriesTimes,
    ) {
        self.row(Suffix::None, labels, number.into(), times.time);
        self.end_series(labels, times);
    }

    /// Adds an event that the total in the last series counted.
    pub(super) fn exemplar(&mut self, exemplar: &Exemplar) {
        if let Some(series) = self.series.len().checked_sub(1) {
            let Exemplar { trace, time, .. } = exemplar;
            self.exemplars.push((series, *trace, (*time).into()));
        }
    }

    /// Adds a histogram. `labels` is unchanged at the end.
    pub(super) fn histogram(
        &mut self,
        labels: &mut SeriesLabels,
        histogram: HistogramRows<impl Iterator<Item = (f64, u64)>>,
        times: SeriesTimes,
    ) {
        let (time, plain) = (times.time, labels.text.len());
        for (row, number) in histogram.rows() {
            match row {
                HistogramRow::Bucket(bound) => {
                    text::le(&mut labels.text, bound);
                    self.row(Suffix::Bucket, labels, number, time);
                    labels.text.truncate(plain);
                }
                HistogramRow::Sum => self.row(Suffix::Sum, labels, number, time),
                HistogramRow::Count => self.row(Suffix::Count, labels, number, time),
            }
        }
        self.end_series(labels, times);
    }

    fn row(
        &mut self,
        suffix: Suffix,
        labels: &SeriesLabels,
        number: Number,
        time: Option<Timestamp>,
    ) {
        self.labels.push_str(&labels.text);
        self.rows.push(Row {
            labels_end: position(self.labels.len()),
            suffix,
            kind: number.kind,
            is_complete: labels.is_complete,
        });
        self.numbers.push(number.bits);
        self.times.extend(time);
    }

    fn end_series(&mut self, labels: &SeriesLabels, of: SeriesTimes) {
        let SeriesTimes {
            time,
            created,
            point,
        } = of;
        let created = created.filter(|_| {
            self.sections
                .last()
                .is_some_and(|of| of.descriptor.has_created)
        });
        if let Some(created) = created {
            self.row(Suffix::Created, labels, created.into(), time);
        }
        self.series.push(SeriesDraft {
            rows_end: self.rows.len(),
            id: 0,
            point,
        });
        if let Some(section) = self.sections.last_mut() {
            section.series_end = self.series.len();
        }
    }
}

impl SourceDraft {
    /// Sorts the series of each family.
    fn sort(&mut self, spare: &mut Self) {
        self.drop_empty_section();
        let mut order: Vec<usize> = Vec::new();
        let mut start = 0;
        for section in &self.sections {
            let series = start..section.series_end;
            start = section.series_end;
            if series
                .clone()
                .is_sorted_by_key(|series| self.labels_of(series))
            {
                continue;
            }
            if order.is_empty() {
                order.extend(0..self.series.len());
            }
            if let Some(order) = order.get_mut(series) {
                order.sort_by_key(|series| self.labels_of(*series));
            }
        }
        if !order.is_empty() {
            self.arrange(&order, spare);
        }
    }

    /// Keeps these series, in this order. Those of a section stay in it.
    pub(super) fn arrange(&mut self, kept: &[usize], spare: &mut Self) {
        std::mem::swap(self, spare);
        self.clear();
        let old = spare;
        let mut kept = kept.iter().peekable();
        let mut sections = std::mem::take(&mut old.sections);
        for mut section in sections.drain(..) {
            while let Some(series) = kept.next_if(|series| **series < section.series_end) {
                self.copy_series(old, *series);
            }
            section.series_end = self.series.len();
            self.sections.push(section);
        }
        old.sections = sections;
    }

    fn copy_series(&mut self, of: &Self, series: usize) {
        let exemplars = of
            .exemplars
            .iter()
            .filter(|(counted, ..)| *counted == series);
        let new = self.series.len();
        self.exemplars
            .extend(exemplars.map(|(_, trace, time)| (new, *trace, *time)));
        for index in of.rows_of(series) {
            let (Some(row), Some(number)) = (of.rows.get(index), of.numbers.get(index)) else {
                continue;
            };
            self.labels.push_str(of.labels_of_row(index));
            self.rows.push(Row {
                labels_end: position(self.labels.len()),
                ..*row
            });
            self.numbers.push(*number);
            self.times.extend(of.times.get(index));
        }
        self.series.push(SeriesDraft {
            rows_end: self.rows.len(),
            id: of.id(series),
            point: of.series.get(series).and_then(|series| series.point),
        });
    }

    /// The rows of a series.
    fn rows_of(&self, series: usize) -> Range<usize> {
        self.rows_end(series)..self.rows_end(series + 1)
    }

    /// The end of the rows of the first series of this number.
    fn rows_end(&self, series: usize) -> usize {
        let last = series.checked_sub(1).and_then(|last| self.series.get(last));
        last.map_or(0, |last| last.rows_end)
    }

    fn labels_of_row(&self, index: usize) -> &str {
        let start = index
            .checked_sub(1)
            .and_then(|before| self.rows.get(before));
        let start = start.map_or(0, |row| row.labels_end as usize);
        let end = self
            .rows
            .get(index)
            .map_or(0, |row| row.labels_end as usize);
        self.labels.get(start..end).unwrap_or_default()
    }

    /// The labels of a series. The last row of a histogram has no `le`.
    fn labels_of(&self, series: usize) -> &str {
        let last = self.rows_of(series).next_back();
        last.map_or("", |row| self.labels_of_row(row))
    }

    /// Computes the identity of each series in its family. Series that become the same by escaping
    /// are one.
    pub(super) fn identify(&mut self) {
        let ids = (0..self.series.len()).map(|series| {
            let mut hasher = DefaultHasher::new();
            let last = self.rows_of(series).next_back();
            let last = last.and_then(|row| self.rows.get(row));
            last.is_some_and(|row| row.is_complete).hash(&mut hasher);
            escape::canonical(self.labels_of(series)).hash(&mut hasher);
            hasher.finish()
        });
        let ids: Vec<_> = ids.collect();
        for (series, id) in self.series.iter_mut().zip(ids) {
            series.id = id;
        }
    }

    /// The identity of a series, after [`Self::identify`].
    pub(super) fn id(&self, series: usize) -> u64 {
        self.series.get(series).map_or(0, |series| series.id)
    }

    /// Whether its series are those of a layout.
    pub(super) fn is_like(&self, layout: &Layout) -> bool {
        let sections = || self.sections.iter().zip(&layout.sections);
        self.sections.len() == layout.sections.len()
            && self.rows == *layout.rows
            && self.labels == *layout.labels
            && self.points() == *layout.points
            && sections().all(|(new, old)| {
                new.series_end == old.series_end as usize
                    && Arc::ptr_eq(&new.descriptor, &old.descriptor)
            })
    }

    /// Where the number of each point is, sorted by id.
    fn points(&self) -> Vec<PointRow> {
        let rows = (0..self.series.len()).zip(&self.series);
        let points = rows.filter_map(|(at, series)| {
            let row = position(self.rows_of(at).start);
            series.point.map(|id| PointRow { id, row })
        });
        let mut points: Vec<_> = points.collect();
        points.sort_unstable_by_key(|point| point.id);
        points
    }

    /// Whether it has no series.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The layout of the series.
    pub(super) fn layout(&self) -> Layout {
        let sections = self.sections.iter().filter_map(|section| {
            Some(Section {
                family: section.family.ok()?,
                descriptor: Arc::clone(&section.descriptor),
                rows_end: position(self.rows_end(section.series_end)),
                series_end: position(section.series_end),
            })
        });
        let is_odd = |row| escape::has_quoted_label(self.labels_of_row(row));
        Layout {
            rows: self.rows.as_slice().into(),
            labels: self.labels.as_str().into(),
            sections: sections.collect(),
            series: self.series.iter().map(|series| series.id).collect(),
            points: self.points().into(),
            is_odd: (0..self.rows.len()).any(is_odd),
        }
    }

    /// The rows with this layout.
    pub(super) fn rows(&self, layout: Arc<Layout>) -> SourceRows {
        SourceRows {
            layout,
            numbers: self.numbers.as_slice().into(),
            more: self.additions(),
        }
    }

    fn additions(&self) -> Option<Box<RowAdditions>> {
        let is_usual = self.times.is_empty() && self.exemplars.is_empty();
        (!is_usual).then(|| {
            Box::new(RowAdditions {
                times: self.times.as_slice().into(),
                exemplars: self.exemplars().collect(),
            })
        })
    }

    /// Replaces the numbers of rows that have the same layout.
    pub(super) fn replace(&self, rows: &mut SourceRows) {
        match rows.numbers.len() == self.numbers.len() {
            true => rows.numbers.copy_from_slice(&self.numbers),
            false => rows.numbers = self.numbers.as_slice().into(),
        }
        rows.more = self.additions();
    }

    fn exemplars(&self) -> impl Iterator<Item = RowExemplar> {
        self.exemplars
            .iter()
            .map(|(series, trace, time)| RowExemplar {
                row: position(self.rows_of(*series).start),
                trace: *trace,
                time: *time,
            })
    }

    fn clear(&mut self) {
        self.labels.clear();
        self.rows.clear();
        self.numbers.clear();
        self.times.clear();
        self.series.clear();
        self.sections.clear();
        self.exemplars.clear();
    }
}

/// Memory is full long before a text has 4 GiB.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
