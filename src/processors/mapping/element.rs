//! Reads one element.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;
use serde_json::Value;

use super::{
    ElementProblem,
    elements::Walk,
    value::{self, ValueProblem},
};
use crate::{
    definition::{InstrumentKind, Number, Path, ValueSource},
    pipeline::{ProblemReason, Reading},
};

/// The most samples of one series that a poll observes.
const SAMPLES_MAX: usize = 10_000;

impl Walk<'_, '_> {
    /// Reads the value and the attributes of one element.
    pub(super) fn read(&mut self, element: &Value) -> Result<(), ElementProblem> {
        let found = match &self.rule.value {
            ValueSource::Each(path) => return self.samples(path, element),
            ValueSource::Buckets(buckets) => return self.histogram(buckets, element),
            ValueSource::Path(path) => {
                let found = self.find_one(path, element)?;
                if value::is_missing(&self.rule.format, found) {
                    return Ok(());
                }
                if self.instrument.kind == InstrumentKind::StateSet {
                    let attributes = self.attributes()?;
                    return self.state_set(attributes, found);
                }
                match value::read(&self.rule.format, found) {
                    Ok(number) => number,
                    Err(ValueProblem::NoValue) => return Ok(()),
                    Err(ValueProblem::Wrong { reason, why }) => {
                        let detail = format!("{}: {why}", path.text());
                        return Err(ElementProblem::new(reason, detail));
                    }
                }
            }
            ValueSource::Constant(number) => *number,
            ValueSource::Count { path, container } => self.count(path, container, element)?,
        };
        let number = value::fitted(found, self.instrument).map_err(|(reason, why)| {
            ElementProblem::new(reason, format!("{}: {why}", self.rule.value.text()))
        })?;
        let attributes = self.attributes()?;
        let time = self.time()?;
        self.mapper.push(Reading {
            instrument: self.rule.instrument,
            attributes,
            value: number,
            time,
            histogram: None,
        })
    }

    /// When the value was measured, if the body says so.
    fn time(&self) -> Result<Option<SystemTime>, ElementProblem> {
        let Some(rule) = &self.rule.time else {
            return Ok(None);
        };
        let found = match self.find_one(&rule.path, self.origin(rule.origin)) {
            Err(problem) if rule.optional && problem.reason == ProblemReason::Missing => {
                return Ok(None);
            }
            found => found?,
        };
        let seconds = match value::read(&rule.format, found) {
            _ if value::is_missing(&rule.format, found) => return Ok(None),
            Ok(number) => number.as_f64(),
            Err(ValueProblem::NoValue) => return Ok(None),
            Err(ValueProblem::Wrong { reason, why }) => {
                let detail = format!("{}: {why}", rule.path.text());
                return Err(ElementProblem::new(reason, detail));
            }
        };
        let since = Duration::try_from_secs_f64(seconds).ok();
        let time = since.and_then(|since| UNIX_EPOCH.checked_add(since));
        time.map(Some).ok_or_else(|| {
            let detail = format!("{}: {seconds} s is out of range", rule.path.text());
            ElementProblem::new(ProblemReason::Range, detail)
        })
    }

