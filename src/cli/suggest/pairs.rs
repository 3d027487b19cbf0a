//! A list of names and values, which is an object in another form.

use serde_json::{Map, Value};

/// The fewest members of such a list: fewer may be elements of another kind.
const MEMBERS_MIN: usize = 5;

/// What makes an object of a list in which nothing but the values tells which items to take.
const BY_VALUE: &str = r#"map(select(.value | type == "number" or type == "string") | {key: .name, value}) | from_entries"#;

/// The object that `document` lists; none if it lists something else. A name that is there twice
/// is that of an element, and so is one that stands beside other numbers.
pub(super) fn object_of(document: &Value) -> Option<Value> {
    let mut members = Map::new();
    let mut numbers = 0;
    for item in document.as_array()? {
        let item = item.as_object()?;
        let (name, value) = (item.get("name")?.as_str()?, item.get("value")?);
        if !is_taken(value) {
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

/// What makes an object of such a list, as a program of jq.
pub(super) fn transform(document: &Value) -> String {
    let items = document.as_array().into_iter().flatten();
    let (taken, others): (Vec<_>, Vec<_>) =
        items.partition(|item| item.get("value").is_some_and(is_taken));
    if others.is_empty() {
        return "map({key: .name, value}) | from_entries".to_owned();
    }
    let first = taken.first().and_then(|item| item.as_object());
    let mut texts = first.into_iter().flatten().filter_map(|(key, value)| {
        let text = value.as_str().filter(|_| key != "name" && key != "value")?;
        (is_word(key) && is_word(text)).then_some((key, text))
    });
    let tells_apart = |(key, text): &(&String, &str)| {
        let has = |item: &&Value| item.get(*key).and_then(Value::as_str) == Some(*text);
        taken.iter().all(has) && !others.iter().any(has)
    };
    match texts.find(tells_apart) {
        Some((key, text)) => {
            format!("map(select(.{key} == \"{text}\") | {{key: .name, value}}) | from_entries")
        }
        None => BY_VALUE.to_owned(),
    }
}

/// Whether a value becomes a member.
fn is_taken(value: &Value) -> bool {
    value.is_number() || value.is_string()
}

/// Whether jq reads it as it is.
fn is_word(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && text.chars().all(is_letter)
}

fn is_number(value: &Value) -> bool {
    let text = value.as_str();
    value.is_number() || text.is_some_and(|text| text.parse::<f64>().is_ok())
}
