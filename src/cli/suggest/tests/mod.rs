//! Definitions that are made of two documents.

mod rules;

use serde_json::{Value, json};

use super::{Observation, Selection, definition_of, endpoints};
use crate::{
    definition,
    processors::mapping,
    receivers::{self, SavedAnswer},
    runtime::Clock,
};

fn observation(path: &str, first: Value, second: Value) -> Observation {
    Observation {
        endpoint: endpoints(&[path.to_owned()], None).remove(0),
        documents: vec![[first, second]],
    }
}

/// The suggestion, which is a definition that reads all documents without a problem.
fn suggestion(name: &str, observed: &[Observation]) -> String {
    selected(name, observed, &Selection::default())
}

fn selected(name: &str, observed: &[Observation], selection: &Selection) -> String {
    let text = definition_of(name, observed, 10.0, selection).unwrap();
    let definition = definition::from_text(name, "suggestion", &text);
    let definition = definition.unwrap_or_else(|error| panic!("{error}\n{text}"));
    for instance in 0..observed[0].documents.len() {
        for poll in 0..2 {
            let ids = definition.endpoints.iter().map(|of| of.id.to_string());
            let bodies = ids.map(|id| {
                let of = observed.iter().find(|of| of.endpoint.name == id)?;
                let body = of.documents[instance][poll].to_string();
                Some(SavedAnswer::Whole(body.into_bytes()))
            });
            let mut poll = receivers::sample(&definition, bodies.collect(), &Clock::System);
            let readings = mapping::map(&definition, &mut poll);
            assert_eq!(readings.problems, [], "{text}");
            assert!(!readings.values.is_empty(), "{text}");
        }
    }
    text
}

/// The part of a suggestion below `metrics:`.
fn metrics(first: Value, second: Value) -> String {
    let text = suggestion("api", &[observation("/stats", first, second)]);
    text.split_once("\nmetrics:\n").unwrap().1.to_owned()
}

/// What is suggested of the two documents of [`a_whole_definition_says_why_it_is_as_it_is`].
const WHOLE_DEFINITION: &str = r#"# A first definition: `betanet-collector suggest` made it from two polls 10 s apart.
# Each guess says why. Read them, give the metrics good names and descriptions, and keep
# what is right with `betanet-collector test --update`.
resource: { service.name: mq }

endpoints:
  stats: { path: "/api/stats?full=1" }

# all counters began with the process
start_time: { path: $.startedAt, parse: timestamp }

metrics:
  # `health` in its name; add the states that were not there
  - { name: mq.health, instrument: stateset, states: [green], value: $.health }
  # texts that name a version, as attributes
  - { name: mq.info, instrument: gauge, value: 1, attributes: { version: $.version } }
  # it stayed 45; `ms` is its unit
  - { name: mq.latency, instrument: gauge, unit: s, value: $.latency_ms, scale: 0.001 }
  # it fell from 0.5 to 0.25
  - { name: mq.load_avg, instrument: gauge, value: $.loadAvg }
  # an array; `name` tells its elements apart
  - for_each: $.queues
    attributes: { queue: $.name }
    metrics:
      # true is 1, false is 0
      - { name: mq.queue.durable, instrument: gauge, value: $.durable }
      # they differ in `network.io.direction`
      - name: mq.queue.io
        instrument: counter
        unit: By
        metrics:
          # it stayed in all of 2; `in` calls a total; `bytes` is its unit
          - { value: $.bytes_in, attributes: { network.io.direction: receive } }
          # it stayed in all of 2; `out` calls a total; `bytes` is its unit
          - { value: $.bytes_out, attributes: { network.io.direction: transmit } }
      # it stayed 1; not always there
      - { name: mq.queue.lag, instrument: gauge, value: $.lag, optional: true }
      # it grew in 1 of 2 and fell in none
      - { name: mq.queue.messages_sent, instrument: counter, unit: "{message}", value: $.messagesSent }
      # it stayed in all of 2
      - { name: mq.queue.ready, instrument: gauge, value: $.ready }

# Left out:
#   $.note: a text such as `hello`
#   $.tags: a list of what are no objects
#   $.uptime: it says when the process began, too
"#;

#[test]
fn a_whole_definition_says_why_it_is_as_it_is() {
    let document = |sent: u64, up: u64, load: f64| {
        json!({
            "version": "1.4.2",
            "uptime": up,
            "startedAt": "2026-01-01T00:00:00Z",
            "loadAvg": load,
            "latency_ms": 45,
            "health": "green",
            "tags": ["a"],
            "note": "hello",
            "queues": [
                {"name": "mail", "messagesSent": sent, "ready": 3, "bytes_in": 10, "bytes_out": 0, "durable": true},
                {"name": "jobs", "messagesSent": 5, "ready": 4, "bytes_in": 11, "bytes_out": 0, "durable": false, "lag": 1},
            ],
        })
    };
    let observed = observation(
        "/api/stats?full=1",
        document(7, 60, 0.5),
        document(9, 70, 0.25),
    );
    assert_eq!(suggestion("mq", &[observed]), WHOLE_DEFINITION);
}

