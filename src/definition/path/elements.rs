//! The values that a path matched.

use serde_json::Value;

use crate::definition::{ElementKey, query::Found};

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

impl<'a> Elements<'a> {
    pub(super) fn add(&mut self, found: Found<'a>, limit: usize) {
        self.total += 1;
        if self.hits.len() < limit {
            self.hits.push(Hit {
                value: found.value,
                key: found.key,
            });
        }
    }
}

/// Whether it is an array or an object without contents.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// What an array or an object has in it. Any other value but `null` is its own only element.
pub(super) fn members(value: &Value, limit: usize) -> Elements<'_> {
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
