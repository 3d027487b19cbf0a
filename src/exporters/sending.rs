//! The common part of all exporters that send. Each is an [`Encoder`], which makes messages of
//! snapshots, and a [`Destination`], which takes them. Everything between them, from the queue to
//! the counters, is a [`Delivery`].

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{contract::ExporterContext, ending::Ending};
use crate::{
    client::ConfigError,
    delivery::{Delivery, DeliverySettings, Destination},
    pipeline::{EndOfSeries, Exporter, OtlpMessage, Snapshot, Target},
};

/// Encodes snapshots as messages.
pub(super) trait Encoder: Send + Sync + 'static {
    /// Hands the messages of a snapshot to `delivery`.
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery);

    /// Hands over the end of all series of a target, in OTLP. An exporter of another protocol does
    /// this in [`Self::forget`].
    fn ended(&self, _messages: &[OtlpMessage], _delivery: &Delivery) {}

    /// Whether it sends the end of series in [`Self::ended`].
    fn speaks_otlp(&self) -> bool {
        false
    }

    /// Forgets a target, which ended `now`, or is removed without an end. Most exporters keep no
    /// state of a target except the batches in the queue.
    fn forget(&self, _target: &Target, _now: Option<SystemTime>, _delivery: &Delivery) {}
}

/// An exporter that sends.
pub(super) struct SendingExporter<E> {
    encoder: E,
    delivery: Delivery,
    ending: Ending,
}

impl<E: Encoder> SendingExporter<E> {
    /// Starts an exporter that sends the messages of `encoder` to `destination`.
    ///
    /// # Errors
    /// If a value of the settings is invalid. The error names its key.
    pub(super) fn start(
        context: &ExporterContext<'_>,
        settings: DeliverySettings,
        encoder: E,
        destination: impl Destination,
    ) -> Result<Arc<dyn Exporter>, ConfigError> {
        let ending = Ending::new(context.clock);
        let delivery = Delivery::start(context.delivery(), settings, destination)?;
        Ok(Arc::new(Self::new(encoder, delivery, ending)))
    }

    pub(super) fn new(encoder: E, delivery: Delivery, ending: Ending) -> Self {
        Self {
            encoder,
            delivery,
            ending,
        }
    }
}

#[async_trait]
impl<E: Encoder> Exporter for SendingExporter<E> {
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
