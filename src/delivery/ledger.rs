//! Counts the result of every data point, and logs what is lost.

use std::{ops::Add, time::Duration};

use tokio::time::Instant;

/// An outage drops batch after batch. There is at most one log line in this time.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Why data points were dropped. The list is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The sending queue is full.
    QueueFull,
    /// All retries until `max_elapsed_time` failed.
    RetriesExhausted,
    /// One data point is larger than the destination accepts, or a message is larger than OTLP
    /// allows.
    TooLarge,
    /// They could not be encoded.
    Encoding,
    /// They could not be sent before the deadline of the shutdown.
    Shutdown,
    /// The disk lost or damaged them, or the memory for batches that the disk does not accept is
    /// full.
    Storage,
    /// The task that was sending them panicked.
    Panic,
}

impl DropReason {
    /// All reasons, so that every counter starts at zero.
    pub const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::RetriesExhausted,
        Self::TooLarge,
        Self::Encoding,
        Self::Shutdown,
        Self::Storage,
        Self::Panic,
    ];

    /// The value of the `reason` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::RetriesExhausted => "retries_exhausted",
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Shutdown => "shutdown",
            Self::Storage => "storage",
            Self::Panic => "panic",
        }
    }
}

/// Data points by result. Held points are counted elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PointCounts {
    /// Received from the pipeline.
    pub(super) received: u64,
    /// Accepted by the destination.
    pub(super) sent: u64,
    /// Refused by the destination permanently.
    pub(super) rejected: u64,
    /// In failed attempts. A point counts again at each attempt.
    pub(super) failed: u64,
    /// Dropped, in the order of [`DropReason::ALL`].
    pub(super) dropped: [u64; DropReason::ALL.len()],
}

impl Add for PointCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let mut dropped = self.dropped;
        for (sum, more) in dropped.iter_mut().zip(other.dropped) {
            *sum += more;
        }
        Self {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            rejected: self.rejected + other.rejected,
            failed: self.failed + other.failed,
            dropped,
        }
    }
}

/// The counters of one exporter.
#[derive(Debug)]
pub(super) struct CounterLedger {
    exporter: String,
    pub(super) tally: PointCounts,
    rejections: Unreported,
    drops: [Unreported; DropReason::ALL.len()],
}

/// Points lost for one reason that are not in the log yet.
#[derive(Debug, Clone, Copy, Default)]
struct Unreported {
    points: u64,
    last_report: Option<Instant>,
}

impl CounterLedger {
    pub(super) fn new(id: &str) -> Self {
        Self {
            exporter: id.to_owned(),
            tally: PointCounts::default(),
            rejections: Unreported::default(),
            drops: Default::default(),
        }
    }

    /// Counts points that the destination refused permanently.
    pub(super) fn rejected(&mut self, points: u64, now: Instant) {
        self.tally.rejected += points;
        if let Some(points) = self.rejections.add(points, now) {
            tracing::warn!(exporter = self.exporter, points, "data points rejected");
        }
    }

    /// Counts dropped points.
    pub(super) fn dropped(&mut self, reason: DropReason, points: u64, now: Instant) {
        self.tally.dropped[reason as usize] += points;
        if let Some(points) = self.drops[reason as usize].add(points, now) {
            self.report(reason, points);
        }
    }

    /// Logs the drops that are not in the log yet.
    pub(super) fn report_all(&mut self, now: Instant) {
        for reason in DropReason::ALL {
            if let Some(points) = self.drops[reason as usize].take(now) {
                self.report(reason, points);
            }
        }
    }

    fn report(&self, reason: DropReason, points: u64) {
        let reason = reason.name();
        tracing::warn!(
            exporter = self.exporter,
            reason,
            points,
            "data points dropped"
        );
    }
}

impl Unreported {
    /// Adds points. Returns all points to log now.
    fn add(&mut self, points: u64, now: Instant) -> Option<u64> {
        self.points += points;
        let recent = self
            .last_report
            .is_some_and(|last| now - last < REPORT_EVERY);
        (!recent).then(|| self.take(now)).flatten()
    }

    fn take(&mut self, now: Instant) -> Option<u64> {
        let points = std::mem::take(&mut self.points);
        (points > 0).then(|| {
            self.last_report = Some(now);
            points
        })
    }
}
