//! Everything that is held between the polls and the network, and the effect of each event. No
//! clock, no network. At every moment: points in = sent + rejected + dropped + held.

mod disk;
mod figures;

use std::error::Error;

use tokio::time::Instant;

use self::disk::QueueLog;
pub(super) use self::{
    disk::{DiskAction, DiskFailure, DiskQueueState, RETRY, Work},
    figures::Figures,
};
use super::{
    DropReason, SendOutcome,
    backoff::Backoff,
    batch::{Batch, Batcher, Payload},
    config::RetryOnFailure,
    failure_log::FailureLog,
    ledger::CounterLedger,
    queue::{Queue, QueuedAmount},
    sending_queue::{MAX_MESSAGE_BYTES, SendingQueue},
    split::Piece,
};

/// Everything that is held, under one lock.
#[derive(Debug)]
pub(super) struct DeliveryState {
    retry: RetryOnFailure,
    /// Whether a message that is too large for one request can be split.
    splits: bool,
    batcher: Batcher,
    queue: Queue,
    /// The state of the disk, if there is one.
    queue_log: Option<QueueLog>,
    phase: DeliveryPhase,
    ledger: CounterLedger,
    health: FailureLog,
    rng: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeliveryPhase {
    Running,
    Draining,
    Ended,
}

/// The next step of a worker.
#[derive(Debug)]
pub(super) enum Next {
    /// Sends this batch when it is due.
    Send(Batch),
    /// Checks again at this time, if there is one, or after a change.
    Wait(Option<Instant>),
    /// Ends, because no more batches will come.
    End,
}

impl DeliveryState {
    /// Creates the state. The queue is on `disk` if there is one.
    pub(super) fn new(
        id: &str,
        retry: RetryOnFailure,
        queue: &SendingQueue,
        disk: Option<DiskQueueState>,
        seed: u64,
    ) -> Self {
        Self {
            retry,
            splits: false,
            batcher: Batcher::new(queue.batch),
            queue: Queue::new(queue, disk.as_ref().map(|disk| disk.max_bytes)),
            queue_log: disk.map(|disk| QueueLog::new(id, disk)),
            phase: DeliveryPhase::Running,
            ledger: CounterLedger::new(id),
            health: FailureLog::new(id),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Numbers batches starting with `first`.
    pub(super) fn number_from(&mut self, first: u64) {
        self.batcher.next_id = first;
    }

    /// Accepts messages of any size if they can be split.
    pub(super) fn take_any_size(&mut self, splits: bool) {
        self.splits = splits;
    }

    /// Adds a message to the open batch. Returns true if the workers should check again.
    pub(super) fn push(&mut self, message: &[u8], points: u64, now: Instant) -> bool {
        self.ledger.tally.received += points;
        if self.phase != DeliveryPhase::Running {
            self.ledger.dropped(DropReason::Shutdown, points, now);
            return false;
        }
        if message.len() as u64 > MAX_MESSAGE_BYTES && !self.splits {
            self.ledger.dropped(DropReason::TooLarge, points, now);
            return false;
        }
        let due = self.batcher.due();
        let full = self.batcher.push(message, points, now);
        if let Some(batch) = full {
            self.enqueue(batch, now);
        }
        self.batcher.due() != due
    }

    /// Counts points that are dropped as soon as they arrive.
    pub(super) fn refuse(&mut self, reason: DropReason, points: u64, now: Instant) {
        self.ledger.tally.received += points;
        self.ledger.dropped(reason, points, now);
    }

    /// The next step of a free worker. Only this method closes the open batch because of its age:
    /// while all workers are busy with a slow destination, the batch continues to fill.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if let Some(next) = self.disk_holds_back(now) {
            return next;
        }
        let open = QueuedAmount {
            batches: 1,
            bytes: self.batcher.bytes(),
            points: self.batcher.points(),
        };
        let due = self.batcher.due().filter(|_| self.queue.has_room(open));
        if self.queue.is_idle() && due.is_some_and(|due| due <= now) {
            self.close_batch(now);
        }
        match (self.phase, self.queue.next()) {
            (DeliveryPhase::Ended, _) => Next::End,
            (_, Some(batch)) => Next::Send(batch),
            (DeliveryPhase::Draining, None) => Next::End,
            (DeliveryPhase::Running, None) => Next::Wait(due.filter(|due| *due > now)),
        }
    }

    /// Records the result of an attempt that lasted from `started` to `now`.
    pub(super) fn settle(
        &mut self,
        batch: Batch,
        outcome: SendOutcome,
        started: Instant,
        now: Instant,
    ) {
        if self.phase == DeliveryPhase::Ended {
            return; // everything was counted when it was dropped
        }
        match outcome {
            SendOutcome::Sent(answer) => {
                self.health.worked(now);
                self.health.answered(&answer, now);
                let points = self.advance(batch);
                let rejected = answer.rejected.min(points);
                self.ledger.tally.sent += points - rejected;
                self.ledger.rejected(rejected, now);
            }
            SendOutcome::Permanent { error } => {
                self.health.failed(error.as_ref(), now);
                let points = self.advance(batch);
                self.ledger.tally.failed += points;
                self.ledger.rejected(points, now);
            }
            // The batch could not be halved.
            SendOutcome::TooLarge { error } => {
                self.health.failed(error.as_ref(), now);
                let points = self.advance(batch);
                self.ledger.tally.failed += points;
                self.ledger.dropped(DropReason::TooLarge, points, now);
            }
            // A shutdown does not wait for a destination that is down.
            SendOutcome::Retry { error, .. } if self.phase == DeliveryPhase::Draining => {
                self.health.failed(error.as_ref(), now);
                self.ledger.tally.failed += batch.next_points();
                self.leave(batch, now);
            }
            SendOutcome::Retry { error, after } => {
                self.health.failed(error.as_ref(), now);
                self.ledger.tally.failed += batch.next_points();
                let mut backoff = match &batch.backoff {
                    Some(backoff) => backoff.clone(),
                    None => Backoff::new(&self.retry, started),
                };
                let again =
                    self.retry.enabled && backoff.plan(&self.retry, now, after, &mut self.rng);
                if again {
                    self.queue.put_first(Batch {
                        backoff: Some(backoff),
                        ..batch
                    });
                } else {
                    self.drop_points(&batch, DropReason::RetriesExhausted, now);
                }
            }
        }
    }

