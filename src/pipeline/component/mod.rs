//! The status of each component, with the Collector's names. Components report it, and extensions
//! show it.
//!
//! A component keeps the [`Reporter`] that it is built with. It may report as often as it likes: a
//! report without a change costs only a lock.

mod status;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use opentelemetry::KeyValue;

pub use self::status::{ComponentKind, ComponentStatus};
use crate::{
    runtime::{Clock, Severity, TaskEvent, TaskFailure, Tasks},
    telemetry::{Meter, names},
};

/// The last reported state of a component.
#[derive(Debug, Clone)]
pub struct ComponentState {
    /// The kind of component.
    pub kind: ComponentKind,
    /// Its id, for example `otlp_http/eu`.
    pub id: String,
    /// Its status.
    pub status: ComponentStatus,
    /// The error message, if the status is an error. It contains no secret.
    pub error: Option<String>,
    /// When the status last changed.
    pub since: SystemTime,
    /// The number of its tasks that panicked.
    pub panics: u64,
}

/// Reports the status of one component.
#[derive(Debug, Clone)]
pub struct Reporter {
    state: Arc<Mutex<ComponentState>>,
    clock: Clock,
    tasks: Tasks,
}

/// All components, in the order of their registration.
#[derive(Debug)]
pub struct Components {
    reporters: Mutex<Vec<Reporter>>,
    clock: Clock,
    tasks: Tasks,
}

impl Components {
    /// Creates an empty list. A fatal error is a failure of `tasks`, which ends the process.
    pub fn new(clock: &Clock, tasks: &Tasks) -> Arc<Self> {
        Arc::new(Self {
            reporters: Mutex::default(),
            clock: clock.clone(),
            tasks: tasks.clone(),
        })
    }

    /// Registers a component with the status `Starting`. It replaces one of the same kind and id.
    pub fn register(&self, kind: ComponentKind, id: &str) -> Reporter {
        let reporter = self.announce(kind, id);
        self.show(&reporter);
        reporter
    }

    /// Creates the reporter of a component that is not shown before [`Self::show`].
    pub fn announce(&self, kind: ComponentKind, id: &str) -> Reporter {
        Reporter::new(kind, id, &self.clock, &self.tasks)
    }

    /// Shows a component, in place of one of the same kind and id. Nothing changes if it is shown.
    pub fn show(&self, reporter: &Reporter) {
        let ComponentState { kind, id, .. } = reporter.state();
        let mut reporters = lock(&self.reporters);
        if reporters
            .iter()
            .any(|known| Arc::ptr_eq(&known.state, &reporter.state))
        {
            return;
        }
        reporters.retain(|other| !other.is(kind, &id));
        reporters.push(reporter.clone());
    }

    /// Removes a component that is not in the configuration any more.
    pub fn remove(&self, kind: ComponentKind, id: &str) {
        lock(&self.reporters).retain(|reporter| !reporter.is(kind, id));
    }

    /// Records that all components of a kind have stopped in order.
    pub fn stopped(&self, kind: ComponentKind) {
        let reporters = lock(&self.reporters).clone();
        let reporters = reporters.iter();
        let of_kind = reporters.filter(|reporter| lock(&reporter.state).kind == kind);
        of_kind.for_each(Reporter::stopped);
    }

    /// The reporter of a shown component.
    pub fn reporter(&self, kind: ComponentKind, id: &str) -> Option<Reporter> {
        let reporters = lock(&self.reporters);
        reporters.iter().find(|known| known.is(kind, id)).cloned()
    }

    /// The group of `tasks` as that of a component ([`Reporter::own`]).
    pub fn own(&self, kind: ComponentKind, id: &str, tasks: &Tasks) -> Tasks {
        let reporters = lock(&self.reporters);
        let reporter = reporters.iter().find(|reporter| reporter.is(kind, id));
        reporter.map_or_else(|| tasks.clone(), |reporter| reporter.own(tasks))
    }

    /// The last reported state of each component.
    pub fn states(&self) -> Vec<ComponentState> {
        lock(&self.reporters).iter().map(Reporter::state).collect()
    }

    /// Records that all components have started. Components with another status keep it.
    pub fn started(&self) {
        lock(&self.reporters).iter().for_each(Reporter::started);
    }

