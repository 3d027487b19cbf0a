//! All running components, connected, and the switch to another configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    ServiceContext,
    draining::DrainingComponents,
    fan_out::Pipelines,
    node::{ExporterNode, Extensions, ReceiverNode},
    pipeline::MetricsPipeline,
    planned_graph::{BoundGraph, PlannedReceiver},
    target_pipeline::{Exporters, ProcessorNode},
};
use crate::{
    config::Config,
    delivery::Storages,
    http::RunningListeners,
    pipeline::{ComponentKind, Components},
    runtime::Tasks,
    settings::ComponentId,
    storage::Directory,
};

/// The longest time for a receiver to stop. Its polls in progress are dropped.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// All running components. A switch starts only components that the previous configuration did not
/// have.
pub(super) struct Graph {
    pub(super) config: Config,
    pub(super) extensions: Extensions,
    pub(super) exporters: BTreeMap<ComponentId, ExporterNode>,
    pub(super) pipelines: BTreeMap<ComponentId, Arc<MetricsPipeline>>,
    pub(super) receivers: BTreeMap<ComponentId, ReceiverNode>,
    pub(super) serving: RunningListeners,
    /// The parent of the task groups of all components.
    pub(super) root: Tasks,
    draining: DrainingComponents,
}

impl Graph {
    /// Creates an empty graph.
    pub(super) fn new(root: &Tasks) -> Self {
        Self {
            config: Config::default(),
            extensions: Extensions::default(),
            exporters: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            receivers: BTreeMap::new(),
            serving: RunningListeners::default(),
            root: root.clone(),
            draining: DrainingComponents::new(root),
        }
    }

    /// Starts new components, from the exporters to the receivers, and stops removed ones in the
    /// reverse order. Components that did not change are not affected.
    pub(super) async fn switch(&mut self, next: BoundGraph, site: &ServiceContext) {
        self.show_components(&next, site);
        self.draining
            .telemetry(site.telemetry.follow(next.telemetry));
        let exporters = std::mem::replace(&mut self.exporters, next.exporters);
        let pipelines = std::mem::replace(&mut self.pipelines, next.pipelines);
        let config = std::mem::replace(&mut self.config, next.config);
        let extensions = std::mem::replace(&mut self.extensions, next.extensions);
        self.switch_pipelines(&pipelines, &site.components);
        self.switch_receivers(next.receivers, &site.components)
            .await;
        // No polls flow through these pipelines any more. Only their processors may still send
        // data.
        for (id, pipeline) in pipelines {
            let now = self.pipelines.get(&id);
            if !now.is_some_and(|now| Arc::ptr_eq(now, &pipeline)) {
                pipeline.set_exporters(Exporters::default());
                let gone = pipeline
                    .steps_beyond(now.map(|now| &**now))
                    .map(ProcessorNode::tasks);
                stop_all(gone, Instant::now() + STOP_TIMEOUT).await;
            }
        }
        let place = site.listening.as_ref();
        let tasks = place.map_or_else(|| self.root.clone(), |place| self.root.on(place));
        let closed = self
            .serving
            .switch(next.listeners, &tasks, &site.components);
        self.draining.listeners(closed);
        stop_all(extensions.tasks(), Instant::now() + STOP_TIMEOUT).await;
        let (left_storages, storages) = (extensions.storages(), self.extensions.storages());
        for (id, node) in exporters {
            let kept = self.exporters.get(&id);
            if !kept.is_some_and(|kept| Arc::ptr_eq(&kept.exporter, &node.exporter)) {
                let left = directory_of(&id, &config, &left_storages);
                let found = directory_of(&id, &self.config, &storages);
                let both = left.zip(found).filter(|_| kept.is_some());
                let is_handed_on = both.is_some_and(|(left, found)| left.is_same(found));
                let patience = config.service.shutdown_timeout.get();
                self.draining.exporter(node, is_handed_on, patience);
            }
        }
        site.components.started();
    }

    /// Starts the pipelines that `before` did not have, and sets the exporters of all pipelines.
    fn switch_pipelines(
        &self,
        before: &BTreeMap<ComponentId, Arc<MetricsPipeline>>,
        components: &Components,
    ) {
        for (id, pipeline) in &self.pipelines {
            pipeline.set_exporters(self.exporters_of(id));
            let old = before.get(id);
            if !old.is_some_and(|old| Arc::ptr_eq(old, pipeline)) {
                pipeline.start(old.map(|old| &**old), components);
            }
        }
    }

    async fn switch_receivers(
        &mut self,
        next: BTreeMap<ComponentId, PlannedReceiver>,
        components: &Components,
    ) {
        let (mut before, mut ending) = (std::mem::take(&mut self.receivers), Vec::new());
        for (id, planned) in next {
            let pipelines = self.pipelines_of(&id);
            let running = before.remove(&id);
            let node = match (running, planned) {
                (running, PlannedReceiver::Started(first)) => {
                    if let Some(running) = running {
                        running.remove(&id, STOP_TIMEOUT).await;
                    }
                    let (kind, name) = (ComponentKind::Receiver, id.to_string());
                    let tasks = components.own(kind, &name, &self.root.group());
                    ReceiverNode::start(first, pipelines, tasks)
                }
                (Some(node), planned) => {
                    node.fan_out.set(pipelines);
                    if let PlannedReceiver::Applied(apply) = planned {
                        ending.push(apply());
                    }
                    node
                }
                // Only a running receiver can continue.
                (None, PlannedReceiver::Kept | PlannedReceiver::Applied(_)) => continue,
            };
            self.receivers.insert(id, node);
        }
        for (id, node) in before {
            node.remove(&id, STOP_TIMEOUT).await;
        }
        // After this the caller of the reload finds no removed target on a scrape.
        if timeout(STOP_TIMEOUT, join_all(ending)).await.is_err() {
            tracing::warn!("removed targets are still polled");
        }
    }

