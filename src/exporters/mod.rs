//! Exporters: the destinations of metrics. This file is their register.

mod contract;
pub mod debug;
mod ending;
pub mod file;
pub mod otlp;
mod points;
pub mod prometheus;
pub mod prometheusremotewrite;
mod sender_config;
mod sending;
#[cfg(test)]
mod testing;

pub use contract::{ExporterConfig, ExporterContext, ExporterType, WrittenFile};

/// All types of exporters.
pub const TYPES: &[ExporterType] = &[
    debug::TYPE,
    file::TYPE,
    otlp::GRPC_TYPE,
    otlp::HTTP_TYPE,
    prometheus::TYPE,
    prometheusremotewrite::TYPE,
];
