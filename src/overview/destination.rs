//! Where metrics go, and what became of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ComponentRow, Flow};
use crate::telemetry::{
    OwnFigures,
    names::{self, EXPORTER, Metric, REASON},
};

/// An exporter and its accounts. What was received is what was sent, rejected, dropped and held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// How it is.
    #[serde(flatten)]
    pub component: ComponentRow,
    /// Data points that were handed to it; none for one that sends nothing.
    pub received: Option<u64>,
    /// Data points that the destination accepted.
    pub sent: Option<u64>,
    /// The same each second, of late.
    pub sent_per_second: Option<f64>,
    /// Data points that the destination refused for good.
    pub rejected: u64,
    /// Data points that were given up, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Data points that wait or are being sent.
    pub held: u64,
    /// What the sending queue holds, in the unit of its sizer.
    pub queue_size: Option<u64>,
    /// The most that it may hold.
    pub queue_capacity: Option<u64>,
    /// How long the oldest data point has been waiting.
    pub oldest_seconds: Option<f64>,
    /// `closed`, `open` or `half_open`; none without a breaker.
    pub breaker: Option<String>,
    /// Series that a scrape shows; none for one that is not scraped.
    pub series: Option<u64>,
}

impl Destination {
    /// The accounts of an exporter.
    pub(super) fn of(component: ComponentRow, figures: &OwnFigures, flow: &Flow) -> Self {
        let id = component.id.clone();
        let read = |metric: &Metric| figures.sum(metric, EXPORTER, &id).map(whole);
        let dropped = figures.by(&names::DROPPED_POINTS, [EXPORTER, &id], REASON);
        let dropped = dropped.into_iter().filter(|(_, points)| *points > 0.0);
        let breaker = read(&names::DESTINATION_BREAKER).map(|state| match state {
            0 => "closed",
            1 => "open",
            _ => "half_open",
        });
        Self {
            received: read(&names::RECEIVED_POINTS),
            sent: read(&names::SENT_POINTS),
            sent_per_second: flow.per_second(&names::SENT_POINTS, EXPORTER, &id),
            rejected: read(&names::REJECTED_POINTS).unwrap_or(0),
            dropped: dropped.map(|(why, points)| (why, whole(points))).collect(),
            held: read(&names::HELD_POINTS).unwrap_or(0),
            queue_size: read(&names::QUEUE_SIZE),
            queue_capacity: read(&names::QUEUE_CAPACITY),
            oldest_seconds: figures.sum(&names::QUEUE_OLDEST_AGE, EXPORTER, &id),
            breaker: breaker.map(str::to_owned),
            series: read(&names::SERIES),
            component,
        }
    }

    /// Data points that will never arrive.
    pub fn lost(&self) -> u64 {
        self.rejected + self.dropped.values().sum::<u64>()
    }
}

/// A count; what is no whole number is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and not negative"
)]
pub(super) fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}
