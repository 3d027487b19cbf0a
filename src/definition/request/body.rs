//! The body of a request.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_TYPE};
use serde_json::Value;

use super::{
    reference::{Known, ReferenceError},
    template::{RenderError, Scope, Template},
};

/// The body of a request, ready to be filled in.
#[derive(Clone, PartialEq)]
pub(super) enum BodyTemplate {
    Json(JsonTemplate),
    Form(Vec<(String, Template)>),
    Text(Template),
}

/// What it holds may be secret.
impl fmt::Debug for BodyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json",
            Self::Form(_) => "Form",
            Self::Text(_) => "Text",
        })
    }
}

/// A JSON document whose texts are templates.
#[derive(Clone, PartialEq)]
pub(super) enum JsonTemplate {
    /// Without a reference.
    Value(Value),
    Text(Template),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl BodyTemplate {
    /// The bytes.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<Bytes, RenderError> {
        Ok(match self {
            Self::Json(json) => json.render(scope)?.to_string().into(),
            Self::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, &value.plain(scope)?);
                }
                form.finish().into()
            }
            Self::Text(text) => text.plain(scope)?.into(),
        })
    }

    /// What it says it is, unless a header says otherwise.
    pub(super) fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json(_) => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
            Self::Text(_) => "text/plain; charset=utf-8",
        })
    }

    pub(super) fn is_static(&self) -> bool {
        match self {
            Self::Json(json) => matches!(json, JsonTemplate::Value(_)),
            Self::Form(fields) => fields.iter().all(|(_, value)| value.is_static()),
            Self::Text(text) => text.is_static(),
        }
    }
}

/// The header that says what a body is.
pub(super) const CONTENT_TYPE_NAME: http::HeaderName = CONTENT_TYPE;

impl JsonTemplate {
    /// Reads the texts of a document.
    pub(super) fn parse(value: &Value, known: &Known<'_>) -> Result<Self, ReferenceError> {
        let read = match value {
            Value::String(text) => Self::Text(Template::parse(text, known)?),
            Value::Array(items) => {
                let items = items.iter().map(|item| Self::parse(item, known));
                Self::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Self::parse(value, known)?)));
                Self::Object(members.collect::<Result<_, ReferenceError>>()?)
            }
            other => Self::Value(other.clone()),
        };
        Ok(read.folded())
    }

    /// The same as one value where nothing in it is filled in.
    fn folded(self) -> Self {
        let is_value = |json: &Self| matches!(json, Self::Value(_));
        let is_static = match &self {
            Self::Value(_) => return self,
            Self::Text(text) => text.is_static(),
            Self::Array(items) => items.iter().all(is_value),
            Self::Object(members) => members.iter().all(|(_, value)| is_value(value)),
        };
        match is_static.then(|| self.render(&Scope::NOTHING)) {
            Some(Ok(value)) => Self::Value(value),
            _ => self,
        }
    }

    /// The document. A reference that is a whole text keeps its type: a number stays a number.
    fn render(&self, scope: &Scope<'_>) -> Result<Value, RenderError> {
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Text(text) => match text.whole() {
                Some(reference) => reference.value(scope)?,
                None => Value::String(text.plain(scope)?),
            },
            Self::Array(items) => {
                let items = items.iter().map(|item| item.render(scope));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), value.render(scope)?)));
                Value::Object(members.collect::<Result<_, RenderError>>()?)
            }
        })
    }
}
