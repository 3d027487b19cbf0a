//! JSONPath (RFC 9535), compiled once for each definition.
//!
//! Most paths are singular (`$.a.b[0]`). They are kept as a list of keys and walked directly, which
//! takes a tenth of the time of the general engine. The module `query` evaluates the others.

mod elements;
mod refusal;
mod singular;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use jsonpath_rust::parser::parse_json_path;
use serde_json::Value;

pub use self::{
    elements::{Elements, Hit},
    refusal::PathError,
};
use self::{
    elements::{is_empty, members},
    refusal::{reason, unexpected, without_root},
    singular::{PathStep, node, singular, walk},
};
use super::{
    grammar,
    query::{Query, Steps, TooManySteps},
};

/// The longest path that is accepted, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// A compiled path.
#[derive(Debug, Clone)]
pub struct Path {
    text: String,
    kind: PathKind,
    /// The byte position in `text` after each segment.
    ends: Vec<usize>,
}

#[derive(Debug, Clone)]
enum PathKind {
    Singular(Vec<PathStep>),
    General(Query),
}

/// Why a path does not find at most one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOne {
    /// The path matches several values.
    #[error("{0} values, one wanted")]
    Several(usize),
    /// The path takes too many steps, so the number is unknown.
    #[error(transparent)]
    TooManySteps(#[from] TooManySteps),
}

