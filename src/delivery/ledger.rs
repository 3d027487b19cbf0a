//! What became of every data point: our own metrics, and the log lines about what was lost.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};
use tokio::time::Instant;

use crate::telemetry::names::{self, Metric};

/// An outage drops batch after batch; one line in this time says it.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Why data points were given up, a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// No place in the sending queue.
    QueueFull,
    /// The destination does not want them.
    Rejected,
    /// Tried again until `max_elapsed_time`.
    RetriesExhausted,
    /// One message over the largest size that OTLP allows.
    TooLarge,
    /// They could not be encoded.
    Encoding,
    /// Not sent before the shutdown's deadline.
    Shutdown,
}

impl DropReason {
    /// All reasons, so that every counter starts at zero.
    pub const ALL: [Self; 6] = [
        Self::QueueFull,
        Self::Rejected,
        Self::RetriesExhausted,
        Self::TooLarge,
        Self::Encoding,
        Self::Shutdown,
    ];

    /// The value of the `reason` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Rejected => "rejected",
            Self::RetriesExhausted => "retries_exhausted",
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The counters of one exporter.
#[derive(Debug)]
pub(super) struct Ledger {
    exporter: KeyValue,
    sent: Counter<u64>,
    failed: Counter<u64>,
    dropped: Counter<u64>,
    unreported: [Unreported; DropReason::ALL.len()],
}

/// Drops of one reason that no log line has told of.
#[derive(Debug, Clone, Copy, Default)]
struct Unreported {
    points: u64,
    last_report: Option<Instant>,
}

impl Ledger {
    pub(super) fn new(id: &str, meter: &Meter) -> Self {
        let counter = |metric: &Metric| {
            meter
                .u64_counter(metric.name)
                .with_unit(metric.unit)
                .with_description(metric.description)
                .build()
        };
        let ledger = Self {
            exporter: KeyValue::new(names::EXPORTER, id.to_owned()),
            sent: counter(&names::SENT_POINTS),
            failed: counter(&names::FAILED_POINTS),
            dropped: counter(&names::DROPPED_POINTS),
            unreported: Default::default(),
        };
        ledger.sent(0);
        ledger.failed(0);
        for reason in DropReason::ALL {
            ledger.count_dropped(reason, 0);
        }
        ledger
    }

    /// The destination accepted them.
    pub(super) fn sent(&self, points: u64) {
        self.sent.add(points, std::slice::from_ref(&self.exporter));
    }

    /// An attempt to send them failed.
    pub(super) fn failed(&self, points: u64) {
        self.failed
            .add(points, std::slice::from_ref(&self.exporter));
    }

    /// They were given up.
    pub(super) fn dropped(&mut self, reason: DropReason, points: u64, now: Instant) {
        if points == 0 {
            return;
        }
        self.count_dropped(reason, points);
        let unreported = &mut self.unreported[reason as usize];
        unreported.points += points;
        let recent = unreported
            .last_report
            .is_some_and(|last| now - last < REPORT_EVERY);
        if !recent {
            self.report(reason, now);
        }
    }

    /// Tells of the drops that no line has told of yet.
    pub(super) fn report_all(&mut self, now: Instant) {
        for reason in DropReason::ALL {
            self.report(reason, now);
        }
    }

    fn report(&mut self, reason: DropReason, now: Instant) {
        let unreported = &mut self.unreported[reason as usize];
        let points = std::mem::take(&mut unreported.points);
        if points > 0 {
            unreported.last_report = Some(now);
            tracing::warn!(
                exporter = %self.exporter.value,
                reason = reason.name(),
                points,
                "data points dropped"
            );
        }
    }

    fn count_dropped(&self, reason: DropReason, points: u64) {
        let reason = KeyValue::new(names::REASON, reason.name());
        self.dropped.add(points, &[self.exporter.clone(), reason]);
    }
}
