//! A bounded queue of batches in the order of sending. It has no clock and no network.

mod disk;

use std::{collections::VecDeque, ops::RangeInclusive};

use tokio::time::Instant;

pub(super) use self::disk::ToWrite;
use super::{
    DropReason,
    batch::{Batch, Payload},
    sending_queue::{OverflowPolicy, SendingQueue, Sizer},
};

/// The waiting batches and those that are being sent. The latter count against the limits until
/// their result is known.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Batch>,
    /// The ids of the batches that are being sent, and when their first messages arrived.
    sending: Vec<(RangeInclusive<u64>, Instant)>,
    held: QueuedAmount,
    /// The part that is on disk.
    on_disk: QueuedAmount,
    limits: QueueLimits,
}

/// An amount of queued data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct QueuedAmount {
    pub(super) batches: u64,
    pub(super) bytes: u64,
    pub(super) points: u64,
}

#[derive(Debug)]
struct QueueLimits {
    size: u64,
    sizer: Sizer,
    bytes: u64,
    memory_bytes: u64,
    victim: OverflowPolicy,
}

impl Queue {
    /// Creates a queue. `disk_bytes` is the limit on disk; `None` for a queue in memory.
    pub(super) fn new(settings: &SendingQueue, disk_bytes: Option<u64>) -> Self {
        let memory_bytes = settings.queue_bytes.get();
        let (size, sizer) = match settings.enabled {
            true => (settings.queue_size, settings.sizer),
            false => (1, Sizer::Requests),
        };
        Self {
            waiting: VecDeque::new(),
            sending: Vec::new(),
            held: QueuedAmount::default(),
            on_disk: QueuedAmount::default(),
            limits: QueueLimits {
                size,
                sizer,
                bytes: disk_bytes.unwrap_or(memory_bytes),
                memory_bytes,
                victim: settings.drop,
            },
        }
    }

    /// Adds a batch. Returns the batches that do not fit, and the reason: the new one, or older
    /// ones.
    pub(super) fn push(&mut self, batch: Batch) -> (Vec<Batch>, DropReason) {
        let more = QueuedAmount::of(&batch);
        if self.held.bytes - self.on_disk.bytes + more.bytes > self.limits.memory_bytes {
            let reason = match self.limits.memory_bytes == self.limits.bytes {
                true => DropReason::QueueFull,
                false => DropReason::Storage,
            };
            if reason == DropReason::Storage || !self.can_make_room(more) {
                return (vec![batch], reason);
            }
        }
        if !self.can_make_room(more) {
            return (vec![batch], DropReason::QueueFull);
        }
        let mut victims = Vec::new();
        while !self.has_room(more)
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.forget(&oldest);
            victims.push(oldest);
        }
        self.held.add(more);
        self.waiting.push_back(batch);
        (victims, DropReason::QueueFull)
    }

    /// Whether `more` fits, or would fit if all waiting batches were dropped.
    fn can_make_room(&self, more: QueuedAmount) -> bool {
        let mut rest = self.held;
        if self.limits.victim == OverflowPolicy::Oldest {
            for batch in &self.waiting {
                rest.take(QueuedAmount::of(batch));
            }
        }
        self.has_room(more) || self.limits.allow(rest, more)
    }

    /// Whether `more` fits.
    pub(super) fn has_room(&self, more: QueuedAmount) -> bool {
        self.limits.allow(self.held, more)
    }

    fn forget(&mut self, batch: &Batch) {
        self.held.take(QueuedAmount::of(batch));
        if matches!(batch.payload, Payload::Disk) {
            self.on_disk.take(QueuedAmount::of(batch));
        }
    }

    /// Whether no batch waits. Batches may still be in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out the next batch. It must come back by one of the methods below.
    pub(super) fn next(&mut self) -> Option<Batch> {
        let batch = self.waiting.pop_front()?;
        self.sending.push((batch.ids.clone(), batch.opened));
        Some(batch)
    }

    /// Puts a batch back at its place, so that the order stays.
    pub(super) fn put_first(&mut self, batch: Batch) {
        self.no_longer_sending(&batch);
        self.waiting.push_front(batch);
    }

    /// Removes a batch that was sent or dropped.
    pub(super) fn release(&mut self, batch: &Batch) {
        self.no_longer_sending(batch);
        self.forget(batch);
    }

    /// Puts a batch back after `points` more points are done. The rest of it is next.
    pub(super) fn put_back_rest(&mut self, mut batch: Batch, points: u64) {
        batch.points -= points;
        batch.done_points += points;
        batch.backoff = None;
        self.held.points -= points;
        if matches!(batch.payload, Payload::Disk) {
            self.on_disk.points -= points;
        }
        self.put_first(batch);
    }

    /// Makes every waiting batch ready to be sent at once.
    pub(super) fn make_all_due(&mut self) {
        for batch in &mut self.waiting {
            batch.backoff = None;
        }
    }

    /// Forgets everything, including batches in progress, except those on disk, which are still
    /// held.
    pub(super) fn end(&mut self) {
        self.waiting.clear();
        self.sending.clear();
        self.held = self.on_disk;
    }

    /// The amount that is held.
    pub(super) fn held(&self) -> QueuedAmount {
        self.held
    }

    /// The amount that is held, in the unit of the sizer.
    pub(super) fn size(&self) -> u64 {
        self.limits.sizer.measure(self.held)
    }

    /// The capacity, in the unit of the sizer.
    pub(super) fn capacity(&self) -> u64 {
        self.limits.size
    }

    /// When the oldest held message arrived.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let waiting = self.waiting.front().map(|batch| batch.opened);
        let sending = self.sending.iter().map(|(_, opened)| *opened);
        sending.chain(waiting).min()
    }

    fn no_longer_sending(&mut self, batch: &Batch) {
        let at = self.sending.iter().position(|(ids, _)| *ids == batch.ids);
        if let Some(at) = at {
            self.sending.swap_remove(at);
        }
    }
}

