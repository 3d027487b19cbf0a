//! Listeners that components with the same endpoint share, with TLS, authentication, and limits on
//! time, size and number.
//!
//! Each component registers a [`Route`] before the start. Components with the same endpoint share
//! its listener, so they must have the same TLS settings. Each route has its own authentication.
//! The caller opens all ports at the start, so that a used port ends the start, and serves them
//! until the tasks stop.
//!
//! ```no_run
//! # use betanet_collector::{http::{ClientLimits, Listeners, Response, Route, ServerConfig}, pipeline::Components, runtime::{Clock, Tasks}};
//! # async fn run(meter: &betanet_collector::telemetry::Meter) -> Result<(), Box<dyn std::error::Error>> {
//! let mut listeners = Listeners::new(ClientLimits::default(), meter);
//! let health = Route::get("health_check", "/health", |_| async { Response::text("ok\n") });
//! listeners.route(&ServerConfig::plain("localhost:9200"), health)?;
//! let (tasks, _failures) = Tasks::new();
//! let components = Components::new(&Clock::System, &tasks);
//! listeners.bind().await?.serve(&tasks, &components);
//! # Ok(())
//! # }
//! ```

mod auth;
mod body;
mod connection;
mod crowd;
mod encoding;
mod cross_site;
mod foreign;
mod listeners;
mod message;
mod retry_after;
mod router;
mod secret_header;
mod server;
mod server_auth;
mod running_listeners;
mod shared;
mod telemetry;
mod tls;
mod tls_choice;

#[cfg(test)]
mod tests;

pub use auth::{BasicConfig, BearerConfig, ServerAuthConfig};
pub use body::Body;
#[doc(hidden)]
pub use connection::Portless;
pub use foreign::SERVER_FOREIGN;
pub use listeners::{BindError, Listeners, RouteError};
pub use message::{Handler, Request, Response, Route};
pub use retry_after::retry_after;
pub use running_listeners::{BoundListeners, RunningListeners};
pub use secret_header::{CredentialsError, SecretHeader, SecretText};
pub use server::ServerConfig;
pub use server_auth::ServerAuth;
pub use shared::{AnswerKey, SharedAnswers};
pub use tls::{TlsConfig, TlsError, TlsVersion};
pub use tls_choice::{TlsChoice, TlsChoiceError};

use std::time::Duration;

/// What a client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// The longest time for a request header, and for an idle connection.
    pub header_timeout: Duration,
    /// The longest time for one exchange, from the end of the header to the last byte of the
    /// answer.
    pub exchange_timeout: Duration,
    /// The most simultaneous exchanges on one listener, and about the most connections. A client
    /// (an IPv4 address or an IPv6 /64 network) gets half of them.
    pub connections: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            exchange_timeout: Duration::from_secs(30),
            connections: 256,
        }
    }
}
