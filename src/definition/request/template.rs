//! Texts with references that get their values at each request: `${target:LABEL}`,
//! `${param:NAME}`, `${now-5m:unix}`, `${app:id}`.
//!
//! What is known when the file is read (`${env:…}`, `${file:…}`) was put in before; a dollar of such
//! a value is written `$$` here, so that no value is taken for a reference.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    element::RequestElement,
    moment::Moment,
    parameters::Parameters,
    reference::{ElementValue, Known, Reference, ReferenceError},
};
use crate::settings::Secret;

/// A text, ready to be filled in. What it holds may be secret and is never shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(Secret),
    Reference(Reference),
}

/// What a request is made of.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'s> {
    /// The labels of the target.
    pub labels: &'s BTreeMap<String, String>,
    /// What the receiver says of the parameters.
    pub parameters: &'s Parameters,
    /// What the definition says of them.
    pub defaults: &'s Parameters,
    /// The element of another answer that the request is made for.
    pub element: Option<&'s RequestElement>,
    /// The time, since 1970.
    pub since_epoch: Duration,
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
static NO_PARAMETERS: Parameters = Parameters(BTreeMap::new());

impl Scope<'_> {
    /// For what has no reference.
    pub(in crate::definition) const NOTHING: Self = Self {
        labels: &NO_LABELS,
        parameters: &NO_PARAMETERS,
        defaults: &NO_PARAMETERS,
        element: None,
        since_epoch: Duration::ZERO,
    };
}

/// Why a request cannot be made. Holds no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The target has no such label.
    #[error("the target has no label `{0}`, which the request needs")]
    Label(String),
    /// A parameter has no value.
    #[error("the parameter `{0}` has no value")]
    Parameter(String),
    /// The element has no such value.
    #[error("the element has no text, number or boolean at `{0}`, which the request needs")]
    Element(String),
    /// A part of a path would be empty, `.` or `..`.
    #[error("{0} would make another path of it: it is empty, `.` or `..`")]
    Segment(String),
    /// A header cannot hold the value.
    #[error("the header `{0}` cannot hold its value")]
    Header(String),
    /// The time has no such form.
    #[error("the time of {0} is out of range")]
    Time(String),
}

impl Template {
    /// Reads a text.
    pub(super) fn parse(text: &str, known: &Known<'_>) -> Result<Self, ReferenceError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, from)) = rest.find('$').and_then(|at| rest.split_at_checked(at)) {
            literal.push_str(before);
            rest = if let Some(behind) = from.strip_prefix("$$") {
                literal.push('$');
                behind
            } else if let Some((inner, behind)) =
                from.strip_prefix("${").and_then(|it| it.split_once('}'))
            {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
                }
                pieces.push(Piece::Reference(Reference::parse(inner, known)?));
                behind
            } else {
                literal.push('$');
                from.strip_prefix('$').unwrap_or_default()
            };
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into()));
        }
        Ok(Self(pieces))
    }

    /// Whether it is the same at each request.
    pub(super) fn is_static(&self) -> bool {
        let mut pieces = self.0.iter();
        pieces.all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The reference that is the whole text, if one is.
    pub(super) fn whole(&self) -> Option<&Reference> {
        match self.0.as_slice() {
            [Piece::Reference(reference)] => Some(reference),
            _ => None,
        }
    }

    /// The text; each value is written as `escape` says.
    pub(super) fn render(
        &self,
        scope: &Scope<'_>,
        escape: impl Fn(&Reference, String) -> Result<String, RenderError>,
    ) -> Result<String, RenderError> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => text.push_str(literal.expose()),
                Piece::Reference(reference) => {
                    text.push_str(&escape(reference, reference.text(scope)?)?);
                }
            }
        }
        Ok(text)
    }

    /// The text with each value as it is.
    pub(super) fn plain(&self, scope: &Scope<'_>) -> Result<String, RenderError> {
        self.render(scope, |_, value| Ok(value))
    }
}

