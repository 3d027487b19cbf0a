//! `health_check`: serves the state of the collector and of its targets.
//!
//! ```yaml
//! extensions:
//!   health_check:
//!     endpoint: localhost:9200
//! ```
//!
//! - `/debug/resilience/TARGET` shows the latest decisions about a target, with their evidence.
//! - With `lifecycle: true`, `POST /-/reload` reloads the configuration like SIGHUP. Pages of other
//!   sites cannot make a browser do this.
//! - `/livez` and `/readyz` answer even if the listener has no free slot. `/livez` says whether the
//!   process works. `/readyz` says whether it has polled every target once and no processor refuses
//!   polls. Neither depends on the answers of the targets: one dead node must not restart the
//!   collector.
//! - `/api/v1/` shows what the collector knows as JSON. Long lists come in pages.
//! - `/api/v1/targets/NAME` shows the current values of one target: cached answers within
//!   `cache.ttl`, else new ones, from one poll for all clients that wait. No other path sends a
//!   request to a node.

mod api;
mod config;
mod foreign;
mod report;

use std::{future::ready, sync::Arc};

use http::StatusCode;
use schemars::SchemaGenerator;

use self::api::Api;
pub use self::config::{Config, ResponseBody};
use crate::{
    extensions::contract::{
        self, Extension, ExtensionConfig, ExtensionContext, ExtensionType, RoutesOnly,
    },
    http::{Response, Route, RouteError, ServerConfig},
    pipeline::{ComponentKind, ComponentState, ReloadTrigger, StatusBoard},
    settings::BuildError,
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExtensionType = ExtensionType {
    name: "health_check",
    aliases: &[],
    about: "Serves `/health`, `/livez` and `/readyz`.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::FOREIGN,
    decode: contract::decode::<Config>,
};

/// Below this path there is one path for each target.
const DECISIONS: &str = "/debug/resilience";

impl ExtensionConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.report_mistakes(at, diagnostics);
    }

    fn listens_on(&self) -> Option<ServerConfig> {
        Some(self.server())
    }

    fn build(&self, context: &mut ExtensionContext<'_>) -> Result<Arc<dyn Extension>, BuildError> {
        self.register(context)?;
        Ok(Arc::new(RoutesOnly))
    }
}

impl Config {
    fn register(&self, context: &mut ExtensionContext<'_>) -> Result<(), RouteError> {
        let (id, listeners) = (context.id, &mut *context.listeners);
        let (board, components) = (Arc::clone(context.board), Arc::clone(context.components));
        let (clock, started) = (context.clock.clone(), context.started);
        let reload = context.reload.clone();
        let server = self.server();
        let api = Api {
            board: Arc::clone(&board),
            clock: clock.clone(),
            mapping: context.mapping,
            overview: Arc::clone(context.overview),
        };
        api.register(id, &server, listeners)?;
        if self.lifecycle {
            let route = Route::post(id, "/-/reload", move |_| reloaded(reload.clone()));
            let route = route.described("reloads the configuration");
            let route = route.at_hosts(self.allowed_hosts.iter().cloned());
            listeners.route(&server, route)?;
        }
        let (ready_board, decided_board) = (Arc::clone(&board), Arc::clone(&board));
        let ready_components = Arc::clone(&components);
        let body = self.response_body.clone();
        let report = Route::get(id, &self.path, move |_| {
            if let Some(body) = &body {
                return ready(short(body, &board, &components.states()));
            }
            let states = components.states();
            let report = report::report(&board, &states, clock.now(), started.elapsed());
            ready(Response::new("application/json", format!("{report:#}\n")))
        });
        let live = Route::get(id, "/livez", |_| ready(Response::text("ok\n")));
        let decisions = Route::get(id, DECISIONS, move |request| {
            ready(decisions(&decided_board, &request.path))
        });
        let decisions = decisions
            .with_subpaths()
            .described("/TARGET: the latest decisions about it");
        listeners.route(&server, decisions)?;
        let ready = Route::get(id, "/readyz", move |_| {
            ready(readiness(&ready_board, &ready_components.states()))
        });
        listeners.route(
            &server,
            report.described("state of the collector and its targets"),
        )?;
        listeners.route(&server, live.described("the process works").vital())?;
        let ready = ready.described("every target was polled once");
        listeners.route(&server, ready.vital())
    }
}

/// The configured text in place of the report.
fn short(body: &ResponseBody, board: &StatusBoard, components: &[ComponentState]) -> Response {
    let status = readiness(board, components).status;
    let text = match status.is_success() {
        true => body.healthy.clone(),
        false => body.unhealthy.clone(),
    };
    Response::text(text).with_status(status)
}

/// The result of a reload. If it fails, the running configuration stays.
async fn reloaded(trigger: ReloadTrigger) -> Response {
    match trigger.ask().await {
        Ok(()) => Response::text("reloaded\n"),
        Err(error) => Response::text(format!("the running configuration stays: {error}\n"))
            .with_status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The latest decisions about the target in the path.
fn decisions(board: &StatusBoard, path: &str) -> Response {
    let name = path
        .strip_prefix(DECISIONS)
        .unwrap_or_default()
        .trim_start_matches('/');
    let targets = board.targets();
    if let Some(status) = targets.iter().find(|status| status.target.name == name) {
        let decisions = format!("{:#}\n", status.inner.decisions());
        return Response::new("application/json", decisions);
    }
    let names = targets.iter().map(|status| status.target.name.as_str());
    let names = names.collect::<Vec<_>>().join("\n");
    if name.is_empty() {
        return Response::text(format!("append the name of a target:\n{names}\n"));
    }
    Response::text(format!(
        "there is no target `{name}`; there are:\n{names}\n"
    ))
    .with_status(StatusCode::NOT_FOUND)
}

/// Whether every target was polled once, whatever its answer, and all processors accept polls.
fn readiness(board: &StatusBoard, components: &[ComponentState]) -> Response {
    let mut processors = components
        .iter()
        .filter(|state| state.kind == ComponentKind::Processor);
    if let Some(state) = processors.find(|state| state.status.is_error()) {
        let error = state.error.as_deref().unwrap_or_default();
        let message = format!("processor {}: {error}\n", state.id);
        return Response::text(message).with_status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let origins = board.origins();
    if let Some((receiver, _)) = origins.iter().find(|(_, origins)| !origins.is_complete()) {
        let message = format!(
            "a source of the targets of `{receiver}` has not answered yet, or with an empty list\n"
        );
        return Response::text(message).with_status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let targets = board.targets();
    let waiting = targets
        .iter()
        .filter(|target| target.last_poll.is_none())
        .count();
    if waiting == 0 {
        let notices = origins.iter().filter_map(|(receiver, origins)| {
            let notice = origins.notice()?;
            Some(format!("{receiver}: {notice}\n"))
        });
        return Response::text(format!("ok\n{}", notices.collect::<String>()));
    }
    Response::text(format!(
        "{waiting} of {} targets are not polled yet\n",
        targets.len()
    ))
    .with_status(StatusCode::SERVICE_UNAVAILABLE)
}
