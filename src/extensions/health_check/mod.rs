//! Serves the state of the collector and of its targets.
//!
//! ```yaml
//! extensions:
//!   health_check:
//!     endpoint: localhost:9200
//! ```
//!
//! `/livez` says whether the process turns, `/readyz` whether it has polled every target once.
//! Neither depends on what the targets answered: one dead node must not restart the collector.

mod config;
mod report;

use std::{future::ready, sync::Arc};

use http::StatusCode;
use tokio::time::Instant;

pub use self::config::Config;
use crate::{
    http::{Listeners, Response, Route, RouteError},
    pipeline::StatusBoard,
    runtime::Clock,
};

impl Config {
    /// Registers the routes of the extension `id`.
    ///
    /// # Errors
    /// If another component has one of the paths.
    pub fn build(
        &self,
        id: &str,
        listeners: &mut Listeners,
        board: &Arc<StatusBoard>,
        clock: &Clock,
    ) -> Result<(), RouteError> {
        let endpoint = self.endpoint.to_string();
        let (board, clock, started) = (Arc::clone(board), clock.clone(), Instant::now());
        let ready_board = Arc::clone(&board);
        let report = Route::get(id, &self.path, move |_| {
            let report = report::report(&board.targets(), clock.now(), started.elapsed());
            ready(Response::new("application/json", format!("{report:#}\n")))
        });
        let live = Route::get(id, "/livez", |_| ready(Response::text("ok\n")));
        let ready = Route::get(id, "/readyz", move |_| ready(readiness(&ready_board)));
        listeners.route(
            &endpoint,
            report.described("state of the collector and its targets"),
        )?;
        listeners.route(&endpoint, live.described("the process turns"))?;
        listeners.route(&endpoint, ready.described("every target was polled once"))
    }
}

/// Whether every target was polled once, whatever it answered.
fn readiness(board: &StatusBoard) -> Response {
    let targets = board.targets();
    let waiting = targets
        .iter()
        .filter(|target| target.last_poll.is_none())
        .count();
    if waiting == 0 {
        return Response::text("ok\n");
    }
    Response::text(format!(
        "{waiting} of {} targets are not polled yet\n",
        targets.len()
    ))
    .with_status(StatusCode::SERVICE_UNAVAILABLE)
}
