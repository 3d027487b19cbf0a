//! The running whole: exporters start first and stop last, receivers the other way round.

mod graph;
mod outlet;
mod own_telemetry;
mod pipeline;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::join_all;
use opentelemetry::metrics::Meter;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use self::graph::Graph;
pub use self::graph::StartError;
use crate::{
    config::Config,
    pipeline::{Components, Exporter, StatusBoard, TargetNames},
    runtime::{Clock, Failure, Tasks},
    telemetry::OwnTelemetry,
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
}

/// A collector at work.
pub struct Service {
    receivers: Tasks,
    exporting: Tasks,
    serving: Tasks,
    exporters: Vec<Arc<dyn Exporter>>,
    failures: mpsc::Receiver<Failure>,
    site: Site,
    shutdown_timeout: Duration,
}

impl Site {
    fn new(telemetry: OwnTelemetry, world: &World, tasks: &Tasks) -> Self {
        let meter = telemetry.meter();
        let components = Components::new(&world.clock, tasks);
        components.observe(&meter);
        Self {
            telemetry: Arc::new(telemetry),
            meter,
            components,
            board: Arc::default(),
            names: Arc::default(),
            clock: world.clock.clone(),
            seed: world.seed,
        }
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
        let (receivers, failures) = Tasks::new();
        let (exporting, serving) = (receivers.group(), receivers.group());
        let site = Site::new(telemetry, world, &receivers);
        let graph = Graph::build(config, &site, &exporting)?;
        let exporters = graph.exporters();
        graph.start(&site, &serving, &receivers).await?;
        tracing::info!("everything is ready");
        let shutdown_timeout = config.service.shutdown_timeout.get();
        Ok(Self {
            receivers,
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
        let site = Site::new(telemetry, world, &tasks);
        Graph::build(config, &site, &tasks).map(drop)
    }

    /// How each component is.
    pub fn components(&self) -> &Arc<Components> {
        &self.site.components
    }

    /// Runs until `shutdown`, then stops.
    ///
    /// # Errors
    /// If a component died before that.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
        let result = tokio::select! {
            () = shutdown => Ok(()),
            Some(failure) = self.failures.recv() => Err(failure),
        };
        self.stop().await;
        result
    }

    /// Stops the receivers, hands over what the exporters hold, closes the listeners.
    async fn stop(self) {
        tracing::info!("stopping");
        let deadline = Instant::now() + self.shutdown_timeout;
        let mut clean = self.receivers.stop(deadline).await;
        let drains = self
            .exporters
            .iter()
            .map(|exporter| exporter.drain(deadline));
        clean &= timeout_at(deadline, join_all(drains)).await.is_ok();
        clean &= self.exporting.stop(deadline).await;
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
