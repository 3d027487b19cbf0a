//! Which arrays and objects hold elements of one kind, and what tells these apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::{
    members::is_one_value,
    place::Place,
    values::{ELEMENTS_MAX, Pair, Values},
    words::{identity_rank, is_in, state, words},
};

/// Keys that only say that they name something.
const NAMES: &str = "address addr id key name title uuid";

/// Elements, and what tells them apart.
pub(super) struct Elements<'v> {
    pub(super) values: Values<'v>,
    identity: Identity<'v>,
    /// A regular expression that their names match, if others stand beside them.
    pub(super) keys: Option<String>,
    pub(super) reason: String,
}

/// What tells elements apart.
enum Identity<'v> {
    /// Members of each.
    Members(Vec<&'v str>),
    /// Their index.
    Index,
    /// The name under which each stands; the attribute that such names are, if there is a usual one.
    Key(Option<&'static str>),
    /// What follows the kind in the name under which each stands.
    PartOfKey,
}

impl Elements<'_> {
    /// The sources of attributes by their keys, where one element is called `noun`.
    pub(super) fn identity(&self, noun: &str) -> Vec<[String; 2]> {
        let at_key = |key: &str| vec![[key.to_owned(), "@key".to_owned()]];
        match &self.identity {
            Identity::Index => at_key("index"),
            Identity::PartOfKey => vec![[noun.to_owned(), "@key.name".to_owned()]],
            Identity::Key(usual) => at_key(usual.unwrap_or(noun)),
            Identity::Members(keys) => {
                let mut names = keys.iter().filter(|key| is_name_of(key, noun));
                let name = names.next().copied();
                let attribute = |key: &&str| match Some(*key) == name {
                    true => [noun.to_owned(), Place::default().member(key).path()],
                    false => attribute(key),
                };
                keys.iter().map(attribute).collect()
            }
        }
    }
}

/// Whether a key only says that it names the element.
fn is_name_of(key: &str, noun: &str) -> bool {
    let words = words(key);
    let is_more = |word: &String| word == noun || is_in(word, "display friendly full short");
    match words.as_slice() {
        [rest @ .., last] => is_in(last, NAMES) && rest.iter().all(is_more),
        [] => false,
    }
}

/// Members of an object whose names begin with one kind.
pub(super) fn of_kind<'v>(kind: &str, pairs: Vec<Pair<'v>>, is_optional: bool) -> Elements<'v> {
    Elements {
        values: Values { pairs, is_optional },
        identity: Identity::PartOfKey,
        keys: Some(format!("^{kind}:(?P<name>.+)$")),
        reason: format!("names that begin with `{kind}:`"),
    }
}

/// The elements of an array of objects.
///
/// # Errors
/// Why they are no elements.
pub(super) fn of_array<'v>(values: &Values<'v>) -> Result<Elements<'v>, &'static str> {
    let arrays: Vec<_> = values
        .pairs
        .iter()
        .filter_map(|of| of.second.as_array())
        .collect();
    let mut items = arrays.iter().copied().flatten().take(ELEMENTS_MAX);
    if arrays.iter().all(|array| array.is_empty()) {
        return Err("an empty list");
    }
    if !items.all(Value::is_object) {
        return Err("a list of what are no objects");
    }
    let keys = identity(&arrays);
    let mut pairs = Vec::new();
    for pair in &values.pairs {
        let first = pair.first.and_then(Value::as_array);
        let first: &[Value] = first.map_or(&[], Vec::as_slice);
        let before: HashMap<_, _> = first.iter().map(|of| (texts(of, &keys), of)).collect();
        let second = pair.second.as_array().into_iter().flatten();
        for (index, second) in second.enumerate() {
            let first = match keys.is_empty() {
                true => first.get(index),
                false => before.get(&texts(second, &keys)).copied(),
            };
            pairs.push(Pair { first, second });
        }
    }
    pairs.truncate(ELEMENTS_MAX);
    let quoted: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    let reason = match keys.len() {
        0 => "an array; nothing tells its elements apart but their place".to_owned(),
        1 => format!("an array; {} tells its elements apart", quoted.join("")),
        _ => format!("an array; {} tell its elements apart", quoted.join(" and ")),
    };
    let identity = match keys.is_empty() {
        true => Identity::Index,
        false => Identity::Members(keys),
    };
    Ok(Elements {
        values: Values {
            pairs,
            is_optional: values.is_optional,
        },
        identity,
        keys: None,
        reason,
    })
}