    /// Takes back a batch that was refused because of its size. Its next piece has become `halves`.
    pub(super) fn halve(
        &mut self,
        mut batch: Batch,
        halves: Vec<Piece>,
        bytes: usize,
        error: &(dyn Error + 'static),
    ) {
        if self.phase == DeliveryPhase::Ended {
            return; // everything was counted when it was dropped
        }
        self.health.halved(bytes, error);
        self.ledger.tally.failed += batch.next_points();
        batch.pieces.pop_front();
        for half in halves.into_iter().rev() {
            batch.pieces.push_front(half);
        }
        self.queue.put_back_rest(batch, 0);
    }

    /// Drops a batch whose worker ended without a result.
    pub(super) fn dropped_by_sender(&mut self, batch: &Batch, now: Instant) {
        if self.phase != DeliveryPhase::Ended {
            self.drop_points(batch, DropReason::Panic, now);
        }
    }

    /// Accepts no more messages, and makes everything ready to be sent at once.
    pub(super) fn begin_drain(&mut self, now: Instant) {
        if self.phase == DeliveryPhase::Running {
            // After this line, the log shows only what the shutdown drops.
            self.ledger.report_all(now);
            self.phase = DeliveryPhase::Draining;
            self.close_batch(now);
            self.queue.make_all_due();
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held_points() == 0
    }

    /// Drops everything that is held.
    pub(super) fn end(&mut self, now: Instant) {
        if self.phase == DeliveryPhase::Ended {
            return;
        }
        let (held, stay) = (self.held_points(), self.queue.on_disk().points);
        self.phase = DeliveryPhase::Ended;
        self.batcher.take();
        self.queue.end();
        self.ledger.dropped(DropReason::Shutdown, held - stay, now);
        self.tell_what_stays(stay);
        self.ledger.report_all(now);
    }

    /// Held data points.
    pub(super) fn held_points(&self) -> u64 {
        self.batcher.points() + self.queue.held().points
    }

    /// The values of the metrics.
    pub(super) fn figures(&self, now: Instant) -> Figures {
        let oldest = self.queue.oldest().or(self.batcher.opened());
        let queue_log = self.queue_log.as_ref();
        let held = self.held_points();
        let (held_points, left_points) = match self.phase {
            DeliveryPhase::Ended => (0, held),
            DeliveryPhase::Running | DeliveryPhase::Draining => (held, 0),
        };
        Figures {
            left_points,
            found_points: queue_log.map_or(0, |queue_log| queue_log.found_points),
            stored_points: queue_log.map_or(0, |queue_log| queue_log.stored_points),
            storage_failures: queue_log
                .map_or([0; DiskFailure::ALL.len()], |queue_log| queue_log.failures),
            tally: self.ledger.tally,
            held_points,
            held_bytes: self.batcher.bytes() + self.queue.held().bytes,
            queue_size: self.queue.size(),
            queue_capacity: self.queue.capacity(),
            oldest_age_seconds: oldest.map_or(0, |oldest| (now - oldest).as_secs()),
        }
    }

    fn close_batch(&mut self, now: Instant) {
        if let Some(batch) = self.batcher.take() {
            self.enqueue(batch, now);
        }
    }

    fn enqueue(&mut self, batch: Batch, now: Instant) {
        let (victims, reason) = self.queue.push(batch);
        for victim in victims {
            self.remove_from_disk(&victim);
            self.ledger.dropped(reason, victim.points, now);
        }
    }

    fn drop_points(&mut self, batch: &Batch, reason: DropReason, now: Instant) {
        self.release(batch);
        self.ledger.dropped(reason, batch.points, now);
    }

    /// Marks the sent part of a batch as done. The rest of it is next, if there is one. Returns the
    /// number of sent points.
    fn advance(&mut self, mut batch: Batch) -> u64 {
        let points = batch.next_points();
        batch.pieces.pop_front();
        match batch.pieces.is_empty() {
            true => self.release(&batch),
            false => self.queue.put_back_rest(batch, points),
        }
        points
    }

    /// Forgets a batch that was being sent.
    fn release(&mut self, batch: &Batch) {
        self.queue.release(batch);
        self.remove_from_disk(batch);
    }

    /// Handles a batch that is not sent at the end: it stays on disk if it is there.
    fn leave(&mut self, batch: Batch, now: Instant) {
        match (&batch.payload, &mut self.queue_log) {
            (Payload::Disk, Some(queue_log)) => {
                queue_log.stays = true;
                self.queue.put_first(batch);
            }
            _ => self.drop_points(&batch, DropReason::Shutdown, now),
        }
    }
}
