//! Components that were removed from the configuration and still have work to finish.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::node::ExporterNode;
use crate::{runtime::Tasks, telemetry::DrainingTelemetry};

/// How long a removed exporter tries to send what it holds: the default of
/// `retry_on_failure::max_elapsed_time`.
const LONGEST: Duration = Duration::from_secs(300);

/// The most removed exporters that do so at the same time. Each may hold a full queue.
const MOST: usize = 16;

/// How long a removed listener waits for its answers in progress.
const ANSWERS: Duration = Duration::from_secs(60);

/// The removed components, in the background.
pub(super) struct DrainingComponents {
    exporters: Arc<Mutex<Vec<ExporterNode>>>,
    tasks: Tasks,
}

impl DrainingComponents {
    pub(super) fn new(root: &Tasks) -> Self {
        Self {
            exporters: Arc::default(),
            tasks: root.group(),
        }
    }

    /// Ends listeners after their answers in progress.
    pub(super) fn listeners(&self, gone: Vec<Tasks>) {
        for listening in gone {
            self.tasks.spawn_isolated("removed listener", async move {
                listening.stop(Instant::now() + ANSWERS).await;
            });
        }
    }

    /// Lets a removed exporter send what it holds, with all its retries. If its replacement
    /// continues with its queue, it only writes the queue to disk.
    pub(super) fn exporter(&self, node: ExporterNode, is_handed_on: bool, patience: Duration) {
        let is_full = lock(&self.exporters).len() >= MOST;
        lock(&self.exporters).push(node.clone());
        let exporters = Arc::clone(&self.exporters);
        let work = async move {
            if !is_handed_on && !is_full {
                // After this time the exporter is drained even if it holds something.
                drop(timeout(LONGEST, node.exporter.emptied()).await);
            }
            node.exporter.drain(Instant::now() + patience).await;
            node.tasks.stop(Instant::now() + patience).await;
            lock(&exporters).retain(|other| !Arc::ptr_eq(&other.exporter, &node.exporter));
        };
        let stop = self.tasks.stopping();
        self.tasks.spawn_isolated("removed exporter", async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// Sends the collector's own metrics and spans once more to their old destinations.
    pub(super) fn telemetry(&self, left: DrainingTelemetry) {
        if left.is_empty() {
            return;
        }
        self.tasks.spawn_isolated("removed telemetry", async move {
            // It has its own timeout. A panic there loses only what it would have sent.
            drop(spawn_blocking(move || left.end()).await);
        });
    }

    /// The exporters that are not done yet.
    pub(super) fn exporters(&self) -> Vec<ExporterNode> {
        lock(&self.exporters).clone()
    }

    /// Waits for the removed components until `deadline`. Returns false if one is not done then.
    pub(super) async fn stop(&self, deadline: Instant) -> bool {
        self.tasks.stop(deadline).await
    }
}

fn lock(exporters: &Mutex<Vec<ExporterNode>>) -> MutexGuard<'_, Vec<ExporterNode>> {
    // The list is consistent at every moment.
    exporters.lock().unwrap_or_else(PoisonError::into_inner)
}
