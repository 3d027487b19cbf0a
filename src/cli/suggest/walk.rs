//! Goes through two documents of an endpoint, and turns what is in them into metrics.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    draft::{Draft, Group, Level, Metric, Start},
    elements::{self, Elements},
    levels::{attributes, level_name},
    members::{
        are_one_value, description_of, envelope_of, is_success, kind, kind_of, kinds_of,
        members_of, numbers_among, only_value,
    },
    numbers::{self, Guess},
    place::{self, Place},
    scalars::{scalar, shown},
    selection::Selection,
    settings,
    siblings::{self, Bound},
    texts,
    values::{Pair, Values},
    words::{is_clock, is_label, is_version, state, words},
};

/// How deep a document is looked into.
const DEPTH_MAX: usize = 12;

/// The most states of a state set.
const STATES_MAX: usize = 12;

/// The longest text of a state, in bytes.
const STATE_BYTES_MAX: usize = 40;

/// What is the same for all places of an endpoint.
pub(super) struct Walk<'d> {
    pub(super) draft: &'d mut Draft,
    pub(super) selection: &'d Selection,
    pub(super) endpoint: String,
    /// The time between both documents.
    pub(super) seconds: f64,
}

impl Walk<'_> {
    /// Adds the metrics of whole documents: a pair of each instance.
    pub(super) fn documents(&mut self, pairs: Vec<Pair<'_>>) {
        let group = self.group(Group {
            endpoint: self.endpoint.clone(),
            elements: 1,
            ..Group::default()
        });
        let values = Values {
            pairs,
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
            ["boolean"] => self.boolean(group, place, &values),
            ["text"] => self.text(group, place, &values),
            ["object"] if !place.is_element() && are_one_value(&values) => {
                let held = place.held("value", description_of(&values));
                let mut members = members_of(&values);
                let pairs = members.remove("value").unwrap_or_default();
                self.value(group, &held, &Values { pairs, ..values });
            }
            ["object"] => match elements::of_object(&values) {
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
        if self.selection.has(&place.keys) {
            self.draft.leave_out(&place.path(), why);
        }
    }

    fn members(&mut self, group: usize, place: &Place, values: &Values<'_>) {
        if settings::are_in(&words(place.last())) {
            self.leave_out(place, "settings");
            return;
        }
        let members = members_of(values);
        let place = &place.beside(numbers_among(&members));
        let envelope = place.is_document().then(|| envelope_of(&members)).flatten();
        let kinds = kinds_of(values);
        for (key, pairs) in members {
            let is_optional = values.is_optional || pairs.len() < values.pairs.len();
            let mut member = place.member(key);
            let is_of_kind = kind_of(key).is_some_and(|kind| kinds.contains_key(kind));
            if is_of_kind || self.is_identity(group, &member) {
                continue;
            }
            if words(key).is_empty() {
                self.leave_out(&member, "a name without letters");
                continue;
            }
            if elements::is_rate_of_sibling(key, pairs.first().map(|pair| pair.second), values) {
                self.leave_out(&member, "a rate of the total beside it");
                continue;
            }
            let values = Values { pairs, is_optional };
            if envelope == Some(key) && elements::of_object(&values).is_none() {
                member = member.unnamed();
            } else if envelope.is_some() && is_success(&member, &values) {
                self.leave_out(&member, "it says how the request went");
                continue;
            }
            self.value(group, &member, &values);
        }
        for (kind, pairs) in kinds {
            let found = elements::of_kind(&kind, pairs, values.is_optional);
            self.elements(group, &place.member(&kind), found);
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
        let of = place.elements(&words(&self.endpoint));
        let mut levels = outer.levels.clone();
        levels.push(Level {
            path: match found.keys {
                Some(_) => place.outer_path(),
                None => place.path(),
            },
            keys: found.keys.clone(),
            name: level_name(&of.noun, &levels),
            identity: found.identity(&of.noun),
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
            true => match only_value(&members_of(&values)) {
                Some(key) => self.only_value(group, &of, key, &values),
                None => self.members(group, &of.element, &values),
            },
            false => self.value(group, &of.element, &values),
        }
        self.versions(group);
    }

    /// The one value of elements, which is called as they are.
    fn only_value(&mut self, group: usize, of: &place::Elements, key: &str, values: &Values<'_>) {
        for (name, pairs) in members_of(values) {
            let is_optional = pairs.len() < values.pairs.len();
            let member = of.element.member(name);
            if self.is_identity(group, &member) {
                continue;
            }
            let member = match name == key {
                true => member.named_by(of),
                false => member,
            };
            self.value(group, &member, &Values { pairs, is_optional });
        }
    }

    fn number(&mut self, group: usize, place: &Place, values: &Values<'_>) {
        let guess = numbers::guess(&place.words(), values, self.seconds);
        self.guessed(group, place, values, guess);
    }

    /// Adds a metric of what a number or a text was found to be, unless it is no measurement.
    fn guessed(&mut self, group: usize, place: &Place, values: &Values<'_>, mut guess: Guess) {
        if self.is_start(group, place, &guess, values) {
            return;
        }
        let own = place.words();
        if let Some(why) = no_measurement(place, &own, values, &guess) {
            self.leave_out(place, &why);
            return;
        }
        let mut parts = place.outer.clone();
        siblings::adjust(&mut guess, &mut parts, &own, &place.siblings);
        if let Some(factor) = guess.scale {
            let scale = ["scale".to_owned(), factor.to_string()];
            guess.parse.push(scale);
        }
        let metric = Metric {
            parts,
            words: guess.words,
            instrument: guess.instrument,
            unit: guess.unit,
            behind: guess.parse,
            fell: guess.fell,
            reason: guess.reason,
            ..Metric::default()
        };
        self.add(group, place, values, metric);
    }

    /// Whether it says when the process began, which stands beside the endpoints.
    fn is_start(
        &mut self,
        group: usize,
        place: &Place,
        guess: &Guess,
        values: &Values<'_>,
    ) -> bool {
        let of = self.draft.groups.get(group);
        let is_document = of.is_some_and(|of| of.levels.is_empty());
        let Some(key) = guess.start.filter(|_| is_document && !values.is_optional) else {
            return false;
        };
        if self.draft.start.is_some() {
            self.leave_out(place, "it says when the process began, too");
            return true;
        }
        let mut fields = vec![["path".to_owned(), scalar(&place.path())]];
        fields.extend(guess.parse.clone());
        let scale = guess.scale.map(|factor| factor.to_string());
        fields.extend(scale.map(|scale| ["scale".to_owned(), scale]));
        self.draft.start = Some(Start {
            key,
            endpoint: self.endpoint.clone(),
            fields,
            reason: "all counters began with the process".to_owned(),
        });
        true
    }

    fn boolean(&mut self, group: usize, place: &Place, values: &Values<'_>) {
        if let Some(word) = settings::word(&place.words(), values) {
            self.leave_out(place, &format!("`{word}` calls a setting, and it stayed"));
            return;
        }
        let metric = Metric {
            parts: place.outer.clone(),
            words: place.words(),
            instrument: "gauge",
            reason: "true is 1, false is 0".to_owned(),
            ..Metric::default()
        };
        self.add(group, place, values, metric);
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
        let own = place.words();
        if let Some(mut guess) = texts::number(&own, values, self.seconds) {
            if has_empty {
                let missing = ["missing".to_owned(), "[\"\"]".to_owned()];
                guess.parse.push(missing);
                guess.reason.push_str("; some are empty");
                guess.start = None;
            }
            self.guessed(group, place, values, guess);
            return;
        }
        let found = values.pairs.iter().filter_map(|of| of.second.as_str());
        let states: BTreeSet<&str> = found.collect();
        let is_short = |of: &&str| (1..=STATE_BYTES_MAX).contains(&of.len());
        let is_short = states.iter().all(is_short);
        match state(&own) {
            Some(word) if is_short && !has_empty && states.len() <= STATES_MAX => {
                self.add(group, place, values, state_set(place, &states, &word));
            }
            _ if is_version(&own) && is_short => self.version(group, place, values),
            _ => {
                let example = states.first().map_or(String::new(), |text| shown(text));
                self.leave_out(place, &format!("a text such as `{example}`"));
            }
        }
    }

    fn version(&mut self, group: usize, place: &Place, values: &Values<'_>) {
        let path = scalar(&place.path());
        let source = match values.is_optional {
            true => format!("{{ path: {path}, optional: true }}"),
            false => path,
        };
        let is_wanted = self.selection.has(&place.keys);
        if let Some(group) = self.draft.groups.get_mut(group).filter(|_| is_wanted) {
            group.versions.push([place.words().join("_"), source]);
        }
    }

    /// One metric with all versions of the elements.
    fn versions(&mut self, group: usize) {
        let Some(of) = self.draft.groups.get_mut(group) else {
            return;
        };
        let attributes = std::mem::take(&mut of.versions);
        if attributes.is_empty() {
            return;
        }
        let level = of.levels.last().map(|level| level.name.clone());
        let metric = Metric {
            parts: level.into_iter().collect(),
            words: vec!["info".to_owned()],
            instrument: "gauge",
            value: "1".to_owned(),
            attributes,
            reason: "texts that name a version, as attributes".to_owned(),
            ..Metric::default()
        };
        self.draft.add(group, "$", metric);
    }

    fn add(&mut self, group: usize, place: &Place, values: &Values<'_>, mut metric: Metric) {
        if !self.selection.has(&place.keys) {
            return;
        }
        let path = place.path();
        metric.value = scalar(&path);
        metric.is_optional = values.is_optional;
        metric.description.clone_from(&place.description);
        if values.is_optional {
            metric.reason.push_str("; not always there");
        }
        self.draft.add(group, &path, metric);
    }
}

/// Why a number, whose name has the words `own`, is no measurement; none if it is one.
fn no_measurement(
    place: &Place,
    own: &[String],
    values: &Values<'_>,
    guess: &Guess,
) -> Option<String> {
    let why = if is_label(own) {
        "a number that names something"
    } else if is_clock(own) {
        "the time of the answer"
    } else if values.pairs.iter().all(|pair| is_unlimited(pair.second)) {
        "it means that there is no limit"
    } else if siblings::is_of_total(own, &place.siblings) {
        "the total beside it says it"
    } else if !guess.has_changed && siblings::bound(own, &place.siblings) == Some(Bound::Setting) {
        "it bounds nothing that is here, and stayed"
    } else {
        let word = settings::word(&guess.words, values)?;
        return Some(format!("`{word}` calls a setting, and it stayed"));
    };
    Some(why.to_owned())
}

/// Whether a number is the largest of its type.
fn is_unlimited(value: &Value) -> bool {
    let largest = i64::MAX.unsigned_abs();
    value.as_u64().is_some_and(|number| number >= largest)
}

/// A state set of these texts.
fn state_set(place: &Place, states: &BTreeSet<&str>, word: &str) -> Metric {
    let states: Vec<_> = states.iter().copied().map(scalar).collect();
    Metric {
        parts: place.outer.clone(),
        words: place.words(),
        instrument: "stateset",
        before: vec![["states".to_owned(), format!("[{}]", states.join(", "))]],
        reason: format!("`{word}` in its name; add the states that were not there"),
        ..Metric::default()
    }
}
