//! Checks across the sections of a configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, PathBuf},
};

use super::{Config, metric_names};
use crate::{
    client::headers,
    extensions::ExtensionConfig,
    http::ServerConfig,
    settings::{self, ComponentId, ExtensionUse},
    telemetry::config::{MetricReaderConfig, SpanProcessorConfig, TelemetryConfig},
    yaml::{Cursor, Diagnostics, Value, nearest},
};

/// Checks that required sections exist and that every reference has a destination. It uses the
/// tree, so that a mistake elsewhere in `service` hides none of these. The messages are the
/// Collector's if it has the same check.
pub(super) fn sections(root: &Cursor<'_>, diagnostics: &mut Diagnostics) {
    for (section, kind) in [("receivers", "receiver"), ("exporters", "exporter")] {
        if is_empty(root, &[section]) {
            let message = format!("no {kind} configuration specified in config");
            root.error(&[section], message, diagnostics);
        }
    }
    if is_empty(root, &["service", "pipelines"]) {
        let path = ["service", "pipelines"];
        root.error(
            &path,
            "service must have at least one pipeline",
            diagnostics,
        );
    }
    let mut checker = Checker { root, diagnostics };
    checker.references("extension", &["service", "extensions"]);
    let pipelines = root.at(&["service", "pipelines"]);
    for pipeline in pipelines.iter().flat_map(|section| section.node.entries()) {
        checker.pipeline(&pipeline.key);
    }
}

/// Checks the values that several components share.
pub(super) fn values(config: &Config, root: &Cursor<'_>, diagnostics: &mut Diagnostics) {
    let mut checker = Checker { root, diagnostics };
    checker.shared_exporters(config);
    checker.shared_targets(config);
    checker.created_targets(config);
    checker.otlp_only(config);
    checker.files(config);
    checker.telemetry(config);
    checker.extension_uses(config);
    checker.listeners(config);
    metric_names::check(config, root, checker.diagnostics);
}

/// Whether there is nothing at `path`. A value that is not a map has its own message.
fn is_empty(root: &Cursor<'_>, path: &[&str]) -> bool {
    root.at(path).is_none_or(|found| {
        let is_map = matches!(found.node.value, Value::Map(_));
        found.node.is_null() || (is_map && found.node.entries().is_empty())
    })
}

struct Checker<'a, 'n> {
    root: &'a Cursor<'n>,
    diagnostics: &'a mut Diagnostics,
}

impl Checker<'_, '_> {
    fn error(&mut self, path: &[&str], message: impl Into<String>) {
        self.root.error(path, message, self.diagnostics);
    }

    fn pipeline(&mut self, key: &str) {
        let at = ["service", "pipelines", key];
        let id = key.parse::<ComponentId>();
        if let Some(id) = id.ok().filter(|id| id.kind() != "metrics") {
            let message =
                format!("this collector carries metrics only: write `metrics/…`, not `{id}`");
            self.error(&at, message);
        }
        let [service, pipelines, name] = at;
        for (kind, section) in [
            ("receiver", "receivers"),
            ("processor", "processors"),
            ("exporter", "exporters"),
        ] {
            let path = [service, pipelines, name, section];
            let node = self.root.at(&path).map(|found| found.node);
            let is_empty =
                node.is_none_or(|node| node.is_null() || node.value == Value::Seq(Vec::new()));
            if is_empty && kind != "processor" {
                self.error(&path, format!("must have at least one {kind}"));
            }
            self.references(kind, &path);
        }
    }

    /// Checks that each id names something that the file defines, and only once.
    fn references(&mut self, kind: &str, path: &[&str]) {
        let section = self.root.at(&[&format!("{kind}s")]);
        let entries = section.iter().flat_map(|section| section.node.entries());
        // The defined components, even if they could not be decoded: that has its own message.
        let keys: Vec<_> = entries.map(|entry| entry.key.as_str()).collect();
        if keys.is_empty() && ["receiver", "exporter"].contains(&kind) {
            return; // There is a message about the section.
        }
        let mut seen = BTreeSet::new();
        for (position, id) in self.ids(path) {
            let mut at = path.to_vec();
            at.extend(position.as_deref());
            let is_defined = |key: &&str| key.parse().is_ok_and(|key: ComponentId| key == id);
            if !seen.insert(id.clone()) {
                self.repetition(kind, &id, &at);
            } else if !keys.iter().any(is_defined) {
                let mut message = format!("references {kind} \"{id}\" which is not configured");
                if let Some(near) = nearest(&id.to_string(), &keys) {
                    message = format!("{message} (did you mean `{near}`?)");
                }
                self.error(&at, message);
            }
        }
    }

