//! Writes the pages of a target, one after the other.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use opentelemetry_sdk::metrics::data::HistogramDataPoint;

use super::{
    DroppedPoints,
    descriptor::FamilyDescriptor,
    escape::Escaping,
    families::Families,
    lines::{self, KeptLabels},
    pairs,
    rendered_source::{CREATED, FamilyId, RenderedSource, Section, SeriesSource, TargetId},
    text::{self, SampleValue, Timestamp},
};
use crate::pipeline::{Exemplar, HistogramValue};

/// The reason for a series that another one with the same labels hides.
const DUPLICATE: &str = "duplicate_series";
/// The typical length of a line, in bytes.
const LINE: usize = 64;
/// Writes the pages of a target, one after the other.
#[derive(Debug, Default)]
pub(super) struct PageWriter {
    source: SeriesSource,
    /// The position of the metric in the snapshot.
    rank: usize,
    /// The number of bytes of the labels of the target.
    common: usize,
    text: String,
    sections: Vec<SectionWriter>,
    series: Vec<RenderedSeries>,
    /// Whether a label name needs UTF-8 quoting.
    is_odd: bool,
    /// The time of the next points, if it is shown.
    time: Option<Timestamp>,
    /// The start time of the next totals, if it is shown.
    began: Option<Timestamp>,
}

#[derive(Debug)]
struct SectionWriter {
    source: SeriesSource,
    rank: usize,
    descriptor: Arc<FamilyDescriptor>,
    /// The family that shows the section, or why it is not shown.
    family: Result<FamilyId, &'static str>,
    series_end: usize,
}

#[derive(Debug, Clone, Copy)]
struct RenderedSeries {
    /// Hash of the labels.
    id: u64,
    /// The end of the lines.
    end: usize,
}

impl PageWriter {
    /// Reserves memory for about this number of series.
    pub(super) fn reserve(&mut self, series: usize) {
        self.text.reserve(series * LINE);
        self.sections.reserve(series);
        self.series.reserve(series);
    }

    /// Starts the next source, with a metric at a position in the snapshot. If two metrics want the
    /// same name, the first one gets it. The first `common` bytes of its labels are those of the
    /// target.
    pub(super) fn turn_to(&mut self, source: SeriesSource, rank: usize, common: usize) {
        (self.source, self.rank, self.common) = (source, rank, common);
    }

    /// Sets the time of the next points, and the start time of totals, if they are shown.
    pub(super) fn tell(&mut self, time: Option<Timestamp>, began: Option<Timestamp>) {
        (self.time, self.began) = (time, began);
    }

    /// Adds a series with rendered labels. Series of one family follow one another.
    pub(super) fn sample<T: SampleValue>(
        &mut self,
        of: &Arc<FamilyDescriptor>,
        labels: &str,
        value: T,
    ) {
        self.total(of, labels, value, None);
    }

    /// Adds a total, with one of the events that it counted.
    pub(super) fn total<T: SampleValue>(
        &mut self,
        of: &Arc<FamilyDescriptor>,
        labels: &str,
        value: T,
        exemplar: Option<&Exemplar>,
    ) {
        lines::push(
            &mut self.text,
            "",
            kept(labels, self.common),
            (value, self.time),
        );
        if let Some(Exemplar { trace, time, .. }) = exemplar {
            lines::push_exemplar(&mut self.text, trace, (*time).into());
        }
        self.end(of, labels);
    }

    /// Adds a histogram. `labels` is unchanged at the end.
    pub(super) fn histogram<T: SampleValue>(
        &mut self,
        of: &Arc<FamilyDescriptor>,
        labels: &mut String,
        point: &HistogramDataPoint<T>,
    ) {
        let (out, common, plain) = (&mut self.text, self.common, labels.len());
        let time = self.time;
        let mut cumulative = 0_u64;
        for (bound, count) in point.bounds().zip(point.bucket_counts()) {
            cumulative = cumulative.saturating_add(count);
            // The bucket without a bound follows with the total count.
            if bound < f64::INFINITY {
                text::le(labels, bound);
                lines::push(out, "_bucket", kept(labels, common), (cumulative, time));
                labels.truncate(plain);
            }
        }
        text::le(labels, f64::INFINITY);
        lines::push(out, "_bucket", kept(labels, common), (point.count(), time));
        labels.truncate(plain);
        lines::push(out, "_sum", kept(labels, common), (point.sum(), time));
        lines::push(out, "_count", kept(labels, common), (point.count(), time));
        self.end(of, labels);
    }

