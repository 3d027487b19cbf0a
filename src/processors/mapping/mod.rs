//! The first processor of every pipeline: bodies in, readings out, as the definition says.
//!
//! A missing value is a missing series; there are no defaults. One bad field costs only its own
//! series.

mod value;

use std::collections::HashSet;

use opentelemetry::KeyValue;
use serde_json::Value;

use crate::{
    definition::{
        AttributeSource, Definition, Elements, Hit, Instrument, InstrumentKind, MappingRule,
        NotOne, Path, Steps, TooManySteps,
    },
    pipeline::{Number, Poll, Problem, ProblemReason, Reading, Readings},
};

/// The longest attribute value that is taken, in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// Reads all bodies of `poll`.
pub fn map(definition: &Definition, poll: &Poll) -> Readings {
    let mut mapper = Mapper {
        readings: Readings::default(),
        seen: HashSet::new(),
        steps: Steps::for_document(0),
    };
    // One document after the other: some are read again here, and take their room only as long.
    for (endpoint, polled) in poll.endpoints.iter().enumerate() {
        let Some(body) = polled.body() else { continue };
        let Some(document) = body.document() else {
            continue;
        };
        let rules = definition.rules.iter();
        for rule in rules.filter(|rule| rule.endpoint == endpoint) {
            if let Some(instrument) = definition.instruments.get(rule.instrument) {
                mapper.steps = Steps::for_document(body.raw.len());
                mapper.apply(rule, instrument, &document);
            }
        }
    }
    mapper.readings
}

struct Mapper {
    readings: Readings,
    seen: HashSet<(usize, Vec<KeyValue>)>,
    /// What is left of them for the rule that is applied.
    steps: Steps,
}

/// Why one element gave no reading.
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
}

impl Mapper {
    fn apply(&mut self, rule: &MappingRule, instrument: &Instrument, document: &Value) {
        let found = match &rule.for_each {
            Some(path) => path
                .elements(document, rule.max_series, &self.steps)
                .map_err(|error| ElementProblem::too_many_steps(path, error)),
            None => Ok(Elements {
                hits: vec![Hit {
                    value: document,
                    key: None,
                }],
                total: 1,
            }),
        };
        let Elements { hits, total } = match found {
            Ok(found) => found,
            Err(refusal) => return self.note(rule, refusal, 1),
        };
        if total == 0 {
            self.note_gap(rule, document);
        }
        if total > rule.max_series {
            let over = total - rule.max_series;
            let detail = format!("{total} elements, {} series allowed", rule.max_series);
            self.note(
                rule,
                ElementProblem::new(ProblemReason::MaxSeries, detail),
                over as u64,
            );
        }
        for (done, element) in hits.iter().enumerate() {
            if let Err(refusal) = self.element(rule, instrument, element) {
                if refusal.reason == ProblemReason::Steps {
                    // Those that follow have none left either.
                    return self.note(rule, refusal, (hits.len() - done) as u64);
                }
                let expected = rule.optional && refusal.reason == ProblemReason::Missing;
                if !expected {
                    self.note(rule, refusal, 1);
                }
            }
        }
    }

    /// Notes that there are no elements, unless that is expected.
    fn note_gap(&mut self, rule: &MappingRule, document: &Value) {
        let is_expected = rule.optional || rule.for_each_is_optional;
        let Some(path) = rule.for_each.as_ref().filter(|_| !is_expected) else {
            return;
        };
        match path.misses(document, &self.steps) {
            Ok(false) => {}
            Ok(true) => self.note(
                rule,
                ElementProblem::new(ProblemReason::Missing, path.text()),
                1,
            ),
            Err(error) => self.note(rule, ElementProblem::too_many_steps(path, error), 1),
        }
    }

    fn element(
        &mut self,
        rule: &MappingRule,
        instrument: &Instrument,
        element: &Hit<'_>,
    ) -> Result<(), ElementProblem> {
        let found = find(&rule.value, rule, element.value, &self.steps)?;
        let attributes = attributes(rule, element, &self.steps)?;
        if instrument.kind == InstrumentKind::StateSet {
            return self.state_set(rule, attributes, found);
        }
        let number = value::number(rule, instrument, found).map_err(|(reason, why)| {
            ElementProblem::new(reason, format!("{}: {why}", rule.value.text()))
        })?;
        self.push(rule, attributes, number)
    }

