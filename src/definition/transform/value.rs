//! Between documents and what programs work on. Integers and doubles stay what they are.

use jaq_json::{Map, Num, Val};
use serde_json::{Number, Value};

use super::{Transformed, budget::Runaway};

/// What a value takes in memory, and a member of an object more, in bytes.
const VALUE_BYTES: u64 = size_of::<Value>() as u64;
const MEMBER_BYTES: u64 = 144;

/// A document for a program.
pub(super) fn of(document: &Value) -> Val {
    match document {
        Value::Null => Val::Null,
        Value::Bool(value) => Val::Bool(*value),
        Value::Number(number) => Val::Num(number_of(number)),
        Value::String(text) => Val::utf8_str(text.clone()),
        Value::Array(items) => items.iter().map(of).collect(),
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| (Val::utf8_str(name.clone()), of(value)));
            Val::obj(members.collect::<Map>())
        }
    }
}

fn number_of(number: &Number) -> Num {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(value), ..) => Num::from_integral(value),
        (_, Some(value), _) => Num::from_integral(value),
        (.., value) => Num::Float(value.unwrap_or(f64::NAN)),
    }
}

/// What a program says, as text.
pub(super) fn text(value: &Val) -> String {
    match value {
        Val::TStr(text) | Val::BStr(text) => String::from_utf8_lossy(text).into_owned(),
        other => other.to_string(),
    }
}

/// What a program gave so far.
pub(super) struct Outputs {
    values: Vec<Value>,
    bytes: u64,
    limit_bytes: u64,
}

impl Outputs {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            values: Vec::new(),
            bytes: 0,
            limit_bytes,
        }
    }

    pub(super) fn add(&mut self, output: &Val) -> Result<(), Runaway> {
        let value = self.value(output)?;
        self.values.push(value);
        Ok(())
    }

    /// One output is the document, of several an array is.
    pub(super) fn into_document(mut self) -> Transformed {
        let value = match (self.values.len(), self.values.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                self.values.extend(last);
                Value::Array(self.values)
            }
        };
        let bytes = self.bytes;
        Transformed { value, bytes }
    }

    fn value(&mut self, output: &Val) -> Result<Value, Runaway> {
        self.take(VALUE_BYTES)?;
        Ok(match output {
            Val::Null => Value::Null,
            Val::Bool(value) => Value::Bool(*value),
            Val::Num(number) => number_from(number),
            Val::TStr(text) | Val::BStr(text) => Value::String(self.text(text)?),
            Val::Arr(items) => {
                let items = items.iter().map(|item| self.value(item));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Val::Obj(members) => {
                let members = members.iter().map(|(key, value)| {
                    self.take(MEMBER_BYTES)?;
                    let key = match key {
                        Val::TStr(text) | Val::BStr(text) => self.text(text)?,
                        other => other.to_string(),
                    };
                    Ok((key, self.value(value)?))
                });
                Value::Object(members.collect::<Result<_, _>>()?)
            }
        })
    }

    fn text(&mut self, text: &[u8]) -> Result<String, Runaway> {
        self.take(text.len() as u64)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn take(&mut self, bytes: u64) -> Result<(), Runaway> {
        self.bytes += bytes;
        let limit_bytes = self.limit_bytes;
        match self.bytes <= limit_bytes {
            true => Ok(()),
            false => Err(Runaway::Output { limit_bytes }),
        }
    }
}

/// What no document holds, such as `nan`, is nothing.
fn number_from(number: &Num) -> Value {
    let integer = |text: &str| match (text.parse::<u64>(), text.parse::<i64>()) {
        (Ok(value), _) => Some(Value::from(value)),
        (_, Ok(value)) => Some(Value::from(value)),
        _ => None,
    };
    let double = |value: f64| Number::from_f64(value).map_or(Value::Null, Value::Number);
    match number {
        Num::Int(value) => u64::try_from(*value).map_or_else(|_| Value::from(*value), Value::from),
        Num::Float(value) => double(*value),
        Num::BigInt(value) => {
            let text = value.to_string();
            integer(&text).unwrap_or_else(|| double(text.parse().unwrap_or(f64::NAN)))
        }
        Num::Dec(text) => integer(text).unwrap_or_else(|| double(text.parse().unwrap_or(f64::NAN))),
    }
}