impl Reference {
    /// Its value as a text.
    fn text(&self, scope: &Scope<'_>) -> Result<String, RenderError> {
        Ok(match self.value(scope)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Its value: a text, a number or a boolean.
    pub(super) fn value(&self, scope: &Scope<'_>) -> Result<Value, RenderError> {
        match self {
            Self::Target { label, default } => {
                let found = scope.labels.get(label).or(default.as_ref());
                let missing = || RenderError::Label(label.clone());
                found.cloned().map(Value::String).ok_or_else(missing)
            }
            Self::Parameter(name) => {
                let all = [scope.parameters, scope.defaults].into_iter();
                let found = all.filter_map(|known| known.0.get(name)).next();
                let found = found.filter(|value| is_scalar(value));
                let missing = || RenderError::Parameter(name.clone());
                found.cloned().ok_or_else(missing)
            }
            Self::Element { value, default } => {
                let found = scope.element.and_then(|element| value.of(element));
                let found = found.or_else(|| default.clone().map(Value::String));
                found.ok_or_else(|| RenderError::Element(value.shown()))
            }
            Self::Now(moment) => time(moment, scope),
        }
    }
}

impl ElementValue {
    /// The text, number or boolean of an element.
    fn of(&self, element: &RequestElement) -> Option<Value> {
        match self {
            Self::Key => Some(Value::String(element.key.clone())),
            Self::At(names) => {
                let found = names
                    .iter()
                    .try_fold(&element.value, |at, name| member(at, name))?;
                is_scalar(found).then(|| found.clone())
            }
        }
    }
}

fn time(moment: &Moment, scope: &Scope<'_>) -> Result<Value, RenderError> {
    let written = moment.at(scope.since_epoch);
    written.ok_or_else(|| RenderError::Time(moment.to_string()))
}

fn is_scalar(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

fn member<'v>(of: &'v Value, name: &str) -> Option<&'v Value> {
    match of {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;
    use crate::definition::request::reference::KnownElement;

    fn parsed(text: &str) -> Result<Template, ReferenceError> {
        let needs = RefCell::default();
        let name = "app";
        let known = Known {
            parameters: &["limit"],
            element: Some(KnownElement {
                name,
                needs: &needs,
            }),
        };
        Template::parse(text, &known)
    }

    fn rendered(text: &str) -> Result<String, String> {
        let template = parsed(text).map_err(|error| error.to_string())?;
        let labels = BTreeMap::from([("zone".to_owned(), "a/b".to_owned())]);
        let parameters = Parameters::of([("limit", json!(200))]);
        let element = RequestElement {
            key: "k".to_owned(),
            value: json!({"id": "x", "of": [{"n": 18_446_744_073_709_551_615_u64}], "no": {}}),
        };
        let scope = Scope {
            labels: &labels,
            parameters: &parameters,
            defaults: &parameters,
            element: Some(&element),
            since_epoch: Duration::from_millis(1_700_000_000_123),
        };
        template.plain(&scope).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_put_in() {
        for (text, expected) in [
            ("", ""),
            ("a $ b $$ $${env:X} $x", "a $ b $ ${env:X} $x"),
            ("${target:zone}/${target:rack:-none}", "a/b/none"),
            ("${param:limit}", "200"),
            (
                "${app:id}-${app:$.of.0.n}-${app:x:-y}-${app:@key}",
                "x-18446744073709551615-y-k",
            ),
            (
                "${now:unix} ${now-5m:rfc3339} ${now+1h:unix_ms} ${now:date}",
                "1700000000 2023-11-14T22:08:20Z 1700003600123 2023-11-14",
            ),
        ] {
            assert_eq!(rendered(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (text, expected) in [
            (
                "${target:rack}",
                "the target has no label `rack`, which the request needs",
            ),
            (
                "${app:no}",
                "the element has no text, number or boolean at `no`, which the request needs",
            ),
            (
                "${param:limt}",
                "there is no parameter `limt` (did you mean `limit`?)",
            ),
            (
                "${targt:zone}",
                "`${targt:zone}` has an unknown scheme (did you mean `target`?)",
            ),
            (
                "${aps:id}",
                "`${aps:id}` has an unknown scheme (did you mean `app`?)",
            ),
            (
                "${x:y}",
                "`${x:y}` has an unknown scheme: there are `env`, `file`, `target`, `param`, `now`, \
                 `app`, and `$$` is a dollar",
            ),
            ("${target:}", "`${target:}` lacks the name of a label"),
            ("${app:}", "`${app:}` lacks the names that lead to a value"),
            (
                "${now-5x:unix}",
                "`${now-5x:unix}` has a wrong time: write `now`, `now-5m` or `now+1h`",
            ),
            (
                "${now:iso}",
                "`${now:iso}` has an unknown form of time: there are `rfc3339`, `unix`, `unix_ms`, \
                 `date`",
            ),
        ] {
            assert_eq!(rendered(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let template = parsed("hunter2 ${now:unix}").unwrap();
        assert!(!format!("{template:?}").contains("hunter2"));
        assert!(!template.is_static() && template.whole().is_none());
    }
}
