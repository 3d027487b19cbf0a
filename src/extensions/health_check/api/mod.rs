//! `/api/v1/`: what the collector knows, as JSON. `docs/api.md` describes it.

mod events;
mod target_answer;

use std::{future::ready, sync::Arc};

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::target_answer::TargetAnswer;
use crate::{
    http::{Listeners, Request, Response, Route, RouteError, ServerConfig},
    overview::{AddressQuery, Overview, TargetQuery},
    pipeline::{Mapping, StatusBoard},
    runtime::Clock,
};

/// Below it stands one path a target.
const TARGETS: &str = "/api/v1/targets";

/// The ending of the path of a target's decisions.
const DECISIONS: &str = "/decisions";

/// What the answers are made of.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) board: Arc<StatusBoard>,
    pub(super) clock: Clock,
    pub(super) mapping: Mapping,
    pub(super) overview: Arc<Overview>,
}

impl Api {
    /// Registers the routes for the extension `id`.
    pub(super) fn register(
        &self,
        id: &str,
        server: &ServerConfig,
        listeners: &mut Listeners,
    ) -> Result<(), RouteError> {
        let api = self.clone();
        let fleet = self.route(id, "/api/v1/fleet", "the fleet in a few lines", |api| {
            json_response(&api.overview.summary())
        });
        let targets = Route::get(id, TARGETS, move |request| api.clone().targets(request));
        let targets = targets
            .with_subpaths()
            .described("the targets; /NAME: what one says now; /NAME/decisions: why");
        let pipelines = self.route(
            id,
            "/api/v1/pipelines",
            "the components as a graph, with what passes",
            |api| json_response(&api.overview.pipelines()),
        );
        let discovery = self.route(id, "/api/v1/discovery", "where targets are found", |api| {
            json_response(&api.discovery())
        });
        let api = self.clone();
        let addresses = Route::get(id, "/api/v1/discovery/addresses", move |request| {
            ready(api.addresses(&request))
        });
        let addresses = addresses.described("each address that a source names, with its labels");
        let config = self.route(id, "/api/v1/config", "the configuration that runs", |api| {
            json_response(&api.config())
        });
        let overview = Arc::clone(&self.overview);
        let events = Route::get(id, "/api/v1/events", move |_| {
            ready(events::answer(Arc::clone(&overview)))
        });
        let events = events.described("what changes, as server-sent events");
        let events = events.at_most(events::CLIENTS_MAX);
        for route in [
            fleet, targets, pipelines, discovery, addresses, config, events,
        ] {
            listeners.route(server, route)?;
        }
        Ok(())
    }

    /// A path at which there is one answer.
    fn route(
        &self,
        id: &str,
        path: &str,
        about: &str,
        answer: impl Fn(&Self) -> Response + Send + Sync + 'static,
    ) -> Route {
        let api = self.clone();
        Route::get(id, path, move |_| ready(answer(&api))).described(about)
    }

    /// The list, one target, or its decisions.
    async fn targets(self, request: Request) -> Response {
        // A name that ends so itself has a `%2F` there.
        if let Some(path) = request.path.strip_suffix(DECISIONS) {
            let of = Request {
                path: path.to_owned(),
                ..request
            };
            return self.decisions(&of.below(TARGETS));
        }
        let name = request.below(TARGETS);
        if name.is_empty() {
            return match TargetQuery::default().read(&request.query) {
                Ok(query) => json_response(&self.overview.targets(&query)),
                Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            };
        }
        // What is kept is shown without a request to the target.
        if request.query == "read=kept" {
            return match self.overview.target(&name) {
                Some(detail) => json_response(&detail),
                None => unknown(&name),
            };
        }
        match self.board.target(&name) {
            Some(status) => {
                let answer = TargetAnswer {
                    api: &self,
                    status: &status,
                };
                json_response(&answer.read().await)
            }
            None => unknown(&name),
        }
    }

    fn decisions(&self, name: &str) -> Response {
        match self.overview.decisions(name) {
            Some(decisions) => json_response(&json!({ "decisions": decisions })),
            None => unknown(name),
        }
    }

    /// Where targets are found, by receiver.
    fn discovery(&self) -> Value {
        let origins = self.board.origins().into_iter();
        let receivers: Map<_, _> = origins
            .map(|(receiver, origins)| {
                let known = json!({
                    "complete": origins.is_complete(),
                    "sources": origins.sources(),
                });
                (receiver, known)
            })
            .collect();
        json!({ "receivers": receivers })
    }

    /// The addresses that the sources name.
    fn addresses(&self, request: &Request) -> Response {
        match AddressQuery::default().read(&request.query) {
            Ok(query) => json_response(&self.overview.addresses(&query)),
            Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }

    fn config(&self) -> Value {
        let config = self.overview.config();
        let loaded = self.clock.now().duration_since(config.loaded);
        json!({
            "loaded_seconds_ago": loaded.unwrap_or_default().as_secs(),
            "last_load": self.overview.last_load(),
            "notes": config.notes,
            "lines": config.lines,
        })
    }
}

fn unknown(name: &str) -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        &format!("there is no target `{name}`"),
    )
}

/// Read by people as well, so it is indented.
fn json_response(value: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => Response::new("application/json", format!("{text}\n")),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            let response = Response::text("internal error\n");
            response.with_status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    json_response(&json!({ "error": message })).with_status(status)
}
