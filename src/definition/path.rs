//! JSONPath (RFC 9535), compiled once for each definition.
//!
//! Most paths are singular (`$.a.b[0]`). They are kept as a list of keys and walked directly, which
//! takes a tenth of the time of the general engine. The module `query` evaluates the others.

use std::ops::ControlFlow;

use jsonpath_rust::parser::{
    model::{JpQuery, Segment, Selector},
    parse_json_path,
};
use serde_json::Value;

use super::{
    ElementKey, grammar,
    query::{Found, Query, Steps, TooManySteps},
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

#[derive(Debug, Clone, PartialEq)]
enum PathStep {
    Name(String),
    Index(i64),
}

/// A value that a path matched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit<'a> {
    /// The value.
    pub value: &'a Value,
    /// The position of the value in its parent. None for the document itself.
    pub key: Option<ElementKey<'a>>,
}

/// The values that a path matched.
#[derive(Debug, Default, PartialEq)]
pub struct Elements<'a> {
    /// The first of the values, up to the limit.
    pub hits: Vec<Hit<'a>>,
    /// The number of all values.
    pub total: usize,
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

/// The error for a path that does not follow RFC 9535.
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
    /// If the text does not follow RFC 9535, or if it is too long or too deep to be parsed quickly.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = |reason| PathError {
            path: shortened(text),
            reason,
        };
        if text.len() > TEXT_BYTES_MAX {
            return Err(wrong(format!("it is longer than {TEXT_BYTES_MAX} bytes")));
        }
        if !text.starts_with('$') {
            return Err(wrong(without_root(text)));
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

impl<'a> Elements<'a> {
    fn add(&mut self, found: Found<'a>, limit: usize) {
        self.total += 1;
        if self.hits.len() < limit {
            self.hits.push(Hit {
                value: found.value,
                key: found.key,
            });
        }
    }
}

impl PathStep {
    fn is_name(&self) -> bool {
        matches!(self, Self::Name(_))
    }

    fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Index(index) => index.to_string(),
        }
    }
}

