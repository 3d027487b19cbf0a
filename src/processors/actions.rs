//! The actions of the processors `attributes` and `resource`, which are the Collector's.

use opentelemetry::{Array, Key, KeyValue, Value};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::{Pattern, Scalar},
    yaml::{Cursor, Diagnostics},
};

/// One action. Actions are applied in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionConfig {
    /// The attribute to change.
    #[serde(default)]
    pub key: String,
    /// The action to apply.
    pub action: ActionKind,
    /// The value to set.
    #[serde(default)]
    pub value: Option<Scalar>,
    /// The attribute whose value is used instead.
    #[serde(default)]
    pub from_attribute: Option<String>,
    /// Not supported: a poll has no request with metadata.
    #[serde(default)]
    pub from_context: Option<String>,
    /// The value to set if there is no `from_attribute`.
    #[serde(default)]
    pub default_value: Option<Scalar>,
    /// For `delete` and `hash`: the keys of the attributes must match. For `extract`: an expression
    /// whose named groups become attributes.
    #[serde(default)]
    pub pattern: Option<Pattern>,
    /// The type for `convert`.
    #[serde(default)]
    pub converted_type: Option<ConvertedType>,
}

/// An action on an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Sets the attribute if it does not exist.
    Insert,
    /// Sets the attribute if it exists.
    Update,
    /// Sets the attribute.
    Upsert,
    /// Removes the attribute.
    Delete,
    /// Replaces the value by the SHA-256 of its bytes.
    Hash,
    /// Creates attributes from the named groups of `pattern`.
    Extract,
    /// Changes the type of the value. A value that does not fit stays.
    Convert,
}

/// A type of attribute values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConvertedType {
    /// An integer.
    Int,
    /// A floating-point number.
    Double,
    /// A text.
    String,
}

/// A compiled action.
#[derive(Debug)]
pub(super) enum CompiledAction {
    Set { key: String, from: From, when: When },
    Delete(Keys),
    Hash(Keys),
    Extract { key: String, pattern: Regex },
    Convert { key: String, to: ConvertedType },
}

#[derive(Debug)]
pub(super) enum From {
    Value(Value),
    Attribute(String, Option<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Absent,
    Present,
    Always,
}

#[derive(Debug)]
pub(super) struct Keys {
    key: String,
    pattern: Option<Regex>,
}

impl Keys {
    fn has(&self, key: &Key) -> bool {
        let fits = |pattern: &Regex| pattern.is_match(key.as_str());
        key.as_str() == self.key || self.pattern.as_ref().is_some_and(fits)
    }
}

/// Checks the actions at `name`.
pub(super) fn check(
    actions: &[ActionConfig],
    name: &str,
    at: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if actions.is_empty() {
        at.error(&[name], "must have at least one action", diagnostics);
    }
    for (index, action) in actions.iter().enumerate() {
        if let Err((key, message)) = action.compile() {
            let index = index.to_string();
            let path = [name, &index, key];
            let known = at.at(&path).is_some();
            at.error(if known { &path } else { &path[..2] }, message, diagnostics);
        }
    }
}

/// Compiles checked actions.
pub(super) fn compile(actions: &[ActionConfig]) -> Vec<CompiledAction> {
    actions.iter().filter_map(|a| a.compile().ok()).collect()
}

/// The invalid key, and the reason.
type InvalidAction = (&'static str, &'static str);

impl ActionConfig {
    fn compile(&self) -> Result<CompiledAction, InvalidAction> {
        use ActionKind::{Convert, Delete, Extract, Hash, Insert, Update, Upsert};
        if self.from_context.is_some() {
            let why = "is not supported: a poll has no request with metadata";
            return Err(("from_context", why));
        }
        let pattern = self.pattern.as_ref().map(|pattern| pattern.get().clone());
        let key = self.key.clone();
        let by_pattern = matches!(self.action, Delete | Hash) && pattern.is_some();
        if key.is_empty() && !by_pattern {
            return Err(("key", "an action needs the `key` of an attribute"));
        }
        Ok(match self.action {
            Insert => self.set(When::Absent)?,
            Update => self.set(When::Present)?,
            Upsert => self.set(When::Always)?,
            Delete => CompiledAction::Delete(Keys { key, pattern }),
            Hash => CompiledAction::Hash(Keys { key, pattern }),
            Extract => {
                let pattern = pattern.ok_or(("action", "extract needs a `pattern`"))?;
                let names = pattern.capture_names().skip(1);
                if pattern.captures_len() < 2 || names.into_iter().any(|name| name.is_none()) {
                    let why =
                        "extract needs named groups, such as (?P<region>[a-z]+), and no others";
                    return Err(("pattern", why));
                }
                CompiledAction::Extract { key, pattern }
            }
            Convert => {
                let to = self.converted_type;
                let to = to.ok_or(("action", "convert needs a `converted_type`"))?;
                CompiledAction::Convert { key, to }
            }
        })
    }