    /// Reads each value at `path`, which are observations of one series.
    fn samples(&mut self, path: &Path, element: &Value) -> Result<(), ElementProblem> {
        let found = path.nodes(element, SAMPLES_MAX, self.steps);
        let found = found.map_err(|error| ElementProblem::too_many_steps(path, error))?;
        let attributes = self.attributes()?;
        if found.total == 0 {
            let container = path.container();
            let stands_in = container.first(element, self.steps);
            let stands_in =
                stands_in.map_err(|error| ElementProblem::too_many_steps(path, error))?;
            return match stands_in.is_none_or(Value::is_null) {
                true => Err(ElementProblem::new(ProblemReason::Missing, path.text())),
                false => Ok(()),
            };
        }
        for hit in &found.hits {
            match self.sample(path, hit.value) {
                Ok(Some(value)) => self.mapper.observe(Reading {
                    instrument: self.rule.instrument,
                    attributes: attributes.clone(),
                    value,
                    time: None,
                    histogram: None,
                }),
                Ok(None) => {}
                Err(problem) => self.note(problem, 1),
            }
        }
        match found
            .total
            .checked_sub(SAMPLES_MAX)
            .filter(|over| *over > 0)
        {
            Some(over) => {
                let detail = format!("{} samples, {SAMPLES_MAX} are observed", found.total);
                self.note(
                    ElementProblem::new(ProblemReason::MaxSeries, detail),
                    over as u64,
                );
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// One observation; none if it means that there is no value.
    fn sample(&self, path: &Path, found: &Value) -> Result<Option<Number>, ElementProblem> {
        let problem =
            |reason, why: String| ElementProblem::new(reason, format!("{}: {why}", path.text()));
        if value::is_missing(&self.rule.format, found) {
            return Ok(None);
        }
        let number = match value::read(&self.rule.format, found) {
            Ok(number) => number,
            Err(ValueProblem::NoValue) => return Ok(None),
            Err(ValueProblem::Wrong { reason, why }) => return Err(problem(reason, why)),
        };
        let number = value::fitted(number, self.instrument);
        number
            .map(Some)
            .map_err(|(reason, why)| problem(reason, why))
    }

    /// The value at `path`; `null` is missing.
    pub(super) fn find_one<'v>(
        &self,
        path: &Path,
        within: &'v Value,
    ) -> Result<&'v Value, ElementProblem> {
        let found = path.one(within, self.steps);
        let found = found.map_err(|error| ElementProblem::not_one(path, error))?;
        found.ok_or_else(|| {
            let detail = match (self.rule.levels.last(), within) {
                (Some(level), Value::Array(items)) => format!(
                    "{}: the element is an array of {}; to go through it, add `[*]`: \
                     `for_each: {}[*]`",
                    path.text(),
                    items.len(),
                    level.path.text()
                ),
                _ => path.text().to_owned(),
            };
            ElementProblem::new(ProblemReason::Missing, detail)
        })
    }

    /// How many values there are. Where what they stand in is missing, that is no fact.
    fn count(
        &self,
        path: &Path,
        container: &Path,
        element: &Value,
    ) -> Result<Number, ElementProblem> {
        let too_many = |error| ElementProblem::too_many_steps(path, error);
        let found = path.nodes(element, 0, self.steps).map_err(too_many)?;
        if found.total == 0 && !self.rule.optional {
            let stands_in = container.first(element, self.steps).map_err(too_many)?;
            if stands_in.is_none_or(Value::is_null) {
                return Err(ElementProblem::new(ProblemReason::Missing, path.text()));
            }
        }
        Ok(Number::Unsigned(found.total as u64))
    }

    fn state_set(
        &mut self,
        attributes: Vec<KeyValue>,
        found: &Value,
    ) -> Result<(), ElementProblem> {
        let rule = self.rule;
        let problem = |reason, why: String| {
            ElementProblem::new(reason, format!("{}: {why}", rule.value.text()))
        };
        let found = match value::taken(&rule.format, found) {
            Ok(taken) => taken,
            Err(ValueProblem::NoValue) => return Ok(()),
            Err(ValueProblem::Wrong { reason, why }) => return Err(problem(reason, why)),
        };
        let Some(current) = value::position(&rule.states, &found) else {
            let why = format!("{} is not one of its states", value::shown(&found));
            return Err(problem(ProblemReason::Range, why));
        };
        let time = self.time()?;
        for (position, known) in rule.states.iter().enumerate() {
            let mut attributes = attributes.clone();
            attributes.push(KeyValue::new(rule.state_attribute.clone(), known.clone()));
            attributes.sort_by(|a, b| a.key.cmp(&b.key));
            self.mapper.push(Reading {
                instrument: rule.instrument,
                attributes,
                value: Number::Unsigned(u64::from(position == current)),
                time,
                histogram: None,
            })?;
        }
        Ok(())
    }
}
