//! When the process behind the API began.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::{
    ElementProblem, Mapper,
    value::{self, ValueProblem},
};
use crate::{
    definition::{StartRule, Steps},
    pipeline::{Document, Problem, ProblemReason, ProcessStart},
};

impl Mapper<'_> {
    /// Reads it from a document.
    pub(super) fn start(&mut self, rule: &StartRule, document: &Document<'_>) {
        let steps = Steps::for_document(document.text_bytes);
        match read(rule, document.value, &steps) {
            Ok(start) => self.readings.start = start,
            Err(problem) if rule.optional && problem.reason == ProblemReason::Missing => {}
            Err(ElementProblem { reason, detail }) => {
                let problem = Problem {
                    rule: self.definition.rules.len(),
                    instrument: self.definition.instruments.len(),
                    reason,
                    count: 1,
                    detail,
                };
                self.note(problem, reason == ProblemReason::Missing);
            }
        }
    }
}

fn read(
    rule: &StartRule,
    document: &Value,
    steps: &Steps,
) -> Result<Option<ProcessStart>, ElementProblem> {
    let path = &rule.path;
    let found = path.one(document, steps);
    let found = found.map_err(|error| ElementProblem::not_one(path, error))?;
    let missing = || ElementProblem::new(ProblemReason::Missing, path.text());
    let found = found.ok_or_else(missing)?;
    if value::is_missing(&rule.format, found) {
        return Ok(None);
    }
    let seconds = match value::read(&rule.format, found) {
        Ok(number) => number.as_f64(),
        Err(ValueProblem::NoValue) => return Ok(None),
        Err(ValueProblem::Wrong { reason, why }) => {
            return Err(ElementProblem::new(
                reason,
                format!("{}: {why}", path.text()),
            ));
        }
    };
    let range = || {
        let detail = format!("{}: {seconds} s is out of range", path.text());
        ElementProblem::new(ProblemReason::Range, detail)
    };
    let length = Duration::try_from_secs_f64(seconds).map_err(|_| range())?;
    match rule.is_uptime {
        true => Ok(Some(ProcessStart::Before(length))),
        false => {
            let start = UNIX_EPOCH.checked_add(length).ok_or_else(range)?;
            Ok(Some(ProcessStart::At(start)))
        }
    }
}