impl Path {
    /// Compiles `text`.
    ///
    /// # Errors
    /// If the text does not follow RFC 9535, or if it is too long or too deep to be parsed quickly.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = |reason| PathError::new(text, reason);
        if text.len() > TEXT_BYTES_MAX {
            return Err(wrong(format!("it is longer than {TEXT_BYTES_MAX} bytes")));
        }
        if !text.starts_with('$') {
            return Err(wrong(without_root(text, |text| Self::parse(text).is_ok())));
        }
        let ends = grammar::segments(text).map_err(|error| wrong(unexpected(error)))?;
        let query = parse_json_path(text).map_err(|error| wrong(reason(&error.to_string())))?;
        let kind = match singular(&query) {
            Some(steps) => PathKind::Singular(steps),
            None => PathKind::General(Query::from(&query)),
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
            ends,
        })
    }

    /// The path as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The keys of a singular path. None for any other path.
    pub fn keys(&self) -> Option<Vec<String>> {
        match &self.kind {
            PathKind::Singular(steps) => Some(steps.iter().map(PathStep::text).collect()),
            PathKind::General(_) => None,
        }
    }

    /// The keys directly below the document under which the path reads. None if it reads the whole
    /// document.
    pub fn root_keys(&self) -> Option<Vec<&str>> {
        match &self.kind {
            PathKind::Singular(steps) => match steps.first()? {
                PathStep::Name(name) => Some(vec![name]),
                PathStep::Index(_) => None,
            },
            PathKind::General(query) => query.root_keys(),
        }
    }

    /// Shows `take` the values that the path matches, in document order, until `take` wants no
    /// more.
    ///
    /// # Errors
    /// If the path takes too many steps.
    pub fn values<'a>(
        &self,
        document: &'a Value,
        steps: &Steps,
        mut take: impl FnMut(&'a Value) -> ControlFlow<()>,
    ) -> Result<(), TooManySteps> {
        steps.take(1)?;
        match &self.kind {
            PathKind::Singular(keys) => {
                // The path matches only one value, so it does not matter whether `take` wants more.
                let _flow = walk(keys, document).map(take);
                Ok(())
            }
            PathKind::General(query) => query.find(document, steps, |found| take(found.value)),
        }
    }

    /// The first value that the path matches.
    ///
    /// # Errors
    /// If the path takes too many steps.
    pub fn first<'a>(
        &self,
        document: &'a Value,
        steps: &Steps,
    ) -> Result<Option<&'a Value>, TooManySteps> {
        let mut first = None;
        self.values(document, steps, |found| {
            first = Some(found);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    /// The one value that the path matches. None if there is no value, or if it is `null`.
    ///
    /// # Errors
    /// If there are several values, or if the path takes too many steps.
    pub fn one<'a>(&self, document: &'a Value, steps: &Steps) -> Result<Option<&'a Value>, NotOne> {
        let (mut first, mut count) = (None, 0);
        self.values(document, steps, |found| {
            if !found.is_null() {
                first.get_or_insert(found);
                count += 1;
            }
            ControlFlow::Continue(())
        })?;
        match count {
            0 | 1 => Ok(first),
            several => Err(NotOne::Several(several)),
        }
    }

    /// The values that the path matches, in document order, as RFC 9535 defines it: the first ones
    /// up to `limit`, and the number of all.
    ///
    /// # Errors
    /// If the path takes too many steps.
    pub fn nodes<'a>(
        &self,
        document: &'a Value,
        limit: usize,
        steps: &Steps,
    ) -> Result<Elements<'a>, TooManySteps> {
        steps.take(1)?;
        let mut elements = Elements::default();
        match &self.kind {
            PathKind::Singular(keys) => {
                elements.hits.extend(node(keys, document));
                elements.total = elements.hits.len();
                elements.hits.truncate(limit);
            }
            PathKind::General(query) => query.find(document, steps, |found| {
                elements.add(found, limit);
                ControlFlow::Continue(())
            })?,
        }
        Ok(elements)
    }

    /// The elements of a `for_each`: the first values that the path matches up to `limit`, and the
    /// number of all. A path that consists only of names is short for the same path with `[*]` if
    /// it leads to an array or an object: `$.nodes` means `$.nodes[*]`.
    ///
    /// # Errors
    /// If the path takes too many steps.
    pub fn elements<'a>(
        &self,
        document: &'a Value,
        limit: usize,
        steps: &Steps,
    ) -> Result<Elements<'a>, TooManySteps> {
        match &self.kind {
            PathKind::Singular(keys) if keys.iter().all(PathStep::is_name) => {
                let found = walk(keys, document).map(|found| members(found, limit));
                let elements = found.unwrap_or_default();
                steps.take(1 + elements.hits.len() as u64)?;
                Ok(elements)
            }
            _ => self.nodes(document, limit, steps),
        }
    }

    /// Whether it counts as a gap that a `for_each` finds no element in `document`. An empty array
    /// or object is not a gap.
    ///
    /// # Errors
    /// If the path takes too many steps.
    pub fn misses(&self, document: &Value, steps: &Steps) -> Result<bool, TooManySteps> {
        if let PathKind::Singular(_) = &self.kind {
            return Ok(self.first(document, steps)?.is_none_or(Value::is_null));
        }
        let mut last: Option<Self> = None;
        for (prefix, segment) in self.prefixes() {
            if prefix.first(document, steps)?.is_some() {
                last = Some(prefix);
                continue;
            }
            if segment.keys().is_some() {
                return Ok(true);
            }
            let Some(last) = last else {
                return Ok(!is_empty(document));
            };
            let mut chose_none = false;
            last.values(document, steps, |found| {
                chose_none = !is_empty(found);
                match chose_none {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
            return Ok(chose_none);
        }
        Ok(true)
    }

    /// The path up to its first wildcard, slice or filter: the container whose contents a count
    /// counts.
    #[must_use]
    pub fn container(&self) -> Self {
        let singular = self
            .prefixes()
            .take_while(|(_, segment)| segment.keys().is_some());
        match (singular.last(), &self.kind) {
            (_, PathKind::Singular(_)) => self.clone(),
            (Some((container, _)), _) => container,
            (None, _) => Self {
                text: "$".to_owned(),
                kind: PathKind::Singular(Vec::new()),
                ends: Vec::new(),
            },
        }
    }

    /// The path up to each of its segments, with the segment as its own path.
    pub fn prefixes(&self) -> impl Iterator<Item = (Self, Self)> {
        let starts = [1].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| {
            let prefix = Self::parse(self.text.get(..*end)?).ok()?;
            let segment = self.text.get(start..*end)?.trim_start();
            Some((prefix, Self::parse(&format!("${segment}")).ok()?))
        })
    }
}
