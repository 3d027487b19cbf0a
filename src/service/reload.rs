//! A new configuration while the collector runs: built first, then swapped, or not at all.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Site,
    graph::{self, StartError},
    pipeline::MetricsPipeline,
    plan::{Change, plan},
};
use crate::{
    config::Config,
    definition,
    pipeline::{ComponentKind, Consumer, Reporter},
    receivers::{self, http_json},
    runtime::{Clock, Tasks},
    settings::ComponentId,
    telemetry::names,
};

/// How long a receiver that goes may take for it: its polls under way are dropped.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the running configuration stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It differs in what cannot change while the collector runs.
    #[error("changes of {} need a restart", keys.join(", "))]
    NeedsRestart {
        /// Which keys.
        keys: Vec<String>,
    },
    /// One of its receivers cannot be built.
    #[error(transparent)]
    Build(#[from] StartError),
}

/// The part of the collector that follows the configuration while it runs.
pub(super) struct Reloadable {
    pub(super) config: Config,
    pub(super) pipelines: BTreeMap<ComponentId, Arc<MetricsPipeline>>,
    pub(super) receivers: BTreeMap<ComponentId, (Arc<http_json::Running>, Tasks)>,
    /// The group to which those of the receivers belong.
    pub(super) receiving: Tasks,
}

/// What the last attempt came to, on metrics.
pub(super) struct Outcome {
    clock: Clock,
    status: Reporter,
    successful: Arc<AtomicU64>,
    last_success: Arc<AtomicU64>,
}

impl Reloadable {
    /// Starts a built receiver, in a group of its own.
    pub(super) fn start(&mut self, id: ComponentId, built: http_json::HttpJson, site: &Site) {
        let kind = ComponentKind::Receiver;
        site.components.register(kind, &id.to_string());
        let tasks = self.receiving.group();
        let takes = |(pipeline, _): &(&ComponentId, &Arc<MetricsPipeline>)| {
            let config = self.config.service.pipelines.get(*pipeline);
            config.is_some_and(|pipeline| pipeline.receivers.contains(&id))
        };
        let consumers = self.pipelines.iter().filter(takes);
        let consumers: Vec<_> = consumers
            .map(|(_, pipeline)| Arc::clone(pipeline) as Arc<dyn Consumer>)
            .collect();
        let running = built.start(&consumers, &tasks);
        self.receivers.insert(id, (running, tasks));
    }

    /// Goes over to `new`. What did not change does not notice.
    ///
    /// # Errors
    /// If it cannot be built or needs a restart; everything goes on as before then.
    pub(super) async fn reload(&mut self, new: Config, site: &Site) -> Result<(), ReloadError> {
        let changes = plan(&self.config, &new, |id| self.is_redefined(id, &new))
            .map_err(|keys| ReloadError::NeedsRestart { keys })?;
        let replaced = changes
            .iter()
            .filter(|(_, change)| **change == Change::Replace);
        let replaced: Vec<_> = replaced.map(|(id, _)| id.clone()).collect();
        let mut built = Vec::new();
        for id in replaced.iter().filter(|id| is_used(&new, id)) {
            let receiver = graph::build_receiver(&new, id, site)?;
            built.extend(receiver.map(|receiver| (id.clone(), receiver)));
        }
        for id in &replaced {
            self.stop(id).await;
            let kind = ComponentKind::Receiver;
            site.components.remove(kind, &id.to_string());
        }
        let targets = changes
            .iter()
            .filter(|(_, change)| **change == Change::Targets);
        for (id, _) in targets {
            if let Some((running, _)) = self.receivers.get(id)
                && let Some(receivers::Config::HttpJson(config)) = new.receivers.get(id)
            {
                let targets: Vec<_> = config.own_targets().cloned().collect();
                running.apply(&targets);
            }
        }
        self.config = new;
        for (id, receiver) in built {
            self.start(id, receiver, site);
        }
        site.components.started();
        tracing::info!(changed_receivers = changes.len(), "configuration reloaded");
        Ok(())
    }

    /// Stops all receivers by `deadline`; gives those that still run then.
    pub(super) async fn stop_all(&self, deadline: Instant) -> Vec<String> {
        let stops = self.receivers.iter().map(async |(id, (running, tasks))| {
            let before = running.dropped_polls();
            let is_stopped = tasks.stop(deadline).await;
            let polls = running.dropped_polls() - before;
            if polls > 0 {
                tracing::info!(receiver = %id, polls, "polls under way were dropped");
            }
            (!is_stopped).then(|| id.to_string())
        });
        let left = futures_util::future::join_all(stops).await;
        left.into_iter().flatten().collect()
    }

    async fn stop(&mut self, id: &ComponentId) {
        let Some((_, tasks)) = self.receivers.remove(id) else {
            return;
        };
        if !tasks.stop(Instant::now() + STOP_TIMEOUT).await {
            tracing::warn!(receiver = %id, "a receiver that was removed still runs");
        }
    }

    /// Whether the definitions of a receiver read otherwise now. One that cannot be read has had
    /// its message when the configuration was checked.
    fn is_redefined(&self, id: &ComponentId, new: &Config) -> bool {
        let (Some((running, _)), Some(receivers::Config::HttpJson(config))) =
            (self.receivers.get(id), new.receivers.get(id))
        else {
            return false;
        };
        let now = config.definition.iter().map(|name| definition::load(name));
        let now = now
            .filter_map(Result::ok)
            .map(|definition| definition.digest);
        !now.eq(running.factory().digests())
    }
}

impl Outcome {
    /// The first configuration is a success.
    pub(super) fn new(site: &Site) -> Self {
        let (meter, clock) = (&site.meter, &site.clock);
        let outcome = Self {
            clock: clock.clone(),
            status: site.components.register(ComponentKind::Service, "config"),
            successful: Arc::new(AtomicU64::new(1)),
            last_success: Arc::new(AtomicU64::new(clock.since_epoch().as_secs())),
        };
        for (metric, value) in [
            (&names::RELOAD_SUCCESSFUL, &outcome.successful),
            (&names::RELOAD_SUCCESS_TIME, &outcome.last_success),
        ] {
            let value = Arc::clone(value);
            metric.observable_gauge(meter, move |observer| {
                observer.observe(value.load(Ordering::Relaxed), &[]);
            });
        }
        outcome
    }

    /// Notes what an attempt came to.
    pub(super) fn note(&self, result: &Result<(), String>) {
        self.successful
            .store(u64::from(result.is_ok()), Ordering::Relaxed);
        match result {
            Ok(()) => {
                let now = self.clock.since_epoch().as_secs();
                self.last_success.store(now, Ordering::Relaxed);
                self.status.ok();
            }
            Err(error) => {
                tracing::error!(error, "configuration not reloaded: the running one stays");
                self.status.recoverable_error(error);
            }
        }
    }
}

fn is_used(config: &Config, id: &ComponentId) -> bool {
    let mut pipelines = config.service.pipelines.values();
    pipelines.any(|pipeline| pipeline.receivers.contains(id))
}
