//! Joins what several documents of one endpoint gave: pages, and answers to requests for elements.
//!
//! Each document is mapped alone and dropped. A path never sees two of them, so that the memory of
//! one document is enough for any number.

use std::{ops::Range, vec};

use super::Mapper;
use crate::{
    definition::{Definition, Instrument, InstrumentKind, MappingRule, ValueSource},
    pipeline::{Document, PartReadings, Problem, ProblemReason, Reading, Readings, RuleReadings},
};

/// Maps one of several documents.
pub(super) fn map_part(
    definition: &Definition,
    endpoint: usize,
    document: &Document<'_>,
) -> PartReadings {
    let mut mapper = Mapper::new(definition);
    mapper.gap = Some(None);
    let mut rules = Vec::new();
    for (index, rule) in definition.rules.iter().enumerate() {
        if rule.endpoint == endpoint {
            let before = mapper.readings.values.len();
            mapper.apply(index, rule, document);
            rules.push(RuleReadings {
                rule: index,
                values: mapper.readings.values.len() - before,
                gap: mapper.gap.as_mut().and_then(Option::take),
            });
        }
    }
    let start = definition.start.as_ref();
    if let Some(rule) = start.filter(|of| of.endpoint == endpoint) {
        mapper.start(rule, document);
    }
    PartReadings {
        group: document.group,
        start_gap: mapper.gap.as_mut().and_then(Option::take),
        readings: mapper.readings,
        rules,
    }
}

/// Joins what the documents of an endpoint gave, in their order.
pub(super) fn join(definition: &Definition, endpoint: usize, parts: Vec<PartReadings>) -> Readings {
    let mut mapper = Mapper::new(definition);
    let mut start_gap = None;
    let mut given: Vec<GivenPart> = Vec::new();
    for part in parts {
        let Readings {
            values,
            start,
            mut problems,
        } = part.readings;
        mapper.readings.problems.append(&mut problems);
        mapper.readings.start = mapper.readings.start.or(start);
        start_gap = start_gap.or(part.start_gap);
        given.push(GivenPart {
            group: part.group,
            values: values.into_iter(),
            rules: part.rules.into_iter(),
        });
    }
    if mapper.readings.start.is_none() {
        mapper.readings.problems.extend(start_gap);
    }
    for (index, rule) in definition.rules.iter().enumerate() {
        let instrument = definition.instruments.get(rule.instrument);
        if let Some(instrument) = instrument.filter(|_| rule.endpoint == endpoint) {
            let mut joined = RuleJoin::new(index, rule, instrument, &mut mapper);
            for part in &mut given {
                let Some(RuleReadings { values, gap, .. }) = part.rules.next() else {
                    continue;
                };
                joined.add(part.group, part.values.by_ref().take(values), gap);
            }
            joined.end();
        }
    }
    mapper.readings
}

/// What is left of a document's readings.
struct GivenPart {
    group: usize,
    values: vec::IntoIter<Reading>,
    rules: vec::IntoIter<RuleReadings>,
}

/// Joins the values of one rule.
struct RuleJoin<'j, 'd> {
    index: usize,
    rule: &'j MappingRule,
    mapper: &'j mut Mapper<'d>,
    /// The number of readings that may still come.
    room: usize,
    /// The number of readings that an element gives.
    per_element: usize,
    /// Whether each observation counts, though others are of the same series.
    is_observed: bool,
    over: usize,
    group: Option<Group>,
}

/// The pages of one answer.
struct Group {
    id: usize,
    /// Whether a page has what the rule looks for.
    is_found: bool,
    /// That a page has not.
    gap: Option<Problem>,
    /// The readings of the first page that has any.
    first: Range<usize>,
}

impl<'j, 'd> RuleJoin<'j, 'd> {
    fn new(
        index: usize,
        rule: &'j MappingRule,
        instrument: &Instrument,
        mapper: &'j mut Mapper<'d>,
    ) -> Self {
        let is_buckets = matches!(rule.value, ValueSource::Buckets(_));
        let per_element = rule.states.len().max(1);
        Self {
            index,
            rule,
            mapper,
            room: rule.max_series.saturating_mul(per_element),
            per_element,
            is_observed: instrument.kind == InstrumentKind::Histogram && !is_buckets,
            over: 0,
            group: None,
        }
    }

    /// Adds what a document gave.
    fn add(&mut self, group: usize, values: impl Iterator<Item = Reading>, gap: Option<Problem>) {
        if self.group.as_ref().is_none_or(|known| known.id != group) {
            self.end_group();
        }
        let known = self.mapper.readings.values.len();
        let mut current = self.group.take().unwrap_or(Group {
            id: group,
            is_found: false,
            gap: None,
            first: known..known,
        });
        current.is_found |= gap.is_none();
        current.gap = current.gap.or(gap);
        // What stands once in a document stands on each page, or on one of them.
        let stands_once = self.rule.levels.is_empty()
            && matches!(
                self.rule.value,
                ValueSource::Path(_) | ValueSource::Constant(_) | ValueSource::Buckets(_)
            );
        if stands_once && !current.first.is_empty() {
            self.compare(current.first.clone(), values);
        } else {
            values.for_each(|reading| self.push(reading));
            if current.first.is_empty() {
                current.first = current.first.start..self.mapper.readings.values.len();
            }
        }
        self.group = Some(current);
    }

    /// A value that stands on several pages is one value. Pages that disagree are a problem.
    fn compare(&mut self, first: Range<usize>, values: impl Iterator<Item = Reading>) {
        let known = self.mapper.readings.values.get(first).unwrap_or_default();
        let mut others = values.zip(known);
        let differing = others.find(|(new, known)| new != *known);
        if let Some((new, known)) = differing
            && !self.is_observed
        {
            let detail = format!(
                "{}: a page says {}, and one before it {}",
                self.rule.value.text(),
                shown(&new),
                shown(known)
            );
            self.note(ProblemReason::Duplicate, 1, detail);
        }
    }

    fn push(&mut self, reading: Reading) {
        if matches!(self.rule.value, ValueSource::Count { .. }) {
            let is_counted = self.mapper.count(reading, &mut self.room);
            self.over += usize::from(!is_counted);
            return;
        }
        if self.is_observed {
            return self.mapper.observe(reading);
        }
        if self.room == 0 {
            self.over += 1;
            return;
        }
        self.room -= 1;
        if let Err(problem) = self.mapper.push(reading) {
            self.note(problem.reason, 1, problem.detail);
        }
    }

    /// That nothing was found is a problem if no page has it.
    fn end_group(&mut self) {
        if let Some(Group { is_found, gap, .. }) = self.group.take()
            && !is_found
        {
            self.mapper.readings.problems.extend(gap);
        }
    }

    fn end(mut self) {
        self.end_group();
        if self.over > 0 {
            let over = self.over.div_ceil(self.per_element);
            let max = self.rule.max_series;
            let detail = format!("{} elements in all, {max} series allowed", max + over);
            self.note(ProblemReason::MaxSeries, over as u64, detail);
        }
    }

    fn note(&mut self, reason: ProblemReason, count: u64, detail: String) {
        self.mapper.readings.problems.push(Problem {
            rule: self.index,
            instrument: self.rule.instrument,
            reason,
            count,
            detail,
        });
    }
}

fn shown(reading: &Reading) -> String {
    let attributes = reading.attributes.iter();
    let attributes: Vec<_> = attributes
        .map(|of| format!(" {}={}", of.key, of.value))
        .collect();
    format!("{}{}", reading.value.as_f64(), attributes.concat())
}
