//! Suggestions beside the definitions that we ship.

use std::{collections::BTreeMap, time::Duration};

use super::{Observation, definition_of, endpoints};
use crate::{
    cli::definition_test::{MovingBody, recorded},
    definition::{self, Definition, Instrument, InstrumentKind, ValueSource},
    receivers::SavedAnswer,
};

/// The time between both polls, in seconds.
const WAIT: u64 = 60;

/// What is measured, by the paths of the request, of the elements and of the value.
fn measured(definition: &Definition) -> BTreeMap<[String; 3], &Instrument> {
    let place = |rule: &definition::MappingRule| {
        let ValueSource::Path(value) = &rule.value else {
            return None;
        };
        // Which elements are left out is a choice, and no guess.
        let levels = rule.levels.iter().map(|level| {
            let whole = level.path.text();
            whole.split("[?").next().unwrap_or(whole).to_owned()
        });
        let levels: Vec<_> = levels.collect();
        let endpoint = definition.endpoints[rule.endpoint].path.to_string();
        Some([endpoint, levels.join(" "), value.text().to_owned()])
    };
    let rules = definition.rules.iter();
    let all =
        rules.filter_map(|rule| Some((place(rule)?, &*definition.instruments[rule.instrument])));
    all.collect()
}

/// What a suggestion for the recorded bodies of a definition, whose totals grow meanwhile, says
/// otherwise than the definition: that a value is a total, in which unit it is, or nothing.
fn differences(name: &str) -> Vec<String> {
    let recorded = recorded(name).unwrap();
    let shipped = &recorded.definition;
    let mut observed = Vec::new();
    for (index, endpoint) in shipped.endpoints.iter().enumerate() {
        let Some(SavedAnswer::Whole(body)) = &recorded.answers[index] else {
            panic!("{name} has several answers");
        };
        let body = MovingBody::new(shipped, index, body, None);
        let document = |seconds| {
            let text = body.after(Duration::from_secs(seconds));
            serde_json::from_slice(&text).unwrap()
        };
        let mut found = endpoints(&[endpoint.path.to_string()], None);
        let [name, endpoint] = found.remove(0);
        observed.push(Observation {
            name,
            endpoint,
            first: document(0),
            second: document(WAIT),
        });
    }
    let text = definition_of(name, &observed, WAIT as f64).unwrap();
    let suggested = definition::from_text(name, "the suggestion", &text).unwrap();
    let suggested = measured(&suggested);
    let is_total = |of: &Instrument| of.kind == InstrumentKind::Counter;
    let mut differences = Vec::new();
    for (place, wanted) in measured(shipped) {
        let Some(found) = suggested.get(&place) else {
            differences.push(format!("{place:?} is not there"));
            continue;
        };
        // A word in braces is a comment, and `1` says that there is no unit.
        let [wanted_unit, found_unit] =
            [&wanted.unit, &found.unit].map(|unit| match unit.as_str() {
                "1" => "",
                unit if unit.starts_with('{') => "",
                unit => unit,
            });
        if is_total(wanted) != is_total(found) || wanted_unit != found_unit {
            differences.push(format!("{place:?}: {wanted:?}, {found:?}"));
        }
    }
    differences
}

#[test]
fn at_most_five_values_of_what_we_ship_are_guessed_otherwise() {
    for name in ["nats", "powerdns", "rabbitmq"] {
        let differences = differences(name);
        assert!(differences.len() <= 5, "{name}: {differences:#?}");
    }
}
