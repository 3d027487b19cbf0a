//! `otlp_http` and `otlp_grpc`: each snapshot is encoded at once and handed to [`crate::delivery`].

mod config;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
pub use config::{GrpcConfig, HttpConfig};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use tokio::time::Instant;

use crate::{
    delivery::{Account, Delivery},
    exporters::{ending::Ending, points},
    pipeline::{Exporter, Farewell, Snapshot, Target},
};

/// Encodes snapshots and hands them to delivery.
#[derive(Debug)]
pub struct Otlp {
    delivery: Delivery,
    ending: Ending,
}

impl Otlp {
    /// The account in which it is counted.
    pub(super) fn account(&self) -> &Account {
        self.delivery.account()
    }

    fn push(&self, message: &ExportMetricsServiceRequest) {
        let points = points::in_message(message);
        // OTLP asks not to send empty envelopes.
        if points > 0 {
            self.delivery.push(&message.encode_to_vec(), points);
        }
    }
}

#[async_trait]
impl Exporter for Otlp {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let messages = snapshot.otlp.messages().iter();
        messages.for_each(|message| self.push(message));
    }

    fn ended(&self, _target: &Target, farewell: &Farewell<'_>) {
        if let Some(now) = self.ending.time() {
            let messages = farewell.messages(now);
            messages.iter().for_each(|message| self.push(message));
        }
    }

    fn forget(&self, _target: &Target) {
        // Nothing is kept of a target beyond what is on its way.
    }

    fn closing(&self) {
        self.ending.close();
    }

    async fn emptied(&self) {
        self.delivery.emptied().await;
    }

    async fn drain(&self, deadline: Instant) {
        // Also where only this exporter goes.
        self.closing();
        self.delivery.drain(deadline).await;
    }
}