    /// Reports a repeated id. A processor that is listed twice would work twice; of any other
    /// component there is only one.
    fn repetition(&mut self, kind: &str, id: &ComponentId, at: &[&str]) {
        let message = format!("references {kind} \"{id}\" multiple times");
        match kind {
            "processor" => self.error(at, message),
            _ => {
                let message = format!("{message}; it is used once");
                self.root.warning(at, message, self.diagnostics);
            }
        }
    }

    /// The ids at `path`, each with its index if it has its own place: a list, or the words `a,b`.
    /// An invalid id has its own message.
    fn ids(&self, path: &[&str]) -> Vec<(Option<String>, ComponentId)> {
        let Some(list) = self.root.at(path) else {
            return Vec::new();
        };
        let items = list.node.items().iter().enumerate();
        let items = items.filter_map(|(index, item)| Some((Some(index.to_string()), item.text()?)));
        let words = match &list.node.value {
            Value::Scalar(_) => list.node.text().unwrap_or_default(),
            _ => "",
        };
        let words = words.split(',').map(|word| (None, word));
        let ids = items.chain(words);
        ids.filter_map(|(index, text)| Some((index, text.parse().ok()?)))
            .collect()
    }

    /// Checks that a receiver reaches an exporter only once: a second way would double its series.
    fn shared_exporters(&mut self, config: &Config) {
        let mut reached: BTreeMap<_, &ComponentId> = BTreeMap::new();
        for (pipeline_id, pipeline) in &config.service.pipelines {
            // A repetition in one list has its own message.
            let exporters: BTreeSet<_> = pipeline.exporters.iter().collect();
            let receivers: BTreeSet<_> = pipeline.receivers.iter().collect();
            let ways = exporters
                .into_iter()
                .flat_map(|exporter| receivers.iter().map(move |receiver| (exporter, *receiver)));
            for way in ways.filter(|_| pipeline_id.kind() == "metrics") {
                let Some(other) = reached.insert(way, pipeline_id) else {
                    continue;
                };
                let (exporter, receiver) = way;
                let message = format!(
                    "the targets of `{receiver}` reach exporter `{exporter}` twice: also in pipeline `{other}`"
                );
                let pipeline = pipeline_id.to_string();
                self.error(&["service", "pipelines", &pipeline], message);
            }
        }
    }

    /// Checks that the names of targets are unique among all receivers in use.
    fn shared_targets(&mut self, config: &Config) {
        let pipelines = config.service.pipelines.values();
        let used: BTreeSet<_> = pipelines.flat_map(|pipeline| &pipeline.receivers).collect();
        let mut taken: BTreeMap<String, &ComponentId> = BTreeMap::new();
        for receiver in used {
            for name in target_names(config, receiver) {
                let Some(other) = taken.insert(name.clone(), receiver) else {
                    continue;
                };
                let message = format!(
                    "a target `{name}` is also polled by `{other}`; give one of them another `name`"
                );
                self.error(&["receivers", &receiver.to_string(), "targets"], message);
            }
        }
    }

    /// Checks that components with the same endpoint can share its listener.
    fn listeners(&mut self, config: &Config) {
        let mut first: BTreeMap<String, (String, ServerConfig)> = BTreeMap::new();
        for (path, server) in servers(config) {
            let owner = path.join("::");
            match first.get(&server.endpoint) {
                Some((other, theirs)) => {
                    if let Some(what) = theirs.differs_in(&server) {
                        let endpoint = &server.endpoint;
                        let message =
                            format!("shares {endpoint} with `{other}` but differs in {what}");
                        let path: Vec<_> = path.iter().map(String::as_str).collect();
                        self.error(&path, message);
                    }
                }
                None => {
                    first.insert(server.endpoint.clone(), (owner, server));
                }
            }
        }
    }

