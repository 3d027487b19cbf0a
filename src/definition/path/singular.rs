//! Paths that match at most one value. They are walked directly.

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use serde_json::Value;

use super::Hit;
use crate::definition::ElementKey;

/// One step of such a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PathStep {
    Name(String),
    Index(i64),
}

impl PathStep {
    pub(super) fn is_name(&self) -> bool {
        matches!(self, Self::Name(_))
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Index(index) => index.to_string(),
        }
    }
}

/// The keys of a path that can match at most one value.
pub(super) fn singular(query: &JpQuery) -> Option<Vec<PathStep>> {
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

/// The value at the end of the steps.
pub(super) fn walk<'a>(steps: &[PathStep], document: &'a Value) -> Option<&'a Value> {
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
pub(super) fn node<'a>(steps: &[PathStep], document: &'a Value) -> Option<Hit<'a>> {
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
