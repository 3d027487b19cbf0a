//! A running component with its own resources.

use std::sync::Arc;

use tokio::time::Instant;

use super::fan_out::{FanOutConsumer, Pipelines};
use crate::{
    pipeline::{Consumer, Exporter, Reporter},
    receivers::http_json::{HttpJsonReceiver, TargetManager},
    runtime::Tasks,
    settings::ComponentId,
};

/// An exporter.
#[derive(Clone)]
pub(super) struct ExporterNode {
    pub(super) exporter: Arc<dyn Exporter>,
    pub(super) tasks: Tasks,
    pub(super) status: Reporter,
}

/// A receiver.
pub(super) struct ReceiverNode {
    pub(super) running: Arc<TargetManager>,
    pub(super) fan_out: FanOutConsumer,
    tasks: Tasks,
}

impl ReceiverNode {
    /// Starts the receiver. The pipelines take its polls.
    pub(super) fn start(first: HttpJsonReceiver, pipelines: Pipelines, tasks: Tasks) -> Self {
        let fan_out = FanOutConsumer::new(pipelines);
        let consumer = Arc::new(fan_out.clone()) as Arc<dyn Consumer>;
        Self {
            running: first.start(consumer, &tasks),
            fan_out,
            tasks,
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