    /// Checks that the names of targets that processors create are unique as well. Each pipeline has
    /// its own processors.
    fn created_targets(&mut self, config: &Config) {
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        let pipelines = config.service.pipelines.values();
        for receiver in pipelines.flat_map(|pipeline| &pipeline.receivers) {
            let names = target_names(config, receiver).into_iter();
            taken.extend(names.map(|name| (name, receiver.to_string())));
        }
        for (pipeline_id, pipeline) in &config.service.pipelines {
            for id in &pipeline.processors {
                let processor = config.processors.get(id);
                let Some(name) = processor.and_then(|processor| processor.created_target()) else {
                    continue;
                };
                let name = name.to_owned();
                let Some(other) = taken.insert(name.clone(), format!("{id}` in `{pipeline_id}"))
                else {
                    continue;
                };
                let message = format!(
                    "a target `{name}` is also made by `{other}`; give one of them another name"
                );
                self.error(&["processors", &id.to_string(), "target"], message);
            }
        }
    }

    /// Warns about a processor that changes only OTLP messages where no exporter sends OTLP. Only
    /// OTLP has deltas, for example, and elsewhere totals stay totals.
    fn otlp_only(&mut self, config: &Config) {
        for (pipeline_id, pipeline) in &config.service.pipelines {
            let needs_otlp = |id: &&ComponentId| {
                let processor = config.processors.get(id);
                processor.is_some_and(|processor| processor.needs_otlp())
            };
            let Some(id) = pipeline.processors.iter().find(needs_otlp) else {
                continue;
            };
            let mut exporters = pipeline.exporters.iter();
            if !exporters.any(|id| config.exporters.get(id).is_none_or(|of| of.speaks_otlp())) {
                let message = format!(
                    "`{id}` changes nothing here: no exporter of this pipeline speaks OTLP"
                );
                let path = [
                    "service",
                    "pipelines",
                    &pipeline_id.to_string(),
                    "processors",
                ];
                self.root.warning(&path, message, self.diagnostics);
            }
        }
    }

    /// Checks that only one exporter writes a file.
    fn files(&mut self, config: &Config) {
        let mut taken = BTreeMap::new();
        for (id, exporter) in &config.exporters {
            let Some(file) = exporter.writes_file() else {
                continue;
            };
            // `./a` and `a` are the same file.
            let path: PathBuf = file.path.components().skip_while(is_here).collect();
            if let Some(other) = taken.insert(path, id) {
                let message = format!("`{other}` writes this file too");
                self.error(&["exporters", &id.to_string(), file.key], message);
            }
        }
    }

    /// Checks that the extensions that components use run, and offer what the components need.
    fn extension_uses(&mut self, config: &Config) {
        let receivers = config.receivers.iter();
        let receivers = receivers.map(|(id, of)| ("receivers", id, of.uses()));
        let exporters = config.exporters.iter();
        let exporters = exporters.map(|(id, of)| ("exporters", id, of.uses()));
        for (section, component, uses) in receivers.chain(exporters) {
            for used in uses {
                if let Some(what) = self.missing_use(config, &used) {
                    let component = component.to_string();
                    let key = used.key.iter().map(String::as_str);
                    let at: Vec<_> = [section, &component].into_iter().chain(key).collect();
                    self.error(&at, format!("references extension \"{}\" {what}", used.id));
                }
            }
        }
    }

    /// Why a component cannot use an extension, if it cannot.
    fn missing_use(&self, config: &Config, used: &ExtensionUse<'_>) -> Option<String> {
        let offers =
            |of: &settings::Component<dyn ExtensionConfig>| of.offers().contains(&used.needs);
        match config.extensions.get(used.id) {
            Some(extension) if offers(extension) => {
                let runs = config.service.extensions.contains(used.id);
                (!runs).then(|| "which is not in `service::extensions`".to_owned())
            }
            Some(_) => Some(used.needs.missing().to_owned()),
            // A component that could not be decoded has its own message.
            None if self.is_defined("extensions", used.id) => None,
            None => {
                let known = config.extensions.iter().filter(|(_, of)| offers(of));
                let known: Vec<_> = known.map(|(id, _)| id.to_string()).collect();
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                let near = nearest(&used.id.to_string(), &known);
                let near = near.map(|near| format!(" (did you mean `{near}`?)"));
                let near = near.unwrap_or_default();
                Some(format!("which is not configured{near}"))
            }
        }
    }