fn attribute(key: &str) -> [String; 2] {
    let name = words(key).join("_");
    [name, Place::default().member(key).path()]
}

/// What the identifying keys of an element hold.
fn texts(element: &Value, keys: &[&str]) -> Vec<String> {
    let of = |key: &&str| element.get(*key).map(ToString::to_string);
    keys.iter().map(|key| of(key).unwrap_or_default()).collect()
}

/// The keys that tell the elements of each array apart: one, or else as few as are enough.
fn identity<'v>(arrays: &[&'v Vec<Value>]) -> Vec<&'v str> {
    const KEYS_MAX: usize = 4;
    let elements = || arrays.iter().copied().flatten().take(ELEMENTS_MAX);
    let is_name = |value: Option<&Value>| {
        value.is_some_and(|of| of.is_u64() || of.as_str().is_some_and(|text| !text.is_empty()))
    };
    let first = elements().next().and_then(Value::as_object);
    let keys = first.into_iter().flat_map(Map::keys).map(String::as_str);
    let everywhere = keys.filter(|key| elements().all(|element| is_name(element.get(*key))));
    let mut ranked: Vec<(usize, &str)> = everywhere
        .filter_map(|key| {
            let is_text = |of: &Value| of.as_str().is_some_and(|text| text.parse::<f64>().is_err());
            let is_text = elements().all(|element| element.get(key).is_some_and(is_text));
            let is_text = is_text && state(&words(key)).is_none();
            // A number is an identity only if its name says so.
            let rank = identity_rank(key).or(is_text.then_some(usize::MAX))?;
            Some((rank, key))
        })
        .collect();
    ranked.sort_unstable();
    let tells_apart = |keys: &[&str]| {
        arrays.iter().all(|array| {
            let seen: BTreeSet<_> = array.iter().map(|of| texts(of, keys)).collect();
            seen.len() == array.len()
        })
    };
    let named = ranked.iter().filter(|(rank, _)| *rank < usize::MAX);
    let mut alone = named.clone().map(|(_, key)| *key);
    if let Some(key) = alone.find(|key| tells_apart(&[key])) {
        return vec![key];
    }
    let mut together = Vec::new();
    for (_, key) in ranked.iter().take(KEYS_MAX) {
        together.push(*key);
        if tells_apart(&together) {
            return together;
        }
    }
    Vec::new()
}

/// The members of an object whose keys are names of elements.
pub(super) fn of_object<'v>(values: &Values<'v>) -> Option<Elements<'v>> {
    let objects: Vec<_> = values
        .pairs
        .iter()
        .filter_map(|of| of.second.as_object())
        .collect();
    let members = || objects.iter().copied().flatten().take(ELEMENTS_MAX);
    let keys: Vec<_> = members().map(|(key, _)| key.as_str()).collect();
    let usual = usual_attribute(&keys);
    let are_ids = || usual.is_some() || keys.iter().all(|key| is_id(key));
    let reason = if members().all(|(_, value)| value.is_object()) {
        // Each of these is a metric of its own.
        let are_values = members().all(|(_, value)| is_one_value(value)) && !are_ids();
        (!are_values).then(|| why_objects(&objects)).flatten()?
    } else if members().all(|(_, value)| value.is_number()) {
        let mut keys = members().map(|(key, _)| key.as_str());
        let mut paths = members().map(|(key, _)| key.contains('/'));
        let is_several = members().count() > 1 || paths.any(|is_path| is_path);
        (is_several && keys.all(is_id)).then_some("an object whose keys are ids")?
    } else {
        return None;
    };
    let mut pairs = Vec::new();
    for pair in &values.pairs {
        for (key, second) in pair.second.as_object().into_iter().flatten() {
            let first = pair.first.and_then(|first| first.get(key));
            pairs.push(Pair { first, second });
        }
    }
    pairs.truncate(ELEMENTS_MAX);
    Some(Elements {
        values: Values {
            pairs,
            is_optional: values.is_optional,
        },
        identity: Identity::Key(usual),
        keys: None,
        reason: reason.to_owned(),
    })
}

