//! Groups of tasks. Every task belongs to a group, which stops it and waits for it.

use std::{any::Any, fmt, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The pause after a panic before a task restarts.
pub const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(30);

/// Why a task ended that should run until shutdown.
#[derive(Debug, Clone, thiserror::Error)]
#[error("task `{task}` died: {reason}")]
pub struct TaskFailure {
    /// The name of the task.
    pub task: Arc<str>,
    /// The panic message or the reason.
    pub reason: String,
    /// How far the failure reaches.
    pub loss: Severity,
}

/// How far a panic reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Fatal: what the task is for is not done any more.
    Fatal,
    /// The task restarts after a pause.
    Restarts,
    /// Only this unit of work is lost, such as one connection.
    Isolated,
}

/// An event of a task.
#[derive(Debug, Clone)]
pub enum TaskEvent {
    /// It panicked.
    Died(TaskFailure),
    /// It restarted.
    Resumed,
}

/// Receives the events.
type Report = Arc<dyn Fn(TaskEvent) + Send + Sync>;

/// A group of tasks that stop together. Clones are handles to the same group.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    report: Report,
    /// The runtime of the tasks. `None` means that of the caller.
    place: Option<Handle>,
}

impl Tasks {
    /// Creates an empty group, and the receiver of its fatal failures, which end the process.
    pub fn new() -> (Self, mpsc::Receiver<TaskFailure>) {
        // The first failure ends the process. A few more are kept so that no sender blocks.
        let (failures, receiver) = mpsc::channel(16);
        let report = move |event| match event {
            TaskEvent::Died(failure) if failure.loss == Severity::Fatal => {
                // A full channel already has a failure that ends the process.
                drop(failures.try_send(failure));
            }
            TaskEvent::Died(_) | TaskEvent::Resumed => {}
        };
        let tasks = Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            report: Arc::new(report),
            place: None,
        };
        (tasks, receiver)
    }

    /// A group that reports to the same receiver, but stops separately.
    pub fn group(&self) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            report: Arc::clone(&self.report),
            place: self.place.clone(),
        }
    }

    /// The same group; tasks that are spawned through this handle run in that runtime.
    #[must_use]
    pub fn on(&self, runtime: &Handle) -> Self {
        Self {
            place: Some(runtime.clone()),
            ..self.clone()
        }
    }

    /// A handle to the same group that reports to another receiver.
    pub fn reporting(&self, report: impl Fn(TaskEvent) + Send + Sync + 'static) -> Self {
        Self {
            report: Arc::new(report),
            ..self.clone()
        }
    }

    /// A part of this group that can be stopped earlier, with [`Self::cancel`].
    pub fn part(&self) -> Self {
        Self {
            stop: self.stop.child_token(),
            ..self.clone()
        }
    }

    /// Signals all tasks to stop, without waiting for them.
    pub fn cancel(&self) {
        self.stop.cancel();
    }

    /// The stop signal of the tasks.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `future` until it ends. A panic is caught and reported as a failure of `name`. The handle
    /// tells when it has ended; dropping the handle changes nothing.
    pub fn spawn<F>(&self, name: impl Into<Arc<str>>, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.watch(name.into(), future, Severity::Fatal)
    }

    /// Like `spawn`, for short-lived tasks such as one connection: a panic is logged, never fatal.
    pub fn spawn_isolated<F>(&self, name: impl Into<Arc<str>>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.watch(name.into(), future, Severity::Isolated);
    }

    /// Runs the future of `begin` until it ends. After a panic, which is reported, and a pause, it
    /// starts again. What it shares with others must be consistent at every moment.
    pub fn spawn_supervised<F>(
        &self,
        name: impl Into<Arc<str>>,
        begin: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (name, report, stop) = (name.into(), Arc::clone(&self.report), self.stop.clone());
        self.run(async move {
            while let Err(reason) = catch_panic(begin()).await {
                fail(&report, &name, reason, Severity::Restarts);
                let pause = stop.run_until_cancelled(sleep(PAUSE_AFTER_PANIC));
                if pause.await.is_none() {
                    return;
                }
                report(TaskEvent::Resumed);
            }
        });
    }

    /// Reports that `task` can no longer work.
    pub fn fail(&self, task: &str, reason: impl Into<String>) {
        fail(&self.report, &task.into(), reason.into(), Severity::Fatal);
    }

    /// Stops all tasks and waits for them until `deadline`. Returns false if some still run.
    pub async fn stop(&self, deadline: Instant) -> bool {
        self.stop.cancel();
        self.tracker.close();
        timeout_at(deadline, self.tracker.wait()).await.is_ok()
    }

    fn watch<F>(&self, name: Arc<str>, future: F, loss: Severity) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let report = Arc::clone(&self.report);
        self.run(catch_panic(future).map(move |ended| {
            if let Err(reason) = ended {
                fail(&report, &name, reason, loss);
            }
        }))
    }

    fn run(&self, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match &self.place {
            Some(runtime) => self.tracker.spawn_on(future, runtime),
            None => self.tracker.spawn(future),
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("tracker", &self.tracker)
            .finish_non_exhaustive()
    }
}