    /// Adds a histogram that a target counts itself; `labels` end as they began.
    pub(super) fn counted(
        &mut self,
        of: &Arc<FamilyDescriptor>,
        labels: &mut String,
        value: &HistogramValue,
    ) {
        let (out, common, plain) = (&mut self.text, self.common, labels.len());
        let time = self.time;
        let mut cumulative = 0_u64;
        for (bound, count) in value.bounds.iter().zip(&value.counts) {
            cumulative = cumulative.saturating_add(*count);
            text::le(labels, *bound);
            lines::push(out, "_bucket", kept(labels, common), (cumulative, time));
            labels.truncate(plain);
        }
        text::le(labels, f64::INFINITY);
        lines::push(out, "_bucket", kept(labels, common), (value.count(), time));
        labels.truncate(plain);
        if let Some(sum) = value.sum {
            lines::push(out, "_sum", kept(labels, common), (sum, time));
        }
        lines::push(out, "_count", kept(labels, common), (value.count(), time));
        self.end(of, labels);
    }

    /// Ends a series.
    fn end(&mut self, of: &Arc<FamilyDescriptor>, labels: &str) {
        if let Some(began) = self.began.filter(|_| of.has_created) {
            let began = (began, self.time);
            lines::push(&mut self.text, CREATED, kept(labels, self.common), began);
        }
        self.is_odd |= pairs::has_quoted_label(labels);
        let mut hasher = DefaultHasher::new();
        // Hashes the escaped labels: series that become the same by escaping are duplicates.
        Escaping::Underscores.labels(labels).hash(&mut hasher);
        self.series.push(RenderedSeries {
            id: hasher.finish(),
            end: self.text.len(),
        });
        match self.sections.last_mut() {
            Some(last) if last.source == self.source && last.descriptor.is_of_family(of) => {
                last.series_end = self.series.len();
            }
            _ => self.sections.push(SectionWriter {
                source: self.source,
                rank: self.rank,
                descriptor: Arc::clone(of),
                family: Err("unplaced"),
                series_end: self.series.len(),
            }),
        }
    }

    /// Removes series that a family has twice. The first one stays.
    pub(super) fn remove_duplicates(&mut self, dropped: &mut Vec<DroppedPoints>) {
        let (mut sorted, mut start) = (Vec::new(), 0);
        let has_duplicates = self.sections.iter().any(|section| {
            let series = self.series.get(start..section.series_end);
            start = section.series_end;
            sorted.clear();
            sorted.extend(series.unwrap_or_default().iter().map(|series| series.id));
            sorted.sort_unstable();
            has_twins(&sorted)
        });
        if has_duplicates {
            let mut known = HashSet::new();
            let is_new = |section, id| known.insert((section, id)).then_some(()).ok_or(DUPLICATE);
            self.retain(is_new, dropped);
        }
    }
}

impl PageWriter {
    /// Gives the sections of a source the families of the page that they replace. A section whose
    /// family has changed gets none.
    pub(super) fn inherit(
        &mut self,
        (target, source): (TargetId, SeriesSource),
        page: &RenderedSource,
        families: &mut Families,
    ) {
        let mut sections = self.sections.iter_mut().filter(|of| of.source == source);
        for family in page.families() {
            let is_of = |section: &&mut SectionWriter| families.is(family, &section.descriptor);
            match sections.next().filter(is_of) {
                Some(section) => section.family = Ok(family),
                None => families.remove(family, (target, source)),
            }
        }
    }

    /// Calls a function that finds a family for each section without one. A section for which there
    /// is none is removed.
    pub(super) fn place(
        &mut self,
        target: TargetId,
        families: &mut Families,
        dropped: &mut Vec<DroppedPoints>,
    ) {
        let new = self.sections.iter_mut().filter(|of| of.family.is_err());
        let mut new: Vec<_> = new.collect();
        new.sort_by_key(|section| section.rank);
        for section in new {
            section.family = families.admit((target, section.source), &section.descriptor);
        }
        if self.sections.iter().any(|section| section.family.is_err()) {
            let places: Vec<_> = self.sections.iter().map(|of| of.family.map(drop)).collect();
            let is_shown = |section, _| places.get(section).copied().unwrap_or(Ok(()));
            self.retain(is_shown, dropped);
            self.sections.retain(|section| section.family.is_ok());
        }
    }

