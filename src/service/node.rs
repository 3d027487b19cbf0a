//! A component at work, with what belongs to it alone.

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
    /// Starts it; these take its polls.
    pub(super) fn start(first: HttpJsonReceiver, pipelines: Pipelines, tasks: Tasks) -> Self {
        let fan_out = FanOutConsumer::new(pipelines);
        let consumer = Arc::new(fan_out.clone()) as Arc<dyn Consumer>;
        Self {
            running: first.start(&[consumer], &tasks),
            fan_out,
            tasks,
        }
    }

    /// Whether all of it has ended by `deadline`; says how many polls it cut short.
    pub(super) async fn stop(&self, id: &ComponentId, deadline: Instant) -> bool {
        let before = self.running.dropped_polls();
        let is_stopped = self.tasks.stop(deadline).await;
        let polls = self.running.dropped_polls() - before;
        if polls > 0 {
            tracing::info!(receiver = %id, polls, "polls under way were dropped");
        }
        is_stopped
    }
}
