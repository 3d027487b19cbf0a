//! A running component with its own resources.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    error::StartError,
    fan_out::{FanOutConsumer, Pipelines},
};
use crate::{
    client::auth::Authenticators,
    delivery::Storages,
    extensions::Extension,
    pipeline::{Consumer, Exporter, Reporter},
    receivers::{BuiltReceiver, Receiver},
    runtime::Tasks,
    settings::ComponentId,
};

/// An extension.
pub(super) struct ExtensionNode {
    pub(super) extension: Arc<dyn Extension>,
    pub(super) tasks: Tasks,
    pub(super) status: Reporter,
}

/// All extensions.
#[derive(Default)]
pub(super) struct Extensions(pub(super) BTreeMap<ComponentId, ExtensionNode>);

/// What extensions offer to other components.
pub(super) struct Offers {
    pub(super) storages: Storages,
    pub(super) authenticators: Authenticators,
}

impl Extensions {
    /// What they offer.
    pub(super) fn offers(&self) -> Offers {
        let authenticators = self.0.iter().filter_map(|(id, node)| {
            let authenticator = node.extension.authenticator()?;
            Some((id.clone(), Arc::clone(authenticator)))
        });
        Offers {
            storages: self.storages(),
            authenticators: authenticators.collect(),
        }
    }

    /// Those that store data for other components.
    pub(super) fn storages(&self) -> Storages {
        let storages = self.0.iter();
        let storages =
            storages.filter_map(|(id, node)| Some((id.clone(), node.extension.storage()?.clone())));
        storages.collect()
    }

    /// Starts them all.
    pub(super) async fn start(&self) -> Result<(), StartError> {
        for (id, node) in &self.0 {
            let started = node.extension.start().await;
            started.map_err(|source| StartError::Extension {
                id: id.to_string(),
                source,
            })?;
        }
        Ok(())
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = &Tasks> {
        self.0.values().map(|node| &node.tasks)
    }
}

/// An exporter.
#[derive(Clone)]
pub(super) struct ExporterNode {
    pub(super) exporter: Arc<dyn Exporter>,
    pub(super) tasks: Tasks,
    pub(super) status: Reporter,
}

/// A receiver.
pub(super) struct ReceiverNode {
    pub(super) running: Arc<dyn Receiver>,
    pub(super) fan_out: FanOutConsumer,
    tasks: Tasks,
}

impl ReceiverNode {
    /// Starts the receiver. The pipelines take its polls.
    pub(super) fn start(first: Box<dyn BuiltReceiver>, pipelines: Pipelines, tasks: Tasks) -> Self {
        let fan_out = FanOutConsumer::new(pipelines);
        let consumer = Arc::new(fan_out.clone()) as Arc<dyn Consumer>;
        Self {
            running: first.start(consumer, &tasks),
            fan_out,
            tasks,
        }
    }

    /// Stops a receiver that is not in the configuration any more, or that another one replaces.
    pub(super) async fn remove(self, id: &ComponentId, patience: Duration) {
        if !self.stop(id, Instant::now() + patience).await {
            tracing::warn!(receiver = %id, "a removed receiver still runs");
        }
    }

    /// Whether it has stopped by `deadline`. Logs the number of polls that were dropped.
    pub(super) async fn stop(&self, id: &ComponentId, deadline: Instant) -> bool {
        let before = self.running.dropped_polls();
        let is_stopped = self.tasks.stop(deadline).await;
        let polls = self.running.dropped_polls() - before;
        if polls > 0 {
            tracing::info!(receiver = %id, polls, "polls in progress were dropped");
        }
        is_stopped
    }
}
