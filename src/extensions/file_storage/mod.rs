//! `file_storage`: stores sending queues on disk, so that they survive the process.
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
//! Each exporter has its own file in the directory, and only one process can use the directory.

mod config;
mod foreign;

pub use self::config::Config;
pub use foreign::FOREIGN;
