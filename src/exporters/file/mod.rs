//! `file`: writes each poll as a line of OTLP JSON, which the Collector's `otlpjsonfile` reads.
//!
//! ```yaml
//! exporters:
//!   file:
//!     path: /var/lib/collector/metrics.json
//!     rotation: { max_megabytes: 10, max_backups: 3, max_days: 7 }
//!     flush_interval: 1s
//! ```
//!
//! The file is a destination like any other ([`crate::delivery`]): lines wait in a bounded queue,
//! and a disk that takes none delays no poll.

mod config;
mod json;
#[cfg(test)]
mod tests;
mod writer;

pub use config::{Config, Format, RotationConfig};

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tokio::time::Instant;

use self::writer::Writer;
use crate::{
    delivery::{self, Account, Answer, Delivery, DropReason, Outcome},
    exporters::{ending::Ending, points},
    pipeline::{Exporter, Farewell, Snapshot, Target},
};

/// Encodes snapshots and hands them to delivery.
#[derive(Debug)]
pub struct File {
    delivery: Delivery,
    writer: Arc<Writer>,
    ending: Ending,
}

impl File {
    /// The account in which it is counted.
    pub(super) fn account(&self) -> &Account {
        self.delivery.account()
    }

    fn push(&self, messages: &[ExportMetricsServiceRequest]) {
        let points = messages.iter().map(points::in_message).sum();
        if points == 0 {
            return;
        }
        match json::line(messages) {
            Ok(line) => self.delivery.push(&line, points),
            Err(error) => {
                tracing::debug!(%error, "metrics cannot be encoded");
                self.delivery.give_up(DropReason::Encoding, points);
            }
        }
    }
}

#[async_trait]
impl Exporter for File {
    fn export(&self, snapshot: &Snapshot<'_>) {
        self.push(snapshot.otlp.messages());
    }

    fn ended(&self, _target: &Target, farewell: &Farewell<'_>) {
        if let Some(now) = self.ending.time() {
            self.push(&farewell.messages(now));
        }
    }

    fn forget(&self, _target: &Target) {
        // Nothing is kept of a target beyond what is on its way.
    }

    fn closing(&self) {
        self.ending.close();
    }

    async fn drain(&self, deadline: Instant) {
        // Also where only this exporter goes.
        self.closing();
        self.delivery.drain(deadline).await;
    }
}

/// Takes batches of lines to the file.
#[derive(Debug)]
struct Destination(Arc<Writer>);

#[async_trait]
impl delivery::Destination for Destination {
    async fn send(&self, lines: Bytes) -> Outcome {
        let writer = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || writer.write(&lines)).await {
            Ok(Ok(())) => Outcome::Sent(Answer::default()),
            Ok(Err(error)) => Outcome::retry(error),
            Err(error) => Outcome::retry(error),
        }
    }
}
