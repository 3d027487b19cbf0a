//! `sending_queue`: the queue between the polls and the network, with the Collector's keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ConfigError,
    config::{RetryOnFailure, TOO_LONG, invalid, is_at_most_a_day},
    split::Limit,
};
use crate::{
    settings::{ByteSize, Capability, ComponentId, Duration, ExtensionUse},
    yaml::{Cursor, Diagnostics},
};

/// OTLP's limit for one request, before compression.
pub(super) const MAX_MESSAGE_BYTES: u64 = 64 * 1024 * 1024;

/// gRPC servers accept 4 MiB by default.
const DEFAULT_BATCH_BYTES: u64 = 3 * 1024 * 1024;

const WAITS: &str = "must be false, because polls never wait for the network";
const WAITS_FOR_ROOM: &str = "must be false, because polls never wait for the network: increase the queue, or choose with `drop` what it drops";

/// The Collector's default.
const DEFAULT_MIN_ITEMS: u64 = 8192;

/// The queue between the polls and the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SendingQueue {
    /// Whether batches can wait. Without a queue, a batch is dropped if it is complete while
    /// another one is being sent, because polls never wait for the network.
    pub enabled: bool,
    /// The number of batches that are sent at the same time. 1 keeps the order of the batches; more
    /// increases throughput but may change the order.
    pub num_consumers: usize,
    /// The capacity, including batches in progress, in the unit of `sizer`.
    pub queue_size: u64,
    /// What `queue_size` counts.
    pub sizer: Sizer,
    /// The most bytes in memory, before compression, in addition to the limit of `queue_size`.
    pub queue_bytes: ByteSize,
    /// What is dropped when the queue is full.
    pub drop: OverflowPolicy,
    /// Must be `false`, because polls never wait for the network. Increase the queue, or choose
    /// with `drop` what it drops.
    pub block_on_overflow: bool,
    /// Must be `false`, because polls never wait for the network.
    pub wait_for_result: bool,
    /// The extension that stores the queue on disk, such as `file_storage`. Default: in memory.
    /// With a storage, `queue_bytes` limits only batches that the disk does not accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<ComponentId>,
    /// How points are collected in batches.
    pub batch: BatchSettings,
}

/// The unit of the size of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sizer {
    /// Batches. Each becomes one request, or several if a target is larger than `batch.max_size`.
    #[default]
    Requests,
    /// Data points.
    Items,
    /// Bytes, before compression.
    Bytes,
}

/// What a full queue drops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OverflowPolicy {
    /// The batch that does not fit, as in the Collector.
    #[default]
    Newest,
    /// The batches that have waited longest, until the new one fits.
    Oldest,
}

/// How points are collected in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BatchSettings {
    /// A batch smaller than `min_size` is sent this long after its first point. The Collector's
    /// default is 200ms; larger batches are fewer requests and compress better.
    pub flush_timeout: Duration,
    /// A batch of this size is sent at once. Default: `max_size`, or 8192 items.
    pub min_size: Option<u64>,
    /// The largest batch. Default: 3 MiB, also if `sizer` is `items`, because gRPC servers accept 4
    /// MiB by default. 0 means only OTLP's limit of 64 MiB. A single target that is larger is a
    /// batch of its own, which is sent in several requests.
    pub max_size: Option<u64>,
    /// What `min_size` and `max_size` count.
    pub sizer: BatchSizer,
}

/// The unit of the size of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchSizer {
    /// Data points.
    Items,
    /// Bytes, before compression.
    #[default]
    Bytes,
}

impl Default for SendingQueue {
    fn default() -> Self {
        Self {
            enabled: true,
            num_consumers: 1,
            queue_size: 1000,
            sizer: Sizer::default(),
            queue_bytes: ByteSize::from_mib(256),
            drop: OverflowPolicy::default(),
            block_on_overflow: false,
            wait_for_result: false,
            storage: None,
            batch: BatchSettings::default(),
        }
    }
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            flush_timeout: Duration::from_secs(1),
            min_size: None,
            max_size: None,
            sizer: BatchSizer::default(),
        }
    }
}

impl BatchSettings {
    /// The size from which a batch is sent at once.
    pub(super) fn min(&self) -> u64 {
        let default = match self.sizer {
            BatchSizer::Items => DEFAULT_MIN_ITEMS.min(self.max()),
            BatchSizer::Bytes => self.max(),
        };
        self.min_size.unwrap_or(default)
    }

    /// Whether this number of points and bytes may be one batch.
    pub(super) fn fits(&self, points: u64, bytes: u64) -> bool {
        bytes <= self.max_bytes() && self.size(points, bytes) <= self.max()
    }

    fn max_bytes(&self) -> u64 {
        match self.max_size {
            None => DEFAULT_BATCH_BYTES,
            Some(_) => MAX_MESSAGE_BYTES,
        }
    }

    /// The largest request, unless one data point is larger.
    pub(super) fn limit(&self) -> Limit {
        let points = match self.sizer {
            BatchSizer::Items => self.max(),
            BatchSizer::Bytes => u64::MAX,
        };
        let bytes = match self.sizer {
            BatchSizer::Items => self.max_bytes(),
            BatchSizer::Bytes => self.max_bytes().min(self.max()),
        };
        Limit::AtMost { points, bytes }
    }

    /// Whether this number of points and bytes is sent at once.
    pub(super) fn is_enough(&self, points: u64, bytes: u64) -> bool {
        self.size(points, bytes) >= self.min()
    }

