//! How we speak to others, over HTTP and gRPC alike: TLS and headers. Credentials are in
//! [`crate::http`], which both sends and admits them.
//!
//! Whatever has a client (receivers, exporters, discovery) takes these settings into its own:
//!
//! ```yaml
//! headers: { X-Scope-OrgID: fleet }
//! tls:
//!   ca_file: /etc/collector/ca.pem
//!   cert_file: /etc/collector/client.pem
//!   key_file: /etc/collector/client.key
//! ```
//!
//! Files are read again while the collector runs, so that a rotated one is noticed.

pub mod content_encoding;
mod files;
pub mod headers;
mod invalid;
mod tls;

pub use files::ReadError;
pub use invalid::{BoxError, Invalid};
pub use tls::Tls;
