//! Goes through two documents of an endpoint, and turns what is in them into metrics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    draft::{Draft, Group, Level, Metric, Start, scalar, shown},
    elements::{self, Elements},
    numbers::{self, Guess},
    place::Place,
    texts,
    values::{Pair, Values},
    words::{is_label, is_version, state, words},
};

/// How deep a document is looked into.
const DEPTH_MAX: usize = 12;

/// The most states of a state set.
const STATES_MAX: usize = 12;

/// The longest text of a state, in bytes.
const STATE_BYTES_MAX: usize = 40;

/// The keys of a metric beside its name and its value, and why they were guessed.
struct GuessedKeys {
    /// They stand before `value`.
    before: Vec<[String; 2]>,
    /// They stand behind it, and say how it is read.
    behind: Vec<[String; 2]>,
    reason: String,
}

/// What is the same for all places of an endpoint.
pub(super) struct Walk<'d> {
    pub(super) draft: &'d mut Draft,
    pub(super) endpoint: String,
    /// The time between both documents.
    pub(super) seconds: f64,
}

impl Walk<'_> {
    /// Adds the metrics of a whole document.
    pub(super) fn document(&mut self, first: &Value, second: &Value) {
        let group = self.group(Group {
            endpoint: self.endpoint.clone(),
            elements: 1,
            ..Group::default()
        });
        let pair = Pair {
            first: Some(first),
            second,
        };
        let values = Values {
            pairs: vec![pair],
            is_optional: false,
        };
        self.value(group, &Place::default(), &values);
        self.versions(group);
    }

    fn group(&mut self, group: Group) -> usize {
        self.draft.groups.push(group);
        self.draft.groups.len() - 1
    }

    fn value(&mut self, group: usize, place: &Place, values: &Values<'_>) {
        let mut values = values.clone();
        let all = values.pairs.len();
        values.pairs.retain(|pair| !pair.second.is_null());
        values.is_optional |= values.pairs.len() < all;
        let kinds: BTreeSet<_> = values.pairs.iter().map(|pair| kind(pair.second)).collect();
        let kinds: Vec<_> = kinds.into_iter().collect();
        match kinds.as_slice() {
            [] => self.leave_out(place, "it is null"),
            _ if place.depth > DEPTH_MAX => self.leave_out(place, "it stands too deep"),
            ["number"] => self.number(group, place, &values),
            ["boolean"] => {
                let guessed = GuessedKeys {
                    before: vec![["instrument".to_owned(), "gauge".to_owned()]],
                    behind: Vec::new(),
                    reason: "true is 1, false is 0".to_owned(),
                };
                self.push(group, place, &values, guessed);
            }
            ["text"] => self.text(group, place, &values),
            ["object"] => match elements::of_object(place, &values) {
                Some(found) => self.elements(group, place, found),
                None => self.members(group, place, &values),
            },
            ["array"] => match elements::of_array(&values) {
                Ok(found) => self.elements(group, place, found),
                Err(why) => self.leave_out(place, why),
            },
            kinds => self.leave_out(place, &format!("it may be a {}", kinds.join(" or a "))),
        }
    }

    fn leave_out(&mut self, place: &Place, why: &str) {
        self.draft.leave_out(&place.path(), why);
    }

    fn members(&mut self, group: usize, place: &Place, values: &Values<'_>) {
        let mut members: BTreeMap<&str, Vec<Pair<'_>>> = BTreeMap::new();
        for pair in &values.pairs {
            for (key, second) in pair.second.as_object().into_iter().flatten() {
                let first = pair.first.and_then(|first| first.get(key));
                members.entry(key).or_default().push(Pair { first, second });
            }
        }
        for (key, pairs) in members {
            let is_optional = values.is_optional || pairs.len() < values.pairs.len();
            let member = place.member(key);
            if self.is_identity(group, &member) {
                continue;
            }
            if elements::is_rate_of_sibling(key, pairs.first().map(|pair| pair.second), values) {
                self.leave_out(&member, "a rate of the total beside it");
                continue;
            }
            self.value(group, &member, &Values { pairs, is_optional });
        }
    }

    /// Whether it is an attribute of the group already.
    fn is_identity(&self, group: usize, place: &Place) -> bool {
        let group = self.draft.groups.get(group);
        let level = group.and_then(|group| group.levels.last());
        let path = place.path();
        level.is_some_and(|level| level.identity.iter().any(|[_, of]| *of == path))
    }

    fn elements(&mut self, group: usize, place: &Place, found: Elements<'_>) {
        let Some(outer) = self.draft.groups.get(group) else {
            return;
        };
        let element = place.element();
        let mut levels = outer.levels.clone();
        levels.push(Level {
            path: place.path(),
            name: level_name(&element, &levels),
            identity: found.identity.clone(),
            is_optional: found.values.is_optional,
        });
        let group = Group {
            endpoint: self.endpoint.clone(),
            attributes: attributes(&levels),
            levels,
            reason: found.reason,
            elements: found.values.pairs.len(),
            ..Group::default()
        };
        let group = self.group(group);
        let values = Values {
            is_optional: false,
            ..found.values
        };
        match values.pairs.iter().all(|pair| pair.second.is_object()) {
            true => self.members(group, &element, &values),
            false => self.value(group, &element, &values),
        }
        self.versions(group);
    }

    fn number(&mut self, group: usize, place: &Place, values: &Values<'_>) {
        let own = own_words(place);
        if is_label(&own) {
            self.leave_out(place, "a number that names something");
            return;
        }
        let guess = numbers::guess(&own, values, self.seconds);
        self.note_start(group, place, &guess, values);
        self.metric(group, place, values, guess);
    }

    /// The first length of time or moment that says when the process began.
    fn note_start(&mut self, group: usize, place: &Place, guess: &Guess, values: &Values<'_>) {
        let is_document = self
            .draft
            .groups
            .get(group)
            .is_some_and(|of| of.levels.is_empty());
        let Some(key) = guess.start.filter(|_| is_document && !values.is_optional) else {
            return;
        };
        if self.draft.start.is_none() {
            let mut fields = vec![["path".to_owned(), scalar(&place.path())]];
            fields.extend(guess.parse.clone());
            self.draft.start = Some(Start {
                key,
                endpoint: self.endpoint.clone(),
                fields,
                reason: "all counters began with the process".to_owned(),
            });
        }
    }

    fn text(&mut self, group: usize, place: &Place, values: &Values<'_>) {
        let all = values.pairs.len();
        let mut filled = values.clone();
        let is_empty = |of: &Value| of.as_str().is_some_and(str::is_empty);
        filled.pairs.retain(|pair| !is_empty(pair.second));
        let has_empty = filled.pairs.len() < all;
        let values = &filled;
        if values.pairs.is_empty() {
            self.leave_out(place, "an empty text");
            return;
        }
        let own = own_words(place);
        let found: Vec<&str> = values
            .pairs
            .iter()
            .filter_map(|of| of.second.as_str())
            .collect();
        if let Some(mut guess) = texts::number(&own, values, self.seconds) {
            if has_empty {
                let missing = ["missing".to_owned(), "[\"\"]".to_owned()];
                guess.parse.push(missing);
                guess.reason.push_str("; some are empty");
            } else {
                self.note_start(group, place, &guess, values);
            }
            self.metric(group, place, values, guess);
            return;
        }
        let states: BTreeSet<&str> = found.iter().copied().collect();
        let is_short = states
            .iter()
            .all(|of| (1..=STATE_BYTES_MAX).contains(&of.len()));
        match state(&own) {
            Some(word) if is_short && !has_empty && states.len() <= STATES_MAX => {
                let states: Vec<_> = states.into_iter().map(scalar).collect();
                let guessed = GuessedKeys {
                    before: vec![
                        ["instrument".to_owned(), "stateset".to_owned()],
                        ["states".to_owned(), format!("[{}]", states.join(", "))],
                    ],
                    behind: Vec::new(),
                    reason: format!("`{word}` in its name; add the states that were not there"),
                };
                self.push(group, place, values, guessed);
            }
            _ if is_version(&own) && is_short => {
                let key = own_words(place).join("_");
                if let Some(group) = self.draft.groups.get_mut(group) {
                    group.versions.push([key, scalar(&place.path())]);
                }
            }
            _ => {
                let example = found.first().map_or(String::new(), |text| shown(text));
                self.leave_out(place, &format!("a text such as `{example}`"));
            }
        }
    }

    /// One metric with all versions of the elements.
    fn versions(&mut self, group: usize) {
        let Some(of) = self.draft.groups.get_mut(group) else {
            return;
        };
        let versions = std::mem::take(&mut of.versions);
        if versions.is_empty() {
            return;
        }
        let level = of.levels.last().map(|level| level.name.clone());
        let parts: Vec<_> = level.into_iter().chain(["info".to_owned()]).collect();
        let texts = versions.iter().map(|[key, path]| {
            let of = format!("{{ path: {path}, optional: true }}");
            format!("{}: {of}", scalar(key))
        });
        let attributes = format!("{{ {} }}", texts.collect::<Vec<_>>().join(", "));
        let name = self.draft.new_name(&parts);
        let field = |key: &str, value: &str| [key.to_owned(), value.to_owned()];
        let metric = Metric {
            fields: vec![
                field("name", &scalar(&name)),
                field("instrument", "gauge"),
                field("value", "1"),
                field("attributes", &attributes),
            ],
            reason: "texts that name a version, as attributes".to_owned(),
        };
        self.draft.add(group, "$", metric);
    }

    fn metric(&mut self, group: usize, place: &Place, values: &Values<'_>, guess: Guess) {
        let mut fields = vec![["instrument".to_owned(), guess.instrument.to_owned()]];
        if let Some(unit) = &guess.unit {
            fields.push(["unit".to_owned(), scalar(unit)]);
        }
        let mut more = guess.parse;
        if let Some(factor) = guess.scale {
            more.push(["scale".to_owned(), factor.to_string()]);
        }
        let place = &place.clone().named(guess.name);
        let guessed = GuessedKeys {
            before: fields,
            behind: more,
            reason: guess.reason,
        };
        self.push(group, place, values, guessed);
    }

    fn push(&mut self, group: usize, place: &Place, values: &Values<'_>, guessed: GuessedKeys) {
        let path = place.path();
        let name = self.draft.new_name(&place.name);
        let mut fields = vec![["name".to_owned(), scalar(&name)]];
        fields.extend(guessed.before);
        fields.push(["value".to_owned(), scalar(&path)]);
        fields.extend(guessed.behind);
        if values.is_optional {
            fields.push(["optional".to_owned(), "true".to_owned()]);
        }
        let reason = match values.is_optional {
            true => format!("{}; not always there", guessed.reason),
            false => guessed.reason,
        };
        self.draft.add(group, &path, Metric { fields, reason });
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The words of the last name of a place; of an element without a name, of what it stands in.
fn own_words(place: &Place) -> Vec<String> {
    match place.is_element() {
        true => words(place.name.last().map_or("", String::as_str)),
        false => words(place.last()),
    }
}

/// A name for a level that no outer level has.
fn level_name(element: &Place, outer: &[Level]) -> String {
    let name = element.name.last().map_or("element", String::as_str);
    let name = match name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        true => name.to_owned(),
        false => format!("of_{name}"),
    };
    // `document` is the name of the whole.
    let is_taken = outer.iter().any(|of| of.name == name) || name == "document";
    match is_taken {
        true => format!("{name}_{}", outer.len() + 1),
        false => name,
    }
}

/// What tells an element apart, of all its levels.
fn attributes(levels: &[Level]) -> Vec<[String; 2]> {
    let mut attributes: Vec<[String; 2]> = Vec::new();
    let count = levels.len();
    for (number, level) in (1..).zip(levels) {
        for [key, source] in &level.identity {
            let is_taken = attributes.iter().any(|[known, _]| known == key);
            let key = match is_taken {
                true => format!("{}_{key}", level.name),
                false => key.clone(),
            };
            let source = match number == count {
                true => source.clone(),
                false => format!("{}:{source}", level.name),
            };
            attributes.push([key, scalar(&source)]);
        }
    }
    attributes
}
