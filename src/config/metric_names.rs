//! Checks the metric names that processors create.

use std::{collections::BTreeSet, sync::Arc};

use opentelemetry_sdk::metrics::SdkMeterProvider;
use tracing::subscriber::{NoSubscriber, with_default};

use super::{Config, service::PipelineConfig};
use crate::{
    definition,
    instruments::{ReportMetrics, resource},
    pipeline::{Stream, Target},
    processors::ProcessorContext,
    runtime::Clock,
    settings::ComponentId,
    telemetry::Meter,
    yaml::{Cursor, Diagnostics},
};

/// Checks that no processor creates two metric names of a target that differ only in case. For
/// OpenTelemetry they are the same name.
pub(super) fn check(config: &Config, root: &Cursor<'_>, diagnostics: &mut Diagnostics) {
    let mut found = BTreeSet::new();
    // The log lines of processors appear when the processors really start.
    with_default(NoSubscriber::default(), || {
        for pipeline in config.service.pipelines.values() {
            for target in targets(config, pipeline) {
                found.extend(homonym(config, pipeline, &Arc::new(target)));
            }
        }
    });
    for (processor, message) in found {
        let at = ["processors", &processor.to_string()];
        root.error(&at, message, diagnostics);
    }
}

/// A target of each definition of each receiver of a pipeline. A definition that cannot be read has
/// its own message.
fn targets(config: &Config, pipeline: &PipelineConfig) -> Vec<Target> {
    let receivers = pipeline.receivers.iter();
    let receivers = receivers.filter_map(|id| Some((id, config.receivers.get(id)?)));
    let targets = receivers.flat_map(|(id, receiver)| {
        let definitions = receiver.definitions().iter();
        let definitions = definitions.filter_map(|name| definition::load(name).ok());
        definitions.map(|definition| Target::polled_by(&id.to_string(), "", &definition))
    });
    targets.collect()
}

/// The first processor after which two names differ only in case, and the message about it.
fn homonym(
    config: &Config,
    pipeline: &PipelineConfig,
    target: &Arc<Target>,
) -> Option<(ComponentId, String)> {
    let mut stream = Stream {
        schema: Arc::new(ReportMetrics::schema(target)),
        resource: resource(target),
        target: Arc::clone(target),
    };
    let meter = Meter::of(&SdkMeterProvider::default());
    let board = Arc::default();
    for id in &pipeline.processors {
        let processor = config.processors.get(id)?;
        let built = processor.build(&ProcessorContext {
            id: &id.to_string(),
            meter: &meter,
            clock: &Clock::System,
            board: &board,
        });
        drop(built.open(&mut stream));
        let name = |index| Some(stream.schema.get(index)?.name.clone());
        if let Some((other, first)) = stream.schema.homonyms().next() {
            let message = format!(
                "with definition `{}` it creates `{}` in addition to `{}`: they differ only in case, and \
                 OpenTelemetry takes them for one name",
                target.definition.name,
                name(other)?,
                name(first)?
            );
            return Some((id.clone(), message));
        }
    }
    None
}
