//! The names that processors give metrics.

use std::{collections::BTreeSet, sync::Arc};

use opentelemetry_sdk::metrics::SdkMeterProvider;
use tracing::subscriber::{NoSubscriber, with_default};

use super::{Config, service::PipelineConfig};
use crate::{
    definition::{self, Definition},
    instruments::{ReportMetrics, resource},
    pipeline::{Stream, Target},
    processors, receivers,
    runtime::Clock,
    settings::ComponentId,
    telemetry::Meter,
    yaml::{Cursor, Diagnostics},
};

/// Checks that no processor gives two metrics of a target names that differ in case only, which
/// OpenTelemetry takes for one.
pub(super) fn check(config: &Config, root: &Cursor<'_>, diagnostics: &mut Diagnostics) {
    let mut found = BTreeSet::new();
    // What processors say when they open is said when they really do.
    with_default(NoSubscriber::default(), || {
        for pipeline in config.service.pipelines.values() {
            for definition in definitions(config, pipeline) {
                found.extend(homonym(config, pipeline, &definition));
            }
        }
    });
    for (processor, message) in found {
        let at = ["processors", &processor.to_string()];
        root.error(&at, message, diagnostics);
    }
}

/// What the receivers of a pipeline poll; what cannot be read has its own message.
fn definitions(config: &Config, pipeline: &PipelineConfig) -> Vec<Arc<Definition>> {
    let receivers = pipeline.receivers.iter();
    let receivers = receivers.filter_map(|id| config.receivers.get(id));
    let names = receivers.flat_map(|receivers::Config::HttpJson(of)| &of.definition);
    names
        .filter_map(|name| definition::load(name).ok())
        .collect()
}

/// The first processor behind which two names differ in case only, and what is wrong.
fn homonym(
    config: &Config,
    pipeline: &PipelineConfig,
    definition: &Arc<Definition>,
) -> Option<(ComponentId, String)> {
    let target = Arc::new(Target::named("", definition));
    let mut stream = Stream {
        schema: Arc::new(ReportMetrics::schema(definition, 1)),
        resource: resource(&target),
        target,
    };
    let meter = Meter::of(&SdkMeterProvider::default());
    let board = Arc::default();
    let context = processors::ProcessorContext {
        meter: &meter,
        clock: &Clock::System,
        board: &board,
    };
    for id in &pipeline.processors {
        let processor = config.processors.get(id)?;
        let built = processor.build(&id.to_string(), &context);
        drop(built.open(&mut stream));
        let name = |index| Some(stream.schema.get(index)?.name.clone());
        if let Some((other, first)) = stream.schema.homonyms().next() {
            let message = format!(
                "with definition `{}` it makes `{}` beside `{}`: they differ in case only, and \
                 OpenTelemetry takes them for one name",
                definition.name,
                name(other)?,
                name(first)?
            );
            return Some((id.clone(), message));
        }
    }
    None
}
