//! From a configuration to components, connected.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Site, own_telemetry, pipeline::MetricsPipeline, probe::Probes, reload::Reloadable};
use crate::{
    config::Config,
    delivery::Storages,
    exporters,
    extensions::{self, health_check},
    http::{BindError, Limits, Listeners, RouteError},
    pipeline::{ComponentKind, Exporter},
    processors::{self, mapping},
    receivers::{self, http_json},
    runtime::Tasks,
    settings::ComponentId,
    storage::InUse,
    telemetry::TelemetryError,
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
    /// Another process works in the directory of a storage.
    #[error("failed to start the extension `{id}`")]
    Storage {
        /// Which one.
        id: String,
        /// Why.
        #[source]
        source: InUse,
    },
    /// A port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// All components that the pipelines use, built but for the listeners' ports.
pub(super) struct Graph {
    storages: Storages,
    listeners: Listeners,
    exporters: BTreeMap<ComponentId, Arc<dyn Exporter>>,
    pipelines: BTreeMap<ComponentId, Arc<MetricsPipeline>>,
    receivers: Vec<(ComponentId, http_json::HttpJson)>,
}

impl Graph {
    /// Builds exporters, extensions and receivers. Exporters' tasks run from now on.
    pub(super) fn build(
        config: &Config,
        site: &Site,
        exporting: &Tasks,
    ) -> Result<Self, StartError> {
        let mut listeners = Listeners::new(Limits::default(), &site.meter);
        own_telemetry::register(&site.telemetry, &mut listeners)?;
        let storages = build_storages(config, site);
        let exporters = build_exporters(config, site, &storages, &mut listeners, exporting)?;
        build_extensions(config, site, &mut listeners)?;
        let pipelines = build_pipelines(config, site, &exporters);
        let mut receivers = Vec::new();
        let pipes = config.service.pipelines.values();
        let used: BTreeSet<_> = pipes.flat_map(|pipeline| &pipeline.receivers).collect();
        for id in used {
            let built = build_receiver(config, id, site)?;
            receivers.extend(built.map(|built| (id.clone(), built)));
        }
        Ok(Self {
            storages,
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

    /// Takes the directories and the ports, serves, and starts the processors, then the receivers.
    pub(super) async fn start(
        self,
        config: &Config,
        site: &Site,
        serving: &Tasks,
        receiving: &Tasks,
    ) -> Result<Reloadable, StartError> {
        for (id, directory) in &self.storages {
            let opened = directory.open().await;
            opened.map_err(|source| StartError::Storage {
                id: id.to_string(),
                source,
            })?;
        }
        let bound = self.listeners.bind().await?;
        bound.serve(serving, &site.components);
        for pipeline in self.pipelines.values() {
            pipeline.start(receiving);
        }
        let mut reloadable = Reloadable {
            config: config.clone(),
            pipelines: self.pipelines,
            receivers: BTreeMap::new(),
            receiving: receiving.clone(),
        };
        for (id, receiver) in self.receivers {
            reloadable.start(id, receiver, site);
        }
        site.components.started();
        Ok(reloadable)
    }
}

/// The storages that run.
fn build_storages(config: &Config, site: &Site) -> Storages {
    let used = config.service.extensions.iter();
    let storages = used.filter_map(|id| match config.extensions.get(id)? {
        extensions::Config::FileStorage(storage) => {
            let kind = ComponentKind::Extension;
            let status = site.components.register(kind, &id.to_string());
            Some((id.clone(), storage.build(status)))
        }
        extensions::Config::HealthCheck(_) => None,
    });
    storages.collect()
}

/// What is defined but not used is checked, not built.
fn build_exporters(
    config: &Config,
    site: &Site,
    storages: &Storages,
    listeners: &mut Listeners,
    tasks: &Tasks,
) -> Result<BTreeMap<ComponentId, Arc<dyn Exporter>>, StartError> {
    let used = config
        .service
        .pipelines
        .values()
        .flat_map(|pipeline| &pipeline.exporters);
    let used: BTreeSet<_> = used.collect();
    let mut built = BTreeMap::new();
    for (id, exporter) in config.exporters.iter().filter(|(id, _)| used.contains(id)) {
        let name = id.to_string();
        let mut context = exporters::Context {
            listeners: &mut *listeners,
            tasks,
            meter: &site.meter,
            seed: site.seed,
            clock: &site.clock,
            storages,
            probe: Arc::new(Probes {
                board: Arc::clone(&site.board),
                clock: site.clock.clone(),
            }),
            status: site.components.register(ComponentKind::Exporter, &name),
        };
        let exporter = exporter.build(&name, &mut context);
        let exporter = exporter.map_err(|source| StartError::Exporter { id: name, source })?;
        built.insert(id.clone(), exporter);
    }
    Ok(built)
}

fn build_extensions(
    config: &Config,
    site: &Site,
    listeners: &mut Listeners,
) -> Result<(), StartError> {
    for id in &config.service.extensions {
        let name = id.to_string();
        let Some(extensions::Config::HealthCheck(extension)) = config.extensions.get(id) else {
            continue;
        };
        site.components.register(ComponentKind::Extension, &name);
        let context = health_check::Context {
            listeners: &mut *listeners,
            board: Arc::clone(&site.board),
            components: Arc::clone(&site.components),
            clock: site.clock.clone(),
            mapping: mapping::map,
            reload: site.reload.clone(),
        };
        extension.build(&name, context)?;
    }
    Ok(())
}

/// The pipelines, each with processors of its own.
fn build_pipelines(
    config: &Config,
    site: &Site,
    exporters: &BTreeMap<ComponentId, Arc<dyn Exporter>>,
) -> BTreeMap<ComponentId, Arc<MetricsPipeline>> {
    let meter = &site.meter;
    let context = processors::Context { meter };
    let pipelines = config.service.pipelines.iter().map(|(id, pipeline)| {
        let ends = pipeline.exporters.iter();
        let ends = ends.filter_map(|id| exporters.get(id)).cloned().collect();
        let processors = pipeline.processors.iter().filter_map(|id| {
            let name = id.to_string();
            let built = config.processors.get(id)?.build(&name, &context);
            site.components.register(ComponentKind::Processor, &name);
            Some((name, built))
        });
        let built = MetricsPipeline::new(processors.collect(), ends, meter);
        (id.clone(), Arc::new(built))
    });
    pipelines.collect()
}

/// The receiver `id`, ready to be started.
pub(super) fn build_receiver(
    config: &Config,
    id: &ComponentId,
    site: &Site,
) -> Result<Option<http_json::HttpJson>, StartError> {
    let Some(receivers::Config::HttpJson(receiver)) = config.receivers.get(id) else {
        return Ok(None);
    };
    let id = id.to_string();
    let context = http_json::Context {
        id: id.clone(),
        clock: site.clock.clone(),
        meter: site.meter.clone(),
        board: Arc::clone(&site.board),
        names: Arc::clone(&site.names),
    };
    let built = receiver.build(&context);
    let built = built.map_err(|source| StartError::Receiver { id, source })?;
    Ok(Some(built))
}
