//! The targets of a running receiver. They come and go, and their settings change, while it runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    discovery::{DiscoveredBy, TargetDiscovery},
    handle::{StopHandle, TargetHandle},
    poll_threads::PollThreads,
    probed_hosts::ProbedHosts,
    reconcile::reconcile,
};
use crate::{
    discovery::{DiscoveredTarget, Found},
    pipeline::Consumer,
    receivers::http_json::{
        HttpJsonReceiver,
        config::TargetConfig,
        poll::grid::Timing,
        spec::{ReceiverSpec, TargetSpec},
        telemetry::TargetRefusal,
    },
    runtime::{Tasks, memory},
};

/// A receiver with so many targets has memory in huge pages: with 1,000 targets a document took 0.3
/// to 0.7 of the processor time then, and the process 30 MiB more. With 100 targets it was 0.87 and
/// 18 MiB (measured in turns on a virtual machine whose host has small pages).
const HUGE_PAGES_FROM: usize = 250;

/// A running receiver.
pub struct TargetManager {
    consumer: Arc<dyn Consumer>,
    tasks: Tasks,
    threads: PollThreads,
    /// What probes found out.
    pub(super) probed: ProbedHosts,
    managed: Mutex<ManagedTargets>,
}

/// What is polled, and how.
struct ManagedTargets {
    discovered_by: Arc<DiscoveredBy>,
    spec: Arc<ReceiverSpec>,
    timing: Timing,
    /// The targets of the configuration.
    fixed: Vec<Arc<TargetConfig>>,
    /// The targets that the discovery found.
    found: Arc<[DiscoveredTarget]>,
    /// The targets that the discovery before this one found, until all sources of this one have
    /// answered.
    found_before: Arc<[DiscoveredTarget]>,
    /// Whether all sources of a discovery have answered at least once.
    was_complete: bool,
    discovery: Option<Tasks>,
    /// By name.
    targets: BTreeMap<String, TargetHandle>,
}

impl fmt::Debug for TargetManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetManager").finish_non_exhaustive()
    }
}

impl TargetManager {
    /// A manager that polls nothing yet.
    pub(crate) fn new(
        receiver: &HttpJsonReceiver,
        consumer: Arc<dyn Consumer>,
        tasks: Tasks,
    ) -> Self {
        let managed = ManagedTargets {
            discovered_by: Arc::clone(&receiver.discovered_by),
            spec: Arc::clone(&receiver.spec),
            timing: receiver.timing,
            fixed: Vec::new(),
            found: Arc::default(),
            found_before: Arc::default(),
            was_complete: false,
            discovery: None,
            targets: BTreeMap::new(),
        };
        Self {
            consumer,
            tasks,
            threads: PollThreads::of(&receiver.spec.context),
            probed: ProbedHosts::default(),
            managed: Mutex::new(managed),
        }
    }

    /// What all targets of this receiver have in common.
    pub fn spec(&self) -> Arc<ReceiverSpec> {
        Arc::clone(&self.lock().spec)
    }

    /// What decides which targets are discovered.
    pub(crate) fn discovered_by(&self) -> Arc<DiscoveredBy> {
        Arc::clone(&self.lock().discovered_by)
    }

    /// Polls what `next` polls, in its way. New targets start at once. Targets that are gone stop:
    /// their polls in progress are dropped, and their series end. All others apply the new settings
    /// after the poll in progress and keep their state; those that did not change notice nothing. A
    /// target that cannot be polled costs only itself: it is counted, logged, and tried again at
    /// the next call. Gives the targets that stop.
    pub fn apply(self: &Arc<Self>, mut next: HttpJsonReceiver) -> StopHandle {
        next.timing.initial_delay = Duration::ZERO;
        self.begin(next)
    }

