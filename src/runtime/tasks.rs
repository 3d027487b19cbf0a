//! Every task has an owner: it is spawned here, told to stop here, and waited for here.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Why a task that should have run until shutdown ended.
#[derive(Debug, thiserror::Error)]
#[error("task `{task}` died: {reason}")]
pub struct Failure {
    /// The task's name.
    pub task: String,
    /// What it panicked with or returned.
    pub reason: String,
}

/// A group of tasks that stop together. Clones are handles to the same group.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failures: mpsc::Sender<Failure>,
    /// Where they run; where they were spawned if none.
    place: Option<Handle>,
}

impl Tasks {
    /// An empty group, and where the first failures of its tasks arrive.
    pub fn new() -> (Self, mpsc::Receiver<Failure>) {
        // The first failure ends the process; a few more are kept so that none blocks.
        let (failures, receiver) = mpsc::channel(16);
        (
            Self {
                tracker: TaskTracker::new(),
                stop: CancellationToken::new(),
                failures,
                place: None,
            },
            receiver,
        )
    }

    /// A group that reports to the same place but is stopped and waited for on its own.
    pub fn group(&self) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            failures: self.failures.clone(),
            place: self.place.clone(),
        }
    }

    /// The same group; what is spawned through this handle runs in that runtime.
    #[must_use]
    pub fn on(&self, runtime: &Handle) -> Self {
        Self {
            place: Some(runtime.clone()),
            ..self.clone()
        }
    }

    /// The signal that tells the tasks to stop.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `future` until it ends. A panic is caught and reported as a failure of `name`.
    pub fn spawn<F>(&self, name: impl Into<Arc<str>>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (name, failures) = (name.into(), self.failures.clone());
        let watched = catch_panic(future).map(move |ended| {
            if let Err(panic) = ended {
                report(&failures, &name, panic);
            }
        });
        match &self.place {
            Some(runtime) => self.tracker.spawn_on(watched, runtime),
            None => self.tracker.spawn(watched),
        };
    }

    /// Reports that `task` can no longer do its work; the process ends non-zero.
    pub fn fail(&self, task: &str, reason: impl Into<String>) {
        report(&self.failures, task, reason.into());
    }

    /// Tells all tasks to stop and waits for them until `deadline`; false if some still run.
    pub async fn stop(&self, deadline: Instant) -> bool {
        self.stop.cancel();
        self.tracker.close();
        timeout_at(deadline, self.tracker.wait()).await.is_ok()
    }
}

/// Runs `future` to its end; an error is the text of a panic in it.
///
/// # Errors
/// If it panics. What it shares with others must be whole at every moment.
pub fn catch_panic<T>(future: impl Future<Output = T>) -> impl Future<Output = Result<T, String>> {
    // Combined and not awaited: an `async` block would have room for the future twice, before and
    // while it is awaited, and there is one for each target.
    let ended = AssertUnwindSafe(future).catch_unwind();
    ended.map(|ended| ended.map_err(|panic| panic_text(panic.as_ref())))
}

fn report(failures: &mpsc::Sender<Failure>, task: &str, reason: String) {
    tracing::error!(task, reason, "task died");
    // A full channel already holds a failure that ends the process.
    drop(failures.try_send(Failure {
        task: task.to_owned(),
        reason,
    }));
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::Apart;

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_reported_with_the_name_of_the_task() {
        let (tasks, mut failures) = Tasks::new();
        tasks.spawn("doomed", async { panic!("out of luck") });
        let failure = failures.recv().await.unwrap();
        assert_eq!(failure.to_string(), "task `doomed` died: out of luck");
    }

    #[tokio::test]
    async fn what_runs_apart_waits_for_nobody_here() {
        let (tasks, _failures) = Tasks::new();
        let apart = Apart::start("apart").unwrap();
        let (done, waiting) = std::sync::mpsc::channel();
        tasks.on(apart.handle()).group().spawn("apart", async move {
            done.send(std::thread::current().name().map(str::to_owned))
                .unwrap();
        });
        // The only worker of this runtime is here, and busy.
        let name = waiting.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(name.as_deref(), Some("apart"));
    }

    #[tokio::test(start_paused = true)]
    async fn stop_waits_for_the_tasks_but_not_past_the_deadline() {
        let (tasks, _failures) = Tasks::new();
        let stopping = tasks.stopping();
        tasks.spawn("obedient", async move { stopping.cancelled().await });
        assert!(tasks.stop(Instant::now() + Duration::from_secs(1)).await);

        let stubborn = tasks.group();
        stubborn.spawn("stubborn", std::future::pending());
        assert!(!stubborn.stop(Instant::now() + Duration::from_secs(1)).await);
    }
}
