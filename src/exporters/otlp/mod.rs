//! `otlp_http` and `otlp_grpc`: each snapshot is encoded at once and handed to [`crate::delivery`].

mod config;
mod encode;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
pub use config::{GrpcConfig, HttpConfig};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use tokio::time::Instant;

use self::encode::Encoder;
use crate::{
    client::Invalid,
    delivery::{Delivery, DropReason},
    exporters::points,
    pipeline::{Exporter, Snapshot, Target},
};

/// Encodes snapshots and hands them to delivery.
#[derive(Debug)]
struct Otlp {
    id: String,
    encoder: Encoder,
    delivery: Delivery,
}

impl Otlp {
    fn new(id: &str, delivery: Delivery) -> Result<Self, Invalid> {
        Ok(Self {
            id: id.to_owned(),
            encoder: Encoder::new().map_err(|error| Invalid::new("encoding", error))?,
            delivery,
        })
    }

    fn export_part(&self, part: &ResourceMetrics) {
        let points = points::count(part);
        if points == 0 {
            return; // OTLP asks not to send empty envelopes
        }
        match self.encoder.encode(part) {
            Ok(message) => self.delivery.push(&message, points),
            Err(error) => {
                tracing::debug!(exporter = self.id, ?error, "metrics cannot be encoded");
                self.delivery.give_up(DropReason::Encoding, points);
            }
        }
    }
}

#[async_trait]
impl Exporter for Otlp {
    fn export(&self, snapshot: &Snapshot<'_>) {
        for part in snapshot.signed_metrics {
            self.export_part(part);
        }
    }

    fn forget(&self, _target: &Target) {
        // Nothing is kept of a target beyond what is on its way.
    }

    async fn drain(&self, deadline: Instant) {
        self.delivery.drain(deadline).await;
    }
}
