//! `otlp_http` and `otlp_grpc`: each snapshot is encoded at once and handed to [`crate::delivery`].

mod config;
mod foreign;
mod split;
#[cfg(test)]
mod tests;

pub use config::{GRPC_TYPE, GrpcConfig, HTTP_TYPE, HttpConfig};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;

use crate::{
    delivery::Delivery,
    exporters::{points, sending::Encoder},
    pipeline::Snapshot,
};

/// Encodes snapshots as OTLP.
struct Otlp;

impl Encoder for Otlp {
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery) {
        self.ended(snapshot.otlp.messages(), delivery);
    }

    fn ended(&self, messages: &[ExportMetricsServiceRequest], delivery: &Delivery) {
        for message in messages {
            let points = points::in_message(message);
            // OTLP says that empty envelopes should not be sent.
            if points > 0 {
                delivery.push(&message.encode_to_vec(), points);
            }
        }
    }

    fn speaks_otlp(&self) -> bool {
        true
    }
}
