//! `otlp_http` and `otlp_grpc`: each snapshot is encoded at once and handed to [`crate::delivery`].

mod config;
mod foreign;
mod split;
#[cfg(test)]
mod tests;

pub use config::{GRPC_TYPE, GrpcConfig, HTTP_TYPE, HttpConfig};

use crate::{
    delivery::Delivery,
    exporters::sending::Encoder,
    pipeline::{OtlpMessage, Snapshot},
};

/// Encodes snapshots as OTLP.
struct Otlp;

impl Encoder for Otlp {
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery) {
        self.ended(snapshot.otlp.messages(), delivery);
    }

    fn ended(&self, messages: &[OtlpMessage], delivery: &Delivery) {
        for message in messages {
            // OTLP says that empty envelopes should not be sent.
            if message.points > 0 {
                delivery.push(&message.bytes, message.points);
            }
        }
    }

    fn speaks_otlp(&self) -> bool {
        true
    }
}
