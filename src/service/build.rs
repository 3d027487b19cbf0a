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
    node::{ExporterNode, ExtensionNode, Extensions, Offers},
    own_telemetry,
    pipeline::MetricsPipeline,
    planned_graph::{PlannedGraph, PlannedReceiver},
    probe::Probes,
    target_pipeline::ProcessorNode,
};
use crate::{
    config::Config,
    exporters::{ExporterConfig, ExporterContext},
    extensions::{ExtensionConfig, ExtensionContext},
    http::{ClientLimits, Listeners},
    overview::{Overview, OverviewContext},
    pipeline::ComponentKind,
    processors::{ProcessorConfig, ProcessorContext, mapping},
    receivers::{NextReceiver, PolledOnce, ReceiverChange, ReceiverConfig, ReceiverContext},
    settings::{BuildError, Component, ComponentId, ExtensionUse},
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
    let mut builder = Builder {
        config: &config,
        graph,
        site,
    };
    let extensions = builder.extensions(&mut listeners)?;
    let offers = extensions.offers();
    let exporters = builder.exporters(&offers, &mut listeners)?;
    let pipelines = builder.pipelines();
    let receivers = builder.receivers(&offers)?;
    Ok(PlannedGraph {
        extensions,
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
    /// The extensions. All of them are built, also those that did not change: they show the new
    /// configuration.
    fn extensions(&self, listeners: &mut Listeners) -> Result<Extensions, StartError> {
        let overview = self.overview();
        let mut built = BTreeMap::new();
        for id in &self.config.service.extensions {
            if let Some(config) = self.config.extensions.get(id) {
                let node = self.extension(id, &**config, &overview, listeners);
                let node = node.map_err(|source| StartError::Extension {
                    id: id.to_string(),
                    source,
                });
                built.insert(id.clone(), node?);
            }
        }
        Ok(Extensions(built))
    }

    fn extension(
        &self,
        id: &ComponentId,
        config: &dyn ExtensionConfig,
        overview: &Arc<Overview>,
        listeners: &mut Listeners,
    ) -> Result<ExtensionNode, BuildError> {
        let (name, site) = (id.to_string(), self.site);
        let running = self.graph.extensions.0.get(id);
        let new_status = || site.components.announce(ComponentKind::Extension, &name);
        let status = running.map_or_else(new_status, |running| running.status.clone());
        let tasks = status.own(&self.graph.root.group());
        let extension = config.build(&mut ExtensionContext {
            id: &name,
            running: running.map(|running| &*running.extension),
            is_same: self.graph.config.extensions.get(id) == self.config.extensions.get(id),
            status: status.clone(),
            new_status: &new_status,
            tasks: tasks.clone(),
            listeners,
            meter: &site.meter,
            clock: &site.clock,
            started: site.started,
            board: &site.board,
            components: &site.components,
            overview,
            mapping: mapping::map,
            reload: &site.reload,
        })?;
        Ok(ExtensionNode {
            status: extension.status().cloned().unwrap_or(status),
            extension,
            tasks,
        })
    }

    fn overview(&self) -> Arc<Overview> {
        let site = self.site;
        Overview::new(OverviewContext {
            board: Arc::clone(&site.board),
            components: Arc::clone(&site.components),
            clock: site.clock.clone(),
            started: site.started,
            mapping: mapping::map,
            telemetry: Arc::clone(&site.telemetry),
            config: config_summary::of(self.config, site.clock.now()),
        })
    }

    /// An exporter that is defined but not used is only checked, not built.
    fn exporters(
        &mut self,
        offers: &Offers,
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
                && self.has_same_extensions(&config.uses());
            let node = match running.filter(|_| is_same) {
                Some(node) => {
                    self.keep_routes(id, &**config, listeners)?;
                    node.clone()
                }
                None => self.exporter(id, &**config, offers, listeners)?,
            };
            built.insert(id.clone(), node);
        }
        Ok(built)
    }

    /// Whether the extensions that a component uses did not change.
    fn has_same_extensions(&self, uses: &[ExtensionUse<'_>]) -> bool {
        let (before, now) = (&self.graph.config.extensions, &self.config.extensions);
        let mut uses = uses.iter();
        uses.all(|used| before.get(used.id) == now.get(used.id))
    }

    fn keep_routes(
        &self,
        id: &ComponentId,
        config: &dyn ExporterConfig,
        listeners: &mut Listeners,
    ) -> Result<(), StartError> {
        if let Some(server) = config.listens_on() {
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
        config: &dyn ExporterConfig,
        offers: &Offers,
        listeners: &mut Listeners,
    ) -> Result<ExporterNode, StartError> {
        let (name, site) = (id.to_string(), self.site);
        let status = site.components.announce(ComponentKind::Exporter, &name);
        let group = self.graph.root.group();
        let place = site.sending.as_ref();
        let tasks = status.own(&place.map_or_else(|| group.clone(), |place| group.on(place)));
        let mut context = ExporterContext {
            id: &name,
            listeners,
            tasks: &tasks,
            meter: &site.meter,
            seed: site.seed,
            clock: &site.clock,
            storages: &offers.storages,
            authenticators: &offers.authenticators,
            probe: Arc::new(Probes {
                board: Arc::clone(&site.board),
                clock: site.clock.clone(),
            }),
            status: status.clone(),
            states: &site.states,
        };
        let built = config.build(&mut context);
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
                let processor = config.build(&ProcessorContext {
                    id: &id.to_string(),
                    meter,
                    clock: &self.site.clock,
                    board: &self.site.board,
                });
                ProcessorNode::new(id, processor, meter, self.graph.root.group())
            })
        });
        Arc::new(MetricsPipeline::new(
            id,
            steps.collect(),
            meter,
            self.site.board.totals(),
        ))
    }

    fn receivers(
        &self,
        offers: &Offers,
    ) -> Result<BTreeMap<ComponentId, PlannedReceiver>, StartError> {
        let pipelines = self.config.service.pipelines.values();
        let used: BTreeSet<_> = pipelines.flat_map(|p| &p.receivers).collect();
        let mut receivers = BTreeMap::new();
        for id in used {
            if let Some(config) = self.config.receivers.get(id) {
                let planned = self.receiver(id, config, offers);
                let planned = planned.map_err(|source| StartError::Receiver {
                    id: id.to_string(),
                    source,
                });
                receivers.insert(id.clone(), planned?);
            }
        }
        Ok(receivers)
    }

    fn receiver(
        &self,
        id: &ComponentId,
        config: &Component<dyn ReceiverConfig>,
        offers: &Offers,
    ) -> Result<PlannedReceiver, BuildError> {
        let site = self.site;
        let context = ReceiverContext {
            id: id.to_string(),
            clock: site.clock.clone(),
            meter: site.meter.clone(),
            board: Arc::clone(&site.board),
            names: Arc::clone(&site.names),
            network: site.network.clone(),
            mapping: mapping::DOCUMENTS,
            authenticators: offers.authenticators.clone(),
            states: Arc::clone(&site.states),
            keeps_text: false,
            polled_once: PolledOnce::default(),
        };
        let change = match self.graph.receivers.get(id) {
            None => ReceiverChange::Restart,
            Some(node) => Arc::clone(&node.running).prepare(&NextReceiver {
                config: &**config,
                is_same: self.graph.config.receivers.get(id) == Some(config)
                    && self.has_same_extensions(&config.uses()),
                context: &context,
            })?,
        };
        Ok(match change {
            ReceiverChange::Nothing => PlannedReceiver::Kept,
            ReceiverChange::Apply(apply) => PlannedReceiver::Applied(apply),
            ReceiverChange::Restart => PlannedReceiver::Started(config.build(&context)?),
        })
    }
}

/// The processors of a pipeline, in their order.
fn processors_of<'c>(
    config: &'c Config,
    id: &ComponentId,
) -> Vec<(&'c ComponentId, &'c Component<dyn ProcessorConfig>)> {
    let pipeline = config.service.pipelines.get(id);
    let ids = pipeline.into_iter().flat_map(|p| &p.processors);
    ids.filter_map(|id| Some((id, config.processors.get(id)?)))
        .collect()
}
