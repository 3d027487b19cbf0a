//! Shows the fleet, its targets, the pipelines, the discovery and the configuration to people.
//!
//! ```yaml
//! extensions:
//!   status_page:
//!     endpoint: localhost:9200
//! ```
//!
//! Pages are made here, whole, and are useful without scripts. A small script fetches the page
//! again each second and changes what differs, so there is one way to make a page and no state in
//! the browser. It asks again, instead of listening to `/api/v1/events`, because a browser opens
//! six connections to a host: a seventh page that listens would wait for ever.
//! Nothing can be changed here, nothing is loaded from elsewhere, and the browser is told to obey
//! no script or style that is written into a page.

mod assets;
mod config;
mod config_page;
mod discovery_page;
mod fleet_page;
mod foreign;
mod layout;
mod marks;
mod pipelines_page;
mod strip;
mod target_page;
mod values;

use std::{future::ready, sync::Arc};

use http::{HeaderName, HeaderValue, StatusCode, header};
use maud::Markup;
use schemars::SchemaGenerator;

pub use self::config::Config;
use crate::{
    extensions::contract::{
        self, Extension, ExtensionConfig, ExtensionContext, ExtensionType, RoutesOnly,
    },
    http::{Request, Response, Route, RouteError, ServerConfig},
    overview::Overview,
    pipeline::StatusBoard,
    settings::BuildError,
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExtensionType = ExtensionType {
    name: "status_page",
    aliases: &[],
    about: "Shows the fleet, its targets, the pipelines and the configuration to people.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::FOREIGN,
    decode: contract::decode::<Config>,
};

/// What a page may load and do: only what comes from here, and nothing that is written into it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Below it stands one path a target.
const TARGETS: &str = "/targets";

/// What the pages are made of.
#[derive(Clone)]
struct Pages {
    overview: Arc<Overview>,
    board: Arc<StatusBoard>,
    exposes_bodies: bool,
}

/// A page and its status.
struct Page {
    status: StatusCode,
    html: Markup,
}

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
        let server = self.server();
        let pages = Pages {
            overview: Arc::clone(context.overview),
            board: Arc::clone(context.board),
            exposes_bodies: self.expose_bodies,
        };
        let page = |path: &str, about: &str, make: fn(&Pages, &Request) -> Page| {
            let pages = pages.clone();
            let route = Route::get(id, path, move |request| ready(pages.answer(&request, make)));
            route.described(about)
        };
        let routes = [
            page("/", "the fleet", fleet_page::page),
            page(TARGETS, "/NAME: one target", target_page::page).with_subpaths(),
            page(
                "/pipelines",
                "the components as a graph",
                pipelines_page::page,
            ),
            page(
                "/discovery",
                "where targets are found",
                discovery_page::page,
            ),
            page("/config", "the configuration that runs", config_page::page),
        ];
        for route in routes {
            listeners.route(&server, route)?;
        }
        for asset in assets::ALL {
            let route = Route::get(id, asset.path, move |_| ready(asset.response()));
            listeners.route(&server, route)?;
        }
        Ok(())
    }
}

impl Pages {
    fn answer(&self, request: &Request, make: fn(&Self, &Request) -> Page) -> Response {
        let Page { status, html } = make(self, request);
        let response = Response::new("text/html; charset=utf-8", html.into_string());
        let headers = [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
        ];
        let response = response.with_status(status);
        headers
            .into_iter()
            .fold(response, |response, (name, value)| {
                response.with_header(name, HeaderValue::from_static(value))
            })
    }
}

impl Page {
    /// A page as it should be.
    fn ok(html: Markup) -> Self {
        Self {
            status: StatusCode::OK,
            html,
        }
    }
}
