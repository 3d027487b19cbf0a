//! A list of names and values, which is an object in another form.

use serde_json::{Map, Value};

/// The fewest members of such a list: fewer may be elements of another kind.
const MEMBERS_MIN: usize = 5;

/// What makes an object of it, as a program of jq.
pub(super) const TRANSFORM: &str = r#"[.[] | select(.value | type == "number" or type == "string") | { key: .name, value }] | from_entries"#;

/// The object that `document` lists; none if it lists something else. A name that is there twice
/// is that of an element, and so is one that stands beside other numbers.
pub(super) fn object_of(document: &Value) -> Option<Value> {
    let mut members = Map::new();
    let mut numbers = 0;
    for item in document.as_array()? {
        let item = item.as_object()?;
        let (name, value) = (item.get("name")?.as_str()?, item.get("value")?);
        if !value.is_number() && !value.is_string() {
            continue;
        }
        let mut others = item
            .iter()
            .filter(|(key, _)| *key != "name" && *key != "value");
        if !others.all(|(_, value)| value.is_string()) || members.contains_key(name) {
            return None;
        }
        numbers += usize::from(is_number(value));
        members.insert(name.to_owned(), value.clone());
    }
    let is_list = members.len() >= MEMBERS_MIN && numbers * 10 >= members.len() * 9;
    is_list.then_some(Value::Object(members))
}

fn is_number(value: &Value) -> bool {
    let text = value.as_str();
    value.is_number() || text.is_some_and(|text| text.parse::<f64>().is_ok())
}
