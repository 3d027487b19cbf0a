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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::time::advance;

    use super::*;
    use crate::pipeline::{Exporter, Reporter, Snapshot, Target};

    /// Holds something for ever, and notes when it is drained.
    #[derive(Default)]
    struct Full(Mutex<Option<Instant>>);

    #[async_trait]
    impl Exporter for Full {
        fn export(&self, _snapshot: &Snapshot<'_>) {}

        fn forget(&self, _target: &Target) {}

        async fn emptied(&self) {
            std::future::pending::<()>().await;
        }

        async fn drain(&self, deadline: Instant) {
            *self.0.lock().unwrap() = Some(deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_may_drain_at_once_has_only_the_shutdown_timeout() {
        let (root, _failures) = Tasks::new();
        let draining = DrainingComponents::new(&root);
        let full: Vec<_> = (0..=MOST).map(|_| Arc::new(Full::default())).collect();
        let (start, patience) = (Instant::now(), Duration::from_secs(30));
        for exporter in &full {
            let node = ExporterNode {
                exporter: Arc::clone(exporter) as Arc<dyn Exporter>,
                tasks: root.group(),
                status: Reporter::unheard(),
            };
            draining.exporter(node, false, patience);
        }
        tokio::task::yield_now().await;
        advance(Duration::from_secs(1)).await;
        let drained = |exporter: &Arc<Full>| *exporter.0.lock().unwrap();
        let (last, others) = full.split_last().unwrap();
        assert_eq!(drained(last), Some(start + patience));
        assert!(others.iter().all(|other| drained(other).is_none()));
        assert_eq!(draining.exporters().len(), MOST);
        tokio::time::sleep(LONGEST).await;
        assert!(others.iter().all(|other| drained(other).is_some()));
        assert!(draining.exporters().is_empty());
    }
}
