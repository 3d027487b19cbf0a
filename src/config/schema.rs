//! The JSON Schema of a configuration, with which editors complete and check it.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{foreign_schema, registers::Registers, service::ServiceConfig};
use crate::{settings::ComponentType, telemetry::SERVICE_FOREIGN, yaml::Foreign};

/// The schema as draft 07, which the YAML language server supports.
pub fn schema(registers: &Registers) -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let service = ServiceConfig::json_schema(&mut generator);
    let properties = json!({
        "receivers": section("receivers", &registers.receivers, &mut generator),
        "processors": section("processors", &registers.processors, &mut generator),
        "exporters": section("exporters", &registers.exporters, &mut generator),
        "connectors": section::<()>("connectors", &[], &mut generator),
        "extensions": section("extensions", &registers.extensions, &mut generator),
        "service": service.to_value(),
    });
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "betanet-collector configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "definitions": generator.take_definitions(true),
    });
    let foreign = foreign("receivers", &registers.receivers)
        .chain(foreign("processors", &registers.processors))
        .chain(foreign("exporters", &registers.exporters))
        .chain(foreign("extensions", &registers.extensions));
    for (pointer, foreign) in foreign {
        foreign_schema::add(&mut schema, &pointer, foreign);
    }
    foreign_schema::add(&mut schema, "/properties/service", &SERVICE_FOREIGN);
    relax(&mut schema);
    schema
}

/// The foreign keys of the types of a section, each with the pointer to its schema.
fn foreign<C: ?Sized>(
    section: &str,
    types: &[ComponentType<C>],
) -> impl Iterator<Item = (String, &'static Foreign)> {
    types.iter().map(move |known| {
        let pattern = pattern(known).replace('~', "~0").replace('/', "~1");
        let pointer = format!("/properties/{section}/patternProperties/{pattern}");
        (pointer, known.foreign)
    })
}

/// The keys of components of a type.
fn pattern<C: ?Sized>(kind: &ComponentType<C>) -> String {
    let names = std::iter::once(kind.name).chain(kind.aliases.iter().copied());
    format!("^({})(/.+)?$", names.collect::<Vec<_>>().join("|"))
}

/// A map of components: the key has the type.
fn section<C: ?Sized>(
    name: &str,
    types: &[ComponentType<C>],
    generator: &mut SchemaGenerator,
) -> Value {
    let mut patterns = Map::new();
    for known in types {
        let body = (known.schema)(generator).to_value();
        let body = json!({"description": known.about, "anyOf": [body, {"type": "null"}]});
        patterns.insert(pattern(known), body);
    }
    json!({
        "description": format!("All {name}, by type or type/name."),
        "type": ["object", "null"],
        "additionalProperties": false,
        "patternProperties": patterns,
    })
}

/// Whether the schema allows only some words.
fn is_choice(schema: &Map<String, Value>) -> bool {
    let is_word = |choice: &Value| choice.get("const").is_some() || choice.get("enum").is_some();
    let choices = schema.get("oneOf").and_then(Value::as_array);
    let is_list = |choices: &Vec<Value>| !choices.is_empty() && choices.iter().all(is_word);
    schema.contains_key("enum") || choices.is_some_and(is_list)
}

/// Forbids unknown keys in every struct, and allows `${env:X}` in place of a number, a boolean or
/// one of several words.
fn relax(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(relax),
        Value::Object(object) => {
            object.values_mut().for_each(relax);
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            let scalar =
                |kind: &Value| matches!(kind.as_str(), Some("integer" | "number" | "boolean"));
            if object.get("type").is_some_and(scalar) || is_choice(object) {
                let strict = Value::Object(std::mem::take(object));
                let reference = json!({"type": "string", "pattern": "\\$\\{"});
                *schema = json!({"anyOf": [strict, reference]});
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