    /// Removes series that another source of the target already has, in `pages` or earlier. The
    /// first one stays.
    pub(super) fn remove_shown<'p>(
        &mut self,
        pages: impl Iterator<Item = &'p RenderedSource> + Clone,
        dropped: &mut Vec<DroppedPoints>,
    ) {
        let own = self
            .sections
            .iter()
            .filter_map(|section| section.family.ok());
        let mut families: Vec<_> = own
            .chain(pages.clone().flat_map(RenderedSource::families))
            .collect();
        families.sort_unstable();
        if !has_twins(&families) {
            return;
        }
        let known = pages.flat_map(|page| {
            let fragments = page
                .families()
                .filter_map(|of| Some((of, page.fragment(of)?)));
            fragments.flat_map(|(of, fragment)| fragment.series.iter().map(move |id| (of, *id)))
        });
        let mut known: HashSet<_> = known.collect();
        let families: Vec<_> = self.sections.iter().map(|section| section.family).collect();
        let is_new = |section: usize, id| {
            let family = families.get(section).copied().unwrap_or(Err(DUPLICATE))?;
            known.insert((family, id)).then_some(()).ok_or(DUPLICATE)
        };
        self.retain(is_new, dropped);
    }

    /// Keeps the series for which `keep` returns no reason.
    fn retain(
        &mut self,
        mut keep: impl FnMut(usize, u64) -> Result<(), &'static str>,
        dropped: &mut Vec<DroppedPoints>,
    ) {
        let (text, series) = (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.series),
        );
        let mut rest = series.into_iter().enumerate().peekable();
        let mut start = 0;
        for (number, section) in self.sections.iter_mut().enumerate() {
            let mut refused = None;
            while let Some((_, series)) = rest.next_if(|(at, _)| *at < section.series_end) {
                match keep(number, series.id) {
                    Ok(()) => {
                        self.text
                            .push_str(text.get(start..series.end).unwrap_or_default());
                        let end = self.text.len();
                        self.series.push(RenderedSeries { end, ..series });
                    }
                    Err(reason) => refused.get_or_insert((reason, 0)).1 += 1,
                }
                start = series.end;
            }
            section.series_end = self.series.len();
            dropped.extend(refused.map(|(reason, points)| DroppedPoints {
                family: section.descriptor.name.clone(),
                points,
                reason,
            }));
        }
    }

    /// The page of a source, without spare memory.
    pub(super) fn page(&self, source: SeriesSource) -> RenderedSource {
        let from = self.sections.partition_point(|of| of.source < source);
        let to = self.sections.partition_point(|of| of.source <= source);
        let before = from.checked_sub(1).and_then(|at| self.sections.get(at));
        let series_start = before.map_or(0, |of| of.series_end);
        let text_start = self.text_end(series_start);
        let sections = self.sections.get(from..to).unwrap_or_default();
        let end = sections.last().map_or(series_start, |of| of.series_end);
        let series = self.series.get(series_start..end).unwrap_or_default();
        let text = self.text.get(text_start..self.text_end(end));
        let sections = sections.iter().filter_map(|section| {
            Some(Section {
                family: section.family.ok()?,
                text_end: position(self.text_end(section.series_end) - text_start),
                series_end: position(section.series_end - series_start),
            })
        });
        RenderedSource {
            sections: sections.collect(),
            text: text.unwrap_or_default().into(),
            series: series.iter().map(|series| series.id).collect(),
            is_odd: self.is_odd,
        }
    }

    /// The end of the first series of this number.
    fn text_end(&self, series: usize) -> usize {
        let last = series.checked_sub(1).and_then(|at| self.series.get(at));
        last.map_or(0, |last| last.end)
    }
}

/// The stored part of labels of which the first `common` bytes are those of the target.
fn kept(labels: &str, common: usize) -> KeptLabels<'_> {
    match labels.split_at_checked(common) {
        None | Some(("", _)) => KeptLabels::All(labels),
        Some((_, own)) => KeptLabels::Own(own.strip_prefix(',').unwrap_or(own)),
    }
}

fn has_twins<T: PartialEq>(sorted: &[T]) -> bool {
    sorted.windows(2).any(|two| two.first() == two.last())
}

/// Memory is full long before a text has 4 GiB.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
