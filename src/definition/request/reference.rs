//! A reference of a text: where its value comes from.

use super::moment::{FORMS, Moment, Wrong};
use crate::yaml::{list, nearest};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reference {
    /// A label of the target.
    Target {
        label: String,
        default: Option<String>,
    },
    /// A parameter of the definition.
    Parameter(String),
    /// A value of the element that the request is made for.
    Element {
        path: Vec<String>,
        default: Option<String>,
    },
    /// A time.
    Now(Moment),
}

/// What a reference may name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'k> {
    /// The parameters of the definition.
    pub(super) parameters: &'k [&'k str],
    /// What the element is called, if requests are made for elements.
    pub(super) element: Option<&'k str>,
}

/// Why a reference is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct ReferenceError(String);

impl Reference {
    /// Reads what is between the braces.
    pub(super) fn parse(inner: &str, known: &Known<'_>) -> Result<Self, ReferenceError> {
        let Some((scheme, name)) = inner.split_once(':') else {
            return Err(unknown(inner, inner, known));
        };
        let (plain, default) = match name.split_once(":-") {
            Some((plain, default)) => (plain, Some(default.to_owned())),
            None => (name, None),
        };
        match scheme {
            _ if known.element == Some(scheme) => match plain {
                "" => Err(lacks(inner, "the names that lead to a value")),
                names => Ok(Self::Element {
                    path: names.split('.').map(str::to_owned).collect(),
                    default,
                }),
            },
            "target" => match plain {
                "" => Err(lacks(inner, "the name of a label")),
                label => Ok(Self::Target {
                    label: label.to_owned(),
                    default,
                }),
            },
            "param" => parameter(name, known),
            _ => match Moment::parse(scheme, name) {
                Some(Ok(moment)) => Ok(Self::Now(moment)),
                Some(Err(wrong)) => Err(time(inner, wrong)),
                None => Err(unknown(inner, scheme, known)),
            },
        }
    }

    /// How messages call it; shows no value.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Target { label, .. } => format!("the label `{label}` of the target"),
            Self::Parameter(name) => format!("the parameter `{name}`"),
            Self::Element { path, .. } => format!("`{}` of the element", path.join(".")),
            Self::Now(moment) => format!("`{moment}`"),
        }
    }
}

fn parameter(name: &str, known: &Known<'_>) -> Result<Reference, ReferenceError> {
    if known.parameters.contains(&name) {
        return Ok(Reference::Parameter(name.to_owned()));
    }
    let hint = match (nearest(name, known.parameters), known.parameters) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "the definition has no `parameters`".to_owned(),
        (None, all) => format!("there are {}", list(all)),
    };
    let message = format!("there is no parameter `{name}` ({hint})");
    Err(ReferenceError(message))
}

fn lacks(inner: &str, what: &str) -> ReferenceError {
    ReferenceError(format!("`${{{inner}}}` lacks {what}"))
}

fn time(inner: &str, wrong: Wrong) -> ReferenceError {
    let why = match wrong {
        Wrong::Offset => "a wrong time: write `now`, `now-5m` or `now+1h`".to_owned(),
        Wrong::Form => format!("an unknown form of time: there are {}", list(&FORMS)),
    };
    ReferenceError(format!("`${{{inner}}}` has {why}"))
}

fn unknown(inner: &str, scheme: &str, known: &Known<'_>) -> ReferenceError {
    let mut schemes = vec!["env", "file", "target", "param", "now"];
    schemes.extend(known.element);
    let hint = match nearest(scheme, &schemes) {
        Some(near) => format!(" (did you mean `{near}`?)"),
        None => format!(": there are {}, and `$$` is a dollar", list(&schemes)),
    };
    ReferenceError(format!("`${{{inner}}}` has an unknown scheme{hint}"))
}
