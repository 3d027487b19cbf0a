//! Who a target is, as an OpenTelemetry Resource.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use crate::pipeline::Target;

/// The attributes that the Prometheus compatibility specification asks of a scraped target, the
/// definition's own, and the configured labels; a label wins over the definition.
pub(super) fn resource(target: &Target) -> Resource {
    let text = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let definition = &target.definition;
    let mut attributes = vec![text("service.name", &definition.name)];
    attributes.extend(
        definition
            .resource
            .iter()
            .map(|(key, value)| text(key, value)),
    );
    attributes.extend(target.labels.iter().map(|(key, value)| text(key, value)));
    attributes.extend([
        text("service.instance.id", &target.name),
        text("server.address", &target.server_address),
        KeyValue::new("server.port", i64::from(target.server_port)),
        text("url.scheme", &target.url_scheme),
    ]);
    // Of two attributes with one key the last one stays.
    Resource::builder_empty()
        .with_attributes(attributes)
        .build()
}
