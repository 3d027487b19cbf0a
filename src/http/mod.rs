//! Listeners shared by endpoint, with limits on time, size and number.
//!
//! Components register a [`Route`] each before the start; those that name the same endpoint share
//! its listener. The caller binds all of them, so that a taken port ends the start, and serves
//! them until the tasks are told to stop.
//!
//! ```no_run
//! # use betanet_collector::{http::{Limits, Listeners, Response, Route}, runtime::Tasks};
//! # async fn run(meter: &opentelemetry::metrics::Meter) -> Result<(), Box<dyn std::error::Error>> {
//! let mut listeners = Listeners::new(Limits::default(), meter);
//! let health = Route::get("health_check", "/health", |_| async { Response::text("ok\n") });
//! listeners.route("localhost:9200", health)?;
//! let (tasks, _failures) = Tasks::new();
//! listeners.bind().await?.serve(&tasks);
//! # Ok(())
//! # }
//! ```

mod connection;
mod listeners;
mod message;
mod retry_after;
mod router;

#[cfg(test)]
mod tests;

pub use listeners::{BindError, BoundListeners, Listeners, RouteError};
pub use message::{Handler, Request, Response, Route};
pub use retry_after::retry_after;

use std::time::Duration;

/// What a client may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a request's header may take; also how long a connection may stay idle.
    pub header_timeout: Duration,
    /// How long one exchange may take, from the end of the header to the last byte of the answer.
    pub exchange_timeout: Duration,
    /// The most connections of one listener.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            exchange_timeout: Duration::from_secs(30),
            connections: 256,
        }
    }
}