    fn set(&self, when: When) -> Result<CompiledAction, InvalidAction> {
        let default = self.default_value.as_ref().map(|value| value.get().clone());
        let from = match (&self.value, &self.from_attribute) {
            (Some(value), None) => From::Value(value.get().clone()),
            (None, Some(attribute)) => From::Attribute(attribute.clone(), default),
            (Some(_), Some(_)) => {
                return Err(("from_attribute", "cannot be set together with `value`"));
            }
            (None, None) => return Err(("action", "needs a `value` or a `from_attribute`")),
        };
        let key = self.key.clone();
        Ok(CompiledAction::Set { key, from, when })
    }
}

impl CompiledAction {
    /// Applies the action. The attributes are sorted by key before and after.
    pub(super) fn apply(&self, attributes: &mut Vec<KeyValue>) {
        match self {
            Self::Set { key, from, when } => {
                let is_there = find(attributes, key).is_some();
                let wanted = match when {
                    When::Absent => !is_there,
                    When::Present => is_there,
                    When::Always => true,
                };
                let value = match from {
                    From::Value(value) => Some(value),
                    From::Attribute(other, default) => find(attributes, other).or(default.as_ref()),
                };
                if let (true, Some(value)) = (wanted, value.cloned()) {
                    set(attributes, key, value);
                }
            }
            Self::Delete(keys) => attributes.retain(|attribute| !keys.has(&attribute.key)),
            Self::Hash(keys) => {
                for attribute in attributes.iter_mut().filter(|a| keys.has(&a.key)) {
                    attribute.value = hashed(&attribute.value).into();
                }
            }
            Self::Extract { key, pattern } => {
                let Some(text) = find(attributes, key).map(|value| value.as_str().into_owned())
                else {
                    return;
                };
                let Some(captures) = pattern.captures(&text) else {
                    return;
                };
                for name in pattern.capture_names().flatten() {
                    let found = captures.name(name).map_or("", |found| found.as_str());
                    set(attributes, name, found.to_owned().into());
                }
            }
            Self::Convert { key, to } => {
                let converted = find(attributes, key).and_then(|value| convert(value, *to));
                if let Some(value) = converted {
                    set(attributes, key, value);
                }
            }
        }
    }
}

/// The value of an attribute.
pub(super) fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let at = attributes.binary_search_by(|known| known.key.as_str().cmp(key));
    at.ok().and_then(|at| attributes.get(at)).map(|a| &a.value)
}

/// Sets an attribute. The order stays.
pub(super) fn set(attributes: &mut Vec<KeyValue>, key: &str, value: Value) {
    match attributes.binary_search_by(|known| known.key.as_str().cmp(key)) {
        Ok(at) => {
            if let Some(known) = attributes.get_mut(at) {
                known.value = value;
            }
        }
        Err(at) => attributes.insert(at, KeyValue::new(key.to_owned(), value)),
    }
}

/// The Collector's hash of a value: the SHA-256 of its bytes. A number has eight bytes in
/// little-endian order. A list has none there, and becomes an empty text.
fn hashed(value: &Value) -> String {
    match value {
        Value::Bool(value) => sha256(&[u8::from(*value)]),
        Value::I64(value) => sha256(&value.to_le_bytes()),
        Value::F64(value) => sha256(&value.to_le_bytes()),
        Value::String(text) => sha256(text.as_str().as_bytes()),
        // A list, or a type that a later version of the SDK may add.
        _ => String::new(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "as the Collector converts"
)]
fn convert(value: &Value, to: ConvertedType) -> Option<Value> {
    Some(match (to, value) {
        (_, Value::Array(Array::Bool(_) | Array::I64(_) | Array::F64(_))) => return None,
        (ConvertedType::String, value) => value.as_str().into_owned().into(),
        (ConvertedType::Int, Value::F64(value)) => (*value as i64).into(),
        (ConvertedType::Int, Value::Bool(value)) => i64::from(*value).into(),
        (ConvertedType::Int, value) => value.as_str().parse::<i64>().ok()?.into(),
        (ConvertedType::Double, Value::I64(value)) => (*value as f64).into(),
        (ConvertedType::Double, Value::Bool(value)) => f64::from(u8::from(*value)).into(),
        (ConvertedType::Double, value) => value.as_str().parse::<f64>().ok()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are from the Collector's own tests
    /// (`internal/coreinternal/attraction/hasher_test.go`), or from `printf … | sha256sum` with the
    /// same bytes.
    #[test]
    fn hashes_are_those_of_the_collector() {
        for (value, hash) in [
            (
                Value::from("abc"),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Value::from(true),
                "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a",
            ),
            (
                Value::from(false),
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            ),
            (
                Value::from(1_i64),
                "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8",
            ),
            (
                Value::from(-1_i64),
                "12a3ae445661ce5dee78d0650d33362dec29c4f82af05e7e57fb595bbbacf0ca",
            ),
            (
                Value::from(1.5_f64),
                "e163f8cb0f7067a7fc78ca859a77f849aea3214f38fb75b884e4a16be725c905",
            ),
            (Value::Array(Array::I64(vec![1])), ""),
        ] {
            assert_eq!(hashed(&value), hash, "{value:?}");
        }
    }
}
