//! The running whole: exporters start first and stop last, receivers the other way round.

mod graph;
mod outlet;
mod own_telemetry;
mod pipeline;
mod plan;
mod probe;
mod reload;

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::join_all;
use opentelemetry::metrics::Meter;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use self::graph::Graph;
use self::reload::{Outcome, Reloadable};
pub use self::{graph::StartError, reload::ReloadError};
use crate::{
    config::Config,
    pipeline::{
        ComponentKind, Components, Exporter, ReloadRequest, ReloadTrigger, StatusBoard, TargetNames,
    },
    runtime::{Clock, Failure, Tasks},
    telemetry::{OwnTelemetry, chain},
};

/// What the outside world gives a service.
#[derive(Debug, Clone)]
pub struct World {
    /// The time of day.
    pub clock: Clock,
    /// The seed of all jitter.
    pub seed: u64,
}

/// What outlives any one configuration.
struct Site {
    telemetry: Arc<OwnTelemetry>,
    meter: Meter,
    components: Arc<Components>,
    board: Arc<StatusBoard>,
    names: Arc<TargetNames>,
    clock: Clock,
    seed: u64,
    reload: ReloadTrigger,
}

/// A collector at work.
pub struct Service {
    receiving: Tasks,
    reloadable: Reloadable,
    outcome: Outcome,
    requests: mpsc::Receiver<ReloadRequest>,
    exporting: Tasks,
    serving: Tasks,
    exporters: Vec<Arc<dyn Exporter>>,
    failures: mpsc::Receiver<Failure>,
    site: Site,
    shutdown_timeout: Duration,
}

impl Site {
    fn new(
        telemetry: OwnTelemetry,
        world: &World,
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
            reload,
        };
        (site, requests)
    }
}

impl Service {
    /// Builds everything that the pipelines use and starts it: listeners and exporters first,
    /// receivers last.
    ///
    /// # Errors
    /// If a component cannot be built or a port cannot be had; nothing runs then.
    pub async fn start(
        config: &Config,
        telemetry: OwnTelemetry,
        world: &World,
    ) -> Result<Self, StartError> {
        let (receiving, failures) = Tasks::new();
        let (exporting, serving) = (receiving.group(), receiving.group());
        let (site, requests) = Site::new(telemetry, world, &receiving);
        let graph = Graph::build(config, &site, &exporting)?;
        let exporters = graph.exporters();
        let outcome = Outcome::new(&site);
        let reloadable = graph.start(config, &site, &serving, &receiving).await?;
        tracing::info!("everything is ready");
        let shutdown_timeout = config.service.shutdown_timeout.get();
        Ok(Self {
            receiving,
            reloadable,
            outcome,
            requests,
            exporting,
            serving,
            exporters,
            failures,
            site,
            shutdown_timeout,
        })
    }

    /// Builds everything that the pipelines use, as [`Self::start`] does, but takes no port, polls
    /// nobody and sends nothing. Within a tokio runtime.
    ///
    /// # Errors
    /// If a component cannot be built.
    pub fn dry_run(config: &Config, world: &World) -> Result<(), StartError> {
        let telemetry = OwnTelemetry::new(&config.service.telemetry.without_pushes())?;
        let (tasks, _failures) = Tasks::new();
        let (site, _requests) = Site::new(telemetry, world, &tasks);
        Graph::build(config, &site, &tasks).map(drop)
    }

    /// How each component is.
    pub fn components(&self) -> &Arc<Components> {
        &self.site.components
    }

    /// What asks it to load its configuration anew.
    pub fn reload_trigger(&self) -> ReloadTrigger {
        self.site.reload.clone()
    }

    /// Runs until `shutdown`, then stops. A reload takes its configuration from `load`; if there
    /// is none the running one stays.
    ///
    /// # Errors
    /// If a component died before that.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        load: impl Fn() -> Result<Config, String>,
    ) -> Result<(), Failure> {
        let mut shutdown = pin!(shutdown);
        let result = loop {
            tokio::select! {
                () = &mut shutdown => break Ok(()),
                Some(failure) = self.failures.recv() => break Err(failure),
                Some(request) = self.requests.recv() => {
                    let result = self.reload(load()).await;
                    self.outcome.note(&result);
                    // Who asked may have gone away.
                    drop(request.send(result));
                }
            }
        };
        self.stop().await;
        result
    }

    async fn reload(&mut self, config: Result<Config, String>) -> Result<(), String> {
        let config = config?;
        let shutdown_timeout = config.service.shutdown_timeout.get();
        let reloaded = self.reloadable.reload(config, &self.site).await;
        reloaded.map_err(|error| chain(&error))?;
        self.shutdown_timeout = shutdown_timeout;
        Ok(())
    }

    /// Stops the receivers, hands over what the exporters hold, closes the listeners.
    async fn stop(self) {
        tracing::info!("stopping");
        let deadline = Instant::now() + self.shutdown_timeout;
        let left = self.reloadable.stop_all(deadline).await;
        if !left.is_empty() {
            tracing::warn!(
                receivers = left.join(", "),
                "still run at the shutdown timeout"
            );
        }
        let components = Arc::clone(&self.site.components);
        let stopped = |is_clean: bool, kind| {
            if is_clean {
                components.stopped(kind);
            }
            is_clean
        };
        let mut clean = stopped(left.is_empty(), ComponentKind::Receiver);
        clean &= stopped(
            self.receiving.stop(deadline).await,
            ComponentKind::Processor,
        );
        let drains = self
            .exporters
            .iter()
            .map(|exporter| exporter.drain(deadline));
        clean &= timeout_at(deadline, join_all(drains)).await.is_ok();
        clean &= stopped(self.exporting.stop(deadline).await, ComponentKind::Exporter);
        clean &= self.serving.stop(deadline).await;
        let telemetry = self.site.telemetry;
        let flush = tokio::task::spawn_blocking(move || telemetry.shutdown());
        clean &= timeout_at(deadline, flush).await.is_ok();
        if clean {
            tracing::info!("stopped");
        } else {
            tracing::warn!("stopped with work left undone: the shutdown timeout was reached");
        }
    }
}
