//! Compiles the sources of attributes.

use super::{MetricCompiler, elements::DOCUMENT};
use crate::{
    definition::{
        Attribute, AttributeSource, Level, Origin, Path,
        metric_file::{AttributeFile, MetricFile},
        rule::innermost,
    },
    yaml::{Cursor, list, nearest},
};

/// Why a text is not an attribute.
type Wrong = String;

impl MetricCompiler<'_> {
    /// Compiles the attributes of a metric. `levels` is none when one of the levels is wrong; then
    /// only paths are checked.
    pub(super) fn attributes(
        &mut self,
        metric: &MetricFile,
        levels: Option<&[Level]>,
        element: Option<&str>,
        cursor: &Cursor<'_>,
    ) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        for (key, file) in &metric.attributes {
            let at = ["attributes", key.as_str()];
            let source = match (levels, file.is_text) {
                (Some(levels), false) => source(&file.path, levels, element),
                // One of the levels is wrong, and this text may mean that level.
                (None, false) if !file.path.starts_with('$') => continue,
                (None, false) => source(&file.path, &[], element),
                (_, true) => Ok(AttributeSource::Literal(file.path.clone())),
            };
            let source = source.and_then(|source| check(file, source));
            let pattern = match &file.pattern {
                Some(text) => self
                    .pattern(text, cursor, &[at[0], at[1], "pattern"])
                    .map(Some),
                None => Some(None),
            };
            match (source, pattern) {
                (Ok(source), Some(pattern)) => attributes.push(Attribute {
                    key: key.clone(),
                    source,
                    optional: file.optional,
                    pattern,
                    values: file.values.clone(),
                }),
                (Err(message), _) => cursor.error(&at, message, self.diagnostics),
                (Ok(_), None) => {}
            }
        }
        attributes
    }
}

/// Checks that a constant text is not optional, and that nothing is to be extracted from it.
fn check(file: &AttributeFile, source: AttributeSource) -> Result<AttributeSource, Wrong> {
    let AttributeSource::Literal(literal) = &source else {
        return Ok(source);
    };
    if file.optional {
        return Err(format!(
            "only a path can be optional: it begins with `$`, and `{literal}` does not"
        ));
    }
    if file.pattern.is_some() || !file.values.is_empty() {
        return Err(format!(
            "`{literal}` is no path: only what a path finds has `values` or a `pattern`"
        ));
    }
    Ok(source)
}

/// Where the value of an attribute comes from, by its text. Requests may be made for an `element` of
/// this name.
pub(super) fn source(
    text: &str,
    levels: &[Level],
    element: Option<&str>,
) -> Result<AttributeSource, Wrong> {
    let (level, rest) = match text.split_once(':') {
        Some((name, rest)) if rest.starts_with('$') || is_key(rest) => (Some(name), rest),
        _ => (None, text),
    };
    if !rest.starts_with('$') && !is_key(rest) {
        return match looks_like_path(text) {
            Some(write) => Err(format!(
                "`{text}` looks like a path and is none: write `{write}`, or \
                 `{{text: \"{text}\"}}` if it is the value itself"
            )),
            None => Ok(AttributeSource::Literal(text.to_owned())),
        };
    }
    let origin = origin(level, levels, element)?;
    let Some(group) = rest.strip_prefix("@key") else {
        let path = Path::parse(rest).map_err(|error| error.to_string())?;
        return Ok(AttributeSource::Path { origin, path });
    };
    let level = match origin {
        Origin::Level(level) => level,
        Origin::Request if group.is_empty() => return Ok(AttributeSource::RequestKey),
        Origin::Request => return Err("a request has no pattern for keys".to_owned()),
        Origin::Document => return Err("`@key` needs a `for_each`".to_owned()),
    };
    let group = group.strip_prefix('.').map(str::to_owned);
    if let (Some(group), Some(level)) = (&group, levels.get(level)) {
        check_group(group, level)?;
    }
    Ok(AttributeSource::Key { level, group })
}

fn is_key(text: &str) -> bool {
    text == "@key" || text.starts_with("@key.")
}

/// The origin of a path that follows the name of a level.
fn origin(name: Option<&str>, levels: &[Level], element: Option<&str>) -> Result<Origin, Wrong> {
    let Some(name) = name else {
        return Ok(innermost(levels));
    };
    if name == DOCUMENT {
        return Ok(Origin::Document);
    }
    let mut names = levels.iter().map(|level| level.name.as_deref());
    if let Some(level) = names.position(|known| known == Some(name)) {
        return Ok(Origin::Level(level));
    }
    if element == Some(name) {
        return Ok(Origin::Request);
    }
    let known = levels.iter().filter_map(|level| level.name.as_deref());
    let known: Vec<_> = known.chain(element).chain([DOCUMENT]).collect();
    let hint = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there is {}", list(&known)),
    };
    Err(format!(
        "no level of `for_each` is called `{name}` ({hint}); `as: {name}` gives one the name"
    ))
}

fn check_group(group: &str, level: &Level) -> Result<(), Wrong> {
    let Some(keys) = &level.keys else {
        return Err(format!(
            "`@key.{group}` needs a pattern: `for_each: {{path: {}, keys: '(?P<{group}>…)'}}`",
            level.path.text()
        ));
    };
    let known: Vec<_> = keys.groups().collect();
    if known.contains(&group) {
        return Ok(());
    }
    let hint = match nearest(group, &known) {
        Some(near) => format!("did you mean `@key.{near}`?"),
        None if known.is_empty() => "it names none".to_owned(),
        None => format!("there is {}", list(&known)),
    };
    Err(format!("`keys` has no group `{group}` ({hint})"))
}

/// What to write instead of a text that is a path in another language.
fn looks_like_path(text: &str) -> Option<String> {
    if text.eq_ignore_ascii_case("@key") {
        return Some("@key".to_owned());
    }
    let inner = text.strip_prefix('{').and_then(|of| of.strip_suffix('}'));
    let inner = inner.unwrap_or(text);
    let rest = inner
        .strip_prefix('.')
        .or_else(|| inner.strip_prefix("@."))?;
    let first = rest.chars().next()?;
    (first.is_alphabetic() || first == '_').then(|| format!("$.{rest}"))
}
