//! The attributes of one series.

use std::borrow::Cow;

use opentelemetry::KeyValue;

use super::{ElementProblem, elements::Walk, value};
use crate::{
    definition::{Attribute, AttributeSource},
    pipeline::ProblemReason,
};

/// The longest attribute value that is taken, in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 1024;

impl Walk<'_, '_> {
    /// The attributes of the element that was entered last, by key.
    pub(super) fn attributes(&self) -> Result<Vec<KeyValue>, ElementProblem> {
        let mut attributes = Vec::with_capacity(self.rule.attributes.len());
        for attribute in &self.rule.attributes {
            let text = match self.text(attribute) {
                Err(problem) if problem.reason == ProblemReason::Missing => {
                    if attribute.optional || self.rule.optional {
                        continue;
                    }
                    return Err(problem);
                }
                text => text?,
            };
            if text.len() > ATTRIBUTE_BYTES_MAX {
                let detail = format!("`{}` has {} bytes", attribute.key, text.len());
                return Err(ElementProblem::new(ProblemReason::Range, detail));
            }
            attributes.push(KeyValue::new(attribute.key.clone(), text.into_owned()));
        }
        Ok(attributes)
    }

    fn text<'a>(&'a self, attribute: &'a Attribute) -> Result<Cow<'a, str>, ElementProblem> {
        let found: Cow<'_, str> = match &attribute.source {
            AttributeSource::Literal(text) => return Ok(text.into()),
            AttributeSource::Key { level, group } => {
                let element = self.elements.get(*level);
                let key = element.and_then(|element| element.key);
                let missing = || ElementProblem::new(ProblemReason::Missing, "@key");
                let key = key.ok_or_else(missing)?.text();
                match group {
                    Some(group) => self.group(*level, group, &key)?.into(),
                    None => key,
                }
            }
            AttributeSource::RequestKey => {
                let missing = || ElementProblem::new(ProblemReason::Missing, "@key");
                self.requested_for.ok_or_else(missing)?.key.as_str().into()
            }
            AttributeSource::Path { origin, path } => {
                let found = self.find_one(path, self.origin(*origin))?;
                value::text(found).ok_or_else(|| {
                    let detail = format!("{}: an attribute is a scalar", path.text());
                    ElementProblem::new(ProblemReason::Type, detail)
                })?
            }
        };
        mapped(attribute, found)
    }

    /// A group of the pattern that the names of a level match.
    fn group(&self, level: usize, group: &str, key: &str) -> Result<String, ElementProblem> {
        let keys = self.rule.levels.get(level).and_then(|of| of.keys.as_ref());
        let found = keys.and_then(|keys| keys.group(group, key));
        found.map(str::to_owned).ok_or_else(|| {
            let detail = format!("@key.{group}: not in `{}`", value::short(key));
            ElementProblem::new(ProblemReason::Missing, detail)
        })
    }
}

/// What the attribute's `pattern` and `values` make of a text.
fn mapped<'a>(
    attribute: &'a Attribute,
    found: Cow<'a, str>,
) -> Result<Cow<'a, str>, ElementProblem> {
    let key = &attribute.key;
    let found = match &attribute.pattern {
        None => found,
        Some(pattern) => match pattern.found(&found) {
            Some(part) => part.to_owned().into(),
            None => {
                let why = pattern.why_nothing(&found, &value::short(&found));
                let detail = format!("`{key}`: {why}");
                return Err(ElementProblem::new(ProblemReason::Missing, detail));
            }
        },
    };
    if attribute.values.is_empty() {
        return Ok(found);
    }
    let text = value::position_of_text(attribute.values.keys(), &found)
        .and_then(|index| attribute.values.values().nth(index))
        .or_else(|| attribute.values.get("*"));
    text.map(|text| text.as_str().into()).ok_or_else(|| {
        let text = value::short(&found);
        let detail = format!("`{key}`: `values` has no text for `{text}`");
        ElementProblem::new(ProblemReason::Range, detail)
    })
}