#[test]
fn what_only_grew_is_a_counter_unless_its_name_says_otherwise() {
    let text = metrics(
        json!({"hits": 1, "errors": 0, "depth": 3, "ratio": 0.25, "cpu_seconds": 1.5, "n": 5}),
        json!({"hits": 4, "errors": 0, "depth": 4, "ratio": 0.5, "cpu_seconds": 2.5, "n": 2}),
    );
    for line in [
        "# it grew from 1 to 4\n  - { name: api.hits, instrument: counter, unit: \"{hit}\", value: $.hits }",
        "# it stayed 0; `errors` calls a total\n  - { name: api.errors, instrument: counter, unit: \"{error}\", value: $.errors }",
        "# it grew from 3 to 4, but `depth` calls a current value\n  - { name: api.depth, instrument: gauge, value: $.depth }",
        "{ name: api.ratio, instrument: gauge, unit: \"1\", value: $.ratio }",
        "{ name: api.cpu, instrument: counter, unit: s, value: $.cpu_seconds }",
        "# it fell from 5 to 2\n  - { name: api.n, instrument: gauge, value: $.n }",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn keys_that_are_ids_are_attributes() {
    let document = json!({
        "by_path": {"/varz": 2, "/jsz": 1},
        "methods": {"m-1": 3, "m-2": 4},
        "answers": {"200": {"value": 1}, "404": {"value": 2}},
        "pools": {"http": {"size": 1, "used": 2}, "db": {"size": 3, "used": 0}},
        "memory": {"heap": {"used": 1}, "pool": {"soft": 3, "hard": 4}},
    });
    let text = metrics(document.clone(), document);
    for part in [
        "# an object whose keys are ids\n  # it stayed in all of 2\n  - { name: api.by_path, instrument: gauge, for_each: $.by_path, value: $, attributes: { url.path: \"@key\" } }\n",
        "for_each: $.answers, value: $.value, attributes: { http.response.status_code: \"@key\" } }\n",
        "for_each: $.methods, value: $, attributes: { method: \"@key\" } }\n",
        "# an object whose members have the same keys\n  - for_each: $.pools\n    attributes: { pool: \"@key\" }\n",
        "name: api.memory.heap.used, instrument: gauge, value: $.memory.heap.used }",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn inner_elements_have_the_attributes_of_outer_ones() {
    let document = json!([
        {"host": "a", "disks": [{"dev": "sda", "used": 1}, {"dev": "sdb", "used": 2}], "if": [{"x": 1}, {"x": 1}]},
        {"host": "b", "disks": [{"dev": "sda", "used": 3}], "if": []},
        {"host": "c"},
    ]);
    let text = metrics(document.clone(), document);
    for part in [
        "  - { name: api.disk.used, instrument: gauge, for_each: [{ path: $, as: element }, { path: $.disks, optional: true }], value: $.used, attributes: { host: \"element:$.host\", dev: $.dev } }\n",
        "# an array; nothing tells its elements apart but their place\n",
        "attributes: { host: \"element:$.host\", index: \"@key\" }",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn several_fields_tell_elements_apart_where_one_does_not() {
    let rows = json!([
        {"pxname": "web", "svname": "FRONTEND", "scur": "1", "qcur": "", "status": "OPEN"},
        {"pxname": "app", "svname": "s1", "scur": "2", "qcur": "7", "status": "UP"},
        {"pxname": "app", "svname": "BACKEND", "scur": "3", "qcur": "0", "status": "UP"},
        {"pxname": "web", "svname": "s1", "scur": "3", "qcur": "0", "status": "UP"},
    ]);
    let text = metrics(rows.clone(), rows);
    assert!(
        text.contains("attributes: { pxname: $.pxname, svname: $.svname }"),
        "{text}"
    );
    assert!(text.contains("value: $.qcur, missing: [\"\"] }"), "{text}");
    assert!(
        text.contains("states: [OPEN, UP], value: $.status"),
        "{text}"
    );
    assert!(
        text.contains("it stayed in all of 4; a number in a text"),
        "{text}"
    );
}

#[test]
fn texts_with_units_and_moments_are_read() {
    let document = json!({
        "cpu": "28 %", "memory": "1.5 GiB", "took": "1h2m", "uptime": "5d3h",
        "lastBackup": 1_782_900_000_000_u64, "created_at": 1_782_900_000, "end": "2026-01-01T00:00:00Z",
    });
    let text = metrics(document.clone(), document);
    for part in [
        "name: api.cpu, instrument: gauge, unit: \"1\", value: $.cpu, parse: percent }",
        "name: api.memory, instrument: updowncounter, unit: By, value: $.memory, parse: bytes }",
        "name: api.took, instrument: gauge, unit: s, value: $.took, parse: duration }",
        "value: $.lastBackup, parse: { as: timestamp, unit: ms } }",
        "name: api.created_at, instrument: gauge, unit: s, value: $.created_at, parse: timestamp }",
        "value: $.end, parse: timestamp }",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn several_endpoints_and_odd_names_are_named() {
    let document =
        |n: u64| json!({"a-b": n, "A_b": n, "it's": {"x y": n}, "${env:HOME}": n, "port": 80});
    let observed = [
        observation("/a", document(1), document(2)),
        observation("/b", document(1), document(2)),
    ];
    let text = suggestion("x", &observed);
    for part in [
        "  - endpoint: a\n    metrics:\n",
        "name: x.a_b, ",
        "name: x.a_b_2, ",
        "name: x.a_b_4, ",
        "value: \"$['it\\\\'s']['x y']\" }",
        "#   $.port: a number that names something\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_suggestion_is_bounded() {
    let many: serde_json::Map<_, _> = (0..2000).map(|n| (format!("m{n}x"), json!(n))).collect();
    let text = suggestion("x", &[observation("/", json!(many), json!(many))]);
    assert_eq!(text.matches("instrument:").count(), 300);
    assert!(text.contains("and 1650 more"), "{text}");
    let elements: Vec<_> = (0..5000).map(|n| json!({"id": n, "v": 1})).collect();
    let observed = observation("/", json!(elements), json!(elements));
    let text = definition_of("x", &[observed], 10.0, &Selection::default()).unwrap();
    assert!(text.contains("max_series: 4000"), "{text}");
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({ "a": deep });
    }
    let observed = observation("/", deep.clone(), deep);
    assert_eq!(
        definition_of("x", &[observed], 10.0, &Selection::default()),
        None
    );
}

#[test]
fn a_list_of_names_and_values_is_an_object() {
    let document = |queries: u64| {
        let item = |name: &str, value: String| json!({"name": name, "type": "StatisticItem", "value": value});
        let mut items: Vec<_> = ["cache-hits", "errors", "latency", "up"]
            .map(|name| item(name, "3".to_owned()))
            .into();
        items.push(item("udp-queries", queries.to_string()));
        items.push(json!({"name": "sizes", "type": "RingItem", "size": "8", "value": [{"name": "a", "value": "1"}]}));
        Value::Array(items)
    };
    let text = suggestion(
        "dns",
        &[observation("/statistics", document(5), document(9))],
    );
    for line in [
        r#"    transform: 'map(select(.type == "StatisticItem") | {key: .name, value}) | from_entries'"#,
        r#"  - { name: dns.udp_queries, instrument: counter, unit: "{query}", value: "$['udp-queries']" }"#,
    ] {
        assert!(text.lines().any(|of| of == line), "{line}\n{text}");
    }
    // Elements that have other numbers beside their value.
    let disks = |free: u64| {
        let names = ["a", "b", "c", "d", "e"];
        names
            .iter()
            .map(|name| json!({"name": name, "value": free, "size": 9}))
            .collect::<Value>()
    };
    let text = suggestion("disks", &[observation("/disks", disks(5), disks(4))]);
    assert!(text.contains("attributes: { disk: $.name }"), "{text}");
}

#[test]
fn a_rate_of_a_total_is_left_out() {
    let document = |sent: u64| json!({"stats": {"sent": sent, "sent_details": {"rate": 0.4}}, "load_details": {"rate": 2.5}});
    let text = suggestion("mq", &[observation("/overview", document(5), document(9))]);
    assert!(
        text.contains("#   $.stats.sent_details: a rate of the total beside it"),
        "{text}"
    );
    assert!(text.contains("value: $.load_details.rate"), "{text}");
}

#[test]
fn memory_is_in_bytes_if_it_may_be() {
    let document = json!({"mem_used": 73_400_320, "disk_free": 0, "memory_pools": 3});
    let found = metrics(document.clone(), document);
    for line in [
        "instrument: updowncounter, unit: By, value: $.mem_used",
        "instrument: updowncounter, unit: By, value: $.disk_free",
        "instrument: updowncounter, unit: \"{pool}\", value: $.memory_pools",
    ] {
        assert!(found.contains(line), "{line}\n{found}");
    }
}
