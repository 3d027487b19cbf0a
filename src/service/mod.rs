//! The running collector. Exporters start first and stop last, receivers the other way round.

mod build;
mod config_summary;
mod error;
mod graph;
mod fan_out;
mod draining;
mod node;
mod reload_status;
mod target_pipeline;
mod own_telemetry;
mod pipeline;
mod planned_graph;
mod probe;
mod restart_required;
#[cfg(test)]
mod tests;

use std::{future::Future, pin::pin, sync::Arc};

use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{Instant, timeout_at},
};

pub use self::error::{ReloadError, StartError};
use self::{graph::Graph, reload_status::ReloadStatus};
use crate::{
    config::Config,
    pipeline::{Components, ReloadRequest, ReloadTrigger, StateStore, StatusBoard, TargetNames},
    receivers::Network,
    runtime::{Clock, TaskFailure, Tasks},
    telemetry::{InternalTelemetry, Meter, chain},
};

/// What a service gets from outside.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The time of day.
    pub clock: Clock,
    /// The seed of all jitter.
    pub seed: u64,
    /// The runtime that answers requests. Without it, the main runtime does.
    pub listening: Option<Handle>,
    /// The runtime of the exporters: what they encrypt and send delays no poll, and many polls delay
    /// no batch. Without it, they have the main runtime.
    pub sending: Option<Handle>,
    /// The network to the targets.
    pub network: Network,
}

/// What outlives every configuration.
struct ServiceContext {
    telemetry: Arc<InternalTelemetry>,
    meter: Meter,
    components: Arc<Components>,
    board: Arc<StatusBoard>,
    names: Arc<TargetNames>,
    clock: Clock,
    seed: u64,
    listening: Option<Handle>,
    sending: Option<Handle>,
    network: Network,
    started: Instant,
    reload: ReloadTrigger,
    states: Arc<StateStore>,
}

/// A running collector.
pub struct Service {
    graph: Graph,
    outcome: ReloadStatus,
    requests: mpsc::Receiver<ReloadRequest>,
    failures: mpsc::Receiver<TaskFailure>,
    site: ServiceContext,
}

impl ServiceContext {
    fn new(
        telemetry: InternalTelemetry,
        world: &Environment,
        tasks: &Tasks,
    ) -> (Self, mpsc::Receiver<ReloadRequest>) {
        let meter = telemetry.meter();
        let components = Components::new(&world.clock, tasks);
        components.observe(&meter);
        let (reload, requests) = ReloadTrigger::new();
        let site = Self {
            telemetry: Arc::new(telemetry),
            meter,
            components,
            board: Arc::default(),
            names: Arc::default(),
            clock: world.clock.clone(),
            seed: world.seed,
            listening: world.listening.clone(),
            sending: world.sending.clone(),
            network: world.network.clone(),
            started: Instant::now(),
            reload,
            states: Arc::default(),
        };
        (site, requests)
    }
}

impl Service {
    /// Builds and starts everything that the pipelines use: listeners and exporters first,
    /// receivers last.
    ///
    /// # Errors
    /// If a component cannot be built, or a port cannot be opened. Then nothing runs.
    pub async fn start(
        config: &Config,
        telemetry: InternalTelemetry,
        world: &Environment,
    ) -> Result<Self, StartError> {
        let (tasks, failures) = Tasks::new();
        let (site, requests) = ServiceContext::new(telemetry, world, &tasks);
        let outcome = ReloadStatus::new(&site);
        let mut graph = Graph::new(&tasks);
        switch(&mut graph, config.clone(), &site).await?;
        tracing::info!("everything is ready");
        Ok(Self {
            graph,
            outcome,
            requests,
            failures,
            site,
        })
    }

    /// Builds everything like [`Self::start`], but opens no port, polls no target and sends
    /// nothing. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If a component cannot be built.
    pub fn dry_run(config: &Config, world: &Environment) -> Result<(), StartError> {
        let telemetry = InternalTelemetry::new(&config.service.telemetry.resource)?;
        let (tasks, _failures) = Tasks::new();
        let (site, _requests) = ServiceContext::new(telemetry, world, &tasks);
        build::plan(config.clone(), &Graph::new(&tasks), &site).map(drop)
    }

    /// The status of each component.
    pub fn components(&self) -> &Arc<Components> {
        &self.site.components
    }

    /// Triggers a reload of the configuration.
    pub fn reload_trigger(&self) -> ReloadTrigger {
        self.site.reload.clone()
    }

    /// Runs until `shutdown`, then stops. A reload gets its configuration from `load`. If there is
    /// none, the running one stays.
    ///
    /// # Errors
    /// If a component had a fatal error.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        load: impl AsyncFn() -> Result<Config, String>,
    ) -> Result<(), TaskFailure> {
        let mut shutdown = pin!(shutdown);
        let result = loop {
            tokio::select! {
                () = &mut shutdown => break Ok(()),
                Some(failure) = self.failures.recv() => break Err(failure),
                Some(request) = self.requests.recv() => {
                    // A stop signal works even during a reload.
                    let config = tokio::select! {
                        () = &mut shutdown => break Ok(()),
                        config = load() => config,
                    };
                    let result = self.reload(config).await;
                    self.outcome.note(&result);
                    // The caller may have gone away.
                    drop(request.send(result));
                }
            }
        };
        self.stop().await;
        result
    }

    async fn reload(&mut self, config: Result<Config, String>) -> Result<(), String> {
        let reloaded = self.follow(config?).await;
        reloaded.map_err(|error| chain(&error))
    }

    async fn follow(&mut self, config: Config) -> Result<(), ReloadError> {
        let keys = restart_required::keys(&self.graph.config, &config);
        if !keys.is_empty() {
            return Err(ReloadError::NeedsRestart { keys });
        }
        switch(&mut self.graph, config, &self.site).await?;
        tracing::info!("configuration reloaded");
        Ok(())
    }

    /// Stops the receivers, sends what the exporters hold, and closes the listeners.
    async fn stop(self) {
        tracing::info!("stopping");
        let deadline = Instant::now() + self.graph.config.service.shutdown_timeout.get();
        let mut clean = self.graph.stop(deadline, &self.site.components).await;
        let telemetry = self.site.telemetry;
        let flush = tokio::task::spawn_blocking(move || telemetry.shutdown());
        clean &= timeout_at(deadline, flush).await.is_ok();
        if clean {
            tracing::info!("stopped");
        } else {
            tracing::warn!("stopped with unfinished work: the shutdown timeout was reached");
        }
    }
}

/// Switches the graph to `config`.
///
/// # Errors
/// If it cannot be built, or a port cannot be opened. Then everything continues as before.
async fn switch(
    graph: &mut Graph,
    config: Config,
    site: &ServiceContext,
) -> Result<(), StartError> {
    let planned = build::plan(config, graph, site)?;
    let bound = planned.open(&graph.serving).await?;
    graph.switch(bound, site).await;
    Ok(())
}
