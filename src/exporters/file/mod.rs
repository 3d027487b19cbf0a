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
mod foreign;
mod json;
#[cfg(test)]
mod tests;
mod writer;

pub use config::{Config, Format, RotationConfig};
pub use foreign::FOREIGN;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use self::writer::Writer;
use crate::{
    delivery::{self, Account, Answer, Delivery, DropReason, Outcome},
    exporters::points,
    pipeline::{Exporter, Snapshot, Target},
};

/// Encodes snapshots and hands them to delivery.
#[derive(Debug)]
pub struct File {
    delivery: Delivery,
    writer: Arc<Writer>,
}

impl File {
    /// The account in which it is counted.
    pub(super) fn account(&self) -> &Account {
        self.delivery.account()
    }
}

#[async_trait]
impl Exporter for File {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let messages = snapshot.otlp.messages();
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

    fn forget(&self, _target: &Target) {
        // Nothing is kept of a target beyond what is on its way.
    }

    async fn drain(&self, deadline: Instant) {
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
