//! JSONPath (RFC 9535), compiled once per definition.
//!
//! Most paths are singular (`$.a.b[0]`): they are kept as pre-split keys and walked directly,
//! which takes a tenth of the time of the general engine. The rest goes to [`super::query`].

use std::ops::ControlFlow;

use jsonpath_rust::parser::{
    model::{JpQuery, Segment, Selector},
    parse_json_path,
};
use serde_json::Value;

use super::query::{Found, Query, Steps, TooManySteps};

/// The longest path that is taken, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// How deep filters, functions and parentheses may stand in one another: what the parser takes
/// for a path grows tenfold with each.
const NESTING_MAX: usize = 4;

/// A compiled path.
#[derive(Debug, Clone)]
pub struct Path {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Singular(Vec<Step>),
    General(Query),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(i64),
}

/// A value that a path matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<'a> {
    /// The value.
    pub value: &'a Value,
    /// The name or index under which it stands in its parent; none for the document itself.
    pub key: Option<String>,
}

/// What a path matched.
#[derive(Debug, Default, PartialEq)]
pub struct Elements<'a> {
    /// The first of them.
    pub hits: Vec<Hit<'a>>,
    /// How many there are.
    pub total: usize,
}

/// A path that is not RFC 9535.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` is not a JSONPath (RFC 9535): {reason}")]
pub struct PathError {
    path: String,
    reason: String,
}

impl Path {
    /// Compiles `text`.
    ///
    /// # Errors
    /// If it is not RFC 9535, or too long or too deep to be parsed in a moment.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check_extent(text).map_err(|reason| PathError {
            path: shortened(text),
            reason,
        })?;
        let query = parse_json_path(text).map_err(|error| PathError {
            path: text.to_owned(),
            reason: reason(text, &error.to_string()),
        })?;
        let kind = match singular(&query) {
            Some(steps) => Kind::Singular(steps),
            None => Kind::General(Query::from(&query)),
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }

    /// The path as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The keys of a singular path; none for any other.
    pub fn keys(&self) -> Option<Vec<String>> {
        match &self.kind {
            Kind::Singular(steps) => Some(steps.iter().map(Step::text).collect()),
            Kind::General(_) => None,
        }
    }

    /// The key below the document that everything that the path matches stands under, if there is
    /// one.
    pub fn root_key(&self) -> Option<&str> {
        match &self.kind {
            Kind::Singular(steps) => match steps.first()? {
                Step::Name(name) => Some(name),
                Step::Index(_) => None,
            },
            Kind::General(query) => query.root_key(),
        }
    }

    /// The first value that the path matches.
    ///
    /// # Errors
    /// If it takes too many steps.
    pub fn first<'a>(
        &self,
        document: &'a Value,
        steps: &Steps,
    ) -> Result<Option<&'a Value>, TooManySteps> {
        steps.take(1)?;
        match &self.kind {
            Kind::Singular(keys) => Ok(walk(keys, document)),
            Kind::General(query) => {
                let mut first = None;
                query.find(document, steps, |found| {
                    first = Some(found.value);
                    ControlFlow::Break(())
                })?;
                Ok(first)
            }
        }
    }

    /// The values that the path matches, in document order, up to `limit`, and how many there are.
    /// A singular path that leads to an array or an object matches its elements.
    ///
    /// # Errors
    /// If it takes too many steps.
    pub fn elements<'a>(
        &self,
        document: &'a Value,
        limit: usize,
        steps: &Steps,
    ) -> Result<Elements<'a>, TooManySteps> {
        let mut elements = Elements::default();
        match &self.kind {
            Kind::Singular(keys) => {
                if let Some(found) = walk(keys, document) {
                    elements = members(found, limit);
                    steps.take(elements.hits.len() as u64)?;
                }
            }
            Kind::General(query) => query.find(document, steps, |found| {
                elements.add(found, limit);
                ControlFlow::Continue(())
            })?,
        }
        Ok(elements)
    }
}

