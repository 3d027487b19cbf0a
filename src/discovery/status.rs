//! What is known of the sources of a receiver: for the log, metrics and `/health`.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use opentelemetry::{KeyValue, metrics::Counter};

use super::{
    ShardConfig,
    discovery_result::{DiscoveryResult, ResultCounts},
};
use crate::{
    runtime::{Clock, clock::since_epoch},
    telemetry::{
        Meter,
        names::{self, Metric},
    },
};

/// All sources of one receiver.
#[derive(Debug)]
pub(super) struct SourceStatuses {
    receiver: String,
    clock: Clock,
    refreshes: Counter<u64>,
    failures: Counter<u64>,
    sources: Mutex<Vec<SourceStatus>>,
    /// Why none of their targets is polled.
    notice: Mutex<Option<String>>,
}

/// One source.
#[derive(Debug, Clone)]
pub struct SourceStatus {
    /// Its place in the configuration, such as `file_sd_configs/0`.
    pub name: String,
    /// When all of it was last read.
    pub last_success: Option<SystemTime>,
    /// Why its last reading failed.
    pub last_error: Option<String>,
    counts: ResultCounts,
}

impl SourceStatus {
    /// The number of its targets by result.
    pub fn targets(&self) -> impl Iterator<Item = (DiscoveryResult, u64)> {
        DiscoveryResult::ALL.into_iter().zip(self.counts)
    }
}

/// Where one source says how it is.
#[derive(Debug)]
pub(super) struct SourceReport {
    status: Arc<SourceStatuses>,
    position: usize,
    name: String,
}

impl SourceStatuses {
    pub(super) fn new(
        receiver: &str,
        names: impl Iterator<Item = String>,
        clock: &Clock,
        meter: &Meter,
    ) -> Arc<Self> {
        let source = |name| SourceStatus {
            name,
            last_success: None,
            last_error: None,
            counts: ResultCounts::default(),
        };
        let status = Self {
            receiver: receiver.to_owned(),
            clock: clock.clone(),
            refreshes: names::DISCOVERY_REFRESHES.counter(meter),
            failures: names::DISCOVERY_FAILURES.counter(meter),
            sources: Mutex::new(names.map(source).collect()),
            notice: Mutex::default(),
        };
        let status = Arc::new(status);
        status.observe(meter);
        status
    }

    /// The gauges fall silent when the receiver is gone.
    fn observe(self: &Arc<Self>, meter: &Meter) {
        names::DISCOVERY_TARGETS.observe(meter, self, |status, observer| {
            for source in status.lock().iter() {
                for (result, count) in source.targets() {
                    let [receiver, name] = status.attributes(&source.name);
                    let result = KeyValue::new(names::RESULT, result.name());
                    observer.observe(count, &[receiver, name, result]);
                }
            }
        });
        names::DISCOVERY_LAST_SUCCESS.observe(meter, self, |status, observer| {
            for source in status.lock().iter() {
                if let Some(time) = source.last_success {
                    let seconds = since_epoch(time).as_secs();
                    observer.observe(seconds, &status.attributes(&source.name));
                }
            }
        });
    }

    /// What is known now.
    pub(super) fn sources(&self) -> Vec<SourceStatus> {
        self.lock().clone()
    }

    /// Notes what became of the targets, one a source.
    pub(super) fn counted(&self, counts: &[ResultCounts]) {
        for (source, counts) in self.lock().iter_mut().zip(counts) {
            source.counts = *counts;
        }
    }

    /// Why none of their targets is polled.
    pub(super) fn notice(&self) -> Option<String> {
        lock(&self.notice).clone()
    }

    /// Notes why none of their targets is polled. One line tells of each reason.
    pub(super) fn noted(&self, notice: Option<String>) {
        let mut last = lock(&self.notice);
        if let Some(reason) = notice.as_ref().filter(|_| *last != notice) {
            tracing::warn!(
                receiver = self.receiver,
                reason,
                "the receiver has no discovered target"
            );
        }
        *last = notice;
    }

    pub(super) fn report(self: &Arc<Self>, position: usize, name: &str) -> SourceReport {
        let attributes = self.attributes(name);
        self.refreshes.add(0, &attributes);
        SourceReport {
            status: Arc::clone(self),
            position,
            name: name.to_owned(),
        }
    }

    fn attributes(&self, source: &str) -> [KeyValue; 2] {
        [
            KeyValue::new(names::RECEIVER, self.receiver.clone()),
            KeyValue::new(names::SOURCE, source.to_owned()),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SourceStatus>> {
        // The list is whole at every moment, so a panic elsewhere does not spoil it.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SourceReport {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It is asked.
    pub(super) fn refreshed(&self) {
        let attributes = self.status.attributes(&self.name);
        self.status.refreshes.add(1, &attributes);
    }

    /// It, or a part of it, failed.
    pub(super) fn failed(&self, reason: &'static str, error: &str) {
        let [receiver, source] = self.status.attributes(&self.name);
        let reason = KeyValue::new(names::REASON, reason);
        self.status.failures.add(1, &[receiver, source, reason]);
        self.note(|status| status.last_error = Some(error.to_owned()));
    }

    /// All of it was read.
    pub(super) fn succeeded(&self) {
        let now = self.status.clock.now();
        self.note(|status| {
            status.last_success = Some(now);
            status.last_error = None;
        });
    }

    fn note(&self, change: impl FnOnce(&mut SourceStatus)) {
        if let Some(status) = self.status.lock().get_mut(self.position) {
            change(status);
        }
    }
}

/// Which shard a receiver is, if it is one, as metrics: so an alert can see one that is missing or
/// there twice.
#[derive(Debug, Clone)]
pub struct ShownShard(Arc<Mutex<Option<ShardConfig>>>);

impl ShownShard {
    /// Of a receiver that is none yet.
    pub fn new(receiver: &str, meter: &Meter) -> Self {
        let shard = Arc::<Mutex<Option<ShardConfig>>>::default();
        let show = |metric: &Metric, number: fn(ShardConfig) -> u64| {
            let attributes = [KeyValue::new(names::RECEIVER, receiver.to_owned())];
            metric.observe(meter, &shard, move |shard, observer| {
                if let Some(shard) = *lock(shard) {
                    observer.observe(number(shard), &attributes);
                }
            });
        };
        show(&names::SHARD_INDEX, |shard| u64::from(shard.index()));
        show(&names::SHARD_COUNT, |shard| u64::from(shard.count));
        Self(shard)
    }

    /// Makes it the current one.
    pub fn set(&self, shard: Option<ShardConfig>) {
        *lock(&self.0) = shard;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // It is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
