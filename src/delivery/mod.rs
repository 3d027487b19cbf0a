//! Everything between an exporter and the network: batch, queue, retry, send.
//!
//! An exporter hands encoded messages to [`Delivery::push`], which never waits. They are collected
//! in batches (`batch.rs`). The batches wait in a bounded queue (`queue.rs`). Workers send them to
//! a [`Destination`] ([`http`] or [`grpc`]) and retry (`backoff.rs`) until the result is known.
//! With a storage, the queue is on disk, and `queue_writer.rs` writes it. `state/` decides all this
//! without clock, network or disk; this file adds clock and network.

mod counters;
mod backoff;
mod batch;
mod compress;
mod config;
mod foreign;
mod destination_breaker;
pub mod grpc;
mod failure_log;
pub mod http;
mod queue_writer;
mod ledger;
mod metrics;
mod send_order;
mod send_outcome;
mod queue;
mod client_settings;
mod sending_queue;
mod split;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
pub use client_settings::ClientSettings;
pub use config::RetryOnFailure;
pub use foreign::FOREIGN;
pub use ledger::DropReason;
use opentelemetry::KeyValue;
pub use send_order::SendOrder;
pub use send_outcome::{ExportAnswer, SendOutcome};
pub use sending_queue::{BatchSettings, BatchSizer, OverflowPolicy, SendingQueue, Sizer};
pub use split::{Limit, Piece, Split};
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use crate::client::{BoxError, ConfigError};

use self::{
    batch::{Batch, Payload},
    counters::ExporterCounters,
    destination_breaker::DestinationBreaker,
    queue_writer::{QueueLogs, QueueWriter, ReadError},
    send_order::SendTurn,
    state::{DeliveryState, DiskQueueState, Next},
};
use crate::{
    client::auth::Authenticators,
    pipeline::{Reporter, StateStore},
    resilience::breaker::{BreakerPermit, BreakerRefusal},
    runtime::{Clock, Tasks, catch_panic},
    settings::ComponentId,
    storage::{Directory, Log},
    telemetry::{Meter, names},
};

/// Where batches are sent.
#[async_trait]
pub trait Destination: Send + Sync + 'static {
    /// Makes one attempt to send a batch, which is one valid message. The future is dropped after a
    /// timeout.
    async fn send(&self, payload: Bytes) -> SendOutcome;

    /// The attempt took too long and was dropped.
    fn timed_out(&self) {}
}

/// The settings of a delivery.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// The longest time for one attempt.
    pub timeout: Duration,
    /// When and how long a failed batch is sent again.
    pub retry: RetryOnFailure,
    /// The limits of the queue, and the size of batches.
    pub queue: SendingQueue,
    /// Splits a message that is too large for one request. `None` if it cannot be split.
    pub split: Option<Split>,
    /// The order in which deliveries to the same destination send. `None` if any order is right.
    pub order: Option<Arc<SendOrder>>,
}

/// Delivers messages to one destination. If it is dropped without [`Self::drain`], it drops what it
/// holds.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<DeliveryShared>,
}

struct DeliveryShared {
    state: Arc<Mutex<DeliveryState>>,
    /// Shown as long as a delivery uses them.
    _counters: Arc<ExporterCounters>,
    /// Notified after each change that a worker or a drain may wait for.
    changed: Notify,
    gate: Mutex<DestinationBreaker>,
    draining: CancellationToken,
    ended: CancellationToken,
    timeout: Duration,
    batch: BatchSettings,
    split: Option<Split>,
    /// Its turn to send, if it has to wait for one.
    turn: Option<SendTurn>,
    destination: Box<dyn Destination>,
    /// The log of the batches on disk.
    queue_logs: Option<QueueLogs>,
}

/// The configured storages, by the ids of their extensions.
pub type Storages = BTreeMap<ComponentId, Directory>;

/// The owner of a delivery, for logs and metrics, and what the delivery needs to run.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryContext<'a> {
    /// Id of the exporter, for example `otlp_http/eu`.
    pub id: &'a str,
    /// Owns the workers. They end by [`Delivery::drain`], not by the stop signal of the tasks,
    /// which must come later.
    pub tasks: &'a Tasks,
    /// Creates the collector's own metrics.
    pub meter: &'a Meter,
    /// The seed of the jitter of retries.
    pub seed: u64,
    /// Reports the status of the exporter.
    pub status: &'a Reporter,
    /// The time of day, for the ids of batches on disk.
    pub clock: &'a Clock,
    /// The storages for queues on disk.
    pub storages: &'a Storages,
    /// What authenticates requests.
    pub authenticators: &'a Authenticators,
    /// The state that outlives reloads: the counters of the exporter.
    pub states: &'a StateStore,
}

#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct TimedOut(Duration);

#[derive(Debug, thiserror::Error)]
#[error("sending the batch panicked: {0}")]
struct Panicked(String);

