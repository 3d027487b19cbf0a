//! Goes through the elements of a rule.

use serde_json::Value;

use super::{ElementProblem, Mapper};
use crate::{
    definition::{
        Elements, Hit, Instrument, Level, MappingRule, Origin, Path, RequestElement, Steps,
    },
    pipeline::{Problem, ProblemReason},
};

/// A rule that is applied to a document.
pub(super) struct Walk<'m, 'd> {
    pub(super) mapper: &'m mut Mapper<'d>,
    /// Where the rule stands in the definition.
    pub(super) index: usize,
    pub(super) rule: &'m MappingRule,
    pub(super) instrument: &'m Instrument,
    pub(super) document: &'m Value,
    /// The element that the request was made for.
    pub(super) requested_for: Option<&'m RequestElement>,
    /// What is left of them for the rule.
    pub(super) steps: &'m Steps,
    /// The element of each level that was entered, from the outermost.
    pub(super) elements: Vec<Hit<'m>>,
    /// Elements that may give a series so far, and those over the limit.
    pub(super) given: usize,
    pub(super) over: usize,
}

impl<'m> Walk<'m, '_> {
    /// Applies the rule to each element.
    pub(super) fn all(mut self) {
        // What cannot go on has been noted.
        let _finished = self.level(self.document);
        if self.over > 0 {
            let max = self.rule.max_series;
            let total = max + self.over;
            let detail = format!("{total} elements, {max} series allowed");
            let problem = ElementProblem::new(ProblemReason::MaxSeries, detail);
            self.note(problem, self.over as u64);
        }
    }

    /// Goes through the elements of the next level below `parent`; none if there are no steps left.
    fn level(&mut self, parent: &'m Value) -> Option<()> {
        let rule = self.rule;
        let Some(level) = rule.levels.get(self.elements.len()) else {
            return self.element(parent);
        };
        let is_innermost = self.elements.len() + 1 == rule.levels.len();
        let Elements { hits, total } = match self.find(level, parent, is_innermost) {
            Ok(found) => found,
            Err(problem) => {
                self.note(problem, 1);
                return None;
            }
        };
        if total == 0 {
            self.note_gap(level, parent);
        }
        let room = match is_innermost {
            true => rule.max_series - self.given,
            false => usize::MAX,
        };
        self.over += total.saturating_sub(room);
        for hit in hits.into_iter().take(room) {
            self.given += usize::from(is_innermost);
            self.elements.push(hit);
            let flow = self.level(hit.value);
            self.elements.pop();
            flow?;
        }
        Some(())
    }

    fn find(
        &self,
        level: &Level,
        parent: &'m Value,
        is_innermost: bool,
    ) -> Result<Elements<'m>, ElementProblem> {
        let limit = match (is_innermost, &level.keys) {
            (true, None) => self.rule.max_series - self.given,
            _ => usize::MAX,
        };
        let found = level.path.elements(parent, limit, self.steps);
        let mut found =
            found.map_err(|error| ElementProblem::too_many_steps(&level.path, error))?;
        if let Some(keys) = &level.keys {
            let is_named = |hit: &Hit<'_>| hit.key.is_some_and(|key| keys.matches(&key.text()));
            found.hits.retain(is_named);
            found.total = found.hits.len();
        }
        Ok(found)
    }

    /// Applies the rule to one element; none if there are no steps left.
    fn element(&mut self, element: &'m Value) -> Option<()> {
        let Err(problem) = self.read(element) else {
            return Some(());
        };
        let has_steps = problem.reason != ProblemReason::Steps;
        let is_missing = problem.reason == ProblemReason::Missing;
        if !(self.rule.optional && is_missing) {
            let is_gap = is_missing && self.rule.levels.is_empty();
            self.note_as(problem, 1, is_gap);
        }
        // Those that follow have no steps left either.
        has_steps.then_some(())
    }

    /// Notes that there are no elements, unless that is expected.
    fn note_gap(&mut self, level: &Level, parent: &Value) {
        if self.rule.optional || level.optional {
            return;
        }
        let path = &level.path;
        let problem = match (path.misses(parent, self.steps), &level.keys) {
            (Ok(true), _) => ElementProblem::new(ProblemReason::Missing, path.text()),
            (Ok(false), Some(keys)) if self.has_elements(path, parent) => {
                let detail = format!("{}: no key matches `{}`", path.text(), keys.text());
                ElementProblem::new(ProblemReason::Missing, detail)
            }
            (Ok(false), _) => return,
            (Err(error), _) => ElementProblem::too_many_steps(path, error),
        };
        let is_gap = problem.reason == ProblemReason::Missing && self.elements.is_empty();
        self.note_as(problem, 1, is_gap);
    }

    fn has_elements(&self, path: &Path, parent: &Value) -> bool {
        let found = path.elements(parent, 1, self.steps);
        found.is_ok_and(|found| found.total > 0)
    }

    /// What a path of the origin begins at.
    pub(super) fn origin(&self, origin: Origin) -> &'m Value {
        match origin {
            Origin::Document => self.document,
            Origin::Request => self.requested_for.map_or(self.document, |of| &of.value),
            Origin::Level(level) => self
                .elements
                .get(level)
                .map_or(self.document, |hit| hit.value),
        }
    }

    pub(super) fn note(&mut self, problem: ElementProblem, count: u64) {
        self.note_as(problem, count, false);
    }

    /// Notes a problem, which may be that the whole document has nothing for the rule.
    fn note_as(&mut self, problem: ElementProblem, count: u64, is_gap: bool) {
        let ElementProblem { reason, detail } = problem;
        let problem = Problem {
            rule: self.index,
            instrument: self.rule.instrument,
            reason,
            count,
            detail,
        };
        self.mapper.note(problem, is_gap);
    }
}