    /// Registers the metrics with the status and the panics of each component, as long as this list
    /// lives.
    pub fn observe(self: &Arc<Self>, meter: &Meter) {
        names::COMPONENT_STATUS.observe(meter, self, |board, observer| {
            for state in board.states() {
                for status in ComponentStatus::ALL {
                    let [id, kind] = state.attributes();
                    let attributes = [id, kind, KeyValue::new(names::STATE, status.label())];
                    observer.observe(u64::from(status == state.status), &attributes);
                }
            }
        });
        names::COMPONENT_PANICS.observe(meter, self, |board, observer| {
            for state in board.states() {
                observer.observe(state.panics, &state.attributes());
            }
        });
    }
}

impl ComponentState {
    fn attributes(&self) -> [KeyValue; 2] {
        [
            KeyValue::new(names::COMPONENT_ID, self.id.clone()),
            KeyValue::new(names::COMPONENT_KIND, self.kind.name()),
        ]
    }
}

impl Reporter {
    fn new(kind: ComponentKind, id: &str, clock: &Clock, tasks: &Tasks) -> Self {
        let state = ComponentState {
            kind,
            id: id.to_owned(),
            status: ComponentStatus::Starting,
            error: None,
            since: clock.now(),
            panics: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            clock: clock.clone(),
            tasks: tasks.clone(),
        }
    }

    /// A reporter that nobody shows, for components outside of a service.
    pub fn unheard() -> Self {
        let (tasks, _failures) = Tasks::new();
        Self::new(ComponentKind::Exporter, "", &Clock::System, &tasks)
    }

    /// Reports that the component works.
    pub fn ok(&self) {
        self.report(ComponentStatus::Ok, None);
    }

    /// Reports that the component works, unless it has reported another status since its
    /// registration.
    pub fn started(&self) {
        if lock(&self.state).status == ComponentStatus::Starting {
            self.ok();
        }
    }

    /// Reports a failure after which the component tries again.
    pub fn recoverable_error(&self, error: impl fmt::Display) {
        self.report(ComponentStatus::RecoverableError, Some(error.to_string()));
    }

    /// Reports a failure that lasts until somebody fixes it.
    pub fn permanent_error(&self, error: impl fmt::Display) {
        self.report(ComponentStatus::PermanentError, Some(error.to_string()));
    }

    /// Reports a fatal error: the process stops in order, with a non-zero exit code.
    pub fn fatal_error(&self, error: impl fmt::Display) {
        let error = error.to_string();
        self.report(ComponentStatus::FatalError, Some(error.clone()));
        let ComponentState { kind, id, .. } = self.state();
        self.tasks.fail(&format!("{} {id}", kind.name()), error);
    }

    /// Reports that the component has stopped in order.
    pub fn stopped(&self) {
        self.report(ComponentStatus::Stopped, None);
    }

    /// The last reported state.
    pub fn state(&self) -> ComponentState {
        lock(&self.state).clone()
    }

    /// The group of `tasks` as that of this component: a task that panics shows in its status, and
    /// ends nothing else.
    pub fn own(&self, tasks: &Tasks) -> Tasks {
        let reporter = self.clone();
        tasks.reporting(move |event| match event {
            TaskEvent::Died(failure) => reporter.lost(&failure),
            TaskEvent::Resumed => reporter.ok(),
        })
    }

    fn lost(&self, failure: &TaskFailure) {
        lock(&self.state).panics += 1;
        match failure.loss {
            Severity::Fatal => self.permanent_error(failure),
            Severity::Restarts => self.recoverable_error(failure),
            Severity::Isolated => {}
        }
    }

    fn is(&self, kind: ComponentKind, id: &str) -> bool {
        let state = lock(&self.state);
        state.kind == kind && state.id == id
    }

