//! Serves the collector's own metrics.

use std::{future::ready, sync::Arc};

use crate::{
    http::{Listeners, Response, Route, RouteError, ServerConfig},
    telemetry::{InternalTelemetry, config::TelemetryConfig},
};

/// Registers `/metrics` on each endpoint of `service::telemetry`.
pub(super) fn register(
    telemetry: &Arc<InternalTelemetry>,
    config: &TelemetryConfig,
    listeners: &mut Listeners,
) -> Result<(), RouteError> {
    for endpoint in config.scrape_endpoints() {
        let telemetry = Arc::clone(telemetry);
        let route = Route::get("service::telemetry", "/metrics", move |_| {
            ready(Response::new(
                "text/plain; version=0.0.4; charset=utf-8",
                telemetry.text(),
            ))
        });
        let route = route.described("the collector's own metrics");
        listeners.route(&ServerConfig::plain(endpoint), route)?;
    }
    Ok(())
}
