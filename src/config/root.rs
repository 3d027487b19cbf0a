//! The six sections. The registers of the components decode them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ConfigSource, Environment, check, odd, service::ServiceConfig, source};
use crate::{
    exporters, extensions, processors, receivers,
    settings::{ComponentId, ComponentType},
    telemetry::SERVICE_FOREIGN,
    yaml::{self, Cursor, Diagnostic, Diagnostics, Node, Value, list, nearest},
};

/// The names of the six sections.
pub const SECTIONS: [&str; 6] = [
    "receivers",
    "processors",
    "exporters",
    "connectors",
    "extensions",
    "service",
];

/// A complete, checked configuration: everything that it references exists and can be built.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Config {
    /// The sources of polls.
    pub receivers: BTreeMap<ComponentId, receivers::Config>,
    /// The processors of polls.
    pub processors: BTreeMap<ComponentId, processors::Config>,
    /// The destinations of metrics.
    pub exporters: BTreeMap<ComponentId, exporters::Config>,
    /// The services for the operator.
    pub extensions: BTreeMap<ComponentId, extensions::Config>,
    /// The components that are in use, and the pipelines.
    pub service: ServiceConfig,
}

/// Decodes the configuration of a component.
type Decode<T> = fn(&ComponentType, &Cursor<'_>, &mut Diagnostics) -> Option<T>;

impl Config {
    /// Loads, merges, expands, decodes and checks the sources. `diagnostics` gets everything that
    /// is found. After an error there is no configuration.
    pub fn load(
        sources: &[ConfigSource],
        environment: &Environment<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let root = source::load(sources, environment, diagnostics)?;
        let config = Self::decode(&root, diagnostics);
        diagnostics.hide_values(&root);
        config.filter(|_| diagnostics.is_empty())
    }

    fn decode(root: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if root.is_null() || (root.entries().is_empty() && matches!(root.value, Value::Map(_))) {
            diagnostics.error(&root.place, "", "empty configuration file");
            return None;
        }
        let at = Cursor::new(root, "");
        if !matches!(root.value, Value::Map(_)) {
            let message = format!(
                "expected a map of the six sections, found {}",
                root.describe()
            );
            diagnostics.error(&root.place, "", message);
            return None;
        }
        unknown_sections(root, diagnostics);
        let receivers = section(
            &at,
            "receivers",
            receivers::KINDS,
            receivers::Config::decode,
            diagnostics,
        );
        let processors = section(
            &at,
            "processors",
            processors::KINDS,
            processors::Config::decode,
            diagnostics,
        );
        let exporters = section(
            &at,
            "exporters",
            exporters::KINDS,
            exporters::Config::decode,
            diagnostics,
        );
        let extensions = section(
            &at,
            "extensions",
            extensions::KINDS,
            extensions::Config::decode,
            diagnostics,
        );
        section::<()>(&at, "connectors", &[], |_, _, _| None, diagnostics);
        let service = service(&at, diagnostics);
        check::sections(&at, diagnostics);
        let config = Self {
            receivers,
            processors,
            exporters,
            extensions,
            service: service?,
        };
        check::values(&config, &at, diagnostics);
        if diagnostics.is_empty() {
            odd::warn(&config, &at, diagnostics);
        }
        Some(config)
    }
}

/// Decodes the section `service`.
fn service(root: &Cursor<'_>, diagnostics: &mut Diagnostics) -> Option<ServiceConfig> {
    let Some(at) = root.at(&["service"]) else {
        return Some(ServiceConfig::default());
    };
    let decoded: Option<ServiceConfig> =
        yaml::decode_foreign(at.node, &at.path, &SERVICE_FOREIGN, diagnostics);
    decoded.map(ServiceConfig::without_repetitions)
}

fn unknown_sections(root: &Node, diagnostics: &mut Diagnostics) {
    for entry in root
        .entries()
        .iter()
        .filter(|entry| !SECTIONS.contains(&entry.key.as_str()))
    {
        let help = match nearest(&entry.key, &SECTIONS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the sections are {}", list(&SECTIONS)),
        };
        diagnostics.push(Diagnostic {
            place: entry.key_place.clone(),
            path: entry.key.clone(),
            message: "unknown section".to_owned(),
            help: Some(help),
        });
    }
}

/// Decodes the components of one section. An invalid component does not hide the others.
fn section<T>(
    root: &Cursor<'_>,
    name: &str,
    kinds: &[ComponentType],
    decode: Decode<T>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<ComponentId, T> {
    let mut components = BTreeMap::new();
    let Some(section) = root.at(&[name]) else {
        return components;
    };
    if !section.node.is_null() && !matches!(section.node.value, Value::Map(_)) {
        let message = format!(
            "expected a map of components, found {}",
            section.node.describe()
        );
        root.error(&[name], message, diagnostics);
    }
    let mut seen = BTreeMap::new();
    for (entry, at) in section.node.entries().iter().zip(section.children()) {
        let id = match entry.key.parse::<ComponentId>() {
            Ok(id) => id,
            Err(error) => {
                section.error(&[&entry.key], error.to_string(), diagnostics);
                continue;
            }
        };
        if let Some(first) = seen.insert(id.clone(), &entry.key_place) {
            let message = format!("duplicate name `{id}`, which is already set at {first}");
            section.error(&[&entry.key], message, diagnostics);
            continue;
        }
        let Some(kind) = kinds.iter().find(|kind| kind.is(id.kind())) else {
            unknown_kind(&section, &entry.key, id.kind(), kinds, diagnostics);
            continue;
        };
        if let Some(component) = decode(kind, &at, diagnostics) {
            components.insert(id, component);
        }
    }
    components
}

fn unknown_kind(
    section: &Cursor<'_>,
    key: &str,
    asked: &str,
    kinds: &[ComponentType],
    diagnostics: &mut Diagnostics,
) {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    let valid = match names.as_slice() {
        [] => format!("this collector has no {}", section.path),
        names => format!("valid values: [{}]", names.join(" ")),
    };
    let mut message = format!("unknown type: \"{asked}\" for id: \"{key}\" ({valid})");
    if let Some(near) = nearest(asked, &names) {
        message = format!("{message}; did you mean `{near}`?");
    }
    section.error(&[key], message, diagnostics);
}
