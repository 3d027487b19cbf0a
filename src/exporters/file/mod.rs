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

use self::writer::Writer;
use crate::{
    delivery::{self, Answer, Delivery, DropReason, Outcome},
    exporters::{points, sending::Encoder},
    pipeline::Snapshot,
};

/// Encodes snapshots as lines.
#[derive(Debug)]
struct File {
    writer: Arc<Writer>,
}

impl Encoder for File {
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery) {
        let messages = snapshot.otlp.messages();
        let points = messages.iter().map(points::in_message).sum();
        if points == 0 {
            return;
        }
        match json::line(messages) {
            Ok(line) => delivery.push(&line, points),
            Err(error) => {
                tracing::debug!(%error, "metrics cannot be encoded");
                delivery.give_up(DropReason::Encoding, points);
            }
        }
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
