//! The OpenTelemetry Resource of a target.

use std::collections::BTreeMap;

use opentelemetry::{KeyValue, Value};

use crate::pipeline::{INSTANCE_ID, ResourceAttributes, Target};

/// The attributes that the Prometheus compatibility specification requires for a scraped target,
/// those of the definition, and the configured labels. A label wins over the definition.
pub fn resource(target: &Target) -> ResourceAttributes {
    let text = |value: &str| Value::from(value.to_owned());
    let definition = &target.definition;
    let mut attributes = BTreeMap::from([("service.name", text(&definition.name))]);
    for (key, value) in definition.resource.iter().chain(&target.labels) {
        attributes.insert(key, text(value));
    }
    attributes.insert(INSTANCE_ID, text(&target.name));
    // Several instances have no address in common.
    if target.replicas.is_none() {
        attributes.extend([
            ("server.address", text(&target.server_address)),
            ("url.scheme", text(&target.url_scheme)),
        ]);
        // A Unix socket has none.
        if target.server_port != 0 {
            attributes.insert("server.port", Value::from(i64::from(target.server_port)));
        }
    }
    let attributes = attributes.into_iter();
    attributes
        .map(|(key, value)| KeyValue::new(key.to_owned(), value))
        .collect()
}