impl QueueLimits {
    fn allow(&self, held: QueuedAmount, more: QueuedAmount) -> bool {
        let mut sum = held;
        sum.add(more);
        sum.bytes <= self.bytes && self.sizer.measure(sum) <= self.size
    }
}

impl QueuedAmount {
    pub(super) fn of(batch: &Batch) -> Self {
        Self {
            batches: 1,
            bytes: batch.bytes,
            points: batch.points,
        }
    }

    fn add(&mut self, more: Self) {
        self.batches += more.batches;
        self.bytes += more.bytes;
        self.points += more.points;
    }

    fn take(&mut self, less: Self) {
        self.batches -= less.batches;
        self.bytes -= less.bytes;
        self.points -= less.points;
    }
}

impl Sizer {
    fn measure(self, amount: QueuedAmount) -> u64 {
        match self {
            Self::Requests => amount.batches,
            Self::Items => amount.points,
            Self::Bytes => amount.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ByteSize;

    fn batch(bytes: u64) -> Batch {
        Batch {
            ids: 0..=0,
            bytes,
            payload: Payload::Memory(vec![0; 1].into()),
            points: 1,
            done_points: 0,
            pieces: VecDeque::new(),
            opened: Instant::now(),
            backoff: None,
        }
    }

    fn queue(queue_size: u64, sizer: Sizer, drop: OverflowPolicy) -> Queue {
        let settings = SendingQueue {
            queue_size,
            sizer,
            drop,
            queue_bytes: ByteSize::from_mib(1),
            ..SendingQueue::default()
        };
        Queue::new(&settings, None)
    }

    /// The sizes of the batches that do not fit.
    fn victims(queue: &mut Queue, bytes: u64) -> Vec<u64> {
        let (victims, _) = queue.push(batch(bytes));
        victims.iter().map(|batch| batch.bytes).collect()
    }

    #[test]
    fn a_batch_in_progress_counts_against_the_limit() {
        let mut queue = queue(2, Sizer::Requests, OverflowPolicy::Newest);
        assert!(victims(&mut queue, 1).is_empty());
        assert!(victims(&mut queue, 2).is_empty());
        let sending = queue.next().unwrap();
        assert_eq!(victims(&mut queue, 3), [3], "the queue is still full");
        queue.put_first(sending);
        let sending = queue.next().unwrap();
        assert_eq!(sending.bytes, 1, "the same batch again");
        queue.release(&sending);
        assert!(victims(&mut queue, 3).is_empty());
        assert_eq!((queue.size(), queue.held().points), (2, 2));
    }

    #[test]
    fn the_oldest_are_dropped_but_not_those_in_progress() {
        let mut queue = queue(10, Sizer::Bytes, OverflowPolicy::Oldest);
        assert!(victims(&mut queue, 4).is_empty());
        let sending = queue.next().unwrap();
        assert!(victims(&mut queue, 2).is_empty());
        assert!(victims(&mut queue, 3).is_empty());
        assert_eq!(victims(&mut queue, 6), [2, 3]);
        assert_eq!(
            victims(&mut queue, 7),
            [7],
            "dropping others would not help"
        );
        queue.release(&sending);
        assert_eq!((queue.size(), queue.held().batches), (6, 1));
    }

    #[test]
    fn the_sizer_items_counts_data_points() {
        let mut queue = queue(2, Sizer::Items, OverflowPolicy::Newest);
        assert!(victims(&mut queue, 1000).is_empty());
        assert!(victims(&mut queue, 1000).is_empty());
        assert_eq!(victims(&mut queue, 5), [5]);
    }

    #[test]
    fn bytes_are_limited_too() {
        let mut queue = queue(1000, Sizer::Requests, OverflowPolicy::Newest);
        assert!(victims(&mut queue, 1 << 19).is_empty());
        assert!(victims(&mut queue, 1 << 19).is_empty());
        assert_eq!(victims(&mut queue, 1), [1]);
    }
}
