//! Warnings about settings that are valid but probably not intended.

use std::{collections::BTreeSet, sync::Arc};

use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::Config;
use crate::{
    definition::{self, Definition, InstrumentKind, ValueType},
    instruments::ReportMetrics,
    pipeline::{Stream, Target},
    processors::{ProcessorConfig, ProcessorContext},
    runtime::Clock,
    settings::{Component, ComponentId},
    telemetry::Meter,
    yaml::{Cursor, Diagnostics, Node, nearest},
};

/// Adds the warnings about `config`.
pub(super) fn warn(config: &Config, root: &Cursor<'_>, diagnostics: &mut Diagnostics) {
    let mut watch = Watch {
        config,
        root,
        diagnostics,
    };
    watch.unused();
    watch.exporters();
    watch.counters();
    watch.names();
}

struct Watch<'a, 'n> {
    config: &'a Config,
    root: &'a Cursor<'n>,
    diagnostics: &'a mut Diagnostics,
}

impl Watch<'_, '_> {
    fn warning(&mut self, path: &[&str], message: impl Into<String>) {
        self.root.warning(path, message, self.diagnostics);
    }

    /// Warns about components that are defined but not used.
    fn unused(&mut self) {
        let config = self.config;
        let pipelines = || config.service.pipelines.values();
        let receivers: BTreeSet<_> = pipelines().flat_map(|p| &p.receivers).collect();
        let processors: BTreeSet<_> = pipelines().flat_map(|p| &p.processors).collect();
        let exporters: BTreeSet<_> = pipelines().flat_map(|p| &p.exporters).collect();
        let extensions: BTreeSet<_> = config.service.extensions.iter().collect();
        let in_no_pipeline = "is in no pipeline, so it does nothing";
        let is_not_named = "is not in `service::extensions`, so it does nothing";
        self.unused_in(
            "receivers",
            &receivers,
            config.receivers.keys(),
            in_no_pipeline,
        );
        self.unused_in(
            "processors",
            &processors,
            config.processors.keys(),
            in_no_pipeline,
        );
        // Many configurations keep `debug` unused, to look at the data of a pipeline later.
        let defined = config.exporters.iter();
        let defined = defined.filter(|(_, of)| !of.is_for_inspection());
        let defined = defined.map(|(id, _)| id);
        self.unused_in("exporters", &exporters, defined, in_no_pipeline);
        self.unused_in(
            "extensions",
            &extensions,
            config.extensions.keys(),
            is_not_named,
        );
    }

    fn unused_in<'c>(
        &mut self,
        section: &str,
        used: &BTreeSet<&ComponentId>,
        defined: impl Iterator<Item = &'c ComponentId>,
        message: &str,
    ) {
        for id in defined.filter(|id| !used.contains(id)) {
            self.warning(&[section, &id.to_string()], message);
        }
    }

    /// The warnings of the exporters themselves.
    fn exporters(&mut self) {
        for (id, exporter) in &self.config.exporters {
            if let Some(at) = self.root.at(&["exporters", &id.to_string()]) {
                exporter.warn(&at, self.diagnostics);
            }
        }
    }

    /// The definitions of a receiver. `None` if one of them has its own message.
    fn definitions(&self, id: &ComponentId) -> Option<Vec<Arc<Definition>>> {
        let names = self.config.receivers.get(id)?.definitions().iter();
        names.map(|name| definition::load(name).ok()).collect()
    }

    /// Warns about integer counters of seconds: a value with a fraction is refused.
    fn counters(&mut self) {
        for id in self.config.receivers.keys() {
            for definition in self.definitions(id).unwrap_or_default() {
                let counters = definition.instruments.iter().filter(|instrument| {
                    instrument.kind == InstrumentKind::Counter
                        && instrument.value_type == ValueType::Int
                        && instrument.unit == "s"
                });
                for counter in counters {
                    let message = format!(
                        "`{}` of `{}` counts seconds in integers, so that a value with a fraction \
                         is refused; write `value_type: double` there",
                        counter.name, definition.name
                    );
                    self.warning(&["receivers", &id.to_string(), "definition"], message);
                }
            }
        }
    }

    /// Warns about a processor that names a metric which no target has.
    fn names(&mut self) {
        for (id, processor) in &self.config.processors {
            let Some(names) = self.names_before(id) else {
                continue;
            };
            let known: Vec<_> = names.iter().map(String::as_str).collect();
            for mention in processor.mentions() {
                if mention.fits(known.iter().copied()) != Some(false) {
                    continue;
                }
                let id = id.to_string();
                let path = mention.path.iter().map(String::as_str);
                let path: Vec<_> = ["processors", &id].into_iter().chain(path).collect();
                let node = self.root.at(&path).map(|at| at.node);
                // A value from the environment is not shown.
                let hidden = node.filter(|node| node.expansion.is_some());
                let text = hidden.map_or_else(|| format!("`{}`", mention.text), Node::describe);
                let near = nearest(&mention.text, &known);
                let near = near.filter(|_| mention.is_name() && hidden.is_none());
                let message = match (mention.is_name(), near) {
                    (true, Some(near)) => format!(
                        "no metric at this place has the name {text} (did you mean `{near}`?)"
                    ),
                    (true, None) => format!("no metric at this place has the name {text}"),
                    (false, _) => format!("{text} matches no name of a metric at this place"),
                };
                self.warning(&path, message);
            }
        }
    }

    /// The names of all metrics that reach a processor in any pipeline. `None` if it is in no
    /// pipeline, or if the names are not known.
    fn names_before(&self, id: &ComponentId) -> Option<BTreeSet<String>> {
        let pipelines = self.config.service.pipelines.values();
        let pipelines: Vec<_> = pipelines
            .filter(|pipeline| pipeline.processors.contains(id))
            .collect();
        let mut names = BTreeSet::new();
        for pipeline in &pipelines {
            let before = pipeline.processors.iter().take_while(|other| *other != id);
            let before: Option<Vec<_>> = before
                .map(|other| self.config.processors.get(other))
                .collect();
            let before = before?;
            for receiver in &pipeline.receivers {
                for definition in self.definitions(receiver)? {
                    let target = Target::polled_by(&receiver.to_string(), "", &definition);
                    names.extend(names_behind(&before, Arc::new(target))?);
                }
            }
        }
        (!pipelines.is_empty()).then_some(names)
    }
}

/// The names of the metrics of a target after some processors. `None` if one of them creates a
/// target, because its metrics are not known here.
fn names_behind(
    processors: &[&Component<dyn ProcessorConfig>],
    target: Arc<Target>,
) -> Option<Vec<String>> {
    let meter = Meter::of(&SdkMeterProvider::default());
    let board = Arc::default();
    let context = ProcessorContext {
        id: "none",
        meter: &meter,
        clock: &Clock::System,
        board: &board,
    };
    let mut stream = Stream {
        schema: Arc::new(ReportMetrics::schema(&target)),
        target,
        resource: Vec::new().into(),
    };
    for processor in processors {
        if processor.created_target().is_some() {
            return None;
        }
        // What depends on the Resource, as what a filter drops, is not known here.
        if processor.changes_names() {
            processor.build(&context).open(&mut stream);
        }
    }
    let instruments = stream.schema.instruments().iter();
    Some(
        instruments
            .map(|instrument| instrument.name.clone())
            .collect(),
    )
}
