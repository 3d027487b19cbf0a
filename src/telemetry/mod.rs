//! The collector's own telemetry: metric names, logs, traces, metrics.

mod chain;
pub mod config;
mod error;
mod figures;
mod foreign;
mod instrument;
mod logs;
mod meter;
pub mod names;
mod internal;
pub mod process;
mod push;
mod reader;
mod resource;
mod spans;
pub mod target_metrics;
mod trace;

pub use chain::chain;
pub use error::TelemetryError;
pub use figures::OwnFigures;
pub use foreign::SERVICE_FOREIGN;
pub use internal::{DrainingTelemetry, InternalTelemetry, NextTelemetry};
pub use logs::init as init_logs;
pub use meter::Meter;
pub use process::resident_bytes;
pub use trace::Trace;
