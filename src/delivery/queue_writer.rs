//! Writes the queue on disk, in one task. Blocking operations run on threads that may block, one at
//! a time.

use std::{
    collections::VecDeque,
    error::Error as StdError,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    DeliveryShared,
    batch::{Batch, Payload},
    state::{DiskAction, RETRY, Work},
};
use crate::{
    runtime::Clock,
    storage::{DamageReport, Directory, Log, Record, RecordEntry, StorageError},
};

/// The wait for another exporter of the same name that still has the file and is about to end.
const IN_USE_PAUSE: Duration = Duration::from_millis(100);

/// The log of the batches on disk. Clones share the same log.
#[derive(Debug, Clone)]
pub(super) struct QueueLogs(Arc<Mutex<Log>>);

/// Writes the batches.
pub(super) struct QueueWriter {
    pub(super) shared: Arc<DeliveryShared>,
    pub(super) directory: Directory,
    pub(super) queue_logs: QueueLogs,
    pub(super) clock: Clock,
}

impl QueueLogs {
    pub(super) fn new(log: Log) -> Self {
        Self(Arc::new(Mutex::new(log)))
    }

    /// Runs an operation on the log, on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Log) -> T + Send + 'static,
    ) -> io::Result<T> {
        let log = Arc::clone(&self.0);
        let work = move || work(&mut log.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)
    }
}

impl QueueWriter {
    /// Runs until the delivery has ended, and closes the file.
    pub(super) async fn run(self) {
        let ended = self.shared.ended.clone();
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            () = self.keep() => {}
        }
        drop(self.queue_logs.with(Log::close).await);
    }

    async fn keep(&self) {
        self.directory.opened().await;
        while let Err(pause) = self.open().await {
            self.shared.changed.notify_waiters();
            sleep(pause).await;
        }
        loop {
            self.shared.changed.notify_waiters();
            let changed = self.shared.changed.notified();
            let next = self.shared.lock().store_next(Instant::now());
            match next {
                DiskAction::Write(work) => self.write(work).await,
                DiskAction::Wait(Some(due)) => drop(timeout_at(due, changed).await),
                DiskAction::Wait(None) => changed.await,
            }
        }
    }

    /// Reads what is on disk, or returns when to try again.
    async fn open(&self) -> Result<(), Duration> {
        let (found, lost_points) = self.read_all().await?;
        let now = Instant::now();
        self.shared.lock().restored(found, lost_points, now);
        Ok(())
    }

    /// Reads the disk again after damage was found during operation.
    async fn reopen(&self) -> Result<(), Duration> {
        let (found, _) = self.read_all().await?;
        self.shared.lock().salvaged(found, Instant::now());
        Ok(())
    }

    /// All batches on disk, and the number of lost points.
    async fn read_all(&self) -> Result<(Vec<Batch>, Option<u64>), Duration> {
        let opened = match self.queue_logs.with(Log::open).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(StorageError::InUse)) => return Err(IN_USE_PAUSE),
            Ok(Err(error)) => return Err(self.unopened(&error)),
            Err(error) => return Err(self.unopened(&error)),
        };
        let lost_points = opened.loss.as_ref().map(tell);
        let now = Instant::now();
        let batches = opened.entries.iter().map(|entry| self.batch(entry, now));
        Ok((batches.collect(), lost_points))
    }

    fn unopened(&self, error: &(dyn StdError + 'static)) -> Duration {
        self.shared.lock().unopened(error, Instant::now());
        RETRY
    }

    async fn write(&self, work: Work) {
        let (at, now) = (Instant::now(), self.clock.since_epoch());
        let records: Vec<Record> = work
            .batches
            .into_iter()
            .map(|batch| Record {
                id: batch.id,
                points: batch.points,
                created: now.saturating_sub(at - batch.opened),
                payload: batch.payload,
            })
            .collect();
        let removals = work.removals.clone();
        let written = self
            .queue_logs
            .with(move |log| log.write(&records, &removals))
            .await;
        if matches!(&written, Ok(Err(StorageError::Damaged(_)))) {
            while let Err(pause) = self.reopen().await {
                self.shared.changed.notify_waiters();
                sleep(pause).await;
            }
        }
        let result = match &written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error as &(dyn StdError + 'static)),
            Err(error) => Err(error as &(dyn StdError + 'static)),
        };
        self.shared
            .lock()
            .stored(work.removals, result, Instant::now());
    }

    fn batch(&self, entry: &RecordEntry, now: Instant) -> Batch {
        let age = self.clock.since_epoch().saturating_sub(entry.created);
        Batch {
            ids: entry.id..=entry.id,
            payload: Payload::Disk,
            bytes: entry.bytes,
            points: entry.points,
            done_points: 0,
            pieces: VecDeque::new(),
            opened: now.checked_sub(age).unwrap_or(now),
            backoff: None,
        }
    }
}

/// Logs a damaged file, and the number of lost points.
fn tell(loss: &DamageReport) -> u64 {
    let (aside, error) = (loss.aside.display(), &loss.error);
    let what = "the queue on disk is damaged: intact records are kept, and the file is renamed";
    match loss.points {
        Some(lost_points) => tracing::error!(%aside, error, lost_points, "{what}"),
        None => tracing::error!(%aside, error, "{what}; the number of lost points is unknown"),
    }
    loss.points.unwrap_or_default()
}

/// Why a batch cannot be read from disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("it cannot be read from disk")]
    Log(#[source] StorageError),
    #[error("it cannot be read from disk")]
    Thread(#[source] io::Error),
    #[error("it is damaged on disk")]
    Lost,
}

impl DeliveryShared {
    /// The messages of a batch on disk.
    pub(super) async fn read(&self, batch: &Batch) -> Result<Bytes, ReadError> {
        let Some(queue_logs) = &self.queue_logs else {
            return Err(ReadError::Lost);
        };
        let ids = batch.ids.clone();
        let read = queue_logs.with(move |log| log.read(ids)).await;
        let (payload, points) = read.map_err(ReadError::Thread)?.map_err(ReadError::Log)?;
        let is_whole = points == batch.all_points() && payload.len() as u64 == batch.bytes;
        is_whole.then_some(payload).ok_or(ReadError::Lost)
    }

    /// Handles a batch that could not be read: it waits, or is dropped if it is missing.
    pub(super) fn not_read(&self, batch: Batch, error: &ReadError) {
        let now = Instant::now();
        match error {
            ReadError::Lost => self.lock().lost(&batch, now),
            ReadError::Log(_) | ReadError::Thread(_) => {
                self.lock().unreadable(batch, error, now);
            }
        }
        self.changed.notify_waiters();
    }
}