fn walk<'a>(steps: &[PathStep], document: &'a Value) -> Option<&'a Value> {
    steps.iter().try_fold(document, |value, step| match step {
        PathStep::Name(name) => value.as_object()?.get(name),
        PathStep::Index(index) => {
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

/// The value at the end of the steps, and its position in its parent.
fn node<'a>(steps: &[PathStep], document: &'a Value) -> Option<Hit<'a>> {
    let Some((last, before)) = steps.split_last() else {
        return Some(Hit {
            value: document,
            key: None,
        });
    };
    let parent = walk(before, document)?;
    let (key, value) = match last {
        PathStep::Name(name) => {
            let (name, value) = parent.as_object()?.get_key_value(name)?;
            (ElementKey::Name(name), value)
        }
        PathStep::Index(index) => {
            let items = parent.as_array()?;
            let index = match index {
                ..0 => items
                    .len()
                    .checked_add_signed(isize::try_from(*index).ok()?)?,
                _ => usize::try_from(*index).ok()?,
            };
            (ElementKey::Index(index), items.get(index)?)
        }
    };
    let key = Some(key);
    Some(Hit { value, key })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn members(value: &Value, limit: usize) -> Elements<'_> {
    let (total, hits) = match value {
        Value::Null => (0, Vec::new()),
        Value::Array(items) => {
            let hits = items.iter().enumerate().take(limit);
            let hits = hits.map(|(index, value)| Hit {
                value,
                key: Some(ElementKey::Index(index)),
            });
            (items.len(), hits.collect())
        }
        Value::Object(members) => {
            let hits = members.iter().take(limit).map(|(key, value)| Hit {
                value,
                key: Some(ElementKey::Name(key)),
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
fn singular(query: &JpQuery) -> Option<Vec<PathStep>> {
    query
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Selector(Selector::Name(name)) => Some(PathStep::Name(name.clone())),
            Segment::Selector(Selector::Index(index)) => Some(PathStep::Index(*index)),
            Segment::Selector(_) | Segment::Selectors(_) | Segment::Descendant(_) => None,
        })
        .collect()
}

/// What to write instead of a path that does not begin at the document.
fn without_root(text: &str) -> String {
    let inner = text.strip_prefix('{').and_then(|of| of.strip_suffix('}'));
    let inner = inner.unwrap_or(text);
    let rest = inner.strip_prefix('@').unwrap_or(inner);
    let rooted = match rest.chars().next() {
        Some('.' | '[') => format!("${rest}"),
        Some(c) if c.is_alphabetic() => format!("$.{rest}"),
        _ => String::new(),
    };
    let is_path = !rooted.is_empty() && Path::parse(&rooted).is_ok();
    match is_path {
        true => format!("it begins with `$`: write `{rooted}`"),
        false => "it begins with `$`".to_owned(),
    }
}

/// A path in a form that is short enough for messages.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn unexpected(error: grammar::Wrong) -> String {
    let grammar::Wrong { column, why } = error;
    match why {
        Some(why) => format!("character {column}: {why}"),
        None => format!("character {column} is not expected there"),
    }
}

/// Why the parser rejects a path, in a few words. The parser's own message is a drawing of several
/// lines, whose first line has the position: `--> 1:9`.
fn reason(error: &str) -> String {
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
        let hits = found.hits.into_iter();
        hits.map(|hit| hit.key.unwrap().to_string()).collect()
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
            ("$.a.b", Some(&["a"][..])),
            ("$['a'][?@.x]", Some(&["a"])),
            ("$['a', 'b'].c", Some(&["a", "b"])),
            (
                "$.a[?@.x == $.b.x && count($.c[?@ == $.d]) > 1]",
                Some(&["a", "b", "c", "d"]),
            ),
            (
                "$.a[?search(@.x, $.b) || !in(@.y, $.c[0])]",
                Some(&["a", "b", "c"]),
            ),
            (
                "$.a[?length(value($.b..x)) == 1].b[?$.c]",
                Some(&["a", "b", "c"]),
            ),
            ("$.a[?@.x == $[0]]", None),
            ("$.a[?@..x[?$..y]]", None),
            ("$[0]", None),
            ("$[?@.a]", None),
            ("$", None),
            ("$..a", None),
        ] {
            assert_eq!(path(text).root_keys().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "bytes_transmitted",
            "$.[",
            "$.a[?",
            "",
            "$[?count(@.a, @.b) > 1]",
        ] {
            let error = Path::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{text}` is not a JSONPath")),
                "{error}"
            );
        }
    }

    /// The parser needs hours for some of these texts.
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
            assert!(error.contains("deep in one another"), "{error}");
        }
        let long = format!("${}", ".a".repeat(TEXT_BYTES_MAX));
        let error = Path::parse(&long).unwrap_err().to_string();
        assert!(error.contains("longer than 1024 bytes"), "{error}");
        assert!(error.len() < 300, "{error}");
        assert!(Path::parse("$[?((@.a == '((((((' || !(@['b'])) && (@.c)), ?@.d]").is_ok());
    }

    #[test]
    fn no_evaluation_goes_on_without_steps() {
        let document = json!({"a": vec![1; 100]});
        let path = path("$..[?@ == 2]");
        let few = || Steps::new(50);
        assert_eq!(path.first(&document, &few()), Err(TooManySteps));
        assert_eq!(path.one(&document, &few()), Err(TooManySteps.into()));
        assert_eq!(path.nodes(&document, 1, &few()), Err(TooManySteps));
        assert_eq!(path.elements(&document, 1, &few()), Err(TooManySteps));
        assert_eq!(path.misses(&document, &few()), Err(TooManySteps));
    }

    #[test]
    fn a_key_is_the_same_however_the_path_is_written() {
        let keys = [
            "a\nb",
            "\u{1}\u{8}\u{c}\r\t",
            "it's",
            "b\\",
            "['x']",
            "'q'",
            "",
            "ü",
        ];
        for key in keys {
            let document = json!({ "o": { key: 1 } });
            let all = ["$.o", "$.o[*]", "$.o.*", "$['o'][?@ == 1]", "$..o[*]"];
            for text in all {
                let hits = path(text).elements(&document, 9, &steps()).unwrap().hits;
                let found: Vec<_> = hits.iter().map(|hit| hit.key).collect();
                assert_eq!(found, [Some(ElementKey::Name(key))], "{text}");
            }
        }
        let document = json!({"'q'": 1, "q": 2, "a\\b": 3, "a\tb": 4});
        for (text, expected) in [
            ("$[\"'q'\"]", 1),
            ("$['q']", 2),
            ("$['a\\\\b']", 3),
            ("$['a\\tb']", 4),
        ] {
            assert_eq!(first(text, &document), Some(json!(expected)), "{text}");
        }
    }

    #[test]
    fn only_a_path_of_names_alone_is_short_for_its_elements() {
        let document = json!({"values": [{"x": [1, 2]}, {"x": [3]}]});
        let found = |text| {
            let hits = path(text).elements(&document, 9, &steps()).unwrap().hits;
            let shown = hits.iter().map(|hit| {
                let key = hit.key.map(ElementKey::text).unwrap_or_default();
                format!("{key}={}", hit.value)
            });
            shown.collect::<Vec<_>>()
        };
        assert_eq!(found("$.values"), found("$.values[*]"));
        assert_eq!(found("$.values[0]"), ["0={\"x\":[1,2]}"]);
        assert_eq!(found("$.values[-1]"), ["1={\"x\":[3]}"]);
        assert_eq!(found("$.values[0:1]"), ["0={\"x\":[1,2]}"]);
        assert_eq!(found("$.values[*].x"), ["x=[1,2]", "x=[3]"]);
        assert_eq!(found("$.values[1].x"), ["x=[3]"]);
        assert_eq!(found("$.values[*].x[*]"), ["0=1", "1=2", "0=3"]);
    }

    #[test]
    fn several_values_are_not_one() {
        let document = json!({"a": [1, 2, null], "b": [null, 3]});
        let one = |text| {
            let path = path(text);
            path.one(&document, &steps()).map(Option::<&Value>::cloned)
        };
        assert_eq!(one("$.a[*]"), Err(NotOne::Several(2)));
        assert_eq!(one("$.b[*]"), Ok(Some(json!(3))));
        assert_eq!(one("$.a[0]"), Ok(Some(json!(1))));
        assert_eq!(one("$.a[2]"), Ok(None));
        assert_eq!(one("$.c[*]"), Ok(None));
    }

    #[test]
    fn what_is_there_and_empty_is_no_gap() {
        let document =
            json!({"none": [], "nil": null, "n": 1, "jobs": [{"tags": []}, {"tags": {}}]});
        for (text, expected) in [
            ("$.none", false),
            ("$.none[*]", false),
            ("$.none[?@.x == 1]", false),
            ("$.jobs[*].tags[*]", false),
            ("$..nothing", true),
            ("$.nil", true),
            ("$.nil[*]", true),
            ("$.missing", true),
            ("$.missing[*]", true),
            ("$.n[*]", true),
            ("$.none[0]", true),
            ("$.none[*].x", false),
            ("$.jobs[?@.state == 'on']", true),
            ("$.jobs[*].tag[*]", true),
        ] {
            let (path, none) = (path(text), Ok(Elements::default()));
            assert_eq!(path.elements(&document, 9, &steps()), none, "{text}");
            assert_eq!(path.misses(&document, &steps()), Ok(expected), "{text}");
        }
    }
}