impl<'a> Elements<'a> {
    fn add(&mut self, found: Found<'a>, limit: usize) {
        self.total += 1;
        if self.hits.len() < limit {
            self.hits.push(Hit {
                value: found.value,
                key: found.key(),
            });
        }
    }
}

impl Step {
    fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Index(index) => index.to_string(),
        }
    }
}

fn walk<'a>(steps: &[Step], document: &'a Value) -> Option<&'a Value> {
    steps.iter().try_fold(document, |value, step| match step {
        Step::Name(name) => value.as_object()?.get(name),
        Step::Index(index) => {
            let array = value.as_array()?;
            let index = if *index < 0 {
                array
                    .len()
                    .checked_add_signed(isize::try_from(*index).ok()?)?
            } else {
                usize::try_from(*index).ok()?
            };
            array.get(index)
        }
    })
}

fn members(value: &Value, limit: usize) -> Elements<'_> {
    let (total, hits) = match value {
        Value::Array(items) => {
            let hits = items.iter().enumerate().take(limit);
            let hits = hits.map(|(index, value)| Hit {
                value,
                key: Some(index.to_string()),
            });
            (items.len(), hits.collect())
        }
        Value::Object(members) => {
            let hits = members.iter().take(limit).map(|(key, value)| Hit {
                value,
                key: Some(key.clone()),
            });
            (members.len(), hits.collect())
        }
        other => {
            let hit = Hit {
                value: other,
                key: None,
            };
            (1, vec![hit])
        }
    };
    Elements { hits, total }
}

/// The keys of a path that can match at most one value.
fn singular(query: &JpQuery) -> Option<Vec<Step>> {
    query
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Selector(Selector::Name(name)) => Some(Step::Name(unquoted(name)?)),
            Segment::Selector(Selector::Index(index)) => Some(Step::Index(*index)),
            Segment::Selector(_) | Segment::Selectors(_) | Segment::Descendant(_) => None,
        })
        .collect()
}

/// The engine keeps a bracketed name with its quotes; a name with escapes is left to it.
fn unquoted(name: &str) -> Option<String> {
    let strip = |quote: char| {
        name.strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
    };
    let inner = strip('\'').or_else(|| strip('"')).unwrap_or(name);
    (!inner.contains('\\')).then(|| inner.to_owned())
}

/// Whether the parser is through with `text` in a moment, whatever stands there.
fn check_extent(text: &str) -> Result<(), String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
    }
    // One an open bracket or parenthesis: whether what stands in it costs the parser more.
    let mut open: Vec<bool> = Vec::new();
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in text.chars().enumerate() {
        match (quote, c) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => open.push(false),
            (None, '(') => open.push(true),
            (None, '?') => open.last_mut().into_iter().for_each(|costs| *costs = true),
            (None, ')' | ']') => drop(open.pop()),
            (None, _) => continue,
        }
        if open.iter().filter(|costs| **costs).count() > NESTING_MAX {
            let at = at + 1;
            return Err(format!(
                "at character {at} more than {NESTING_MAX} filters, functions and parentheses stand in one another"
            ));
        }
    }
    Ok(())
}

