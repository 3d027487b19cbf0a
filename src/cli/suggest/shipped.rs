//! Suggestions beside the definitions that we ship.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{Observation, Selection, definition_of, endpoints};
use crate::{
    cli::definition_test::{MovingBody, recorded},
    definition::{self, BUILTIN, Definition, Instrument, InstrumentKind, ValueSource},
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
        observed.push(Observation {
            endpoint: endpoints(&[endpoint.path.to_string()], None).remove(0),
            documents: vec![[document(0), document(WAIT)]],
        });
    }
    let all = Selection::default();
    let text = definition_of(name, &observed, WAIT as f64, &all).unwrap();
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
fn at_most_five_values_of_what_a_receiver_names_are_guessed_otherwise() {
    let differences = differences("rabbitmq");
    assert!(differences.len() <= 5, "{differences:#?}");
}

/// What was recorded of a real program: the documents before and after a wait, of each instance, by
/// the paths. `BETANET_REAL_RECORD=tests/fixtures/suggest tests/run --real NAME` records it, and
/// without the variable does what this test does with the running program.
#[derive(Deserialize)]
struct TwoPolls {
    name: String,
    paths: Vec<String>,
    only: Vec<String>,
    documents: Vec<Vec<[Value; 2]>>,
}

/// The lines of a definition without comments and blank lines.
fn content(definition: &str) -> Vec<&str> {
    let lines = definition.lines();
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
    lines.filter(is_content).collect()
}

/// How many lines of one text must be changed, added or removed to get the other one.
fn changed_lines(one: &[&str], other: &[&str]) -> usize {
    // How many of the first lines must be changed for each number of first lines of the other text.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, line) in one.iter().enumerate() {
        let mut next = vec![index + 1];
        for (at, wanted) in other.iter().enumerate() {
            let changed = row[at] + usize::from(line != wanted);
            next.push(changed.min(row[at + 1] + 1).min(next[at] + 1));
        }
        row = next;
    }
    row[other.len()]
}

#[test]
fn at_most_five_lines_of_what_we_ship_are_written_otherwise() {
    for name in ["nats", "powerdns", "prometheus-tsdb", "caddy"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = root.join(format!("tests/fixtures/suggest/{name}.json"));
        let polls = std::fs::read_to_string(file).unwrap();
        let polls: TwoPolls = serde_json::from_str(&polls).unwrap();
        let endpoints = endpoints(&polls.paths, None).into_iter();
        let observed = endpoints.zip(polls.documents);
        let observed = observed.map(|(endpoint, documents)| Observation {
            endpoint,
            documents,
        });
        let observed: Vec<_> = observed.collect();
        let selection = Selection {
            only: polls.only,
            without: Vec::new(),
        };
        let suggested = definition_of(&polls.name, &observed, 3.0, &selection).unwrap();
        definition::from_text(name, "the suggestion", &suggested).unwrap();
        let shipped = BUILTIN.iter().find(|of| of.name == name).unwrap().text;
        let (suggested, shipped) = (content(&suggested), content(shipped));
        let changed = changed_lines(&suggested, &shipped);
        assert!(changed <= 5, "{name}: {changed}\n{suggested:#?}");
    }
}

#[test]
fn changed_added_and_removed_lines_are_counted() {
    for (one, other, changed) in [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a b c", "x a b c", 1),
        ("a b", "b a", 2),
        ("", "a b", 2),
    ] {
        let lines = |of: &'static str| of.split_whitespace().collect::<Vec<_>>();
        assert_eq!(changed_lines(&lines(one), &lines(other)), changed, "{one}");
    }
}
