//! A receiver at work: its targets come and go and its settings change while it runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    control::{StopHandle, TargetControl, TargetUpdate, Turns},
    discovery::TargetDiscovery,
    factory::PollerFactory,
    reconcile::reconcile,
};
use crate::{
    discovery::{DiscoveredTarget, Found},
    pipeline::Consumer,
    receivers::http_json::{
        HttpJsonReceiver, config::TargetConfig, poll::schedule::Timing, telemetry::TargetRefusal,
    },
    runtime::Tasks,
};

/// A receiver at work.
pub struct TargetManager {
    consumers: Vec<Arc<dyn Consumer>>,
    tasks: Tasks,
    turns: Turns,
    polled: Mutex<ManagedTargets>,
}

/// What is polled, and how.
struct ManagedTargets {
    factory: Arc<PollerFactory>,
    timing: Timing,
    /// What the configuration names.
    fixed: Vec<Arc<TargetConfig>>,
    /// What the discovery found.
    found: Arc<[DiscoveredTarget]>,
    /// What the discovery before that found, until all sources have answered.
    found_before: Arc<[DiscoveredTarget]>,
    /// Whether all sources of a discovery have answered at some time.
    was_complete: bool,
    discovery: Option<Tasks>,
    /// The targets, by name.
    configs: BTreeMap<String, Arc<TargetConfig>>,
    control: BTreeMap<String, Arc<TargetControl>>,
}

impl fmt::Debug for TargetManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl TargetManager {
    /// Polls nothing yet.
    pub(crate) fn new(
        receiver: &HttpJsonReceiver,
        consumers: Vec<Arc<dyn Consumer>>,
        tasks: Tasks,
    ) -> Self {
        let polled = ManagedTargets {
            factory: Arc::clone(&receiver.factory),
            timing: receiver.timing,
            fixed: Vec::new(),
            found: Arc::default(),
            found_before: Arc::default(),
            was_complete: false,
            discovery: None,
            configs: BTreeMap::new(),
            control: BTreeMap::new(),
        };
        Self {
            consumers,
            tasks,
            turns: Turns::new(),
            polled: Mutex::new(polled),
        }
    }

    /// What makes targets of this receiver.
    pub fn factory(&self) -> Arc<PollerFactory> {
        Arc::clone(&self.lock().factory)
    }

    /// How many polls were dropped under way so far.
    pub fn dropped_polls(&self) -> u64 {
        self.factory().shared.telemetry.dropped_polls()
    }

    /// From now on it polls what `next` does, as that does. New targets begin at once, the polls
    /// under way of those that go are dropped and their series go too. All others go over after
    /// the poll that is under way, with all that is known of them; where nothing differs they do
    /// not notice. A target that cannot be polled costs only itself: it is counted, logged, and
    /// tried again at the next call. Gives the targets that go.
    pub fn follow(self: &Arc<Self>, mut next: HttpJsonReceiver) -> StopHandle {
        next.timing.initial_delay = Duration::ZERO;
        self.begin(next)
    }

    /// The same for a receiver that polls nothing yet.
    pub(crate) fn begin(self: &Arc<Self>, next: HttpJsonReceiver) -> StopHandle {
        let mut polled = self.lock();
        let is_other = !Arc::ptr_eq(&polled.factory, &next.factory);
        if is_other {
            let fleet = &next.factory.fleet;
            fleet.follow(next.factory.resilience.clone());
            polled.factory = next.factory;
        }
        polled.factory.shared.telemetry.shard.set(next.shard);
        polled.timing = next.timing;
        polled.fixed = next.targets;
        let finder = match next.finding {
            TargetDiscovery::Unchanged => None,
            TargetDiscovery::None => {
                polled.end_discovery();
                polled.found_before = Arc::default();
                polled.was_complete = false;
                None
            }
            TargetDiscovery::New(finder) => {
                polled.end_discovery();
                let tasks = self.tasks.part();
                polled.discovery = Some(tasks.clone());
                Some((finder, tasks, polled.was_complete))
            }
        };
        let ending = self.reconcile(&mut polled, is_other);
        drop(polled);
        if let Some((finder, tasks, was_ready)) = finder {
            finder.follow(self, &tasks, was_ready);
        }
        ending
    }

    /// The same for what a discovery found, unless that is to `stop`. Of a long list it takes long
    /// enough to delay a poll.
    pub(crate) fn apply_found(&self, found: Found, stop: &CancellationToken) {
        let mut polled = self.lock();
        if stop.is_cancelled() {
            return;
        }
        polled.found = found.targets;
        if found.is_complete {
            polled.was_complete = true;
            polled.found_before = Arc::default();
        }
        // Nobody waits for those that end.
        self.reconcile(&mut polled, false);
    }