    /// Shows exactly the components of `next`.
    fn show_components(&self, next: &BoundGraph, site: &ServiceContext) {
        let (before, after) = (components(&self.config), components(&next.config));
        for (kind, id) in before.difference(&after) {
            site.components.remove(*kind, id);
        }
        for (kind, id) in after.difference(&before) {
            site.components.register(*kind, id);
        }
        for id in self.extensions.0.keys() {
            if !next.extensions.0.contains_key(id) {
                let components = &site.components;
                components.remove(ComponentKind::Extension, &id.to_string());
            }
        }
        for node in next.extensions.0.values() {
            site.components.show(&node.status);
        }
        for id in self.exporters.keys() {
            if !next.exporters.contains_key(id) {
                site.components
                    .remove(ComponentKind::Exporter, &id.to_string());
            }
        }
        for node in next.exporters.values() {
            site.components.show(&node.status);
        }
    }

    fn exporters_of(&self, pipeline: &ComponentId) -> Exporters {
        let pipeline = self.config.service.pipelines.get(pipeline);
        let ids = pipeline.into_iter().flat_map(|p| &p.exporters);
        let exporters = ids.filter_map(|id| {
            let node = self.exporters.get(id)?;
            Some((id.clone(), Arc::clone(&node.exporter)))
        });
        exporters.collect()
    }

    fn pipelines_of(&self, receiver: &ComponentId) -> Pipelines {
        let pipelines = self.config.service.pipelines.iter();
        let takers = pipelines.filter(|(_, pipeline)| pipeline.receivers.contains(receiver));
        let takers = takers.filter_map(|(id, _)| self.pipelines.get(id));
        takers.cloned().collect()
    }

    /// Stops the receivers and the processors, sends what the exporters hold, and closes the
    /// listeners, until `deadline`. Returns false if something was not finished.
    pub(super) async fn stop(self, deadline: Instant, components: &Components) -> bool {
        let stopped = |is_clean: bool, kind| {
            if is_clean {
                components.stopped(kind);
            }
            is_clean
        };
        self.closing();
        let mut clean = stopped(self.stop_receivers(deadline).await, ComponentKind::Receiver);
        let processors = self.steps().map(ProcessorNode::tasks);
        clean &= stopped(
            stop_all(processors, deadline).await,
            ComponentKind::Processor,
        );
        let draining = self.draining.exporters();
        let exporters: Vec<_> = self.exporters.values().chain(&draining).collect();
        let drains = exporters.iter().map(|node| node.exporter.drain(deadline));
        clean &= timeout_at(deadline, join_all(drains)).await.is_ok();
        let exporters = exporters.iter().map(|node| &node.tasks);
        clean &= stopped(stop_all(exporters, deadline).await, ComponentKind::Exporter);
        clean &= stopped(
            stop_all(self.serving.tasks(), deadline).await,
            ComponentKind::Listener,
        );
        clean &= self.draining.stop(deadline).await;
        clean &= stop_all(self.extensions.tasks(), deadline).await;
        clean &= self.root.stop(deadline).await;
        stopped(clean, ComponentKind::Extension)
    }

    /// Tells all components that targets removed after this have not ended.
    fn closing(&self) {
        self.steps().for_each(ProcessorNode::closing);
        for node in self.exporters.values() {
            node.exporter.closing();
        }
    }

    /// The processors of all pipelines.
    fn steps(&self) -> impl Iterator<Item = &ProcessorNode> {
        let pipelines = self.pipelines.values();
        pipelines.flat_map(|pipeline| pipeline.steps_beyond(None))
    }

    /// Whether all of them have stopped by `deadline`.
    async fn stop_receivers(&self, deadline: Instant) -> bool {
        let stops = self.receivers.iter().map(async |(id, node)| {
            let is_stopped = node.stop(id, deadline).await;
            (!is_stopped).then(|| id.to_string())
        });
        let left: Vec<_> = join_all(stops).await.into_iter().flatten().collect();
        if !left.is_empty() {
            let receivers = left.join(", ");
            tracing::warn!(receivers, "receivers still run at the shutdown timeout");
        }
        left.is_empty()
    }
}

/// The directory of an exporter's queue, if it is on disk.
fn directory_of<'s>(
    exporter: &ComponentId,
    config: &Config,
    storages: &'s Storages,
) -> Option<&'s Directory> {
    let uses = config.exporters.get(exporter)?.uses();
    let mut storages = uses.iter().filter_map(|used| storages.get(used.id));
    storages.next()
}

async fn stop_all<'t>(tasks: impl Iterator<Item = &'t Tasks>, deadline: Instant) -> bool {
    let stopped = join_all(tasks.map(|tasks| tasks.stop(deadline))).await;
    stopped.into_iter().all(|is_clean| is_clean)
}

/// The shown receivers and processors. The other components report their own status.
fn components(config: &Config) -> BTreeSet<(ComponentKind, String)> {
    let pipelines = config.service.pipelines.values();
    let inner = pipelines.flat_map(|pipeline| {
        let receivers = pipeline.receivers.iter();
        let processors = pipeline.processors.iter();
        receivers
            .map(|id| (ComponentKind::Receiver, id))
            .chain(processors.map(|id| (ComponentKind::Processor, id)))
    });
    inner.map(|(kind, id)| (kind, id.to_string())).collect()
}