    /// A fatal error is final, and only a change of the status is logged.
    fn report(&self, status: ComponentStatus, error: Option<String>) {
        let mut state = lock(&self.state);
        if state.status == ComponentStatus::FatalError {
            return;
        }
        let was = state.status;
        let is_first = was == ComponentStatus::Starting;
        state.error = error;
        if was == status {
            return;
        }
        state.status = status;
        state.since = self.clock.now();
        let (kind, component) = (state.kind.name(), &state.id);
        let (was, status_name, error) = (was.name(), status.name(), state.error.as_deref());
        match status {
            // Starting and stopping are not logged here, and a fatal error is logged as a failure.
            ComponentStatus::Starting | ComponentStatus::Stopped | ComponentStatus::FatalError => {}
            ComponentStatus::Ok if is_first => {}
            ComponentStatus::Ok => {
                tracing::info!(kind, component, was, status = status_name, "status changed");
            }
            ComponentStatus::RecoverableError => {
                tracing::warn!(
                    kind,
                    component,
                    was,
                    status = status_name,
                    error,
                    "status changed"
                );
            }
            ComponentStatus::PermanentError => {
                tracing::error!(
                    kind,
                    component,
                    was,
                    status = status_name,
                    error,
                    "status changed"
                );
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The data is consistent at every moment, so a panic elsewhere does no damage.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::{Duration, UNIX_EPOCH},
    };

    use tokio::{
        sync::mpsc,
        time::{advance, sleep},
    };

    use super::*;
    use crate::runtime::PAUSE_AFTER_PANIC;

    fn board() -> (Arc<Components>, mpsc::Receiver<TaskFailure>) {
        let (tasks, failures) = Tasks::new();
        let clock = Clock::starting_at(UNIX_EPOCH);
        (Components::new(&clock, &tasks), failures)
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_has_its_start_time_and_the_last_error() {
        let (board, mut failures) = board();
        let reporter = board.register(ComponentKind::Exporter, "otlp_http");
        let mut seen = Vec::new();
        let mut note = || {
            let state = board.states().remove(0);
            let since = state.since.duration_since(UNIX_EPOCH).unwrap().as_secs();
            seen.push((state.status.name(), state.error.unwrap_or_default(), since));
        };
        note();
        advance(Duration::from_secs(1)).await;
        reporter.started();
        note();
        advance(Duration::from_secs(1)).await;
        reporter.recoverable_error("refused");
        reporter.started();
        note();
        advance(Duration::from_secs(1)).await;
        reporter.recoverable_error("timeout");
        note();
        reporter.ok();
        note();
        let expected = [
            ("StatusStarting", "", 0),
            ("StatusOK", "", 1),
            ("StatusRecoverableError", "refused", 2),
            ("StatusRecoverableError", "timeout", 2),
            ("StatusOK", "", 3),
        ];
        let expected = expected.map(|(status, error, at)| (status, error.to_owned(), at));
        assert_eq!(seen, expected);
        assert!(failures.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fatal_error_ends_the_process_and_is_final() {
        let (board, mut failures) = board();
        let reporter = board.register(ComponentKind::Listener, "localhost:9200");
        reporter.fatal_error("the socket is gone");
        reporter.ok();
        reporter.stopped();
        let failure = failures.recv().await.unwrap().to_string();
        assert_eq!(
            failure,
            "task `listener localhost:9200` died: the socket is gone"
        );
        assert_eq!(reporter.state().status, ComponentStatus::FatalError);
    }

    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_a_task_affects_only_the_status_of_its_component() {
        let (tasks, mut failures) = Tasks::new();
        let board = Components::new(&Clock::System, &tasks);
        let reporter = board.register(ComponentKind::Exporter, "otlp_http");
        let own = board.own(ComponentKind::Exporter, "otlp_http", &tasks.group());
        let now = || {
            let state = reporter.state();
            (state.status, state.panics)
        };
        reporter.ok();
        own.spawn_isolated("connection", async { panic!("one") });
        sleep(MOMENT).await;
        assert_eq!(now(), (ComponentStatus::Ok, 1));
        let is_first = AtomicBool::new(true);
        own.spawn_supervised("sender", move || {
            let is_first = is_first.swap(false, Ordering::Relaxed);
            async move { assert!(!is_first, "two") }
        });
        sleep(MOMENT).await;
        assert_eq!(now(), (ComponentStatus::RecoverableError, 2));
        let error = reporter.state().error;
        assert_eq!(error.as_deref(), Some("task `sender` died: two"));
        sleep(PAUSE_AFTER_PANIC).await;
        assert_eq!(now(), (ComponentStatus::Ok, 2));
        own.spawn("writer", async { panic!("three") });
        sleep(MOMENT).await;
        assert_eq!(now(), (ComponentStatus::PermanentError, 3));
        assert!(failures.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_component_replaces_its_predecessor() {
        let (board, _failures) = board();
        let old = board.register(ComponentKind::Receiver, "betanet");
        board.register(ComponentKind::Exporter, "betanet").ok();
        board.register(ComponentKind::Receiver, "betanet").ok();
        old.permanent_error("of the old one");
        let all: Vec<_> = board.states().iter().map(|s| s.status).collect();
        assert_eq!(all, [ComponentStatus::Ok; 2]);
        board.remove(ComponentKind::Receiver, "betanet");
        assert_eq!(board.states().len(), 1);
    }
}
