//! Finds the route that answers a request.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::{
    cross_site,
    crowd::{Client, Slots},
    message::{Request, Response, Route},
    telemetry::ListenerTelemetry,
};
use crate::telemetry::chain;

/// The client of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor {
    pub(super) client: Client,
    /// Whether there is a free slot. Otherwise only vital routes answer.
    pub(super) is_admitted: bool,
}

/// The routes of one listener, by path.
#[derive(Debug, Default)]
pub(super) struct Router {
    routes: BTreeMap<String, Route>,
}

impl Router {
    /// Adds a route. Returns the owner of the path if it is in use.
    pub(super) fn add(&mut self, route: Route) -> Result<(), String> {
        if let Some(taken) = self.routes.get(&route.path) {
            return Err(taken.owner.clone());
        }
        self.routes.insert(route.path.clone(), route);
        Ok(())
    }

    /// The routes of a component.
    pub(super) fn of(&self, owner: &str) -> Vec<Route> {
        let routes = self.routes.values().filter(|route| route.owner == owner);
        routes.cloned().collect()
    }

    /// The owners of the routes, each once, for messages.
    pub(super) fn owners(&self) -> String {
        let mut owners: Vec<_> = self.routes.values().map(|r| r.owner.as_str()).collect();
        owners.sort_unstable();
        owners.dedup();
        owners.join(", ")
    }

    /// Answers a request.
    pub(super) async fn answer(
        &self,
        request: http::Request<Incoming>,
        visitor: Visitor,
        telemetry: &ListenerTelemetry,
    ) -> Response {
        let answered = self.answer_or_refuse(request, visitor).await;
        let response = answered.unwrap_or_else(|refusal| {
            let (reason, response) = *refusal;
            telemetry.request_refused(reason);
            response
        });
        match visitor.is_admitted {
            true => response,
            // Another connection needs the slot.
            false => response.with_header(CONNECTION, HeaderValue::from_static("close")),
        }
    }

    /// The answer of the route, or a refusal.
    async fn answer_or_refuse(
        &self,
        request: http::Request<Incoming>,
        visitor: Visitor,
    ) -> Result<Response, Refusal> {
        let (head, body) = request.into_parts();
        if !cross_site::names_its_host(&head) {
            let response = Response::text("a request has one `Host`\n");
            return refused("host", response.with_status(StatusCode::BAD_REQUEST));
        }
        let route = self.find(head.uri.path());
        if !visitor.is_admitted && !route.is_some_and(|route| route.is_vital) {
            return refused("busy", busy());
        }
        let Some(route) = route else {
            return match (head.uri.path(), &head.method) {
                ("/", &Method::GET | &Method::HEAD) => Ok(self.landing_page()),
                _ => refused("not_found", self.not_found()),
            };
        };
        not_admitted(route, &head.headers).await?;
        if !allows(route, &head.method) {
            return refused("method", method_not_allowed(route));
        }
        is_foreign(route, &head)?;
        let take = |slots: &Arc<Slots>| {
            slots
                .take(visitor.client)
                .ok_or_else(|| Box::new(("busy", busy())))
        };
        let slot = route.slots.as_ref().map(take).transpose()?;
        match Limited::new(body, route.max_body).collect().await {
            Ok(body) => Ok(handle(route, head, body.to_bytes()).await.holding(slot)),
            Err(error) if error.is::<LengthLimitError>() => {
                let text = format!("the body is over {} bytes\n", route.max_body);
                let response = Response::text(text).with_status(StatusCode::PAYLOAD_TOO_LARGE);
                refused("body_too_large", response)
            }
            Err(_) => {
                let response = Response::text("the body could not be read\n");
                refused("body", response.with_status(StatusCode::BAD_REQUEST))
            }
        }
    }

    /// The route of a path, or of a path above it that also answers all paths below.
    fn find(&self, path: &str) -> Option<&Route> {
        let above = || {
            let mut routes = self.routes.values().filter(|route| route.subpaths);
            routes.find(|route| {
                path.strip_prefix(&route.path)
                    .is_some_and(|p| p.starts_with('/'))
            })
        };
        self.routes.get(path).or_else(above)
    }

    fn not_found(&self) -> Response {
        let mut text = String::from("not found; available paths:\n");
        for path in self.routes.keys() {
            text.push_str(path);
            text.push('\n');
        }
        Response::text(text).with_status(StatusCode::NOT_FOUND)
    }

    fn landing_page(&self) -> Response {
        let mut items = String::new();
        for route in self.routes.values() {
            let (path, description) = (escape(&route.path), escape(&route.description));
            items.push_str(&match route.method {
                Method::GET => format!("<li><a href=\"{path}\">{path}</a> {description}</li>\n"),
                _ => format!("<li>{} {path} {description}</li>\n", route.method),
            });
        }
        Response::new(
            "text/html; charset=utf-8",
            format!(
                "<!doctype html>\n<html lang=\"en\">\n<title>betanet-collector</title>\n\
                 <h1>betanet-collector</h1>\n<ul>\n{items}</ul>\n</html>\n"
            ),
        )
    }
}

/// Why a request is refused, and the answer to it.
type Refusal = Box<(&'static str, Response)>;

fn refused<T>(reason: &'static str, response: Response) -> Result<T, Refusal> {
    Err(Box::new((reason, response)))
}

/// Checks the credentials of the client.
async fn not_admitted(route: &Route, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(auth) = &route.authenticator else {
        return Ok(());
    };
    match auth.admit(headers).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let response = Response::text("not authorized\n")
                .with_status(StatusCode::UNAUTHORIZED)
                .with_header(WWW_AUTHENTICATE, auth.challenge());
            refused("unauthorized", response)
        }
        Err(error) => {
            let error = chain(&error);
            tracing::warn!(owner = route.owner, error, "no client can be authenticated");
            let response = Response::text("internal error\n");
            let response = response.with_status(StatusCode::INTERNAL_SERVER_ERROR);
            refused("credentials", response)
        }
    }
}

/// Checks whether a page of another site wants to change something.
fn is_foreign(route: &Route, head: &Parts) -> Result<(), Refusal> {
    if route.method == Method::GET {
        return Ok(());
    }
    match cross_site::refusal(head, &route.hosts, route.authenticator.is_some()) {
        None => Ok(()),
        Some(why) => {
            let response = Response::text(why).with_status(StatusCode::FORBIDDEN);
            refused("foreign", response)
        }
    }
}

fn busy() -> Response {
    Response::text("too many requests at the same time\n")
        .with_status(StatusCode::SERVICE_UNAVAILABLE)
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

fn allows(route: &Route, method: &Method) -> bool {
    route.method == method || (route.method == Method::GET && method == Method::HEAD)
}

fn method_not_allowed(route: &Route) -> Response {
    let allowed = match route.method {
        Method::GET => "GET, HEAD",
        _ => "POST",
    };
    Response::text(format!("allowed here: {allowed}\n"))
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .with_header(ALLOW, HeaderValue::from_static(allowed))
}

async fn handle(route: &Route, head: Parts, body: Bytes) -> Response {
    let accepted = head.headers.clone();
    let request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    // A panic in a handler must not end the process, as a panic in a task would.
    let answer = AssertUnwindSafe(async { (route.handler)(request).await }).catch_unwind();
    let response = answer.await.unwrap_or_else(|_| {
        tracing::error!(owner = route.owner, path = route.path, "handler panicked");
        Response::text("internal error\n").with_status(StatusCode::INTERNAL_SERVER_ERROR)
    });
    response.encoded_for(&accepted)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
