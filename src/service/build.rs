//! Builds a configuration while another one runs. It takes everything that did not change from the
//! running graph, and builds the rest. Nothing that runs is affected before [`Graph`] switches to
//! the result.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    ServiceContext, config_summary,
    error::StartError,
    graph::Graph,
    node::{ExporterNode, ReceiverNode},
    own_telemetry,
    pipeline::MetricsPipeline,
    planned_graph::{PlannedGraph, PlannedReceiver},
    probe::Probes,
    target_pipeline::ProcessorNode,
};
use crate::{
    config::Config,
    definition,
    delivery::Storages,
    exporters,
    extensions::{self, health_check, status_page},
    http::{ClientLimits, Listeners},
    overview::{Overview, OverviewContext},
    pipeline::{ComponentKind, Exporter, Reporter},
    processors::{self, mapping},
    receivers::{self, http_json},
    settings::ComponentId,
};

/// Builds everything that `graph` does not have.
///
/// # Errors
/// If a component cannot be built.
pub(super) fn plan(
    config: Config,
    graph: &Graph,
    site: &ServiceContext,
) -> Result<PlannedGraph, StartError> {
    let mut listeners = Listeners::new(ClientLimits::default(), &site.meter);
    let telemetry = site.telemetry.prepare(&config.service.telemetry)?;
    own_telemetry::register(&site.telemetry, &config.service.telemetry, &mut listeners)?;
    extend_routes(&config, site, &mut listeners)?;
    let mut builder = Builder {
        config: &config,
        graph,
        site,
    };
    let (storages, storage_status) = builder.storages();
    let exporters = builder.exporters(&storages, &mut listeners)?;
    let pipelines = builder.pipelines();
    let receivers = builder.receivers()?;
    Ok(PlannedGraph {
        storages,
        storage_status,
        exporters,
        pipelines,
        receivers,
        listeners,
        telemetry,
        config,
    })
}

/// The inputs of a planned graph.
struct Builder<'a> {
    config: &'a Config,
    graph: &'a Graph,
    site: &'a ServiceContext,
}

