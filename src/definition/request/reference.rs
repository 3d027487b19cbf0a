//! A reference of a text: where its value comes from.

use std::cell::RefCell;

use super::{
    element::ElementNeeds,
    moment::{FORMS, Moment, Wrong},
};
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
        value: ElementValue,
        default: Option<String>,
    },
    /// A time.
    Now(Moment),
}

/// Which value of an element.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ElementValue {
    /// Its name or index.
    Key,
    /// The element itself, if these names are none; else what they lead to.
    At(Vec<String>),
}

/// What a reference may name.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::definition) struct Known<'k> {
    /// The parameters of the definition.
    pub(in crate::definition) parameters: &'k [&'k str],
    /// The element, if requests are made for elements.
    pub(in crate::definition) element: Option<KnownElement<'k>>,
}

/// The element for which a request is made.
#[derive(Debug, Clone, Copy)]
pub(in crate::definition) struct KnownElement<'k> {
    /// What it is called.
    pub(in crate::definition) name: &'k str,
    /// What is needed of it.
    pub(in crate::definition) needs: &'k RefCell<ElementNeeds>,
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
        if let Some(element) = known.element.filter(|of| of.name == scheme) {
            let value = element.value(plain);
            let value = value.ok_or_else(|| lacks(inner, "the names that lead to a value"))?;
            return Ok(Self::Element { value, default });
        }
        match scheme {
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
            Self::Element { value, .. } => format!("`{}` of the element", value.shown()),
            Self::Now(moment) => format!("`{moment}`"),
        }
    }
}

impl KnownElement<'_> {
    /// What stands behind its name: names that lead to a value, `@key`, or `$` for itself.
    fn value(&self, text: &str) -> Option<ElementValue> {
        let mut needs = self.needs.borrow_mut();
        needs.is_referenced = true;
        Some(match text {
            "" => return None,
            "@key" => ElementValue::Key,
            "$" => {
                needs.member(None);
                ElementValue::At(Vec::new())
            }
            text => {
                let names = text.strip_prefix("$.").unwrap_or(text);
                let names: Vec<_> = names.split('.').map(str::to_owned).collect();
                needs.member(names.first().map(String::as_str));
                ElementValue::At(names)
            }
        })
    }
}

impl ElementValue {
    /// As it is written.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Key => "@key".to_owned(),
            Self::At(names) if names.is_empty() => "$".to_owned(),
            Self::At(names) => names.join("."),
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
    schemes.extend(known.element.map(|of| of.name));
    let hint = match nearest(scheme, &schemes) {
        Some(near) => format!(" (did you mean `{near}`?)"),
        None => format!(": there are {}, and `$$` is a dollar", list(&schemes)),
    };
    ReferenceError(format!("`${{{inner}}}` has an unknown scheme{hint}"))
}