    fn state_set(
        &mut self,
        rule: &MappingRule,
        attributes: Vec<KeyValue>,
        found: &Value,
    ) -> Result<(), ElementProblem> {
        let Some(current) = value::position(&rule.states, found) else {
            let state = value::shown(found);
            let detail = format!("{}: {state} is not one of its states", rule.value.text());
            return Err(ElementProblem::new(ProblemReason::Range, detail));
        };
        for (position, known) in rule.states.iter().enumerate() {
            let mut attributes = attributes.clone();
            attributes.push(KeyValue::new(rule.state_attribute.clone(), known.clone()));
            attributes.sort_by(|a, b| a.key.cmp(&b.key));
            let is_current = Number::Unsigned(u64::from(position == current));
            self.push(rule, attributes, is_current)?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        rule: &MappingRule,
        attributes: Vec<KeyValue>,
        value: Number,
    ) -> Result<(), ElementProblem> {
        if !self.seen.insert((rule.instrument, attributes.clone())) {
            let texts: Vec<_> = attributes
                .iter()
                .map(|a| format!("{}={}", a.key, a.value))
                .collect();
            let detail = format!("the attributes {} came twice", texts.join(", "));
            return Err(ElementProblem::new(ProblemReason::Duplicate, detail));
        }
        self.readings.values.push(Reading {
            instrument: rule.instrument,
            attributes,
            value,
        });
        Ok(())
    }

    fn note(&mut self, rule: &MappingRule, refusal: ElementProblem, count: u64) {
        let ElementProblem { reason, detail } = refusal;
        let problem = Problem {
            instrument: rule.instrument,
            reason,
            count,
            detail,
        };
        self.readings.problems.push(problem);
    }
}

/// The value at `path`; `null` is missing.
fn find<'a>(
    path: &Path,
    rule: &MappingRule,
    element: &'a Value,
    steps: &Steps,
) -> Result<&'a Value, ElementProblem> {
    let found = path.one(element, steps).map_err(|error| {
        let reason = match error {
            NotOne::Several(_) => ProblemReason::Several,
            NotOne::TooManySteps(_) => ProblemReason::Steps,
        };
        ElementProblem::new(reason, format!("{}: {error}", path.text()))
    })?;
    found.ok_or_else(|| {
        let detail = match (&rule.for_each, element) {
            (Some(elements), Value::Array(items)) => format!(
                "{}: the element is an array of {}; to go through it, add `[*]`: \
                 `for_each: {}[*]`",
                path.text(),
                items.len(),
                elements.text()
            ),
            _ => path.text().to_owned(),
        };
        ElementProblem::new(ProblemReason::Missing, detail)
    })
}

fn attributes(
    rule: &MappingRule,
    element: &Hit<'_>,
    steps: &Steps,
) -> Result<Vec<KeyValue>, ElementProblem> {
    let mut attributes = Vec::with_capacity(rule.attributes.len() + 1);
    for (key, source) in &rule.attributes {
        let text = match source {
            AttributeSource::Literal(text) => text.clone(),
            AttributeSource::Key => element
                .key
                .clone()
                .ok_or_else(|| ElementProblem::new(ProblemReason::Missing, "@key"))?,
            AttributeSource::Path { path, optional } => {
                let is_optional = *optional || rule.optional;
                let found = match find(path, rule, element.value, steps) {
                    Err(ElementProblem {
                        reason: ProblemReason::Missing,
                        ..
                    }) if is_optional => continue,
                    found => found?,
                };
                value::text(found).ok_or_else(|| {
                    ElementProblem::new(
                        ProblemReason::Type,
                        format!("{}: an attribute is a scalar", path.text()),
                    )
                })?
            }
        };
        if text.len() > ATTRIBUTE_BYTES_MAX {
            let detail = format!("`{key}` has {} bytes", text.len());
            return Err(ElementProblem::new(ProblemReason::Range, detail));
        }
        attributes.push(KeyValue::new(key.clone(), text));
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests;
