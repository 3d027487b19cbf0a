//! Decides what is written to the disk and read from it, and handles the results. No IO.
//!
//! While the disk works, a batch is written as soon as the previous write has ended, and is sent
//! only from disk. A sent batch is removed before the next one is started, so that a crash repeats
//! only the batch in progress. While the disk fails, batches wait in memory and are sent from
//! there.

use std::{error::Error, ops::RangeInclusive, time::Duration};

use tokio::time::Instant;

use super::{DeliveryPhase, DeliveryState, Next};
use crate::{
    delivery::{
        DropReason,
        batch::{Batch, Payload},
        queue::ToWrite,
    },
    storage::LogStatus,
    telemetry::chain,
};

/// How long messages are collected in memory for one write.
const GATHER: Duration = Duration::from_millis(10);

/// The pause after a failure of the disk.
pub(in crate::delivery) const RETRY: Duration = Duration::from_secs(5);

/// The largest write.
const WRITE_BYTES: u64 = 16 << 20;

/// The kinds of disk failures. The list is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum DiskFailure {
    Open,
    Write,
    Read,
    Damaged,
}

impl DiskFailure {
    pub(in crate::delivery) const ALL: [Self; 4] =
        [Self::Open, Self::Write, Self::Read, Self::Damaged];

    /// The value of the `reason` attribute.
    pub(in crate::delivery) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Write => "write",
            Self::Read => "read",
            Self::Damaged => "damaged",
        }
    }
}

/// The storage of a queue, as far as the state needs it.
#[derive(Debug)]
pub(in crate::delivery) struct DiskQueueState {
    /// The most bytes on disk.
    pub(in crate::delivery) max_bytes: u64,
    /// Reports the status of the storage.
    pub(in crate::delivery) status: LogStatus,
    /// The directory, for the log.
    pub(in crate::delivery) place: String,
}

