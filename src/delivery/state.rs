//! Everything that is held between the polls and the network, and what each event does to it.
//! No clock, no network. At every moment: points in = sent + rejected + dropped + held.

use tokio::time::Instant;

use super::{
    DropReason, Outcome,
    backoff::Backoff,
    batch::{Batch, Batcher},
    config::RetryOnFailure,
    health::Health,
    ledger::Ledger,
    metrics::Figures,
    queue::{Amount, Queue},
    sending_queue::{MAX_MESSAGE_BYTES, SendingQueue},
};

/// Everything that is held, under one lock.
#[derive(Debug)]
pub(super) struct State {
    retry: RetryOnFailure,
    batcher: Batcher,
    queue: Queue,
    phase: Phase,
    ledger: Ledger,
    health: Health,
    rng: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Ended,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Sends this batch, when its time has come.
    Send(Batch),
    /// Looks again at this moment, if there is one, or when something has changed.
    Wait(Option<Instant>),
    /// Ends: nothing will come any more.
    End,
}

impl State {
    pub(super) fn new(id: &str, retry: RetryOnFailure, queue: &SendingQueue, seed: u64) -> Self {
        Self {
            retry,
            batcher: Batcher::new(queue.batch),
            queue: Queue::new(queue),
            phase: Phase::Running,
            ledger: Ledger::new(id),
            health: Health::new(id),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Takes a message into the open batch. True if the workers should look again.
    pub(super) fn push(&mut self, message: &[u8], points: u64, now: Instant) -> bool {
        self.ledger.tally.received += points;
        if self.phase != Phase::Running {
            self.ledger.dropped(DropReason::Shutdown, points, now);
            return false;
        }
        if message.len() as u64 > MAX_MESSAGE_BYTES {
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

    /// Counts points that are given up as soon as they come.
    pub(super) fn refuse(&mut self, reason: DropReason, points: u64, now: Instant) {
        self.ledger.tally.received += points;
        self.ledger.dropped(reason, points, now);
    }

    /// What a free worker does. The open batch is closed by age only here: while all workers are
    /// busy with a destination that is slow or away, it goes on to fill up.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let open = Amount {
            batches: 1,
            bytes: self.batcher.bytes(),
            points: self.batcher.points(),
        };
        let due = self.batcher.due().filter(|_| self.queue.has_room(open));
        if self.queue.is_idle() && due.is_some_and(|due| due <= now) {
            self.close_batch(now);
        }
        match (self.phase, self.queue.next()) {
            (Phase::Ended, _) => Next::End,
            (_, Some(batch)) => Next::Send(batch),
            (Phase::Draining, None) => Next::End,
            (Phase::Running, None) => Next::Wait(due.filter(|due| *due > now)),
        }
    }

    /// Notes what an attempt that lasted from `started` to `now` came to.
    pub(super) fn settle(
        &mut self,
        batch: Batch,
        outcome: Outcome,
        started: Instant,
        now: Instant,
    ) {
        if self.phase == Phase::Ended {
            return; // counted when all was given up
        }
        match outcome {
            Outcome::Sent(answer) => {
                self.health.worked(now);
                if !answer.message.is_empty() || answer.rejected > 0 {
                    self.health.warned(&answer);
                }
                let rejected = answer.rejected.min(batch.points);
                self.queue.release(&batch);
                self.ledger.tally.sent += batch.points - rejected;
                self.ledger.rejected(rejected, now);
            }
            Outcome::Permanent { error } => {
                self.health.failed(error.as_ref(), now);
                self.ledger.tally.failed += batch.points;
                self.queue.release(&batch);
                self.ledger.rejected(batch.points, now);
            }
            // Nobody who stops the collector wants to wait for a destination that is away.
            Outcome::Retry { error, .. } if self.phase == Phase::Draining => {
                self.health.failed(error.as_ref(), now);
                self.ledger.tally.failed += batch.points;
                self.give_up(&batch, DropReason::Shutdown, now);
            }
            Outcome::Retry { error, after } => {
                self.health.failed(error.as_ref(), now);
                self.ledger.tally.failed += batch.points;
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
                    self.give_up(&batch, DropReason::RetriesExhausted, now);
                }
            }
        }
    }

    /// Takes nothing more and makes what is held ready to be sent at once.
    pub(super) fn begin_drain(&mut self, now: Instant) {
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
            self.close_batch(now);
            self.queue.hurry();
        }
    }

    /// Gives up all that is held.
    pub(super) fn end(&mut self, now: Instant) {
        let held = self.held_points();
        self.phase = Phase::Ended;
        self.batcher.take();
        self.queue.clear();
        self.ledger.dropped(DropReason::Shutdown, held, now);
        self.ledger.report_all(now);
    }

    /// Data points held.
    pub(super) fn held_points(&self) -> u64 {
        self.batcher.points() + self.queue.held().points
    }

    /// What the metrics show.
    pub(super) fn figures(&self, now: Instant) -> Figures {
        let oldest = self.queue.oldest().or(self.batcher.opened());
        Figures {
            tally: self.ledger.tally,
            held_points: self.held_points(),
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
        for victim in self.queue.push(batch) {
            self.ledger
                .dropped(DropReason::QueueFull, victim.points, now);
        }
    }

    fn give_up(&mut self, batch: &Batch, reason: DropReason, now: Instant) {
        self.queue.release(batch);
        self.ledger.dropped(reason, batch.points, now);
    }
}
