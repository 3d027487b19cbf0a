//! `file`: writes each poll as a line of OTLP JSON, which the Collector's `otlpjsonfile` receiver
//! reads.
//!
//! ```yaml
//! exporters:
//!   file:
//!     path: /var/lib/collector/metrics.json
//!     rotation: { max_megabytes: 10, max_backups: 3, max_days: 7 }
//!     flush_interval: 1s
//! ```
//! The file is a destination like any other ([`crate::delivery`]): lines wait in a bounded queue,
//! and a failing disk delays no poll.

mod config;
mod foreign;
mod json;
#[cfg(test)]
mod tests;
mod writer;

pub use config::{Config, FileFormat, RotationConfig, TYPE};

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::writer::Writer;
use crate::{
    delivery::{self, Delivery, DropReason, ExportAnswer, SendOutcome},
    exporters::sending::Encoder,
    pipeline::{OtlpMessage, Snapshot},
};

type BoxError = Box<dyn std::error::Error>;

/// Encodes snapshots as lines.
struct File;

impl Encoder for File {
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery) {
        self.ended(snapshot.otlp.messages(), delivery);
    }

    fn speaks_otlp(&self) -> bool {
        true
    }

    fn ended(&self, messages: &[OtlpMessage], delivery: &Delivery) {
        let points = messages.iter().map(|message| message.points).sum();
        if points == 0 {
            return;
        }
        match line(messages) {
            Ok(line) => delivery.push(&line, points),
            Err(error) => {
                tracing::debug!(error, "metrics cannot be encoded");
                delivery.drop_points(DropReason::Encoding, points);
            }
        }
    }
}

/// The messages as one line of JSON.
fn line(messages: &[OtlpMessage]) -> Result<Vec<u8>, BoxError> {
    let messages: Result<Vec<_>, _> = messages.iter().map(OtlpMessage::decode).collect();
    Ok(json::line(&messages?)?)
}

/// Writes batches of lines to the file.
#[derive(Debug)]
struct Destination(Arc<Writer>);

#[async_trait]
impl delivery::Destination for Destination {
    async fn send(&self, lines: Bytes) -> SendOutcome {
        let writer = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || writer.write(&lines)).await {
            Ok(Ok(())) => SendOutcome::Sent(ExportAnswer::default()),
            Ok(Err(error)) => SendOutcome::retry(error),
            Err(error) => SendOutcome::retry(error),
        }
    }
}
