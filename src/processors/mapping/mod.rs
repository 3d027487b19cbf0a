//! The first processor of every pipeline: bodies in, readings out, as the definition says.
//!
//! A missing value is a missing series; there are no defaults. One bad field costs only its own
//! series.

mod attributes;
mod element;
mod elements;
mod explain;
mod histogram;
mod join;
mod seen;
mod start;
mod value;

use crate::{
    definition::{
        Definition, InstrumentKind, MappingRule, NotOne, Number, Path, Steps, TooManySteps,
    },
    pipeline::{Body, Document, DocumentMapping, Poll, Problem, ProblemReason, Reading, Readings},
};

pub use self::explain::explain;
use self::{
    elements::Walk,
    join::{join, map_part},
    seen::Seen,
};

/// Maps documents one by one, for receivers.
pub const DOCUMENTS: DocumentMapping = DocumentMapping {
    whole: map_document,
    part: map_part,
    join,
};

/// Takes the readings of all bodies out of `poll`. A body without readings is parsed and mapped now.
pub fn map(definition: &Definition, poll: &mut Poll) -> Readings {
    let mut all = Readings::default();
    for (endpoint, polled) in poll.endpoints.iter_mut().enumerate() {
        let Some(body) = polled.body_mut() else {
            continue;
        };
        let received = body.received;
        let readings = body.take_readings();
        if let Some(mut readings) = readings.or_else(|| map_body(definition, endpoint, body)) {
            readings.start = readings.start.map(|start| start.resolved(received));
            all.append(readings);
        }
    }
    if definition.shares_names {
        remove_duplicates(definition, &mut all);
    }
    all
}

/// Maps a body of one endpoint. `None` if its text cannot be parsed.
fn map_body(definition: &Definition, endpoint: usize, body: &Body) -> Option<Readings> {
    if body.has_parts() {
        let mut parts = Vec::new();
        let is_whole = body.for_each_part(|part| parts.push(map_part(definition, endpoint, part)));
        return is_whole.then(|| join(definition, endpoint, parts));
    }
    let document = body.document()?;
    let document = Document::only(&document, body.size);
    Some(map_document(definition, endpoint, &document))
}

/// Maps the only document of one endpoint.
pub fn map_document(definition: &Definition, endpoint: usize, document: &Document<'_>) -> Readings {
    let mut mapper = Mapper::new(definition);
    for (index, rule) in definition.rules.iter().enumerate() {
        if rule.endpoint == endpoint {
            mapper.apply(index, rule, document);
        }
    }
    let start = definition.start.as_ref();
    if let Some(rule) = start.filter(|of| of.endpoint == endpoint) {
        mapper.start(rule, document);
    }
    mapper.readings
}

/// Removes series that another endpoint gave before. Each document was mapped alone.
fn remove_duplicates(definition: &Definition, all: &mut Readings) {
    let mut mapper = Mapper::new(definition);
    for reading in std::mem::take(&mut all.values) {
        let instrument = reading.instrument;
        let known = definition.instruments.get(instrument);
        let is_histogram = known.is_some_and(|of| of.kind == InstrumentKind::Histogram);
        if is_histogram && reading.histogram.is_none() {
            // Several observations of one series are not duplicates.
            mapper.observe(reading);
            continue;
        }
        if let Err(ElementProblem { reason, detail }) = mapper.push(reading) {
            let mut rules = definition.rules.iter();
            let rule = rules.position(|rule| rule.instrument == instrument);
            all.problems.push(Problem {
                rule: rule.unwrap_or_default(),
                instrument,
                reason,
                count: 1,
                detail,
            });
        }
    }
    all.values = mapper.readings.values;
}

/// Collects what rules give.
struct Mapper<'d> {
    definition: &'d Definition,
    readings: Readings,
    seen: Seen,
    /// Where the document is one of several: that it has nothing for the rule that is applied.
    gap: Option<Option<Problem>>,
}

/// Why one element gave no reading.
#[derive(Debug)]
struct ElementProblem {
    reason: ProblemReason,
    detail: String,
}

impl ElementProblem {
    fn new(reason: ProblemReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }

    fn too_many_steps(path: &Path, error: TooManySteps) -> Self {
        Self::new(ProblemReason::Steps, format!("{}: {error}", path.text()))
    }

    fn not_one(path: &Path, error: NotOne) -> Self {
        let reason = match error {
            NotOne::Several(_) => ProblemReason::Several,
            NotOne::TooManySteps(_) => ProblemReason::Steps,
        };
        Self::new(reason, format!("{}: {error}", path.text()))
    }
}

impl<'d> Mapper<'d> {
    fn new(definition: &'d Definition) -> Self {
        Self {
            definition,
            readings: Readings::default(),
            seen: Seen::default(),
            gap: None,
        }
    }

    /// Applies a rule, which stands at `index` in the definition, to a document.
    fn apply(&mut self, index: usize, rule: &MappingRule, document: &Document<'_>) {
        let Some(instrument) = self.definition.instruments.get(rule.instrument) else {
            return;
        };
        let walk = Walk {
            mapper: self,
            index,
            rule,
            instrument,
            document: document.value,
            requested_for: document.element,
            steps: &Steps::for_document(document.text_bytes),
            elements: Vec::new(),
            given: 0,
            over: 0,
        };
        walk.all();
    }

    /// Notes a problem. Where the document is one of several, it may be that another one has what
    /// this one lacks.
    fn note(&mut self, problem: Problem, is_gap: bool) {
        match &mut self.gap {
            Some(gap) if is_gap => *gap = Some(problem),
            _ => self.readings.problems.push(problem),
        }
    }

    /// Adds an observation of a histogram, of which a series may have many.
    fn observe(&mut self, reading: Reading) {
        self.readings.values.push(reading);
    }

    /// Adds the value of a series; one that is there already is a problem.
    fn push(&mut self, reading: Reading) -> Result<(), ElementProblem> {
        let instruments = &self.definition.instruments;
        let name_of = |index: usize| instruments.get(index).map(|of| of.name.as_str());
        let known = self.seen.known(&reading, &self.readings.values, name_of);
        if known.is_some() {
            let attributes = reading.attributes.iter();
            let texts: Vec<_> = attributes
                .map(|a| format!("{}={}", a.key, a.value))
                .collect();
            let detail = format!("the attributes {} came twice", texts.join(", "));
            return Err(ElementProblem::new(ProblemReason::Duplicate, detail));
        }
        self.readings.values.push(reading);
        Ok(())
    }

    /// Adds a count to that of the same series, or as a new series if there is room. False if there
    /// is no room.
    fn count(&mut self, reading: Reading, room: &mut usize) -> bool {
        let instruments = &self.definition.instruments;
        let name_of = |index: usize| instruments.get(index).map(|of| of.name.as_str());
        let known = self.seen.known(&reading, &self.readings.values, name_of);
        match known.and_then(|index| self.readings.values.get_mut(index)) {
            Some(known) => known.value = sum(known.value, reading.value),
            None if *room == 0 => return false,
            None => {
                *room -= 1;
                self.readings.values.push(reading);
            }
        }
        true
    }
}

/// The sum of two counts, whose instrument may make doubles of them.
fn sum(one: Number, other: Number) -> Number {
    match (one, other) {
        (Number::Unsigned(one), Number::Unsigned(other)) => {
            Number::Unsigned(one.saturating_add(other))
        }
        (one, other) => Number::Double(one.as_f64() + other.as_f64()),
    }
}

#[cfg(test)]
mod tests;