/// The state of the disk.
#[derive(Debug)]
pub(super) struct QueueLog {
    exporter: String,
    place: String,
    status: LogStatus,
    health: DiskHealth,
    /// Ids to remove.
    removals: Vec<RangeInclusive<u64>>,
    /// Whether a write is in progress.
    is_writing: bool,
    unreadable_until: Option<Instant>,
    /// During a drain: whether the destination is down, so that the batches on disk stay there.
    pub(super) stays: bool,
    pub(super) found_points: u64,
    pub(super) stored_points: u64,
    pub(super) failures: [u64; DiskFailure::ALL.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DiskHealth {
    /// The contents of the disk are not known yet.
    Opening,
    Works,
    FailsUntil(Instant),
}

/// One write.
#[derive(Debug)]
pub(in crate::delivery) struct Work {
    pub(in crate::delivery) batches: Vec<ToWrite>,
    pub(in crate::delivery) removals: Vec<RangeInclusive<u64>>,
}

/// The next operation on the disk.
#[derive(Debug)]
pub(in crate::delivery) enum DiskAction {
    Write(Work),
    /// Checks again at this time, if there is one, or after a change.
    Wait(Option<Instant>),
}

impl QueueLog {
    pub(super) fn new(exporter: &str, disk: DiskQueueState) -> Self {
        Self {
            exporter: exporter.to_owned(),
            place: disk.place,
            status: disk.status,
            health: DiskHealth::Opening,
            removals: Vec::new(),
            is_writing: false,
            unreadable_until: None,
            stays: false,
            found_points: 0,
            stored_points: 0,
            failures: Default::default(),
        }
    }

    fn works(&self) -> bool {
        self.health == DiskHealth::Works
    }

    fn remove(&mut self, ids: RangeInclusive<u64>) {
        match self.removals.last_mut() {
            Some(last) if last.end() + 1 == *ids.start() => *last = *last.start()..=*ids.end(),
            _ => self.removals.push(ids),
        }
    }

    fn fails(&mut self, failure: DiskFailure, error: &(dyn Error + 'static), now: Instant) {
        self.failures[failure as usize] += 1;
        let (exporter, operation, error) = (&self.exporter, failure.name(), chain(error));
        self.status.fails(format!("{operation}: {error}"));
        if matches!(self.health, DiskHealth::FailsUntil(_)) {
            tracing::debug!(%exporter, operation, error, "the disk still fails");
        } else {
            tracing::error!(%exporter, operation, error, "the queue cannot be written to disk: new batches wait in memory");
        }
        self.health = DiskHealth::FailsUntil(now + RETRY);
    }

    fn recovers(&mut self) {
        if matches!(self.health, DiskHealth::FailsUntil(_)) {
            tracing::info!(exporter = %self.exporter, "the queue is on disk again");
        }
        self.status.works();
        self.health = DiskHealth::Works;
        self.unreadable_until = None;
    }
}

impl DeliveryState {
    /// The next step of a worker, if the disk decides about it.
    pub(super) fn disk_holds_back(&self, now: Instant) -> Option<Next> {
        let queue_log = self.queue_log.as_ref()?;
        if self.phase == DeliveryPhase::Ended
            || (self.phase == DeliveryPhase::Draining && queue_log.stays)
        {
            return Some(Next::End);
        }
        let front = self.queue.front();
        match queue_log.health {
            DiskHealth::FailsUntil(_) => {
                let from_disk = front.is_some_and(|(batch, _)| is_on_disk(batch));
                let until = queue_log
                    .unreadable_until
                    .filter(|until| from_disk && *until > now);
                return until.map(|until| Next::Wait(Some(until)));
            }
            DiskHealth::Opening => return Some(Next::Wait(None)),
            DiskHealth::Works => {}
        }
        if queue_log.is_writing || !queue_log.removals.is_empty() {
            return Some(Next::Wait(None));
        }
        let Some((batch, more)) = front else {
            let ends = self.phase == DeliveryPhase::Draining && self.batcher.opened().is_none();
            return Some(if ends { Next::End } else { Next::Wait(None) });
        };
        if !is_on_disk(batch) {
            return Some(Next::Wait(None));
        }
        let (settings, running) = (
            self.batcher.settings(),
            self.phase == DeliveryPhase::Running,
        );
        let grows = running && !more && batch.backoff.is_none();
        let due = batch.opened + settings.flush_timeout.get();
        let is_early = grows && now < due && !settings.is_enough(batch.points, batch.bytes);
        is_early.then_some(Next::Wait(Some(due)))
    }

    /// The next operation on the disk. [`Self::stored`] must report the result of a write.
    pub(in crate::delivery) fn store_next(&mut self, now: Instant) -> DiskAction {
        let Some(queue_log) = &mut self.queue_log else {
            return DiskAction::Wait(None);
        };
        let is_probe = match queue_log.health {
            DiskHealth::FailsUntil(until) if now < until => return DiskAction::Wait(Some(until)),
            DiskHealth::FailsUntil(_) => true,
            DiskHealth::Opening | DiskHealth::Works => false,
        };
        let gathered = self.batcher.opened().map(|opened| opened + GATHER);
        if gathered.is_some_and(|due| due <= now) {
            self.close_batch(now);
        }
        let batches = self.queue.take_to_write(WRITE_BYTES);
        let Some(queue_log) = &mut self.queue_log else {
            return DiskAction::Wait(None);
        };
        let removals = std::mem::take(&mut queue_log.removals);
        if batches.is_empty() && removals.is_empty() && !is_probe {
            return DiskAction::Wait(gathered.filter(|due| *due > now));
        }
        queue_log.is_writing = true;
        DiskAction::Write(Work { batches, removals })
    }

    /// Records the result of a write. After an error it may or may not have been done.
    pub(in crate::delivery) fn stored(
        &mut self,
        removals: Vec<RangeInclusive<u64>>,
        result: Result<(), &(dyn Error + 'static)>,
        now: Instant,
    ) {
        let settings = *self.batcher.settings();
        let Some(queue_log) = &mut self.queue_log else {
            return;
        };
        queue_log.is_writing = false;
        if self.phase != DeliveryPhase::Ended {
            queue_log.stored_points += self.queue.written(result.is_ok(), &settings);
        }
        match result {
            Ok(()) => queue_log.recovers(),
            Err(error) => {
                // Removing an id twice is harmless.
                queue_log.removals.splice(0..0, removals);
                queue_log.fails(DiskFailure::Write, error, now);
            }
        }
    }

    /// Adds what was on disk at the start, and counts the points that are lost if it was damaged.
    pub(in crate::delivery) fn restored(
        &mut self,
        found: Vec<Batch>,
        lost_points: Option<u64>,
        now: Instant,
    ) {
        let Some(queue_log) = &mut self.queue_log else {
            return;
        };
        let points: u64 = found.iter().map(|batch| batch.points).sum();
        if points > 0 {
            tracing::info!(exporter = %queue_log.exporter, points, "data points found on disk");
        }
        queue_log.recovers();
        if lost_points.is_some() {
            queue_log.failures[DiskFailure::Damaged as usize] += 1;
        }
        if self.phase != DeliveryPhase::Ended {
            let lost_points = lost_points.unwrap_or_default();
            self.ledger.tally.received += points + lost_points;
            queue_log.found_points += points + lost_points;
            self.ledger.dropped(DropReason::Storage, lost_points, now);
            let next_id = self.batcher.next_id;
            self.batcher.next_id = self.queue.restore(found, next_id, self.batcher.settings());
        }
    }

    /// Keeps only these batches of those on disk. Other waiting batches are lost.
    pub(in crate::delivery) fn salvaged(&mut self, found: Vec<Batch>, now: Instant) {
        let Some(queue_log) = &mut self.queue_log else {
            return;
        };
        queue_log.failures[DiskFailure::Damaged as usize] += 1;
        if self.phase == DeliveryPhase::Ended {
            return;
        }
        let (lost_points, unknown) = self.queue.keep(found, self.batcher.settings());
        for ids in unknown {
            queue_log.remove(ids);
        }
        self.ledger.dropped(DropReason::Storage, lost_points, now);
    }

    /// The disk cannot be opened now.
    pub(in crate::delivery) fn unopened(&mut self, error: &(dyn Error + 'static), now: Instant) {
        if let Some(queue_log) = &mut self.queue_log {
            queue_log.fails(DiskFailure::Open, error, now);
        }
    }

    /// A batch cannot be read now. It waits in its place.
    pub(in crate::delivery) fn unreadable(
        &mut self,
        batch: Batch,
        error: &(dyn Error + 'static),
        now: Instant,
    ) {
        let Some(queue_log) = &mut self.queue_log else {
            return;
        };
        queue_log.fails(DiskFailure::Read, error, now);
        queue_log.unreadable_until = Some(now + RETRY);
        queue_log.stays = true;
        if self.phase != DeliveryPhase::Ended {
            self.queue.put_first(batch);
        }
    }

    /// A batch is no longer on disk.
    pub(in crate::delivery) fn lost(&mut self, batch: &Batch, now: Instant) {
        if self.phase != DeliveryPhase::Ended {
            self.drop_points(batch, DropReason::Storage, now);
        }
    }

    /// Whether a drain has nothing to wait for.
    pub(in crate::delivery) fn is_drained(&self) -> bool {
        let Some(queue_log) = &self.queue_log else {
            return self.held_points() == 0;
        };
        let unwritten = self.queue.has_unwritten() || self.batcher.opened().is_some();
        let is_written = queue_log.removals.is_empty() && !queue_log.is_writing;
        let is_done = self.queue.on_disk().points == 0 || queue_log.stays;
        let is_stored = match queue_log.works() {
            true => is_written && !unwritten,
            // A batch that is only in memory gets its attempt.
            false => !unwritten || queue_log.stays,
        };
        !self.queue.is_sending() && is_done && is_stored
    }

    pub(super) fn remove_from_disk(&mut self, batch: &Batch) {
        if let Some(queue_log) = &mut self.queue_log {
            queue_log.remove(batch.ids.clone());
        }
    }

    pub(super) fn tell_what_stays(&self, points: u64) {
        if let Some(queue_log) = self.queue_log.as_ref().filter(|_| points > 0) {
            let (exporter, directory) = (&queue_log.exporter, &queue_log.place);
            tracing::info!(exporter, directory, points, "data points stay on disk");
        }
    }
}

fn is_on_disk(batch: &Batch) -> bool {
    matches!(batch.payload, Payload::Disk)
}