impl Delivery {
    /// Starts the workers.
    ///
    /// # Errors
    /// If a value of the configuration is invalid. The error names its key.
    pub fn start(
        context: DeliveryContext<'_>,
        settings: DeliverySettings,
        destination: impl Destination,
    ) -> Result<Self, ConfigError> {
        let mistakes = settings.retry.check().into_iter();
        if let Some(mistake) = mistakes.chain(settings.queue.check()).next() {
            return Err(mistake);
        }
        let directory = directory(&settings.queue, context.storages)?;
        let name = format!("exporter_{}", context.id);
        let disk = directory.map(|directory| (directory.clone(), directory.log(&name)));
        Ok(Self::start_on(context, settings, destination, disk))
    }

    fn start_on(
        context: DeliveryContext<'_>,
        settings: DeliverySettings,
        destination: impl Destination,
        disk: Option<(Directory, Log)>,
    ) -> Self {
        let DeliveryContext { id, tasks, .. } = context;
        let gate = DestinationBreaker::new(&context, &settings.retry, Instant::now());
        let (directory, log) = disk.unzip();
        let retry = match directory {
            Some(_) => settings.retry.on_disk(),
            None => settings.retry,
        };
        let disk = directory.as_ref().map(|directory| DiskQueueState {
            max_bytes: directory.max_bytes(),
            status: directory.status(id),
            place: directory.path().display().to_string(),
        });
        let mut state = DeliveryState::new(id, retry, &settings.queue, disk, context.seed);
        let now = context.clock.since_epoch().as_micros();
        state.number_from(u64::try_from(now).unwrap_or_default());
        state.take_any_size(settings.split.is_some());
        let queue_logs = log.map(QueueLogs::new);
        let state = Arc::new(Mutex::new(state));
        let counters = ExporterCounters::of(&context);
        counters.add(&state);
        let ended = CancellationToken::new();
        let shared = Arc::new(DeliveryShared {
            state,
            _counters: counters,
            changed: Notify::new(),
            gate: Mutex::new(gate),
            draining: CancellationToken::new(),
            turn: settings.order.map(|order| order.join(&ended)),
            ended,
            timeout: settings.timeout,
            batch: settings.queue.batch,
            split: settings.split,
            destination: Box::new(destination),
            queue_logs,
        });
        observe_gate(context.meter, id, &shared);
        if let Some((directory, queue_logs)) = directory.zip(shared.queue_logs.clone()) {
            let queue_writer = QueueWriter {
                shared: Arc::clone(&shared),
                directory,
                queue_logs,
                clock: context.clock.clone(),
            };
            tasks.spawn(format!("{id} queue writer"), queue_writer.run());
        }
        for _ in 0..settings.queue.num_consumers {
            let shared = Arc::clone(&shared);
            tasks.spawn_supervised(format!("{id} sender"), move || Arc::clone(&shared).work());
        }
        Self { shared }
    }

    /// Takes an encoded message with `points` data points. Never waits.
    pub fn push(&self, message: &[u8], points: u64) {
        let look = self.shared.lock().push(message, points, Instant::now());
        if look {
            self.shared.changed.notify_waiters();
        }
    }

    /// Counts data points that could not become a message.
    pub fn drop_points(&self, reason: DropReason, points: u64) {
        self.shared.lock().refuse(reason, points, Instant::now());
    }

    /// Waits until the queue is empty.
    pub async fn emptied(&self) {
        loop {
            // The future is registered before the check, so that no change in between is missed.
            let changed = self.shared.changed.notified();
            if self.shared.lock().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Sends everything until `deadline`: each batch gets one attempt, at once, and is dropped if
    /// that fails. Then everything that is left is counted as dropped, including batches in
    /// progress, although they may have arrived. A queue on disk is written completely; batches are
    /// sent until an attempt fails, and the rest stays on disk for the next start.
    pub async fn drain(&self, deadline: Instant) {
        self.shared.lock().begin_drain(Instant::now());
        self.shared.draining.cancel();
        self.shared.changed.notify_waiters();
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.lock().is_drained() || timeout_at(deadline, changed).await.is_err() {
                break;
            }
        }
        self.shared.end();
    }
}

/// A batch that a worker is sending. If the worker panics, the batch is dropped and counted: it
/// would cause a panic again, and block all others.
struct InFlightBatch<'a> {
    shared: &'a DeliveryShared,
    batch: Option<Batch>,
}

impl<'a> InFlightBatch<'a> {
    fn new(shared: &'a DeliveryShared, batch: Batch) -> Self {
        let batch = Some(batch);
        Self { shared, batch }
    }

    /// Calls `note` with the result of the batch.
    fn settle(mut self, note: impl FnOnce(Batch)) {
        self.batch.take().map(note);
    }
}