/// The attribute that OpenTelemetry's semantic conventions have for names like these.
fn usual_attribute(keys: &[&str]) -> Option<&'static str> {
    const METHODS: &str =
        "CONNECT COPY DELETE GET HEAD LOCK MOVE OPTIONS PATCH POST PROPFIND PUT TRACE UNLOCK";
    let are = |is_one: &dyn Fn(&str) -> bool| keys.iter().all(|key| is_one(key));
    let is_status = |key: &str| {
        let status = key.parse::<u16>().ok();
        key.len() == 3 && status.is_some_and(|status| (100..600).contains(&status))
    };
    match () {
        () if keys.is_empty() => None,
        () if are(&|key| key.starts_with('/')) => Some("url.path"),
        () if are(&is_status) => Some("http.response.status_code"),
        () if are(&|key| is_in(key, METHODS)) => Some("http.request.method"),
        () => None,
    }
}

/// Why objects in an object are elements of one kind: they have the same keys.
fn why_objects(objects: &[&Map<String, Value>]) -> Option<&'static str> {
    let members: Vec<_> = objects
        .iter()
        .copied()
        .flatten()
        .take(ELEMENTS_MAX)
        .collect();
    let inner = || members.iter().filter_map(|(_, value)| value.as_object());
    let has_ids = !members.is_empty() && members.iter().all(|(key, _)| is_id(key));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for key in inner().flat_map(Map::keys) {
        *counts.entry(key).or_default() += 1;
    }
    let all = members.len();
    let in_most = counts
        .values()
        .filter(|count| **count * 5 >= all * 4)
        .count();
    let is_alike = in_most > 0 && in_most * 5 >= counts.len() * 4;
    match (has_ids, is_alike) {
        (true, _) => Some("an object whose keys are ids"),
        (false, true) if all > 1 => Some("an object whose members have the same keys"),
        _ => None,
    }
}

/// Whether `key` has the details of the total beside it, and of those only rates: whoever reads the
/// total knows them.
pub(super) fn is_rate_of_sibling(key: &str, member: Option<&Value>, values: &Values<'_>) -> bool {
    let has = |total: &str| {
        let mut pairs = values.pairs.iter();
        pairs.any(|of| of.second.get(total).is_some_and(Value::is_number))
    };
    let is_of_total = key.strip_suffix("_details").is_some_and(has);
    let member = member.and_then(Value::as_object);
    is_of_total && member.is_some_and(|of| of.keys().all(|key| key.contains("rate")))
}

/// Whether a key names one of many: a number, a path, an address or the like.
fn is_id(key: &str) -> bool {
    let is_number =
        |text: &str| !text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit());
    let digits = key.chars().filter(char::is_ascii_digit).count();
    let is_hexadecimal = key.len() >= 8
        && digits >= 2
        && key
            .chars()
            .all(|letter| letter.is_ascii_hexdigit() || letter == '-');
    let is_numbered = key
        .rsplit_once(['-', '_'])
        .is_some_and(|(_, end)| is_number(end));
    is_number(key) || is_hexadecimal || is_numbered || key.contains(['/', ':', '@'])
}
