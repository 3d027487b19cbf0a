//! The first processor of every pipeline: bodies in, readings out, as the definition says.
//!
//! A missing value is a missing series; there are no defaults. One bad field costs only its own
//! series.

mod attributes;
mod element;
mod elements;
mod explain;
mod histogram;
mod seen;
mod start;
mod value;

use serde_json::Value;

use crate::{
    definition::{Definition, InstrumentKind, MappingRule, NotOne, Path, Steps, TooManySteps},
    pipeline::{Poll, Problem, ProblemReason, Reading, Readings},
};

pub use self::explain::explain;
use self::{elements::Walk, seen::Seen};

/// Takes the readings of all bodies out of `poll`. A body without readings is parsed and mapped now.
pub fn map(definition: &Definition, poll: &mut Poll) -> Readings {
    let mut all = Readings::default();
    for (endpoint, polled) in poll.endpoints.iter_mut().enumerate() {
        let Some(body) = polled.body_mut() else {
            continue;
        };
        let (size, received) = (body.size, body.received);
        let again = |document: Value| map_document(definition, endpoint, &document, size);
        let readings = body.take_readings();
        if let Some(mut readings) = readings.or_else(|| body.document().map(again)) {
            readings.start = readings.start.map(|start| start.resolved(received));
            all.append(readings);
        }
    }
    if definition.shares_names {
        remove_duplicates(definition, &mut all);
    }
    all
}

/// Maps the document of one endpoint. Its text has `text_bytes`, which limits the steps of a path.
pub fn map_document(
    definition: &Definition,
    endpoint: usize,
    document: &Value,
    text_bytes: usize,
) -> Readings {
    let mut mapper = Mapper::new(definition);
    for (index, rule) in definition.rules.iter().enumerate() {
        if rule.endpoint == endpoint {
            let steps = Steps::for_document(text_bytes);
            mapper.apply(index, rule, document, &steps);
        }
    }
    let start = definition.start.as_ref();
    if let Some(rule) = start.filter(|of| of.endpoint == endpoint) {
        mapper.start(rule, document, &Steps::for_document(text_bytes));
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
        }
    }

    /// Applies a rule, which stands at `index` in the definition, to a document.
    fn apply(&mut self, index: usize, rule: &MappingRule, document: &Value, steps: &Steps) {
        let Some(instrument) = self.definition.instruments.get(rule.instrument) else {
            return;
        };
        let walk = Walk {
            mapper: self,
            index,
            rule,
            instrument,
            document,
            steps,
            elements: Vec::new(),
            given: 0,
            over: 0,
        };
        walk.all();
    }

    /// Adds an observation of a histogram, of which a series may have many.
    fn observe(&mut self, reading: Reading) {
        self.readings.values.push(reading);
    }

    /// Adds the value of a series; one that is there already is a problem.
    fn push(&mut self, reading: Reading) -> Result<(), ElementProblem> {
        let instruments = &self.definition.instruments;
        let name_of = |index: usize| instruments.get(index).map(|of| of.name.as_str());
        if !self.seen.is_new(&reading, &self.readings.values, name_of) {
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
}

#[cfg(test)]
mod tests;