fn fail(report: &Report, task: &Arc<str>, reason: String, loss: Severity) {
    tracing::error!(%task, reason, ?loss, "task died");
    report(TaskEvent::Died(TaskFailure {
        task: Arc::clone(task),
        reason,
        loss,
    }));
}

/// Runs `future` to its end. An error is the message of a panic.
///
/// # Errors
/// If it panics. What it shares with others must be consistent at every moment.
pub fn catch_panic<T>(future: impl Future<Output = T>) -> impl Future<Output = Result<T, String>> {
    // The futures are combined, not awaited: an `async` block would contain the future twice,
    // before and during the await, and there is one for each target.
    let ended = AssertUnwindSafe(future).catch_unwind();
    ended.map(|ended| ended.map_err(|panic| panic_text(panic.as_ref())))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::runtime::DedicatedRuntime;

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_reported_with_the_name_of_the_task() {
        let (tasks, mut failures) = Tasks::new();
        tasks.spawn("doomed", async { panic!("out of luck") });
        let failure = failures.recv().await.unwrap();
        assert_eq!(failure.to_string(), "task `doomed` died: out of luck");
    }

    #[tokio::test(start_paused = true)]
    async fn a_supervised_task_restarts_after_a_pause() {
        let (tasks, _failures) = Tasks::new();
        let (sender, mut events) = mpsc::channel(8);
        let told = sender.clone();
        let own = tasks.reporting(move |event| {
            let what = match event {
                TaskEvent::Died(failure) => failure.to_string(),
                TaskEvent::Resumed => "resumed".to_owned(),
            };
            told.try_send((what, Instant::now())).unwrap();
        });
        let (start, is_first) = (Instant::now(), AtomicBool::new(true));
        own.spawn_supervised("lasting", move || {
            let (is_first, sender) = (is_first.swap(false, Ordering::Relaxed), sender.clone());
            async move {
                assert!(!is_first, "the first time");
                sender
                    .try_send(("ended".to_owned(), Instant::now()))
                    .unwrap();
            }
        });
        let later = start + PAUSE_AFTER_PANIC;
        for (what, at) in [
            ("task `lasting` died: the first time", start),
            ("resumed", later),
            ("ended", later),
        ] {
            assert_eq!(events.recv().await, Some((what.to_owned(), at)));
        }
        assert!(tasks.stop(later).await, "of the same group");
    }

    #[tokio::test(start_paused = true)]
    async fn an_isolated_task_does_not_end_the_process() {
        let (tasks, mut failures) = Tasks::new();
        tasks.spawn_isolated("one", async { panic!("alone") });
        tasks.spawn_supervised("lasting", || async { panic!("again and again") });
        assert!(tasks.stop(Instant::now() + PAUSE_AFTER_PANIC * 3).await);
        assert!(failures.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_dedicated_runtime_does_not_wait_for_this_one() {
        let (tasks, _failures) = Tasks::new();
        let dedicated = DedicatedRuntime::start("dedicated").unwrap();
        let (done, waiting) = std::sync::mpsc::channel();
        tasks
            .on(dedicated.handle())
            .group()
            .spawn("dedicated", async move {
                done.send(std::thread::current().name().map(str::to_owned))
                    .unwrap();
            });
        // The only worker of this runtime is here, and busy.
        let name = waiting.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(name.as_deref(), Some("dedicated"));
    }

    #[tokio::test(start_paused = true)]
    async fn stop_waits_for_the_tasks_until_the_deadline() {
        let (tasks, _failures) = Tasks::new();
        let stopping = tasks.stopping();
        tasks.spawn("obedient", async move { stopping.cancelled().await });
        assert!(tasks.stop(Instant::now() + Duration::from_secs(1)).await);

        let stubborn = tasks.group();
        stubborn.spawn("stubborn", std::future::pending());
        assert!(!stubborn.stop(Instant::now() + Duration::from_secs(1)).await);
    }
}
