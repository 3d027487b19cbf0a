//! How the page behind a page is found.

use serde_json::Value;

use super::{NotOne, Path, Steps, TooManySteps};

/// How the rest of a long answer is found.
#[derive(Debug, Clone)]
pub struct Pages {
    /// The most pages of a poll.
    pub max: usize,
    /// What leads from a page to the next one.
    pub source: PageSource,
}

/// What leads from a page to the next one.
#[derive(Debug, Clone)]
pub enum PageSource {
    /// The URL at a path of the body.
    Next(Path),
    /// The header `Link`.
    LinkHeader,
    /// A text of the body that the next request has in its query.
    Cursor {
        /// Where it stands.
        path: Path,
        /// The name in the query.
        parameter: String,
    },
    /// A number in the query, until a page is empty.
    Number {
        /// The name in the query.
        parameter: String,
        /// The first number.
        from: u64,
        /// What is added for the next page.
        step: u64,
        /// What is empty on the page behind the last one.
        until_empty: Path,
    },
}

/// What the body of a page says of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageClue {
    /// Nothing: the headers do.
    Unsaid,
    /// There is none.
    Last,
    /// There is one, and the query has its number.
    More,
    /// Its URL, or its cursor.
    At(String),
    /// What should be empty at last is not there at all, and what is.
    Missing(String),
}

/// Why a body does not say what the next page is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PagesError {
    /// There are several values.
    #[error("`pages`: {path}: {source}")]
    NotOne {
        /// The path.
        path: String,
        /// What is wrong with it.
        #[source]
        source: NotOne,
    },
    /// What is there is an array, an object or `true`.
    #[error("`pages`: {path}: expected a text or a number, found {found}")]
    Kind {
        /// The path.
        path: String,
        /// What kind of value is there.
        found: &'static str,
    },
}

impl Pages {
    /// What a body says of the next page. Its text has `text_bytes`.
    ///
    /// # Errors
    /// If there is something else than a text, a number or nothing.
    pub fn clue(&self, document: &Value, text_bytes: usize) -> Result<PageClue, PagesError> {
        let steps = Steps::for_document(text_bytes);
        let not_one = |path: &Path, source: NotOne| PagesError::NotOne {
            path: path.text().to_owned(),
            source,
        };
        match &self.source {
            PageSource::LinkHeader => Ok(PageClue::Unsaid),
            PageSource::Next(path) | PageSource::Cursor { path, .. } => {
                let found = path.one(document, &steps);
                let found = found.map_err(|error| not_one(path, error))?;
                found.map_or(Ok(PageClue::Last), |found| leads_to(path, found))
            }
            PageSource::Number { until_empty, .. } => {
                let is_empty = is_empty(until_empty, document, &steps);
                is_empty.map_err(|error| not_one(until_empty, error.into()))
            }
        }
    }

    /// The name in the query that says which page is asked for.
    pub fn parameter(&self) -> Option<&str> {
        match &self.source {
            PageSource::Next(_) | PageSource::LinkHeader => None,
            PageSource::Cursor { parameter, .. } | PageSource::Number { parameter, .. } => {
                Some(parameter)
            }
        }
    }
}

fn leads_to(path: &Path, found: &Value) -> Result<PageClue, PagesError> {
    let found = match found {
        Value::String(text) if text.is_empty() => return Ok(PageClue::Last),
        Value::Null | Value::Bool(false) => return Ok(PageClue::Last),
        Value::String(text) => return Ok(PageClue::At(text.clone())),
        Value::Number(number) => return Ok(PageClue::At(number.to_string())),
        Value::Bool(true) => "`true`",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Err(PagesError::Kind {
        path: path.text().to_owned(),
        found,
    })
}

fn is_empty(path: &Path, document: &Value, steps: &Steps) -> Result<PageClue, TooManySteps> {
    let found = path.nodes(document, 1, steps)?;
    let Some(hit) = found.hits.first() else {
        return Ok(match path.misses(document, steps)? {
            true => PageClue::Missing(path.hint(document, steps).unwrap_or_default()),
            false => PageClue::Last,
        });
    };
    let is_empty = match hit.value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    Ok(match is_empty && found.total == 1 {
        true => PageClue::Last,
        false => PageClue::More,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn clue(source: PageSource, document: &Value) -> Result<PageClue, String> {
        let clue = Pages { max: 5, source }.clue(document, 100);
        clue.map_err(|error| error.to_string())
    }

    #[test]
    fn a_page_leads_to_the_next_one_or_to_none() {
        let next = || PageSource::Next(Path::parse("$.links.next").unwrap());
        for (document, expected) in [
            (json!({}), PageClue::Last),
            (json!({"links": {}}), PageClue::Last),
            (json!({"links": {"next": null}}), PageClue::Last),
            (json!({"links": {"next": ""}}), PageClue::Last),
            (json!({"links": {"next": false}}), PageClue::Last),
            (json!({"links": {"next": "/b"}}), PageClue::At("/b".into())),
            (json!({"links": {"next": 7}}), PageClue::At("7".into())),
        ] {
            assert_eq!(clue(next(), &document), Ok(expected), "{document}");
        }
        let wrong = clue(next(), &json!({"links": {"next": {"href": "/b"}}}));
        assert_eq!(
            wrong.unwrap_err(),
            "`pages`: $.links.next: expected a text or a number, found an object"
        );
        let several = PageSource::Next(Path::parse("$.links[*].href").unwrap());
        let several = clue(several, &json!({"links": [{"href": "/a"}, {"href": "/b"}]}));
        assert!(several.is_err());
    }

    #[test]
    fn numbers_go_on_until_a_page_is_empty() {
        for (path, document, expected) in [
            ("$.items", json!({"items": [1]}), PageClue::More),
            ("$.items", json!({"items": []}), PageClue::Last),
            ("$.items", json!({"items": null}), PageClue::Last),
            (
                "$.items",
                json!({"item": [1]}),
                PageClue::Missing("no `items`; did you mean `item`?".into()),
            ),
            ("$.items[*]", json!({"items": [[], 1]}), PageClue::More),
            ("$.items[*]", json!({"items": []}), PageClue::Last),
            ("$", json!([]), PageClue::Last),
            ("$", json!({"a": 1}), PageClue::More),
        ] {
            let source = PageSource::Number {
                parameter: "page".to_owned(),
                from: 1,
                step: 1,
                until_empty: Path::parse(path).unwrap(),
            };
            assert_eq!(clue(source, &document), Ok(expected), "{path} {document}");
        }
    }
}