    /// With `all`, also the targets that stay as they are get other pollers. Gives those that end.
    fn reconcile(&self, polled: &mut ManagedTargets, all: bool) -> StopHandle {
        let wanted = polled.wanted();
        let changes = reconcile(&polled.configs, &wanted);
        for name in &changes.duplicates {
            let reason = "a target of this name stands above";
            polled
                .factory
                .refuse(name, TargetRefusal::Duplicate, reason);
        }
        let mut ending = StopHandle::default();
        for name in &changes.stop {
            polled.configs.remove(name);
            if let Some(control) = polled.control.remove(name) {
                ending.stop(control);
            }
        }
        let going_over = match all {
            true => polled.configs.len(),
            false => changes.change.len(),
        };
        for config in changes.change {
            if let Err(error) = polled.factory.check(&config) {
                polled.factory.refuse_invalid(&config, &error);
                continue;
            }
            let name = config.display_name();
            if !all {
                polled.assign(&name, &config, going_over);
            }
            polled.configs.insert(name, config);
        }
        if all {
            for (name, config) in &polled.configs {
                polled.assign(name, config, going_over);
            }
        }
        let timing = Timing {
            targets: changes.start.len(),
            ..polled.timing
        };
        for config in changes.start {
            match polled.factory.check(&config) {
                Ok(()) => self.poll(polled, config, timing),
                Err(error) => polled.factory.refuse_invalid(&config, &error),
            }
        }
        polled.timing.initial_delay = Duration::ZERO;
        ending
    }

    /// Polls a target until it is told to stop. Its name may be another receiver's, or that of its
    /// own former self, which still ends: then it waits. What polls it is made in its turn.
    fn poll(&self, polled: &mut ManagedTargets, config: Arc<TargetConfig>, timing: Timing) {
        let name = config.display_name();
        let stop = self.tasks.stopping().child_token();
        let control = Arc::new(TargetControl::until(stop, self.turns.clone()));
        polled.control.insert(name.clone(), Arc::clone(&control));
        polled.configs.insert(name.clone(), Arc::clone(&config));
        let factory = Arc::clone(&polled.factory);
        let context = &polled.factory.context;
        let (names, receiver) = (Arc::clone(&context.names), context.id.clone());
        let telemetry = polled.factory.shared.telemetry.clone();
        let consumers = self.consumers.clone();
        let task = format!("{name} of {receiver}");
        let at_work = control.at_work();
        self.tasks.spawn(task, async move {
            let _at_work = at_work;
            let taking = names.take(&name, &receiver, |holder| {
                if holder != receiver {
                    telemetry.refused(TargetRefusal::Duplicate);
                    tracing::warn!(
                        receiver,
                        target = name,
                        holder,
                        "another receiver polls a target of this name; waiting until it is free"
                    );
                }
            });
            // Given back when all else of the target is gone.
            let Some(_taken) = control.stop().run_until_cancelled(taking).await else {
                return;
            };
            let Some(turn) = control.stop().run_until_cancelled(control.turn()).await else {
                return;
            };
            let made = factory.target(&config);
            drop(turn);
            let mut pollers = match made {
                Ok(pollers) => pollers,
                Err(error) => return factory.refuse_invalid(&config, &error),
            };
            // A later factory takes its place while the target is polled.
            drop((factory, config));
            pollers.run(timing, &consumers, &control).await;
        });
    }

    fn lock(&self) -> MutexGuard<'_, ManagedTargets> {
        // Nothing under this lock panics; if it does, the next call of `follow` makes it whole.
        self.polled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ManagedTargets {
    /// All targets that should be polled.
    fn wanted(&self) -> Vec<Arc<TargetConfig>> {
        let fixed = self.fixed.iter().map(|target| target.display_name());
        let named = self.found.iter().map(|target| target.name.clone());
        let names: BTreeSet<_> = match self.found_before.is_empty() {
            true => BTreeSet::new(),
            false => fixed.chain(named).collect(),
        };
        let before = self.found_before.iter();
        let before = before.filter(|target| !names.contains(&target.name));
        let found = self.found.iter().chain(before);
        let found = found.map(|target| Arc::new(TargetConfig::from(target)));
        self.fixed.iter().cloned().chain(found).collect()
    }

    /// Lets a target go over to `config` and what else is new, with so many others.
    fn assign(&self, name: &str, config: &Arc<TargetConfig>, targets: usize) {
        if let Some(control) = self.control.get(name) {
            control.assign(TargetUpdate {
                factory: Arc::clone(&self.factory),
                config: Arc::clone(config),
                timing: Timing {
                    initial_delay: Duration::ZERO,
                    targets,
                    ..self.timing
                },
            });
        }
    }

    /// What was found stays until another one has found everything.
    fn end_discovery(&mut self) {
        if let Some(tasks) = self.discovery.take() {
            tasks.cancel();
        }
        let found = std::mem::take(&mut self.found);
        if !found.is_empty() {
            self.found_before = found;
        }
    }
}