    /// The first [`Self::apply`], which respects the initial delay.
    pub(crate) fn begin(self: &Arc<Self>, next: HttpJsonReceiver) -> StopHandle {
        let mut managed = self.lock();
        let is_other = !Arc::ptr_eq(&managed.spec, &next.spec);
        if is_other {
            next.spec.fleet.apply(next.spec.resilience.clone());
            managed.spec = next.spec;
        }
        managed.spec.shared.telemetry.shard.set(next.shard);
        managed.discovered_by = next.discovered_by;
        managed.timing = next.timing;
        managed.fixed = next.targets;
        let discovery = match next.discovery {
            TargetDiscovery::Unchanged => None,
            TargetDiscovery::None => {
                managed.end_discovery();
                managed.found_before = Arc::default();
                managed.was_complete = false;
                None
            }
            TargetDiscovery::New(discovery) => {
                managed.end_discovery();
                let tasks = self.tasks.part();
                managed.discovery = Some(tasks.clone());
                Some((discovery, tasks, managed.was_complete))
            }
        };
        let stopping = self.reconcile(&mut managed, is_other);
        let context = managed.spec.context.clone();
        drop(managed);
        if let Some((discovery, tasks, was_complete)) = discovery {
            let (manager, stop) = (Arc::clone(self), tasks.stopping());
            let apply = move |found| manager.apply_found(found, &stop);
            discovery.start(&context, &tasks, was_complete, apply);
        }
        stopping
    }

    /// Polls what a discovery found, unless that was told to `stop`. Of a long list it takes long
    /// enough to delay a poll.
    fn apply_found(&self, found: Found, stop: &CancellationToken) {
        let mut managed = self.lock();
        if stop.is_cancelled() {
            return;
        }
        managed.found = found.targets;
        if found.is_complete {
            managed.was_complete = true;
            managed.found_before = Arc::default();
        }
        // Nothing waits for those that stop.
        self.reconcile(&mut managed, false);
    }

    /// Starts, stops and updates targets until what is polled is what should be. With `all`,
    /// targets whose own settings did not change are updated too. Gives those that stop.
    fn reconcile(&self, managed: &mut ManagedTargets, all: bool) -> StopHandle {
        let wanted = managed.wanted();
        let changes = reconcile(&managed.targets, |target| &target.config, &wanted);
        for name in &changes.duplicates {
            let reason = "a target of this name stands above";
            managed.spec.refuse(name, TargetRefusal::Duplicate, reason);
        }
        let mut stopping = StopHandle::default();
        for name in &changes.stop {
            if let Some(target) = managed.targets.remove(name) {
                stopping.stop(target);
            }
        }
        let updates = match all {
            true => managed.targets.len(),
            false => changes.change.len(),
        };
        let changed = managed.valid(changes.change);
        let mut changed: BTreeMap<_, _> = changed.collect();
        let spec = Arc::clone(&managed.spec);
        let all_targets = managed.targets.len() + changes.start.len();
        prepare_memory(all_targets);
        let timing = Timing {
            all_targets,
            ..managed.timing
        };
        for (name, target) in &mut managed.targets {
            let config = match changed.remove(name) {
                Some(config) => config,
                None if all => Arc::clone(&target.config),
                None => continue,
            };
            target.update(TargetSpec {
                receiver: Arc::clone(&spec),
                config,
                timing: Timing {
                    initial_delay: Duration::ZERO,
                    targets: updates,
                    ..timing
                },
            });
        }
        let timing = Timing {
            targets: changes.start.len(),
            ..timing
        };
        self.start(managed, changes.start, timing);
        managed.timing.initial_delay = Duration::ZERO;
        stopping
    }

    /// Starts those targets that are valid.
    fn start(&self, managed: &mut ManagedTargets, targets: Vec<Arc<TargetConfig>>, timing: Timing) {
        let started: Vec<_> = managed.valid(targets).collect();
        let requests_per_second = managed.spec.requests_per_second(timing);
        self.threads.start(requests_per_second);
        for (name, config) in started {
            let target = TargetSpec {
                receiver: Arc::clone(&managed.spec),
                config,
                timing,
            };
            let consumer = Arc::clone(&self.consumer);
            let target = TargetHandle::start(target, consumer, &self.tasks, self.threads.free());
            managed.targets.insert(name, target);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ManagedTargets> {
        // Nothing under this lock panics. If it does, the next call of `apply` makes it whole.
        self.managed.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Those of `targets` that can be polled, by name. The others are counted and logged.
    fn valid(
        &self,
        targets: Vec<Arc<TargetConfig>>,
    ) -> impl Iterator<Item = (String, Arc<TargetConfig>)> {
        targets.into_iter().filter_map(|config| {
            if let Err(error) = self.spec.check(&config) {
                self.spec.refuse_invalid(&config, &error);
                return None;
            }
            Some((config.display_name(), config))
        })
    }

    /// Ends the discovery. What it found is polled until another one has found everything.
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

/// Has the memory of so many targets come in pages of the right size.
fn prepare_memory(targets: usize) {
    if targets >= HUGE_PAGES_FROM {
        memory::enable_huge_pages();
    }
}