    fn max(&self) -> u64 {
        match (self.max_size, self.sizer) {
            (None, BatchSizer::Bytes) => DEFAULT_BATCH_BYTES,
            (None | Some(0), BatchSizer::Items) => u64::MAX,
            (Some(0), BatchSizer::Bytes) => MAX_MESSAGE_BYTES,
            (Some(max), _) => max,
        }
    }

    fn size(&self, points: u64, bytes: u64) -> u64 {
        match self.sizer {
            BatchSizer::Items => points,
            BatchSizer::Bytes => bytes,
        }
    }

    /// Whether the sizes of the queue and of a batch have the same unit.
    fn counts_as(&self, sizer: Sizer) -> bool {
        matches!(
            (self.sizer, sizer),
            (BatchSizer::Items, Sizer::Items) | (BatchSizer::Bytes, Sizer::Bytes)
        )
    }
}

impl SendingQueue {
    /// The extensions that the settings name.
    pub fn uses(&self) -> Vec<ExtensionUse<'_>> {
        let key = ["sending_queue", "storage"];
        let storage = self.storage.iter();
        let storage = storage.map(|id| ExtensionUse::new(id, Capability::Storage, &key));
        storage.collect()
    }

    /// Warns about a queue on disk that drops everything at the first failure. `at` is the
    /// exporter.
    pub fn warn(&self, retry: &RetryOnFailure, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.storage.is_some() && !retry.enabled {
            let message = "is off, so that a batch is dropped at its first failure although it is \
                           on disk";
            at.warning(&["retry_on_failure", "enabled"], message, diagnostics);
        }
    }

    /// Finds invalid values, by their keys. The messages are the Collector's if it has the same
    /// check.
    pub fn check(&self) -> Vec<ConfigError> {
        let batch = &self.batch;
        let positive = "requires positive value";
        let in_bytes = batch.sizer == BatchSizer::Bytes;
        let (bytes, consumers) = (self.queue_bytes.get(), self.num_consumers);
        let checks = [
            ("sending_queue.queue_size", self.queue_size > 0, positive),
            ("sending_queue.queue_bytes", bytes > 0, positive),
            ("sending_queue.num_consumers", consumers > 0, positive),
            (
                "sending_queue.block_on_overflow",
                !self.block_on_overflow,
                WAITS_FOR_ROOM,
            ),
            (
                "sending_queue.wait_for_result",
                !self.wait_for_result,
                WAITS,
            ),
            (
                "sending_queue.storage",
                self.enabled || self.storage.is_none(),
                "is for a queue that is `enabled`",
            ),
            (
                "sending_queue.batch.max_size",
                !in_bytes || batch.max_size.is_none_or(|max| max <= MAX_MESSAGE_BYTES),
                "must not be more than 67108864, OTLP's limit for one request",
            ),
            (
                "sending_queue.batch.max_size",
                batch.min() <= batch.max(),
                "must be greater or equal to `min_size`",
            ),
            (
                "sending_queue.batch.min_size",
                batch
                    .min_size
                    .is_none_or(|min| !batch.counts_as(self.sizer) || min <= self.queue_size),
                "must be less than or equal to `queue_size`",
            ),
            (
                "sending_queue.batch.flush_timeout",
                !batch.flush_timeout.get().is_zero(),
                "must be positive",
            ),
            (
                "sending_queue.batch.flush_timeout",
                is_at_most_a_day(batch.flush_timeout),
                TOO_LONG,
            ),
        ];
        invalid(checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_smaller_than_the_default_limit_of_grpc_servers() {
        let batch = BatchSettings::default();
        assert!(batch.fits(u64::MAX, 3 << 20));
        assert!(!batch.fits(1, (3 << 20) + 1));
        assert!(batch.is_enough(1, 3 << 20));
        let items = BatchSettings {
            sizer: BatchSizer::Items,
            ..batch
        };
        assert!(items.is_enough(8192, 1) && !items.is_enough(8191, 1));
        assert!(items.fits(1 << 40, 1) && !items.fits(1, (3 << 20) + 1));
    }

    #[test]
    fn without_a_limit_only_that_of_otlp_applies() {
        let batch = BatchSettings {
            max_size: Some(0),
            ..BatchSettings::default()
        };
        assert!(batch.fits(1, MAX_MESSAGE_BYTES) && !batch.fits(1, MAX_MESSAGE_BYTES + 1));
    }

    #[test]
    fn sizes_must_agree() {
        let keys = |queue: &SendingQueue| {
            queue
                .check()
                .into_iter()
                .map(|m| m.key())
                .collect::<Vec<_>>()
        };
        let mut queue = SendingQueue::default();
        assert_eq!(keys(&queue), Vec::<&str>::new());
        queue.batch.min_size = Some(4 << 20);
        assert_eq!(keys(&queue), ["sending_queue.batch.max_size"]);
        queue.batch.max_size = Some(8 << 20);
        assert_eq!(keys(&queue), Vec::<&str>::new());
        queue.sizer = Sizer::Bytes;
        assert_eq!(keys(&queue), ["sending_queue.batch.min_size"]);
        queue.sizer = Sizer::Items;
        assert_eq!(keys(&queue), Vec::<&str>::new(), "the units are different");
        queue.batch.max_size = Some(65 << 20);
        assert_eq!(keys(&queue), ["sending_queue.batch.max_size"]);
    }
}
