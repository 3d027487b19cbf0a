//! `otlp_http` and `otlp_grpc`: each snapshot is encoded at once and handed to [`crate::delivery`].

mod config;
mod foreign;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
pub use config::{GrpcConfig, HttpConfig};
pub use foreign::{GRPC_FOREIGN, HTTP_FOREIGN};
use prost::Message as _;
use tokio::time::Instant;

use crate::{
    delivery::{Account, Delivery},
    exporters::points,
    pipeline::{Exporter, Snapshot, Target},
};

/// Encodes snapshots and hands them to delivery.
#[derive(Debug)]
pub struct Otlp(Delivery);

impl Otlp {
    /// The account in which it is counted.
    pub(super) fn account(&self) -> &Account {
        self.0.account()
    }
}

#[async_trait]
impl Exporter for Otlp {
    fn export(&self, snapshot: &Snapshot<'_>) {
        for message in snapshot.otlp.messages() {
            let points = points::in_message(message);
            // OTLP asks not to send empty envelopes.
            if points > 0 {
                self.0.push(&message.encode_to_vec(), points);
            }
        }
    }

    fn forget(&self, _target: &Target) {
        // Nothing is kept of a target beyond what is on its way.
    }

    async fn emptied(&self) {
        self.0.emptied().await;
    }

    async fn drain(&self, deadline: Instant) {
        self.0.drain(deadline).await;
    }
}