impl Builder<'_> {
    /// The storages, and the reporters of the new ones. A storage with other settings stays open;
    /// another directory is a new storage.
    fn storages(&self) -> (Storages, Vec<Reporter>) {
        let (mut storages, mut status) = (Storages::new(), Vec::new());
        for id in &self.config.service.extensions {
            let Some(extensions::Config::FileStorage(config)) = self.config.extensions.get(id)
            else {
                continue;
            };
            let running = self.graph.storages.get(id);
            let storage = match running.and_then(|running| config.build_after(running)) {
                Some(held) => held,
                None => {
                    let kind = ComponentKind::Extension;
                    let reporter = self.site.components.announce(kind, &id.to_string());
                    status.push(reporter.clone());
                    config.build(reporter)
                }
            };
            storages.insert(id.clone(), storage);
        }
        (storages, status)
    }

    /// An exporter that is defined but not used is only checked, not built.
    fn exporters(
        &mut self,
        storages: &Storages,
        listeners: &mut Listeners,
    ) -> Result<BTreeMap<ComponentId, ExporterNode>, StartError> {
        let pipelines = self.config.service.pipelines.values();
        let used: BTreeSet<_> = pipelines.flat_map(|p| &p.exporters).collect();
        let mut built = BTreeMap::new();
        for (id, config) in &self.config.exporters {
            if !used.contains(id) {
                continue;
            }
            let running = self.graph.exporters.get(id);
            let is_same = self.graph.config.exporters.get(id) == Some(config)
                && self.has_same_storage(config);
            let node = match running.filter(|_| is_same) {
                Some(node) => {
                    self.keep_routes(id, config, listeners)?;
                    node.clone()
                }
                None => self.exporter(id, config, storages, listeners)?,
            };
            built.insert(id.clone(), node);
        }
        Ok(built)
    }

    /// Whether the storage of an exporter did not change.
    fn has_same_storage(&self, config: &exporters::Config) -> bool {
        config.storage().is_none_or(|id| {
            let (before, now) = (&self.graph.config.extensions, &self.config.extensions);
            before.get(id) == now.get(id)
        })
    }

    fn keep_routes(
        &self,
        id: &ComponentId,
        config: &exporters::Config,
        listeners: &mut Listeners,
    ) -> Result<(), StartError> {
        if let Some(server) = config.server() {
            let routes = self.graph.serving.routes(&server.endpoint, &id.to_string());
            for route in routes {
                listeners.route(&server, route)?;
            }
        }
        Ok(())
    }

    fn exporter(
        &self,
        id: &ComponentId,
        config: &exporters::Config,
        storages: &Storages,
        listeners: &mut Listeners,
    ) -> Result<ExporterNode, StartError> {
        let (name, site) = (id.to_string(), self.site);
        let status = site.components.announce(ComponentKind::Exporter, &name);
        let tasks = status.own(&self.graph.root.group());
        let before = self.graph.exporters.get(id);
        let mut context = exporters::ExporterContext {
            listeners,
            tasks: &tasks,
            meter: &site.meter,
            seed: site.seed,
            clock: &site.clock,
            storages,
            probe: Arc::new(Probes {
                board: Arc::clone(&site.board),
                clock: site.clock.clone(),
            }),
            status: status.clone(),
            before: before.map(|node| &*node.exporter as &dyn Exporter),
        };
        let built = config.build(&name, &mut context);
        let exporter = built.map_err(|source| StartError::Exporter { id: name, source })?;
        Ok(ExporterNode {
            exporter,
            tasks,
            status,
        })
    }

    /// The pipelines, each with its own processors. Their exporters are set later.
    fn pipelines(&self) -> BTreeMap<ComponentId, Arc<MetricsPipeline>> {
        let ids = self.config.service.pipelines.keys();
        let pipelines = ids.map(|id| {
            let is_same = processors_of(self.config, id) == processors_of(&self.graph.config, id);
            let running = self.graph.pipelines.get(id).filter(|_| is_same);
            let pipeline = running.cloned().unwrap_or_else(|| self.pipeline(id));
            (id.clone(), pipeline)
        });
        pipelines.collect()
    }

    /// Processors that did not change are those of the running pipeline.
    fn pipeline(&self, id: &ComponentId) -> Arc<MetricsPipeline> {
        let meter = &self.site.meter;
        let running = self.graph.pipelines.get(id);
        let before = &self.graph.config.processors;
        let steps = processors_of(self.config, id).into_iter();
        let steps = steps.map(|(id, config)| {
            let running = running.filter(|_| before.get(id) == Some(config));
            let kept = running.and_then(|running| running.step(id));
            kept.cloned().unwrap_or_else(|| {
                let context = processors::ProcessorContext {
                    meter,
                    clock: &self.site.clock,
                    board: &self.site.board,
                };
                let processor = config.build(&id.to_string(), &context);
                ProcessorNode::new(id, processor, meter, self.graph.root.group())
            })
        });
        Arc::new(MetricsPipeline::new(id, steps.collect(), meter))
    }

    fn receivers(&self) -> Result<BTreeMap<ComponentId, PlannedReceiver>, StartError> {
        let pipelines = self.config.service.pipelines.values();
        let used: BTreeSet<_> = pipelines.flat_map(|p| &p.receivers).collect();
        let mut receivers = BTreeMap::new();
        for id in used {
            let Some(receivers::Config::HttpJson(config)) = self.config.receivers.get(id) else {
                continue;
            };
            let draft = if self.is_kept(id, config) {
                PlannedReceiver::Kept
            } else {
                PlannedReceiver::Next(Box::new(self.receiver(id, config)?))
            };
            receivers.insert(id.clone(), draft);
        }
        Ok(receivers)
    }

    /// The running receiver, and its configuration.
    fn running(&self, id: &ComponentId) -> Option<(&http_json::Config, &http_json::TargetManager)> {
        let ReceiverNode { running, .. } = self.graph.receivers.get(id)?;
        let receivers::Config::HttpJson(config) = self.graph.config.receivers.get(id)?;
        Some((config, running))
    }

    /// Whether the running receiver already has the requested configuration.
    fn is_kept(&self, id: &ComponentId, config: &http_json::Config) -> bool {
        let Some((old, running)) = self.running(id) else {
            return false;
        };
        // A definition that cannot be read had its message when the configuration was checked.
        let definitions = config.definition.iter();
        let now = definitions.filter_map(|name| Some(definition::load(name).ok()?.digest));
        old == config && now.eq(running.spec().digests())
    }

    fn receiver(
        &self,
        id: &ComponentId,
        config: &http_json::Config,
    ) -> Result<http_json::HttpJsonReceiver, StartError> {
        let before = self.running(id);
        let (id, site) = (id.to_string(), self.site);
        let context = http_json::Context {
            id: id.clone(),
            clock: site.clock.clone(),
            meter: site.meter.clone(),
            board: Arc::clone(&site.board),
            names: Arc::clone(&site.names),
            network: site.network.clone(),
            mapping: mapping::map_document,
            keeps_text: false,
        };
        let built = config.build_after(before, &context);
        built.map_err(|source| StartError::Receiver { id, source })
    }
}

/// The routes of extensions. They have no state, so they are created for each configuration.
fn extend_routes(
    config: &Config,
    site: &ServiceContext,
    listeners: &mut Listeners,
) -> Result<(), StartError> {
    let overview = Overview::new(OverviewContext {
        board: Arc::clone(&site.board),
        components: Arc::clone(&site.components),
        clock: site.clock.clone(),
        started: site.started,
        mapping: mapping::map,
        telemetry: Arc::clone(&site.telemetry),
        config: config_summary::of(config, site.clock.now()),
    });
    for id in &config.service.extensions {
        let name = id.to_string();
        match config.extensions.get(id) {
            Some(extensions::Config::HealthCheck(extension)) => {
                let context = health_check::HealthCheckContext {
                    listeners: &mut *listeners,
                    board: Arc::clone(&site.board),
                    components: Arc::clone(&site.components),
                    clock: site.clock.clone(),
                    started: site.started,
                    mapping: mapping::map,
                    reload: site.reload.clone(),
                    overview: Arc::clone(&overview),
                };
                extension.build(&name, context)?;
            }
            Some(extensions::Config::StatusPage(extension)) => {
                let context = status_page::StatusPageContext {
                    listeners: &mut *listeners,
                    overview: Arc::clone(&overview),
                    board: Arc::clone(&site.board),
                };
                extension.build(&name, context)?;
            }
            Some(extensions::Config::FileStorage(_)) | None => {}
        }
    }
    Ok(())
}

/// The processors of a pipeline, in their order.
fn processors_of<'c>(
    config: &'c Config,
    id: &ComponentId,
) -> Vec<(&'c ComponentId, &'c processors::Config)> {
    let pipeline = config.service.pipelines.get(id);
    let ids = pipeline.into_iter().flat_map(|p| &p.processors);
    ids.filter_map(|id| Some((id, config.processors.get(id)?)))
        .collect()
}
