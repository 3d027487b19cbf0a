//! JSONPath (RFC 9535), compiled once per definition.
//!
//! Most paths are singular (`$.a.b[0]`): they are kept as pre-split keys and walked directly,
//! which takes a tenth of the time of the general engine. The rest goes to `jsonpath-rust`.

use jsonpath_rust::parser::{
    model::{JpQuery, Segment, Selector},
    parse_json_path,
};
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

use super::grammar;

/// A compiled path.
#[derive(Debug, Clone)]
pub struct Path {
    text: String,
    kind: Kind,
    /// The byte of `text` behind each segment.
    ends: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Kind {
    Singular(Vec<Step>),
    General(Box<JpQuery>),
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
    /// If it is not RFC 9535.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = |reason| PathError {
            path: text.to_owned(),
            reason,
        };
        if !text.starts_with('$') {
            return Err(wrong("it begins with `$`".to_owned()));
        }
        let ends = grammar::segments(text).map_err(|error| wrong(unexpected(error)))?;
        let query = parse_json_path(text).map_err(|error| wrong(reason(&error.to_string())))?;
        let kind = match singular(&query) {
            Some(steps) => Kind::Singular(steps),
            None => Kind::General(Box::new(query)),
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

    /// The keys of a singular path; none for any other.
    pub fn keys(&self) -> Option<Vec<String>> {
        match &self.kind {
            Kind::Singular(steps) => Some(steps.iter().map(Step::text).collect()),
            Kind::General(_) => None,
        }
    }

    /// The first value that the path matches.
    pub fn first<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        match &self.kind {
            Kind::Singular(steps) => walk(steps, document),
            Kind::General(query) => general(query, document).next().map(|hit| hit.value),
        }
    }

    /// The one value that the path matches, which is not `null`; none if there is none.
    ///
    /// # Errors
    /// How many values there are, if there are several.
    pub fn one<'a>(&self, document: &'a Value) -> Result<Option<&'a Value>, usize> {
        match &self.kind {
            Kind::Singular(steps) => Ok(walk(steps, document).filter(|found| !found.is_null())),
            Kind::General(query) => {
                let hits = general(query, document).map(|hit| hit.value);
                let mut values = hits.filter(|found| !found.is_null());
                match (values.next(), values.count()) {
                    (first, 0) => Ok(first),
                    (_, more) => Err(more + 1),
                }
            }
        }
    }

    /// All values that the path matches, in document order, as RFC 9535 says.
    pub fn nodes<'a>(&self, document: &'a Value) -> Vec<Hit<'a>> {
        match &self.kind {
            Kind::Singular(steps) => node(steps, document).into_iter().collect(),
            Kind::General(query) => general(query, document).collect(),
        }
    }

    /// What a `for_each` goes through: all values that the path matches. A path of names alone is
    /// short for the one that ends in `[*]` if it leads to an array or an object: `$.nodes` means
    /// `$.nodes[*]`.
    pub fn elements<'a>(&self, document: &'a Value) -> Vec<Hit<'a>> {
        match &self.kind {
            Kind::Singular(steps) if steps.iter().all(Step::is_name) => {
                walk(steps, document).map(members).unwrap_or_default()
            }
            _ => self.nodes(document),
        }
    }

    /// Whether it is a gap that a `for_each` finds no element in `document`. An array or an object
    /// that is there and empty is none.
    pub fn misses(&self, document: &Value) -> bool {
        if let Kind::Singular(steps) = &self.kind {
            return walk(steps, document).is_none_or(Value::is_null);
        }
        let mut last = vec![Hit {
            value: document,
            key: None,
        }];
        for (prefix, segment) in self.prefixes() {
            let found = prefix.nodes(document);
            if found.is_empty() {
                let is_single = segment.keys().is_some();
                return is_single || !last.iter().all(|hit| is_empty(hit.value));
            }
            last = found;
        }
        true
    }

    /// The path up to each of its segments, with the segment as a path of its own.
    pub fn prefixes(&self) -> impl Iterator<Item = (Self, Self)> {
        let starts = [1].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| {
            let prefix = Self::parse(self.text.get(..*end)?).ok()?;
            let segment = self.text.get(start..*end)?.trim_start();
            Some((prefix, Self::parse(&format!("${segment}")).ok()?))
        })
    }
}

impl Step {
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

/// The value at the end of the steps, and the key under which it stands.
fn node<'a>(steps: &[Step], document: &'a Value) -> Option<Hit<'a>> {
    let value = walk(steps, document)?;
    let key = match steps.split_last() {
        None => None,
        Some((Step::Index(index), before)) if *index < 0 => {
            let length = walk(before, document)?.as_array()?.len();
            let index = length.checked_add_signed(isize::try_from(*index).ok()?)?;
            Some(index.to_string())
        }
        Some((last, _)) => Some(last.text()),
    };
    Some(Hit { value, key })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn members(value: &Value) -> Vec<Hit<'_>> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| Hit {
                value,
                key: Some(index.to_string()),
            })
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| Hit {
                value,
                key: Some(key.clone()),
            })
            .collect(),
        other => vec![Hit {
            value: other,
            key: None,
        }],
    }
}

fn general<'a>(query: &JpQuery, document: &'a Value) -> impl Iterator<Item = Hit<'a>> {
    // The engine's error means "the result is not a node of the document", so it matches nothing.
    let hits = js_path_process(query, document).unwrap_or_default();
    hits.into_iter().map(|hit| {
        let key = last_key(&hit.clone().path());
        Hit {
            value: hit.val(),
            key,
        }
    })
}

