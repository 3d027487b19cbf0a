//! The OpenTelemetry Resource of a target.

use std::collections::BTreeMap;

use opentelemetry::{Key, KeyValue, Value};

use crate::pipeline::{INSTANCE_ID, ResourceAttributes, Target};

/// The attributes that the Prometheus compatibility specification requires for a scraped target,
/// those of the definition, and the configured labels. A label wins over the definition.
pub fn resource(target: &Target) -> ResourceAttributes {
    // Each target keeps its own Resource, so what is the same in all of them takes no memory.
    let own = Key::from_static_str;
    let text = |value: &str| match value {
        "http" => Value::from("http"),
        "https" => Value::from("https"),
        other => Value::from(other.to_owned()),
    };
    let definition = &target.definition;
    let mut attributes = BTreeMap::from([(own("service.name"), text(&definition.name))]);
    for (key, value) in definition.resource.iter().chain(&*target.labels) {
        attributes.insert(Key::from(key.clone()), text(value));
    }
    attributes.insert(own(INSTANCE_ID), text(&target.name));
    // Several instances have no address in common.
    if target.replicas.is_none() {
        attributes.extend([
            (own("server.address"), text(&target.server_address)),
            (own("url.scheme"), text(&target.url_scheme)),
        ]);
        // A Unix socket has none.
        if target.server_port != 0 {
            attributes.insert(
                own("server.port"),
                Value::from(i64::from(target.server_port)),
            );
        }
    }
    let attributes = attributes.into_iter();
    attributes
        .map(|(key, value)| KeyValue::new(key, value))
        .collect()
}