    /// Whether the file has a component `id` in `section`.
    fn is_defined(&self, section: &str, id: &ComponentId) -> bool {
        let section = self.root.at(&[section]);
        let entries = section.iter().flat_map(|section| section.node.entries());
        let mut keys = entries.map(|entry| entry.key.parse::<ComponentId>());
        keys.any(|key| key.as_ref() == Ok(id))
    }

    fn telemetry(&mut self, config: &Config) {
        let telemetry = &config.service.telemetry;
        let ratio = telemetry
            .traces
            .sampler
            .trace_id_ratio_based
            .as_ref()
            .map(|share| share.ratio);
        if ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
            let at = [
                "service",
                "telemetry",
                "traces",
                "sampler",
                "trace_id_ratio_based",
                "ratio",
            ];
            self.error(&at, "expected a number from 0 to 1");
        }
        self.telemetry_headers(telemetry);
    }

    fn telemetry_headers(&mut self, telemetry: &TelemetryConfig) {
        let readers = telemetry.metrics.readers.iter().enumerate();
        let pushes = readers.filter_map(|(index, reader)| match reader {
            MetricReaderConfig::Periodic(periodic) => {
                let way = ["metrics", "readers", &index.to_string(), "periodic"];
                Some((way.map(str::to_owned), &periodic.exporter.otlp))
            }
            MetricReaderConfig::Pull(_) => None,
        });
        let spans = telemetry.traces.processors.iter().enumerate();
        let spans = spans.map(|(index, SpanProcessorConfig::Batch(batch))| {
            let way = ["traces", "processors", &index.to_string(), "batch"];
            (way.map(str::to_owned), &batch.exporter.otlp)
        });
        for (way, otlp) in pushes.chain(spans) {
            let way = way.iter().map(String::as_str);
            let path = ["service", "telemetry"].into_iter().chain(way);
            let path: Vec<_> = path.chain(["exporter", "otlp"]).collect();
            let at = self.root.at(&path);
            if let (Err(mistake), Some(at)) = (headers::parse(&otlp.headers), at) {
                mistake.report(&at, self.diagnostics);
            }
        }
    }
}

/// The addresses of all listeners in use, each with its path in the file.
fn servers(config: &Config) -> Vec<(Vec<String>, ServerConfig)> {
    let path = |section: &str, id: &ComponentId| vec![section.to_owned(), id.to_string()];
    let pipelines = config.service.pipelines.values();
    let used: BTreeSet<_> = pipelines.flat_map(|pipeline| &pipeline.exporters).collect();
    let exporters = config.exporters.iter().filter(|(id, _)| used.contains(id));
    let exporters =
        exporters.filter_map(|(id, of)| Some((path("exporters", id), of.listens_on()?)));
    let used: BTreeSet<_> = config.service.extensions.iter().collect();
    let extensions = config.extensions.iter().filter(|(id, _)| used.contains(id));
    let extensions =
        extensions.filter_map(|(id, of)| Some((path("extensions", id), of.listens_on()?)));
    let own = config.service.telemetry.scrape_endpoints();
    let at = ["service", "telemetry", "metrics", "readers"].map(str::to_owned);
    let own = own.map(|endpoint| (at.to_vec(), ServerConfig::plain(endpoint)));
    exporters.chain(extensions).chain(own).collect()
}

fn is_here(component: &Component<'_>) -> bool {
    *component == Component::CurDir
}

fn target_names(config: &Config, receiver: &ComponentId) -> BTreeSet<String> {
    let receiver = config.receivers.get(receiver);
    receiver
        .map(|receiver| receiver.target_names())
        .unwrap_or_default()
}