/// The last key of a normalized path (RFC 9535, 2.7): `$['a'][0]` gives `0`, `$['a']['b\'c']`
/// gives `b'c`.
fn last_key(normalized: &str) -> Option<String> {
    let inner = normalized.strip_suffix(']')?;
    if let Some(quoted) = inner.strip_suffix('\'') {
        // A quote within a name is escaped, so this is where the last name begins.
        let start = quoted.rfind("['")? + 2;
        return quoted.get(start..).map(unescaped);
    }
    let start = inner.rfind('[')? + 1;
    inner.get(start..).map(str::to_owned)
}

/// The name that a normalized path writes so.
fn unescaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        let escaped = match c {
            '\\' => chars.next(),
            c => {
                text.push(c);
                continue;
            }
        };
        text.extend(match escaped {
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                code.and_then(char::from_u32)
            }
            other => other,
        });
    }
    text
}

/// The keys of a path that can match at most one value.
fn singular(query: &JpQuery) -> Option<Vec<Step>> {
    query
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Selector(Selector::Name(name)) => Some(Step::Name(name.clone())),
            Segment::Selector(Selector::Index(index)) => Some(Step::Index(*index)),
            Segment::Selector(_) | Segment::Selectors(_) | Segment::Descendant(_) => None,
        })
        .collect()
}

fn unexpected(error: grammar::Wrong) -> String {
    let grammar::Wrong { column, why } = error;
    match why {
        Some(why) => format!("character {column}: {why}"),
        None => format!("character {column} is not expected there"),
    }
}

/// Why the engine takes no path, in a few words. It says it in a drawing of several lines, whose
/// first one has the place: `--> 1:9`.
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

    #[test]
    fn a_singular_path_walks_names_and_indexes() {
        let document = json!({"a": {"b": [1, 2, {"it's": 3}]}});
        for (text, expected) in [
            ("$.a.b[0]", json!(1)),
            ("$['a']['b'][-2]", json!(2)),
            ("$.a.b[2][\"it's\"]", json!(3)),
        ] {
            assert!(path(text).keys().is_some(), "{text} is singular");
            assert_eq!(path(text).first(&document), Some(&expected), "{text}");
        }
        assert_eq!(
            path("$['a'].b[2]['it\\'s']").first(&document),
            Some(&json!(3))
        );
        assert_eq!(path("$.a.c").first(&document), None);
        assert_eq!(path("$.a.b[3]").first(&document), None);
        assert_eq!(path("$.a.b[-4]").first(&document), None);
    }

    #[test]
    fn elements_carry_their_key() {
        let document = json!({"nodes": {"x": {"up": true}, "y'z": {"up": false}}, "list": [{"up": true, "n": 1}]});
        let keys = |text| {
            path(text)
                .elements(&document)
                .into_iter()
                .map(|hit| hit.key.unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys("$.nodes"), ["x", "y'z"]);
        assert_eq!(keys("$.nodes.*"), ["x", "y'z"]);
        assert_eq!(keys("$.nodes[?@.up == true]"), ["x"]);
        assert_eq!(keys("$.list[?@.n > 0]"), ["0"]);
        assert_eq!(keys("$.missing"), Vec::<String>::new());
        assert_eq!(path("$").elements(&json!([5, 6])).len(), 2);
    }

    #[test]
    fn integers_stay_exact_in_every_kind_of_path() {
        let document = json!({"n": [u64::MAX]});
        assert_eq!(
            path("$.n[0]").first(&document).and_then(Value::as_u64),
            Some(u64::MAX)
        );
        assert_eq!(
            path("$.n[*]").first(&document).and_then(Value::as_u64),
            Some(u64::MAX)
        );
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
                let hits = path(text).elements(&document);
                let found: Vec<_> = hits.iter().map(|hit| hit.key.as_deref()).collect();
                assert_eq!(found, [Some(key)], "{text}");
            }
        }
        let document = json!({"'q'": 1, "q": 2, "a\\b": 3, "a\tb": 4});
        for (text, expected) in [
            ("$[\"'q'\"]", 1),
            ("$['q']", 2),
            ("$['a\\\\b']", 3),
            ("$['a\\tb']", 4),
        ] {
            assert_eq!(
                path(text).first(&document),
                Some(&json!(expected)),
                "{text}"
            );
        }
    }

    #[test]
    fn only_a_path_of_names_alone_is_short_for_its_elements() {
        let document = json!({"values": [{"x": [1, 2]}, {"x": [3]}]});
        let found = |text| {
            let hits = path(text).elements(&document);
            let shown = hits.iter().map(|hit| {
                let key = hit.key.clone().unwrap_or_default();
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
        assert_eq!(path("$.a[*]").one(&document), Err(2));
        assert_eq!(path("$.b[*]").one(&document), Ok(Some(&json!(3))));
        assert_eq!(path("$.a[0]").one(&document), Ok(Some(&json!(1))));
        assert_eq!(path("$.a[2]").one(&document), Ok(None));
        assert_eq!(path("$.c[*]").one(&document), Ok(None));
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
            assert_eq!(path(text).elements(&document), [], "{text}");
            assert_eq!(path(text).misses(&document), expected, "{text}");
        }
    }
}
