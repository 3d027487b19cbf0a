//! Keeps sending queues on disk, so that they survive the collector.
//!
//! ```yaml
//! extensions:
//!   file_storage:
//!     directory: /var/lib/betanet-collector
//! exporters:
//!   otlp_http:
//!     endpoint: http://localhost:4318
//!     sending_queue: { storage: file_storage }
//! service:
//!   extensions: [file_storage]
//! ```
//!
//! Each exporter has a file of its own in the directory, and one process the whole directory.

mod config;
mod foreign;

pub use self::config::Config;
pub use foreign::FOREIGN;