/// A path for messages.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Why `path` is none, in a few words. The parser says it in a drawing of several lines, whose
/// first one has the place: `--> 1:9`.
fn reason(path: &str, error: &str) -> String {
    if !path.starts_with('$') {
        return "it begins with `$`".to_owned();
    }
    let place = error.split("--> 1:").nth(1);
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect();
    match place.map(digits) {
        Some::<String>(column) => format!("character {column} is not expected there"),
        None => error.lines().collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn steps() -> Steps {
        Steps::for_document(0)
    }

    fn first(text: &str, document: &Value) -> Option<Value> {
        path(text).first(document, &steps()).unwrap().cloned()
    }

    fn keys(text: &str, document: &Value) -> Vec<String> {
        let path = path(text);
        let found = path.elements(document, 100, &steps()).unwrap();
        found.hits.into_iter().map(|hit| hit.key.unwrap()).collect()
    }

    #[test]
    fn a_singular_path_walks_names_and_indexes() {
        let document = json!({"a": {"b": [1, 2, {"it's": 3}]}});
        for (text, expected) in [
            ("$.a.b[0]", json!(1)),
            ("$['a']['b'][-2]", json!(2)),
            ("$.a.b[2][\"it's\"]", json!(3)),
        ] {
            assert!(path(text).keys().is_some(), "{text} is singular");
            assert_eq!(first(text, &document), Some(expected), "{text}");
        }
        let escaped = first("$['a'].b[2]['it\\'s']", &document);
        assert_eq!(escaped, Some(json!(3)));
        assert_eq!(first("$.a.c", &document), None);
        assert_eq!(first("$.a.b[3]", &document), None);
        assert_eq!(first("$.a.b[-4]", &document), None);
    }

    #[test]
    fn elements_carry_their_key() {
        let document = json!({"nodes": {"x": {"up": true}, "y'z": {"up": false}}, "list": [{"up": true, "n": 1}]});
        let of = |text| keys(text, &document);
        assert_eq!(of("$.nodes"), ["x", "y'z"]);
        assert_eq!(of("$.nodes.*"), ["x", "y'z"]);
        assert_eq!(of("$.nodes[?@.up == true]"), ["x"]);
        assert_eq!(of("$.list[?@.n > 0]"), ["0"]);
        assert_eq!(of("$.missing"), Vec::<String>::new());
        let odd = json!({"a\u{1}": {"n": 1}});
        for text in ["$", "$.*", "$..[?@.n]"] {
            assert_eq!(keys(text, &odd), ["a\u{1}"], "{text}");
        }
    }

    #[test]
    fn of_many_elements_the_first_are_given_and_all_are_counted() {
        let document = json!([5, 6, 7]);
        for text in ["$", "$[*]"] {
            let path = path(text);
            let found = path.elements(&document, 2, &steps()).unwrap();
            assert_eq!((found.hits.len(), found.total), (2, 3), "{text}");
        }
    }

    #[test]
    fn integers_stay_exact_in_every_kind_of_path() {
        let document = json!({"n": [u64::MAX], "almost": u64::MAX - 1});
        let found = |text| first(text, &document).and_then(|value| value.as_u64());
        assert_eq!(found("$.n[0]"), Some(u64::MAX));
        assert_eq!(found("$.n[*]"), Some(u64::MAX));
        assert_eq!(found("$.n[?@ == $.almost]"), None);
    }

    #[test]
    fn what_stands_directly_below_the_document_is_known() {
        for (text, expected) in [
            ("$.a.b", Some("a")),
            ("$['a'][?@.x]", Some("a")),
            ("$[0]", None),
            ("$", None),
            ("$..a", None),
            ("$['a', 'b']", None),
        ] {
            assert_eq!(path(text).root_key(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["bytes_transmitted", "$.[", "$.a[?", ""] {
            let error = Path::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{text}` is not a JSONPath")),
                "{error}"
            );
        }
    }

    /// The parser needs hours for some of these.
    #[test]
    fn what_is_too_deep_or_too_long_is_refused_before_it_is_parsed() {
        for (open, close) in [
            ("in(", ""),
            ("in(@['a'],", ""),
            ("(", ")"),
            ("!(", ")"),
            ("count(", ")"),
            ("@[?", "]"),
        ] {
            let text = format!("$[?{}@{}", open.repeat(12), close.repeat(12));
            let error = Path::parse(&text).unwrap_err().to_string();
            assert!(error.contains("stand in one another"), "{error}");
        }
        let long = format!("${}", ".a".repeat(TEXT_BYTES_MAX));
        let error = Path::parse(&long).unwrap_err().to_string();
        assert!(error.contains("longer than 1024 bytes"), "{error}");
        assert!(error.len() < 300, "{error}");
        assert!(Path::parse("$[?((@.a == '((((((' || !(@['b'])) && (@.c)), ?@.d]").is_ok());
    }
}
