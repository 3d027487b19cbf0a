//! Connects the discovery of targets with the receiver.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};

use crate::{
    client::auth::UsedAuthenticators,
    discovery::{Address, DiscoveredTarget, Discovery, Found, SourceStatus, Sources},
    pipeline::{AddressFilter, AddressList, DiscoveryStatus, Window},
    receivers::{
        contract::ReceiverContext,
        http_json::config::{Config, TargetConfig},
    },
    runtime::{Clock, Tasks},
};

impl From<&DiscoveredTarget> for TargetConfig {
    fn from(target: &DiscoveredTarget) -> Self {
        Self {
            name: Some(target.name.clone()),
            labels: Arc::clone(&target.labels),
            ..match &target.located {
                Address::Single(url) => Self::at(url.clone()),
                Address::Replicas(urls) => Self::pool(urls.clone()),
            }
        }
    }
}

/// What decides which targets are discovered.
#[derive(Debug)]
pub(crate) struct DiscoveredBy {
    config: Config,
    authenticators: UsedAuthenticators,
}

impl DiscoveredBy {
    pub(crate) fn new(config: &Config, context: &ReceiverContext) -> Self {
        let discovery = config.discovery();
        let used = discovery.uses().map(|used| used.id);
        Self {
            config: config.clone(),
            authenticators: context.authenticators.used(used),
        }
    }
}

impl PartialEq for DiscoveredBy {
    fn eq(&self, other: &Self) -> bool {
        let (one, another) = (&self.config, &other.config);
        one.discovery() == another.discovery()
            && one.names() == another.names()
            && self.authenticators == other.authenticators
    }
}

/// The discovery of a new receiver.
pub(crate) enum TargetDiscovery {
    /// There is no discovery.
    None,
    /// The discovery of the running receiver continues.
    Unchanged,
    /// A new discovery, which has not started.
    New(NewDiscovery),
}

/// A discovery that has not started, and its status.
pub(crate) struct NewDiscovery {
    discovery: Discovery,
    found_by: Arc<ReceiverDiscoveryStatus>,
}

impl NewDiscovery {
    pub(crate) fn new(discovery: Discovery, context: &ReceiverContext) -> Self {
        let found_by = ReceiverDiscoveryStatus {
            sources: discovery.sources(),
            clock: context.clock.clone(),
            is_complete: AtomicBool::new(false),
        };
        Self {
            discovery,
            found_by: Arc::new(found_by),
        }
    }

    /// Starts the discovery, and calls `apply` with each result until `tasks` stops. The receiver
    /// is not ready before all sources have answered, unless it `was_ready`.
    pub(crate) fn start(
        self,
        context: &ReceiverContext,
        tasks: &Tasks,
        was_ready: bool,
        apply: impl Fn(Found) + Send + Sync + 'static,
    ) {
        let ReceiverContext { id, board, .. } = context;
        let origins = Arc::clone(&self.found_by) as Arc<dyn DiscoveryStatus>;
        self.found_by
            .is_complete
            .store(was_ready, Ordering::Relaxed);
        board.add_origins(id, &origins);
        let mut found = self.discovery.start(id, tasks);
        let (found_by, apply) = (self.found_by, Arc::new(apply));
        let name = format!("targets of {id}");
        let stop = tasks.stopping();
        let following = async move {
            while found.changed().await.is_ok() {
                let found = found.borrow_and_update().clone();
                let is_complete = found.is_complete;
                let apply = Arc::clone(&apply);
                match tokio::task::spawn_blocking(move || apply(found)).await {
                    Ok(()) => {}
                    // The panic ends this task and is reported for it.
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_stopping) => return,
                }
                if is_complete {
                    found_by.is_complete.store(true, Ordering::Relaxed);
                }
            }
        };
        tasks.spawn(name, async move {
            stop.run_until_cancelled(following).await;
        });
    }

    /// The targets that are found within `patience`.
    pub(crate) async fn once(self, patience: Duration) -> Vec<Arc<TargetConfig>> {
        let (tasks, _failures) = Tasks::new();
        let mut found = self.discovery.start("check", &tasks);
        let complete = timeout(patience, found.wait_for(|found| found.is_complete)).await;
        drop(complete);
        let targets = Arc::clone(&found.borrow().targets);
        tasks.stop(Instant::now() + patience).await;
        let targets = targets.iter().map(TargetConfig::from);
        targets.map(Arc::new).collect()
    }
}

/// The status of the discovery of a receiver.
#[derive(Debug)]
struct ReceiverDiscoveryStatus {
    sources: Sources,
    clock: Clock,
    is_complete: AtomicBool,
}

impl DiscoveryStatus for ReceiverDiscoveryStatus {
    fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed)
    }

    fn sources(&self) -> Value {
        let sources = self.sources.list();
        sources.iter().map(|source| self.source(source)).collect()
    }

    fn notice(&self) -> Option<String> {
        self.sources.notice()
    }

    fn addresses(&self, filter: &AddressFilter, window: Window) -> AddressList {
        self.sources.addresses(filter, window)
    }
}

impl ReceiverDiscoveryStatus {
    fn source(&self, source: &SourceStatus) -> Value {
        let age = source.last_success.map(|time| {
            let age = self.clock.now().duration_since(time).unwrap_or_default();
            age.as_secs()
        });
        let targets = source.targets().filter(|(_, count)| *count > 0);
        let targets = targets.map(|(result, count)| (result.name().to_owned(), json!(count)));
        json!({
            "source": source.name,
            "last_success_seconds_ago": age,
            "last_error": source.last_error,
            "targets": targets.collect::<Map<_, _>>(),
        })
    }
}
