//! Components that are part of no configuration any more and still have something to do.

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

/// How long an exporter that left goes on trying to get rid of what it holds: as long as
/// `retry_on_failure::max_elapsed_time` is by default.
const LONGEST: Duration = Duration::from_secs(300);

/// The most exporters that do so at the same time; each may hold as much as its queue may.
const MOST: usize = 16;

/// How long a listener that left waits for the answers that are under way.
const ANSWERS: Duration = Duration::from_secs(60);

/// What leaves, in the background.
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

    /// Lets listeners end after the answers that are under way.
    pub(super) fn listeners(&self, gone: Vec<Tasks>) {
        for listening in gone {
            self.tasks.spawn_isolated("listener that left", async move {
                listening.stop(Instant::now() + ANSWERS).await;
            });
        }
    }

    /// Lets an exporter that gets nothing more send what it holds, with all its retries. One whose
    /// queue is handed on to the one that takes its place only puts it on disk.
    pub(super) fn exporter(&self, node: ExporterNode, is_handed_on: bool, patience: Duration) {
        let is_full = lock(&self.exporters).len() >= MOST;
        lock(&self.exporters).push(node.clone());
        let exporters = Arc::clone(&self.exporters);
        let work = async move {
            if !is_handed_on && !is_full {
                // Who is not done then is drained all the same.
                drop(timeout(LONGEST, node.exporter.emptied()).await);
            }
            node.exporter.drain(Instant::now() + patience).await;
            node.tasks.stop(Instant::now() + patience).await;
            lock(&exporters).retain(|other| !Arc::ptr_eq(&other.exporter, &node.exporter));
        };
        let stop = self.tasks.stopping();
        self.tasks.spawn_isolated("exporter that left", async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// Lets the collector's own metrics and spans be sent once more where they went until now.
    pub(super) fn telemetry(&self, left: DrainingTelemetry) {
        if left.is_empty() {
            return;
        }
        self.tasks
            .spawn_isolated("telemetry that left", async move {
                // Its timeout is within. A panic there costs what it would have sent.
                drop(spawn_blocking(move || left.end()).await);
            });
    }

    /// The exporters that are not done yet.
    pub(super) fn exporters(&self) -> Vec<ExporterNode> {
        lock(&self.exporters).clone()
    }

    /// Waits for what is left until `deadline`; false if there is something then.
    pub(super) async fn stop(&self, deadline: Instant) -> bool {
        self.tasks.stop(deadline).await
    }
}

fn lock(exporters: &Mutex<Vec<ExporterNode>>) -> MutexGuard<'_, Vec<ExporterNode>> {
    // The list is whole at every moment.
    exporters.lock().unwrap_or_else(PoisonError::into_inner)
}
