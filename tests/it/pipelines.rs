//! Tests the definitions in `pipelines/`; what each of them gives is in the test beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use betanet_collector::{
    definition::{self, BUILTIN, Definition},
    pipeline::Poll,
    processors::mapping::map,
    receivers,
    runtime::Clock,
};

use crate::support::source::root;

#[test]
fn every_metric_of_every_definition_is_in_its_test() {
    for name in names() {
        let definition = load(&name);
        let file = root().join(format!("pipelines/{name}.test.yaml"));
        let test = std::fs::read_to_string(&file);
        let test = test.unwrap_or_else(|_| panic!("no {}", file.display()));
        for instrument in &definition.instruments {
            let metric = &instrument.name;
            let is_betanet_extra = OF_SOME_DEPLOYMENTS.contains(&metric.as_str());
            let begins = |line: &str| {
                let point = line.trim_start().strip_prefix("- ");
                let rest = point.and_then(|point| point.trim_matches('\'').strip_prefix(metric));
                rest.is_some_and(|rest| rest.trim_start_matches("_count").starts_with([' ', '{']))
            };
            let is_tested = test.lines().any(begins);
            assert!(
                is_tested || is_betanet_extra,
                "{name}: no point of {metric}"
            );
            // A name that says everything needs no description.
            let description = &instrument.description;
            let is_sentence = description.is_empty() || description.ends_with('.');
            assert!(is_sentence, "{name}: {metric}: {description}");
        }
    }
}

/// Fields that the documented body of the first API does not have.
const OF_SOME_DEPLOYMENTS: [&str; 2] = ["betanet_active_connections", "betanet_nodes"];

#[test]
fn every_definition_is_part_of_the_binary() {
    let builtin: BTreeSet<&str> = BUILTIN.iter().map(|builtin| builtin.name).collect();
    let names = names();
    assert_eq!(builtin, names.iter().map(String::as_str).collect());
}

#[test]
fn the_metric_names_of_betanet_dashboards_exist() {
    let values = values("betanet");
    for (name, value) in [
        ("betanet_connected_peers", 7.0),
        ("betanet_mixnode_active", 5.0),
        ("betanet_bytes_transmitted_total", 1_000_000.0),
        ("betanet_packets_dropped_total", 10.0),
        ("betanet_message_latency_seconds", 0.045),
        ("betanet_messages_total", 5000.0),
        ("betanet_bytes_received_total", 500_000.0),
    ] {
        assert_eq!(values.get(name), Some(&value), "{name}");
    }
}

#[test]
fn each_element_of_an_array_or_an_object_is_a_series() {
    let mixnodes = values("betanet-mixnode");
    let state = |id: u8, state: &str| {
        let id = format!("mixnode-18eaae29c016588{id}");
        mixnodes.get(&format!(
            "betanet_mixnode_state betanet.mixnode.id={id} state={state}"
        ))
    };
    assert_eq!(
        [state(0, "active"), state(1, "active")],
        [Some(&1.0), Some(&0.0)]
    );
    assert_eq!(
        [state(0, "deploying"), state(1, "deploying")],
        [Some(&0.0), Some(&1.0)]
    );
}

/// The public server hangs forever after a request for another of its paths.
#[test]
fn built_in_definitions_send_no_harmful_request_to_a_public_server() {
    let paths = |name: &str| -> Vec<String> {
        let endpoints = &load(name).endpoints;
        endpoints.iter().map(|e| e.path.to_string()).collect()
    };
    assert_eq!(paths("betanet-mixnode"), ["/mixnodes"]);
    let unknown = paths("betanet");
    assert!(unknown.iter().all(|path| path.starts_with("/api/v1/")));
    // This definition is used only by name, and its harmless path comes first.
    let full = ["/mixnodes", "/status", "/metrics"];
    assert_eq!(paths("betanet-mixnode-full"), full);
    let config = std::fs::read_to_string(root().join("otel-config.yaml")).unwrap();
    assert!(config.contains(":-betanet, betanet-mixnode}"));
}

/// The definitions, by their file names without suffix.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(root().join("pipelines")).unwrap();
    let stems = files.map(|file| file.unwrap().path().file_stem().unwrap().to_owned());
    let mut names: Vec<String> = stems.map(|stem| stem.into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".test"));
    names.sort();
    names
}

fn load(name: &str) -> Arc<Definition> {
    let file = root().join(format!("pipelines/{name}.yaml"));
    definition::load(file.to_str().unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

/// The values in the documented bodies by series (name and attributes), as the definition reads
/// them.
fn values(name: &str) -> BTreeMap<String, f64> {
    let definition = load(name);
    let readings = map(&definition, &mut poll(&definition));
    let series = readings.values.into_iter().map(|reading| {
        let mut series = definition
            .instruments
            .get(reading.instrument)
            .unwrap()
            .name
            .clone();
        for attribute in reading.attributes {
            series.push_str(&format!(" {}={}", attribute.key, attribute.value));
        }
        (series, reading.value.as_f64())
    });
    series.collect()
}

/// A poll with the documented body at every endpoint.
fn poll(definition: &Definition) -> Poll {
    let folder = root().join("tests/fixtures/bodies").join(&definition.name);
    let bodies = definition.endpoints.iter().map(|endpoint| {
        let extension = endpoint.format.extension();
        let file = folder.join(format!("{}.{extension}", endpoint.id));
        let body = std::fs::read(&file).unwrap_or_else(|_| panic!("no {}", file.display()));
        Some(receivers::SavedAnswer::Whole(body))
    });
    receivers::sample(definition, bodies.collect(), &Clock::System)
}