impl Drop for InFlightBatch<'_> {
    fn drop(&mut self) {
        // Whoever cancels a worker has already counted everything that is held.
        if let Some(batch) = self.batch.take() {
            self.shared.lock().dropped_by_sender(&batch, Instant::now());
            self.shared.changed.notify_waiters();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl DeliveryShared {
    async fn work(self: Arc<Self>) {
        // Dropping an attempt here is safe: whoever cancels it counts everything that is held.
        let ended = self.ended.clone();
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            () = self.send_all() => {}
        }
    }

    async fn send_all(&self) {
        if let Some(turn) = &self.turn {
            tokio::select! {
                () = turn.comes() => {}
                () = self.draining.cancelled() => {}
            }
        }
        loop {
            // The future is registered before the check, so that no change in between is missed.
            let changed = self.changed.notified();
            let next = self.lock().next(Instant::now());
            match next {
                Next::Send(batch) => self.send(InFlightBatch::new(self, batch)).await,
                Next::Wait(Some(due)) => drop(timeout_at(due, changed).await),
                Next::Wait(None) => changed.await,
                Next::End => return,
            }
        }
    }

    /// Waits until the batch is due and the breaker permits an attempt. Makes one attempt and
    /// records its result.
    async fn send(&self, mut in_hand: InFlightBatch<'_>) {
        let Some(batch) = &mut in_hand.batch else {
            return;
        };
        if let Some(backoff) = &batch.backoff {
            self.wait_until(backoff.due()).await;
        }
        let payload = match self.next_payload(batch).await {
            Ok(payload) => payload,
            Err(error) => {
                in_hand.settle(|batch| self.not_read(batch, &error));
                return;
            }
        };
        let points = batch.next_points();
        let permit = self.permit().await;
        let started = Instant::now();
        let outcome = self.attempt(payload.clone()).await;
        if let SendOutcome::TooLarge { error } = &outcome
            && let Some(halves) = split::pieces(self.split, &payload, points, Limit::Half)
        {
            self.gate().answered(permit, Instant::now());
            in_hand.settle(|batch| {
                let bytes = payload.len();
                self.lock().halve(batch, halves, bytes, error.as_ref());
            });
        } else {
            self.gate().settle(permit, &outcome, Instant::now());
            in_hand.settle(|batch| {
                self.lock().settle(batch, outcome, started, Instant::now());
            });
        }
        self.changed.notify_waiters();
    }

    /// The next data to send of a batch. A batch that is too large for one request is split into
    /// pieces.
    async fn next_payload(&self, batch: &mut Batch) -> Result<Bytes, ReadError> {
        if let Some(piece) = batch.pieces.front() {
            return Ok(piece.payload.clone());
        }
        let payload = match &batch.payload {
            Payload::Memory(payload) | Payload::Writing(payload) => payload.clone(),
            Payload::Disk => self.read(batch).await?,
        };
        if self.batch.fits(batch.points, payload.len() as u64) {
            return Ok(payload);
        }
        let limit = self.batch.limit();
        if let Some(pieces) = split::pieces(self.split, &payload, batch.points, limit) {
            batch.pieces = pieces.into();
        }
        let first = batch.pieces.front().map(|piece| piece.payload.clone());
        Ok(first.unwrap_or(payload))
    }

    async fn attempt(&self, payload: Bytes) -> SendOutcome {
        let attempt = async {
            let sent = timeout(self.timeout, self.destination.send(payload)).await;
            sent.unwrap_or_else(|_elapsed| {
                self.destination.timed_out();
                SendOutcome::retry(TimedOut(self.timeout))
            })
        };
        match catch_panic(attempt).await {
            Ok(outcome) => outcome,
            // The batch would cause a panic again, and block all others.
            Err(panic) => SendOutcome::permanent(Panicked(panic)),
        }
    }

    /// Waits for permission to make an attempt. A drain needs no permission: each batch gets its
    /// attempt.
    async fn permit(&self) -> Option<BreakerPermit> {
        while !self.draining.is_cancelled() {
            // The future is registered before the check, so that no change in between is missed.
            let changed = self.changed.notified();
            let asked = self.gate().try_acquire(Instant::now());
            match asked {
                Ok(permit) => return Some(permit),
                Err(BreakerRefusal::Open { retry_at }) => self.wait_until(retry_at).await,
                Err(BreakerRefusal::ProbeInFlight) => changed.await,
            }
        }
        None
    }

    /// Waits until `due`. The start of a drain ends the wait, so that the batch gets its attempt.
    async fn wait_until(&self, due: Instant) {
        drop(timeout_at(due, self.draining.cancelled()).await);
    }

    fn end(&self) {
        self.lock().end(Instant::now());
        self.ended.cancel();
    }

    fn gate(&self) -> MutexGuard<'_, DestinationBreaker> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, DeliveryState> {
        // No code under this lock panics halfway. If it did, sending would still continue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for DeliveryShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Registers the metric with the state of the breaker, as long as the delivery lives.
fn observe_gate(meter: &Meter, id: &str, shared: &Arc<DeliveryShared>) {
    let exporter = [KeyValue::new(names::EXPORTER, id.to_owned())];
    names::DESTINATION_BREAKER.observe(meter, shared, move |shared, observer| {
        let state = shared.gate().state(Instant::now());
        observer.observe(state.number().into(), &exporter);
    });
}

/// The storage that a queue names, if it names one.
fn directory<'a>(
    queue: &SendingQueue,
    storages: &'a Storages,
) -> Result<Option<&'a Directory>, ConfigError> {
    let Some(id) = &queue.storage else {
        return Ok(None);
    };
    let unknown = || ConfigError::new("sending_queue.storage", format!("no extension `{id}` runs"));
    storages.get(id).map(Some).ok_or_else(unknown)
}
