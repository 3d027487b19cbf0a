//! From a configuration to components, connected.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{World, own_telemetry, pipeline::MetricsPipeline};
use crate::{
    config::Config,
    exporters, extensions,
    http::{BindError, Limits, Listeners, RouteError},
    pipeline::{Consumer, Exporter, StatusBoard},
    processors,
    receivers::{self, http_json},
    runtime::Tasks,
    settings::ComponentId,
    telemetry::{OwnTelemetry, TelemetryError},
};

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An exporter cannot be built.
    #[error("failed to build the exporter `{id}`")]
    Exporter {
        /// Which one.
        id: String,
        /// Why.
        #[source]
        source: exporters::BuildError,
    },
    /// A receiver cannot be built.
    #[error("failed to build the receiver `{id}`")]
    Receiver {
        /// Which one.
        id: String,
        /// Why.
        #[source]
        source: http_json::BuildError,
    },
    /// The collector cannot speak of itself.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Two components want the same path.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// All components that the pipelines use, built but for the listeners' ports.
pub(super) struct Graph {
    listeners: Listeners,
    exporters: BTreeMap<ComponentId, Arc<dyn Exporter>>,
    pipelines: Vec<Arc<MetricsPipeline>>,
    receivers: Vec<(http_json::HttpJson, Vec<Arc<dyn Consumer>>)>,
}

impl Graph {
    /// Builds exporters, extensions and receivers. Exporters' tasks run from now on.
    pub(super) fn build(
        config: &Config,
        telemetry: &Arc<OwnTelemetry>,
        exporting: &Tasks,
        world: &World,
    ) -> Result<Self, StartError> {
        let meter = telemetry.meter();
        let mut listeners = Listeners::new(Limits::default(), &meter);
        own_telemetry::register(telemetry, &mut listeners)?;
        let context = exporters::Context {
            listeners: &mut listeners,
            tasks: exporting,
            meter: &meter,
            seed: world.seed,
        };
        let exporters = build_exporters(config, context)?;
        let (board, names) = (Arc::new(StatusBoard::default()), Arc::default());
        for id in &config.service.extensions {
            if let Some(extensions::Config::HealthCheck(extension)) = config.extensions.get(id) {
                extension.build(&id.to_string(), &mut listeners, &board, &world.clock)?;
            }
        }
        let (pipelines, consumers) = build_pipelines(config, &exporters, &meter);
        let mut receivers = Vec::new();
        for (id, consumers) in consumers {
            let context = http_json::Context {
                id: id.to_string(),
                clock: world.clock.clone(),
                meter: meter.clone(),
                board: Arc::clone(&board),
                names: Arc::clone(&names),
            };
            receivers.extend(build_receiver(config, id, &context)?.map(|built| (built, consumers)));
        }
        Ok(Self {
            listeners,
            exporters,
            pipelines,
            receivers,
        })
    }

    /// The exporters that are used.
    pub(super) fn exporters(&self) -> Vec<Arc<dyn Exporter>> {
        self.exporters.values().cloned().collect()
    }

    /// Takes the ports, serves, and starts the processors, then the receivers.
    pub(super) async fn start(self, serving: &Tasks, receiving: &Tasks) -> Result<(), StartError> {
        self.listeners.bind().await?.serve(serving);
        for pipeline in &self.pipelines {
            pipeline.start(receiving);
        }
        for (receiver, consumers) in self.receivers {
            receiver.start(&consumers, receiving);
        }
        Ok(())
    }
}

/// What is defined but not used is checked, not built.
fn build_exporters(
    config: &Config,
    mut context: exporters::Context<'_>,
) -> Result<BTreeMap<ComponentId, Arc<dyn Exporter>>, StartError> {
    let used = config
        .service
        .pipelines
        .values()
        .flat_map(|pipeline| &pipeline.exporters);
    let used: BTreeSet<_> = used.collect();
    let mut built = BTreeMap::new();
    for (id, exporter) in config.exporters.iter().filter(|(id, _)| used.contains(id)) {
        let exporter = exporter
            .build(&id.to_string(), &mut context)
            .map_err(|source| StartError::Exporter {
                id: id.to_string(),
                source,
            })?;
        built.insert(id.clone(), exporter);
    }
    Ok(built)
}

/// For each receiver, what takes its polls: one consumer a pipeline.
type Consumers<'c> = BTreeMap<&'c ComponentId, Vec<Arc<dyn Consumer>>>;

/// The pipelines, each with processors of its own, and which receivers they take polls from.
fn build_pipelines<'c>(
    config: &'c Config,
    exporters: &BTreeMap<ComponentId, Arc<dyn Exporter>>,
    meter: &opentelemetry::metrics::Meter,
) -> (Vec<Arc<MetricsPipeline>>, Consumers<'c>) {
    let mut pipelines = Vec::new();
    let mut consumers = Consumers::new();
    let context = processors::Context { meter };
    for pipeline in config.service.pipelines.values() {
        let ends = pipeline.exporters.iter();
        let ends = ends.filter_map(|id| exporters.get(id)).cloned().collect();
        let processors = pipeline.processors.iter().filter_map(|id| {
            let built = config.processors.get(id)?.build(&id.to_string(), &context);
            Some((id.to_string(), built))
        });
        let built = MetricsPipeline::new(processors.collect(), ends, meter);
        let built = Arc::new(built);
        for receiver in &pipeline.receivers {
            let consumer = Arc::clone(&built) as Arc<dyn Consumer>;
            consumers.entry(receiver).or_default().push(consumer);
        }
        pipelines.push(built);
    }
    (pipelines, consumers)
}

fn build_receiver(
    config: &Config,
    id: &ComponentId,
    context: &http_json::Context,
) -> Result<Option<http_json::HttpJson>, StartError> {
    let Some(receivers::Config::HttpJson(receiver)) = config.receivers.get(id) else {
        return Ok(None);
    };
    let built = receiver
        .build(context)
        .map_err(|source| StartError::Receiver {
            id: id.to_string(),
            source,
        })?;
    Ok(Some(built))
}
