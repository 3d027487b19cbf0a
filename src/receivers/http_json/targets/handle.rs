//! How a receiver controls the task of a target.

use std::{fmt, sync::Arc};

use futures_util::future::join_all;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{poll_threads::PollThread, task};
use crate::{
    pipeline::Consumer,
    receivers::http_json::{config::TargetConfig, poll::signals::TargetSignals, spec::TargetSpec},
    runtime::Tasks,
};

/// A target that is polled.
pub(crate) struct TargetHandle {
    pub(crate) config: Arc<TargetConfig>,
    spec: watch::Sender<TargetSpec>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _thread: Arc<PollThread>,
}

/// Targets that were told to stop.
#[derive(Default)]
pub struct StopHandle(Vec<JoinHandle<()>>);

impl TargetHandle {
    /// Starts the task of a target on a thread. It hands its polls to `consumer`.
    pub(crate) fn start(
        spec: TargetSpec,
        consumer: Arc<dyn Consumer>,
        tasks: &Tasks,
        thread: Arc<PollThread>,
    ) -> Self {
        let config = Arc::clone(&spec.config);
        let name = format!("{} of {}", config.display_name(), spec.receiver.context.id);
        let stop = tasks.stopping().child_token();
        let (sender, receiver) = watch::channel(spec);
        let signals = TargetSignals::new(stop.clone(), receiver, thread.turns.clone());
        Self {
            config,
            spec: sender,
            stop,
            task: thread
                .tasks(tasks)
                .spawn(name, task::run(signals, consumer)),
            _thread: thread,
        }
    }

    /// Has the task apply another spec, after the poll in progress and in its turn.
    pub(crate) fn update(&mut self, spec: TargetSpec) {
        self.config = Arc::clone(&spec.config);
        self.spec.send_replace(spec);
    }
}

impl StopHandle {
    /// Tells a target to stop.
    pub(crate) fn stop(&mut self, target: TargetHandle) {
        target.stop.cancel();
        self.0.push(target.task);
    }

    /// Waits until none of them is polled and nothing of them is shown any more.
    pub async fn done(self) {
        // A task that panicked has ended too; its panic is reported where it was spawned.
        drop(join_all(self.0).await);
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StopHandle").field(&self.0.len()).finish()
    }
}
