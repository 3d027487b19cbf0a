//! The common part of all exporters that send: each has its own encoder, and behind it a
//! [`Delivery`].

use std::time::SystemTime;

use async_trait::async_trait;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tokio::time::Instant;

use super::ending::Ending;
use crate::{
    delivery::Delivery,
    pipeline::{EndOfSeries, Exporter, Snapshot, Target},
};

/// Encodes snapshots as messages.
pub(super) trait Encoder: Send + Sync + 'static {
    /// Hands the messages of a snapshot to `delivery`.
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery);

    /// Hands over the end of all series of a target, in OTLP. An exporter of another protocol does
    /// this in [`Self::forget`].
    fn ended(&self, _messages: &[ExportMetricsServiceRequest], _delivery: &Delivery) {}

    /// Whether it sends the end of series in [`Self::ended`].
    fn speaks_otlp(&self) -> bool {
        false
    }

    /// Forgets a target, which ended `now`, or is removed without an end. Most exporters keep no
    /// state of a target except the batches in the queue.
    fn forget(&self, _target: &Target, _now: Option<SystemTime>, _delivery: &Delivery) {}
}

/// An exporter that sends.
pub(super) struct Sending {
    encoder: Box<dyn Encoder>,
    delivery: Delivery,
    ending: Ending,
}

impl Sending {
    /// Sends the messages of `encoder`.
    pub(super) fn new(encoder: impl Encoder, delivery: Delivery, ending: Ending) -> Self {
        Self {
            encoder: Box::new(encoder),
            delivery,
            ending,
        }
    }
}

#[async_trait]
impl Exporter for Sending {
    fn export(&self, snapshot: &Snapshot<'_>) {
        self.encoder.encode(snapshot, &self.delivery);
    }

    fn ended(&self, _target: &Target, end_of_series: &EndOfSeries<'_>) {
        if !self.encoder.speaks_otlp() {
            return;
        }
        if let Some(now) = self.ending.time() {
            self.encoder
                .ended(&end_of_series.messages(now), &self.delivery);
        }
    }

    fn forget(&self, target: &Target) {
        self.encoder
            .forget(target, self.ending.time(), &self.delivery);
    }

    fn closing(&self) {
        self.ending.close();
    }

    async fn emptied(&self) {
        self.delivery.emptied().await;
    }

    async fn drain(&self, deadline: Instant) {
        // This is also right if only this exporter is removed.
        self.ending.close();
        self.delivery.drain(deadline).await;
    }
}
