//! `demo --definition`: serves the recorded bodies of a definition's tests, with values that move,
//! and polls them as a configured collector does.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use tokio::time::Instant;

use super::{
    CommandError, Output,
    args::{DemoArgs, RunArgs},
    definition_test::{MovingBody, Recorded, recorded},
    load::Warnings,
    run,
};
use crate::{
    config::{self, Config},
    definition::{Definition, Endpoint, Method, Parameters, RenderError, RequestElement, Scope},
    http::{ClientLimits, Listeners, Request, Response, Route, ServerConfig},
    pipeline::{Body, BodyPart, Components},
    receivers::{self, SavedPage},
    runtime::{Clock, Tasks},
    telemetry::Meter,
    yaml::Diagnostics,
};

/// What a parameter is that the definition leaves to the receiver.
const ANY: &str = "demo";

/// The attempts of a poll, as settings: one and a retry, which fit into the deadline of a poll also
/// where a node hangs. A second has no room for two.
pub(super) struct Attempts {
    /// How many retries.
    pub(super) retries: u32,
    /// The longest time of each.
    pub(super) timeout: String,
    /// The wait between both.
    pub(super) pause: String,
}

impl Attempts {
    /// Polls come so many seconds after one another.
    pub(super) fn within(interval: u64) -> Self {
        let milliseconds = |of_second: u64| format!("{}ms", (interval * of_second).min(1000));
        Self {
            retries: u32::from(interval > 1),
            timeout: milliseconds(250),
            pause: milliseconds(100),
        }
    }
}

/// An answer that is served.
struct Served {
    method: http::Method,
    /// Path and query.
    path: String,
    request_body: Bytes,
    content_type: &'static str,
    link: Option<HeaderValue>,
    body: MovingBody,
}

/// Runs until interrupted or for the given time. `set` are the values of `--set`.
pub(super) async fn demo(
    name: &str,
    options: &DemoArgs,
    set: &[String],
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    let recorded = recorded(name)?;
    let (tasks, _failures) = Tasks::new();
    let served = served(&recorded, out)?;
    let address = serve(served, &tasks).await?;
    let config = configuration(&recorded, &address, options, set)?;
    let DemoArgs { listen, .. } = options;
    let source = recorded.source.as_deref().unwrap_or("its test");
    out.line(format_args!(
        "A server with the recorded bodies of {name} ({source}); their values move."
    ));
    out.line(format_args!("  the server             http://{address}"));
    out.line(format_args!(
        "  its metrics            http://{listen}/metrics"
    ));
    out.line(format_args!("  its state              http://{listen}/"));
    out.line(format_args!("Stop with Ctrl-C.\n"));
    let (interrupted, seconds) = (run::interrupted(), options.seconds);
    let shutdown = async move {
        match seconds {
            Some(seconds) => tokio::select! {
                () = interrupted => {}
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            },
            None => interrupted.await,
        }
    };
    run::serve(
        &config,
        &RunArgs::default(),
        run::Loading {
            again: async || Ok(config.clone()),
            watched: None,
            warnings: Warnings::default(),
        },
        shutdown,
    )
    .await
}

/// What is saved of each endpoint, with the requests for it.
fn served(recorded: &Recorded, out: &mut Output) -> Result<Vec<Served>, CommandError> {
    let definition = &recorded.definition;
    let parameters: Parameters = serde_json::from_value(parameters(recorded).into())?;
    let poll = receivers::sample(definition, recorded.answers.clone(), &Clock::System);
    let mut served = Vec::new();
    let endpoints = definition.endpoints.iter().zip(&poll.endpoints);
    for (index, (endpoint, polled)) in endpoints.enumerate() {
        let id = &endpoint.id;
        if let Some(failure) = polled.failure() {
            match &*failure.message {
                receivers::NO_SAVED_BODY => {
                    out.line(format_args!("The tests have no body of {id}."));
                }
                message => out.line(format_args!("The endpoint {id} is not served: {message}.")),
            }
        }
        for answer in polled.body().map(answers).unwrap_or_default() {
            let of = Of {
                definition,
                index,
                endpoint,
            };
            match of.serve(&answer, &parameters) {
                Ok(pages) => served.extend(pages),
                Err(error) => out.line(format_args!("The endpoint {id} is not served: {error}.")),
            }
        }
    }
    Ok(served)
}

/// One answer: its pages, and the element that it was requested for.
struct Answer {
    pages: Vec<Bytes>,
    element: Option<Arc<RequestElement>>,
}

fn answers(body: &Body) -> Vec<Answer> {
    let Some(parts) = body.parts() else {
        return vec![Answer {
            pages: vec![body.raw.clone()],
            element: None,
        }];
    };
    let answers = parts.chunk_by(|one, other| one.group == other.group);
    let answer = |parts: &[BodyPart]| Answer {
        pages: parts.iter().map(|part| part.raw.clone()).collect(),
        element: parts.first().and_then(|part| part.element.clone()),
    };
    answers.map(answer).collect()
}

/// An endpoint of a definition.
struct Of<'d> {
    definition: &'d Definition,
    index: usize,
    endpoint: &'d Endpoint,
}

impl Of<'_> {
    /// The pages of an answer, with their requests.
    fn serve(&self, answer: &Answer, parameters: &Parameters) -> Result<Vec<Served>, RenderError> {
        let labels = BTreeMap::new();
        let scope = Scope {
            labels: &labels,
            parameters,
            defaults: &self.definition.parameters,
            element: answer.element.as_deref(),
            since_epoch: Duration::ZERO,
        };
        let request = self.endpoint.request.render(&scope)?;
        let pages = receivers::saved_pages(self.endpoint, &request.path, &answer.pages);
        let element = answer.element.as_ref();
        let serve = |page: SavedPage| Served {
            method: Method::into(self.endpoint.request.method),
            path: page.path,
            request_body: request.body.clone(),
            content_type: content_type(self.endpoint),
            link: page.link,
            body: MovingBody::new(self.definition, self.index, &page.text, element),
        };
        Ok(pages.into_iter().map(serve).collect())
    }
}

