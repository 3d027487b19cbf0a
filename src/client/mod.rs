//! Outgoing connections over HTTP and gRPC: TLS, headers and authentication ([`auth`]).
//!
//! Every component with a client (receivers, exporters, discovery) has these settings among its
//! own:
//!
//! ```yaml
//! headers: { X-Scope-OrgID: fleet }
//! auth: { bearer: { token_file: /etc/collector/token } }
//! tls:
//!   ca_file: /etc/collector/ca.pem
//!   cert_file: /etc/collector/client.pem
//!   key_file: /etc/collector/client.key
//! ```
//! Files are read again while the collector runs, so that rotated files are used.

pub mod auth;
pub mod content_encoding;
mod files;
mod foreign;
pub mod headers;
mod http_client;
mod config_error;
mod proxy;
mod server_message;
mod tls;
mod wrong_port;

pub use auth::ClientAuthConfig;
pub use config_error::{BoxError, ConfigError};
pub use files::ReadError;
pub use foreign::{
    AUTH_FOREIGN, CLIENT_FOREIGN, GRPC_CLIENT_FOREIGN, HTTP_CLIENT_FOREIGN, TLS_FOREIGN,
};
pub use http_client::{
    ProxyChoice, client_builder, client_through, read_body, server_client, socket_client,
    without_decoding,
};
pub use proxy::Proxy;
pub use server_message::Secrets;
pub use tls::Tls;
pub use wrong_port::{Spoken, explain};
