//! The six sections. The registers of the components decode them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    ConfigSource, Environment, check, odd, registers::Registers, service::ServiceConfig, source,
};
use crate::{
    exporters::ExporterConfig,
    extensions::ExtensionConfig,
    processors::ProcessorConfig,
    receivers::ReceiverConfig,
    settings::{Component, ComponentId, ComponentType},
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
    pub receivers: BTreeMap<ComponentId, Component<dyn ReceiverConfig>>,
    /// The processors of polls.
    pub processors: BTreeMap<ComponentId, Component<dyn ProcessorConfig>>,
    /// The destinations of metrics.
    pub exporters: BTreeMap<ComponentId, Component<dyn ExporterConfig>>,
    /// The services for the operator.
    pub extensions: BTreeMap<ComponentId, Component<dyn ExtensionConfig>>,
    /// The components that are in use, and the pipelines.
    pub service: ServiceConfig,
    /// What `validate` says of it although it is valid: settings that do not fit together.
    #[serde(skip)]
    pub notes: Vec<Diagnostic>,
}

impl Config {
    /// Loads a configuration of the components of this collector, as [`Self::load_with`] does.
    pub fn load(
        sources: &[ConfigSource],
        environment: &Environment<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        Self::load_with(&Registers::builtin(), sources, environment, diagnostics)
    }

    /// Loads, merges, expands, decodes and checks the sources. `diagnostics` gets everything that
    /// is found. After an error there is no configuration.
    pub fn load_with(
        registers: &Registers,
        sources: &[ConfigSource],
        environment: &Environment<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let root = source::load(sources, environment, diagnostics)?;
        let config = Self::decode(registers, &root, diagnostics);
        diagnostics.hide_values(&root);
        let config = config.filter(|_| diagnostics.is_empty())?;
        Some(Self {
            notes: diagnostics.warnings().cloned().collect(),
            ..config
        })
    }

    fn decode(registers: &Registers, root: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
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
        let receivers = section(&at, "receivers", &registers.receivers, diagnostics);
        let processors = section(&at, "processors", &registers.processors, diagnostics);
        let exporters = section(&at, "exporters", &registers.exporters, diagnostics);
        let extensions = section(&at, "extensions", &registers.extensions, diagnostics);
        section::<()>(&at, "connectors", &[], diagnostics);
        let service = service(&at, diagnostics);
        check::sections(&at, diagnostics);
        let config = Self {
            receivers,
            processors,
            exporters,
            extensions,
            service: service?,
            notes: Vec::new(),
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
fn section<C: ?Sized>(
    root: &Cursor<'_>,
    name: &str,
    types: &[ComponentType<C>],
    diagnostics: &mut Diagnostics,
) -> BTreeMap<ComponentId, Component<C>> {
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
        let Some(known) = types.iter().find(|known| known.is(id.kind())) else {
            unknown_type(&section, &entry.key, id.kind(), types, diagnostics);
            continue;
        };
        if let Some(component) = known.read(&at, diagnostics) {
            components.insert(id, component);
        }
    }
    components
}

fn unknown_type<C: ?Sized>(
    section: &Cursor<'_>,
    key: &str,
    asked: &str,
    types: &[ComponentType<C>],
    diagnostics: &mut Diagnostics,
) {
    let names: Vec<_> = types.iter().map(|known| known.name).collect();
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
