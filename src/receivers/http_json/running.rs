//! A receiver at work: its targets come and go while it runs.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    HttpJson, config::TargetConfig, dialect::Candidates, factory::Factory, poller::Timing,
    reconcile::reconcile, telemetry::Refusal,
};
use crate::{discovery::DiscoveredTarget, pipeline::Consumer, runtime::Tasks, telemetry::chain};

/// A receiver at work.
pub struct Running {
    factory: Factory,
    timing: Timing,
    consumers: Vec<Arc<dyn Consumer>>,
    tasks: Tasks,
    polled: Mutex<Polled>,
}

/// The targets that are polled, by name.
#[derive(Debug, Default)]
struct Polled {
    /// What the configuration names.
    fixed: Vec<TargetConfig>,
    /// What the discovery found.
    found: Arc<[DiscoveredTarget]>,
    configs: BTreeMap<String, TargetConfig>,
    stops: BTreeMap<String, CancellationToken>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.factory.context.id;
        f.debug_struct("Running")
            .field("id", id)
            .finish_non_exhaustive()
    }
}

impl Running {
    pub(super) fn start(
        receiver: HttpJson,
        consumers: Vec<Arc<dyn Consumer>>,
        tasks: Tasks,
    ) -> Self {
        let running = Self {
            factory: receiver.factory,
            timing: receiver.timing,
            consumers,
            tasks,
            polled: Mutex::default(),
        };
        let mut polled = running.lock();
        for (config, pollers) in receiver.targets {
            polled.fixed.push(config.clone());
            running.poll(&mut polled, config, pollers, running.timing);
        }
        drop(polled);
        running
    }

    /// What makes targets of this receiver.
    pub fn factory(&self) -> &Factory {
        &self.factory
    }

    /// How many polls were dropped under way so far.
    pub fn dropped_polls(&self) -> u64 {
        self.factory.shared.telemetry.dropped_polls()
    }

    /// From now on these targets are polled, what the discovery finds beside them, and no others.
    /// New ones begin at once, the polls under way of those that go are dropped and their series go
    /// too, those whose settings changed begin anew, and all others do not notice. A target that
    /// cannot be polled costs only itself: it is counted, logged, and tried again at the next call.
    pub fn apply(&self, targets: &[TargetConfig]) {
        let mut polled = self.lock();
        polled.fixed = targets.to_vec();
        self.reconcile(&mut polled);
    }

    /// The same for what the discovery found.
    pub(super) fn apply_found(&self, targets: Arc<[DiscoveredTarget]>) {
        let mut polled = self.lock();
        polled.found = targets;
        self.reconcile(&mut polled);
    }

    fn reconcile(&self, polled: &mut Polled) {
        let found = polled.found.iter().map(TargetConfig::from);
        let wanted: Vec<_> = polled.fixed.iter().cloned().chain(found).collect();
        let changes = reconcile(&polled.configs, &wanted);
        for name in &changes.duplicates {
            self.refuse(
                name,
                Refusal::Duplicate,
                "a target of this name stands above",
            );
        }
        for name in &changes.stop {
            polled.configs.remove(name);
            if let Some(stop) = polled.stops.remove(name) {
                stop.cancel();
            }
        }
        let timing = Timing {
            initial_delay: Duration::ZERO,
            targets: changes.start.len(),
            ..self.timing
        };
        for config in changes.start {
            match self.factory.target(&config) {
                Ok(pollers) => self.poll(polled, config, pollers, timing),
                Err(error) => {
                    self.refuse(&config.display_name(), Refusal::Invalid, &chain(&error));
                }
            }
        }
    }

    /// Polls a target until it is told to stop. Its name may be another receiver's, or that of its
    /// own former self, which still ends: then it waits.
    fn poll(&self, polled: &mut Polled, config: TargetConfig, pollers: Candidates, timing: Timing) {
        let name = config.display_name();
        let stop = self.tasks.stopping().child_token();
        polled.stops.insert(name.clone(), stop.clone());
        polled.configs.insert(name.clone(), config);
        let context = &self.factory.context;
        let (names, receiver) = (Arc::clone(&context.names), context.id.clone());
        let telemetry = self.factory.shared.telemetry.clone();
        let consumers = self.consumers.clone();
        let task = format!("{name} of {receiver}");
        self.tasks.spawn(task, async move {
            let taking = names.take(&name, &receiver, |holder| {
                if holder != receiver {
                    telemetry.refused(Refusal::Duplicate);
                    tracing::warn!(
                        receiver,
                        target = name,
                        holder,
                        "another receiver polls a target of this name; waiting until it is free"
                    );
                }
            });
            // Given back when all else of the target is gone.
            let Some(_taken) = stop.run_until_cancelled(taking).await else {
                return;
            };
            pollers.run(timing, &consumers, stop).await;
        });
    }

    fn refuse(&self, target: &str, refusal: Refusal, reason: &str) {
        self.factory.shared.telemetry.refused(refusal);
        let receiver = &self.factory.context.id;
        tracing::warn!(receiver, target, reason, "a target is not polled");
    }

    fn lock(&self) -> MutexGuard<'_, Polled> {
        // Nothing under this lock panics; if it does, the next call of `apply` makes it whole.
        self.polled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