/// A value for each parameter that has none.
fn parameters(recorded: &Recorded) -> serde_json::Map<String, serde_json::Value> {
    let defaults = &recorded.definition.parameters;
    let names = defaults.names().filter(|name| !defaults.has(name));
    names.map(|name| (name.to_owned(), ANY.into())).collect()
}

fn content_type(endpoint: &Endpoint) -> &'static str {
    match endpoint.format.extension() {
        "json" => "application/json",
        "csv" => "text/csv",
        "xml" => "application/xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Serves each path, and gives the address.
async fn serve(served: Vec<Served>, tasks: &Tasks) -> Result<String, CommandError> {
    const ENDPOINT: &str = "127.0.0.1:0";
    let meter = Meter::of(&opentelemetry_sdk::metrics::SdkMeterProvider::default());
    let mut listeners = Listeners::new(ClientLimits::default(), &meter);
    let mut by_path: BTreeMap<String, Vec<Served>> = BTreeMap::new();
    for one in served {
        let path = one.path.split('?').next().unwrap_or_default();
        by_path.entry(path.to_owned()).or_default().push(one);
    }
    let begun = Instant::now();
    for (path, endpoints) in by_path {
        let is_post = endpoints.iter().all(|one| one.method == http::Method::POST);
        let endpoints = Arc::new(endpoints);
        let answer = move |request: Request| {
            std::future::ready(answer(&endpoints, &request, begun.elapsed()))
        };
        let route = match is_post {
            true => Route::post("demo", path, answer),
            false => Route::get("demo", path, answer),
        };
        listeners.route(&ServerConfig::plain(ENDPOINT), route)?;
    }
    let bound = listeners.bind().await?;
    let address = bound.local_addr(ENDPOINT);
    let address = address.map(|address| address.to_string());
    bound.serve(tasks, &Components::new(&Clock::System, tasks));
    Ok(address.unwrap_or_default())
}

/// The answer that is meant: several may have one path.
fn answer(all: &[Served], request: &Request, elapsed: Duration) -> Response {
    let is_asked = |one: &&Served| {
        let query = one.path.split_once('?').map_or("", |(_, query)| query);
        query == request.query && one.request_body == request.body
    };
    let Some(one) = all.iter().find(is_asked).or_else(|| all.first()) else {
        return Response::text("").with_status(http::StatusCode::NOT_FOUND);
    };
    let response = Response::new(one.content_type, one.body.after(elapsed));
    match &one.link {
        Some(link) => response.with_header(http::header::LINK, link.clone()),
        None => response,
    }
}

fn configuration(
    recorded: &Recorded,
    server: &str,
    options: &DemoArgs,
    set: &[String],
) -> Result<Config, CommandError> {
    let DemoArgs {
        interval,
        listen,
        telemetry_listen,
        ..
    } = options;
    let (host, port) = (telemetry_listen.host(), telemetry_listen.port());
    let Attempts {
        retries,
        timeout,
        pause,
    } = Attempts::within(*interval);
    let text = serde_json::json!({
        "receivers": {"http_json": {
            "collection_interval": format!("{interval}s"),
            "timeout": timeout,
            "retry": {"max_retries": retries, "initial_interval": pause},
            // Values outlive one opening of the breaker, however long the interval is.
            "cache": {"max_stale": format!("{}s", interval.saturating_mul(3).max(300))},
            "definition": recorded.reference,
            "parameters": parameters(recorded),
            "targets": [{"endpoint": format!("http://{server}"), "name": recorded.definition.name}],
        }},
        "exporters": {"prometheus": {"endpoint": listen.to_string()}},
        "extensions": {
            "health_check": {"endpoint": listen.to_string()},
            "status_page": {"endpoint": listen.to_string()},
        },
        "service": {
            "extensions": ["health_check", "status_page"],
            "pipelines": {"metrics": {"receivers": ["http_json"], "exporters": ["prometheus"]}},
            "telemetry": {"metrics": {"readers": [
                {"pull": {"exporter": {"prometheus": {"host": host, "port": port}}}},
            ]}},
        },
    });
    let sources = config::sources(&[format!("yaml:{text}")], set)?;
    let mut diagnostics = Diagnostics::new();
    // The demo does not depend on the environment.
    let config = Config::load(&sources, &|_: &str| None, &mut diagnostics);
    config.ok_or_else(|| diagnostics.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::feasibility::Severity;

    #[test]
    fn the_settings_of_a_demo_fit_together() {
        let recorded = recorded("nginx").unwrap();
        for interval in [1, 2, 3, 10, 60, 3600] {
            let options = DemoArgs {
                definition: None,
                betanet: 0,
                mixnode: 0,
                public: 0,
                interval,
                seed: 1,
                listen: "localhost:0".parse().unwrap(),
                telemetry_listen: "localhost:0".parse().unwrap(),
                seconds: None,
            };
            let config = configuration(&recorded, "localhost:1", &options, &[]).unwrap();
            let receivers = config.receivers.values();
            let findings = receivers.flat_map(|receiver| receiver.feasibility());
            let wrong: Vec<_> = findings
                .filter(|finding| finding.severity != Severity::Note)
                .map(|finding| finding.message)
                .collect();
            assert_eq!(wrong, [""; 0], "{interval} s");
        }
    }
}
