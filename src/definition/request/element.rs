//! An element of another endpoint's answer, for which a request is made.

use std::{collections::BTreeSet, io};

use serde_json::Value;

use crate::definition::Path;

/// The largest part of an element that is kept for its request, in bytes of JSON.
pub const ELEMENT_BYTES_MAX: usize = 16 * 1024;

/// An element of another endpoint's answer, for which a request is made.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestElement {
    /// Its name or index there.
    pub key: String,
    /// What requests and attributes need of it.
    pub value: Value,
}

/// What requests and attributes need of an element.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ElementNeeds {
    /// Whether a request refers to it.
    pub(in crate::definition) is_referenced: bool,
    is_whole: bool,
    names: BTreeSet<String>,
}

impl ElementNeeds {
    /// They need the member of this name; the whole element where there is none.
    pub(in crate::definition) fn member(&mut self, name: Option<&str>) {
        self.is_whole |= name.is_none();
        self.names.extend(name.map(str::to_owned));
    }

    /// They need what the path reads.
    pub(in crate::definition) fn path(&mut self, path: &Path) {
        match path.root_keys() {
            Some(keys) => self.names.extend(keys.into_iter().map(str::to_owned)),
            None => self.is_whole = true,
        }
    }

    /// What they need of an element; none if that is too large.
    pub fn of(&self, element: &Value) -> Option<Value> {
        let needed = match element {
            Value::Object(members) if !self.is_whole => {
                let needed = members
                    .iter()
                    .filter(|(name, _)| self.names.contains(*name));
                let mut bytes = 0;
                let fits = needed.clone().all(|(name, value)| {
                    bytes += name.len() + json_bytes(value);
                    bytes <= ELEMENT_BYTES_MAX
                });
                let needed = needed.map(|(name, value)| (name.clone(), value.clone()));
                return fits.then(|| Value::Object(needed.collect()));
            }
            whole => whole,
        };
        (json_bytes(needed) <= ELEMENT_BYTES_MAX).then(|| needed.clone())
    }
}

/// The length of a value as JSON, or more than the limit.
fn json_bytes(value: &Value) -> usize {
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX / 2,
    }
}

/// Counts bytes up to the limit.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        match self.0 <= ELEMENT_BYTES_MAX {
            true => Ok(bytes.len()),
            false => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_needed_is_kept_and_nothing_large() {
        let long = "x".repeat(ELEMENT_BYTES_MAX);
        let element = json!({"id": 1, "name": {"of": "a"}, "rest": long});
        let mut needs = ElementNeeds::default();
        needs.member(Some("id"));
        needs.path(&Path::parse("$.name.of").unwrap());
        assert_eq!(
            needs.of(&element),
            Some(json!({"id": 1, "name": {"of": "a"}}))
        );
        assert_eq!(needs.of(&json!("a")), Some(json!("a")));
        needs.member(Some("rest"));
        assert_eq!(needs.of(&element), None);
        needs.member(None);
        assert_eq!(needs.of(&element), None);
        assert_eq!(needs.of(&json!({"b": 1})), Some(json!({"b": 1})));
    }
}
