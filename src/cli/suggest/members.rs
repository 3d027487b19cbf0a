//! The members of objects, and which of them are about the answer and not in it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    names::is_value,
    place::Place,
    values::{Pair, Values},
    words::{state, words},
};

/// What a value is called in messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What each member of objects is.
pub(super) type Members<'v> = BTreeMap<&'v str, Vec<Pair<'v>>>;

pub(super) fn members_of<'v>(values: &Values<'v>) -> Members<'v> {
    let mut members = Members::new();
    for pair in &values.pairs {
        for (key, second) in pair.second.as_object().into_iter().flatten() {
            let first = pair.first.and_then(|first| first.get(key));
            let pairs = members.entry(key).or_default();
            pairs.push(Pair { first, second });
        }
    }
    members
}

/// The words of the members that are numbers.
pub(super) fn numbers_among(members: &Members<'_>) -> Vec<Vec<String>> {
    let is_number = |pair: &Pair<'_>| {
        let text = pair.second.as_str();
        let is_text = text.is_some_and(|text| text.parse::<f64>().is_ok());
        is_text || pair.second.is_number() || is_one_value(pair.second)
    };
    let numbers = members
        .iter()
        .filter(|(_, pairs)| pairs.iter().any(is_number));
    numbers.map(|(key, _)| words(key)).collect()
}

/// The member of elements that is their one value, if its name says nothing else.
pub(super) fn only_value<'v>(members: &Members<'v>) -> Option<&'v str> {
    let is_measure = |pair: &Pair<'_>| !pair.second.is_string() && !pair.second.is_null();
    let mut measures = members
        .iter()
        .filter(|(_, pairs)| pairs.iter().any(is_measure));
    let (key, _) = measures.next()?;
    (is_value(key) && measures.next().is_none()).then_some(*key)
}

/// Whether an object is one number, `value`, with texts about it.
pub(super) fn is_one_value(object: &Value) -> bool {
    let members = object.as_object();
    members.is_some_and(|members| {
        let is_value = |(key, value): (&String, &Value)| match key.as_str() {
            "value" => value.is_number(),
            _ => value.is_string() || value.is_null(),
        };
        members.contains_key("value") && members.iter().all(is_value)
    })
}

/// Whether each of the objects is one number.
pub(super) fn are_one_value(values: &Values<'_>) -> bool {
    values.pairs.iter().all(|pair| is_one_value(pair.second))
}

/// What objects say of themselves, as a sentence.
pub(super) fn description_of(values: &Values<'_>) -> Option<String> {
    const LETTERS: std::ops::RangeInclusive<usize> = 5..=200;
    let of = |pair: &Pair<'_>| {
        let keys = ["description", "desc", "help"];
        let mut texts = keys.iter().filter_map(|key| pair.second.get(key)?.as_str());
        texts.next().map(str::to_owned)
    };
    let text = of(values.pairs.first()?)?;
    let text = text.trim().trim_end_matches('.');
    let is_sound = LETTERS.contains(&text.chars().count()) && !text.contains(char::is_control);
    let mut letters = text.chars();
    let first = letters.next().filter(|_| is_sound)?;
    Some(format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// The members of objects whose names begin with a kind, such as `queue:mail` and `queue:jobs`, by
/// the kinds.
pub(super) fn kinds_of<'v>(values: &Values<'v>) -> BTreeMap<String, Vec<Pair<'v>>> {
    let mut kinds = BTreeMap::<String, Vec<Pair<'v>>>::new();
    for pair in &values.pairs {
        for (key, second) in pair.second.as_object().into_iter().flatten() {
            if let Some(kind) = kind_of(key).filter(|_| second.is_object()) {
                let first = pair.first.and_then(|first| first.get(key));
                let pairs = kinds.entry(kind.to_owned()).or_default();
                pairs.push(Pair { first, second });
            }
        }
    }
    kinds
}

/// The kind with which a name begins.
pub(super) fn kind_of(key: &str) -> Option<&str> {
    let (kind, rest) = key.split_once(':')?;
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_word = kind.starts_with(|letter: char| letter.is_ascii_alphabetic());
    (is_word && kind.chars().all(is_letter) && !rest.is_empty()).then_some(kind)
}

/// The member that holds everything, beside texts about the answer.
pub(super) fn envelope_of<'v>(members: &Members<'v>) -> Option<&'v str> {
    let is_object = |pair: &Pair<'_>| pair.second.is_object() || pair.second.is_array();
    let is_measure = |pair: &Pair<'_>| pair.second.is_number() || pair.second.is_boolean();
    let mut objects = members
        .iter()
        .filter(|(_, pairs)| pairs.iter().any(is_object));
    let has_measures = members.values().flatten().any(is_measure);
    let (key, pairs) = objects.next()?;
    let is_alone = objects.next().is_none() && !has_measures;
    (is_alone && pairs.iter().all(|pair| pair.second.is_object())).then_some(*key)
}

/// Whether a text says only that there is an answer.
pub(super) fn is_success(place: &Place, values: &Values<'_>) -> bool {
    let is_success = |pair: &Pair<'_>| {
        let text = pair.second.as_str().map(str::to_lowercase);
        text.is_some_and(|text| ["success", "ok"].contains(&text.as_str()))
    };
    state(&place.words()).is_some() && values.pairs.iter().all(is_success)
}
