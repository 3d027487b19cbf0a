//! `suggest`: polls an API twice, and writes a first definition of it.
//!
//! [`definition_of`] makes it from two documents of each endpoint. `walk` goes through them,
//! `elements` finds what gives several series, `pairs` objects that are written as lists, `numbers`
//! and `texts` say what is measured, `words` knows what names mean, and `draft` writes it.

mod draft;
mod elements;
mod numbers;
mod pairs;
mod place;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;
mod texts;
mod values;
mod walk;
mod words;

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use self::{
    draft::{Draft, scalar},
    walk::Walk,
    words::words,
};
use super::{
    CommandError, Output,
    args::{SourceArgs, SuggestArgs},
    check,
    load::load,
    progress,
};
use crate::{
    client::auth::Authenticators,
    config::{Config, Registers},
    definition::{self, Definition},
    pipeline::{Body, EndpointPoll, Poll},
    receivers::{self, ReceiverConfig},
    runtime::seconds,
    telemetry::{self, config::LogsConfig},
};

/// The most paths of one suggestion.
const PATHS_MAX: usize = 20;

/// What two polls of one endpoint gave.
#[derive(Debug)]
struct Observation {
    /// The name of the endpoint.
    name: String,
    /// The endpoint as YAML.
    endpoint: String,
    first: Value,
    second: Value,
}

/// What is polled.
struct Polled<'c> {
    receiver: &'c dyn ReceiverConfig,
    id: String,
    authenticators: Authenticators,
}

/// Why there is no suggestion.
#[derive(Debug, thiserror::Error)]
enum NoSuggestion {
    #[error("expected at most {PATHS_MAX} paths")]
    TooManyPaths,
    #[error("there is no receiver `{id}` with a target; write `--endpoint URL` instead")]
    NoReceiver { id: String },
    #[error("`{path}` gave no document: {why}")]
    NoDocument { path: String, why: String },
    #[error("there is nothing to measure in these documents")]
    Nothing,
}

/// Polls twice and prints the definition.
pub(super) async fn suggest(
    registers: &Registers,
    sources: &SourceArgs,
    options: SuggestArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    telemetry::init_logs(&LogsConfig {
        level: telemetry::config::LogLevel::Error,
        ..LogsConfig::default()
    });
    let mut paths = options.paths.clone();
    let of_url;
    let of_file;
    let polled = match &options.endpoint {
        Some(url) => {
            of_url = at_url(url, &mut paths)?;
            Polled {
                receiver: &*of_url,
                id: "suggest".to_owned(),
                authenticators: Authenticators::default(),
            }
        }
        None => {
            let id = options.receiver.clone().unwrap_or_default();
            of_file = load(registers, sources).await?;
            Polled {
                receiver: of_config(&of_file, &id)?,
                authenticators: check::authenticators(&of_file)?,
                id,
            }
        }
    };
    if paths.is_empty() {
        paths.push("/".to_owned());
    }
    if paths.len() > PATHS_MAX {
        return Err(NoSuggestion::TooManyPaths.into());
    }
    let of_host = || name_of(options.endpoint.as_deref().unwrap_or_default());
    let name = options.name.clone().unwrap_or_else(of_host);
    let endpoints = endpoints(&paths, options.format.as_deref());
    let poller = poller(&endpoints)?;
    let wait = options.wait.get();
    let what = || format!("polling twice, {} apart", seconds(wait));
    let polls = progress::waiting(what, poll_twice(&polled, &poller, wait));
    let (polls, seconds) = polls.await?;
    let observed = observations(&paths, &endpoints, &polls)?;
    let text = definition_of(&name, &observed, seconds).ok_or(NoSuggestion::Nothing)?;
    // What is printed can be used as it is.
    definition::from_text(&name, "the suggestion", &text)?;
    out.text(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// A receiver with one target. The path of the URL is the one to poll if no other is given.
fn at_url(url: &str, paths: &mut Vec<String>) -> Result<Arc<dyn ReceiverConfig>, CommandError> {
    let mut base = url::Url::parse(url)?;
    if base.scheme() == "unix" {
        // Its path is that of the socket.
        return Ok(receivers::for_url(url.parse()?, None));
    }
    if paths.is_empty() {
        let query = base
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        paths.push(format!("{}{query}", base.path()));
        base.set_path("");
    }
    base.set_query(None);
    let base = base.as_str().trim_end_matches('/');
    Ok(receivers::for_url(base.parse()?, None))
}

/// The configured receiver `id`.
fn of_config<'c>(config: &'c Config, id: &str) -> Result<&'c dyn ReceiverConfig, NoSuggestion> {
    let mut receivers = config.receivers.iter();
    let found = receivers.find(|(known, _)| known.to_string() == id);
    let found = found.map(|(_, receiver)| &**receiver);
    found.ok_or_else(|| NoSuggestion::NoReceiver { id: id.to_owned() })
}

/// A name for the definition: the first part of a host's name.
fn name_of(url: &str) -> String {
    let host = url::Url::parse(url).ok();
    let host = host.as_ref().and_then(url::Url::domain).unwrap_or_default();
    let first = words(host.split('.').next().unwrap_or_default()).join("_");
    match first.as_str() {
        "" | "localhost" => "api".to_owned(),
        first if first.starts_with(|letter: char| letter.is_ascii_digit()) => "api".to_owned(),
        first => first.to_owned(),
    }
}

/// The endpoints by their names, as YAML.
fn endpoints(paths: &[String], format: Option<&str>) -> Vec<[String; 2]> {
    let mut names = BTreeSet::new();
    let mut endpoints = Vec::new();
    for path in paths {
        let bare = path.split('?').next().unwrap_or_default();
        let last = bare.rsplit('/').find(|part| !part.is_empty());
        let name = words(last.unwrap_or("root")).join("_");
        let name = if name.is_empty() {
            "root".to_owned()
        } else {
            name
        };
        let mut unique = name.clone();
        let mut number = 2;
        while !names.insert(unique.clone()) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        let path = scalar(path);
        let endpoint = match format {
            Some(format) => format!("{{ path: {path}, format: {format} }}"),
            None => format!("{{ path: {path} }}"),
        };
        endpoints.push([unique, endpoint]);
    }
    endpoints
}

/// A definition with these endpoints, to poll them.
fn poller(endpoints: &[[String; 2]]) -> Result<Arc<Definition>, definition::LoadError> {
    let mut text = "endpoints:\n".to_owned();
    for [name, endpoint] in endpoints {
        text.push_str(&format!("  {}: {endpoint}\n", scalar(name)));
    }
    let first = endpoints.first().map_or("", |[name, _]| name);
    let first = scalar(first);
    text.push_str(&format!(
        "metrics: [{{ name: polled, instrument: gauge, endpoint: {first}, value: 1 }}]\n"
    ));
    definition::from_text("suggest", "the paths", &text)
}

/// Polls, waits and polls again. Gives how many seconds were between the polls as well.
async fn poll_twice(
    polled: &Polled<'_>,
    definition: &Arc<Definition>,
    wait: Duration,
) -> Result<([Poll; 2], f64), CommandError> {
    let poll = async || {
        let polls = check::poll_as(
            polled.receiver,
            &polled.id,
            &polled.authenticators,
            definition,
        )
        .await?;
        let first = polls.into_iter().next();
        first.map(|(_, poll)| poll).ok_or_else(|| {
            CommandError::from(NoSuggestion::NoReceiver {
                id: polled.id.clone(),
            })
        })
    };
    let begun = Instant::now();
    let first = poll().await?;
    sleep(wait).await;
    let tenths = (begun.elapsed().as_secs_f64() * 10.0).round();
    Ok(([first, poll().await?], tenths / 10.0))
}

fn observations(
    paths: &[String],
    endpoints: &[[String; 2]],
    [first, second]: &[Poll; 2],
) -> Result<Vec<Observation>, NoSuggestion> {
    let polls = first.endpoints.iter().zip(&second.endpoints);
    let all = paths.iter().zip(endpoints).zip(polls);
    let observed = all.map(|((path, [name, endpoint]), (first, second))| {
        let document = |polled: &EndpointPoll| {
            let why = || {
                polled
                    .failure()
                    .map_or_else(String::new, |of| of.message.to_string())
            };
            let document = polled.body().and_then(Body::document);
            document.ok_or_else(|| NoSuggestion::NoDocument {
                path: path.clone(),
                why: why(),
            })
        };
        Ok(Observation {
            name: name.clone(),
            endpoint: endpoint.clone(),
            first: document(first)?,
            second: document(second)?,
        })
    });
    observed.collect()
}

/// The definition of an API whose endpoints gave these documents, with `seconds` between both; none
/// if there is nothing to measure.
fn definition_of(name: &str, observed: &[Observation], seconds: f64) -> Option<String> {
    let prefix = words(name).join("_");
    let is_name = prefix.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let mut draft = Draft::new(if is_name { prefix } else { "api".to_owned() });
    for of in observed {
        let lists = [&of.first, &of.second].map(pairs::object_of);
        let endpoint = match &lists {
            [Some(_), Some(_)] => with_transform(&of.endpoint),
            _ => of.endpoint.clone(),
        };
        let [first, second] = match &lists {
            [Some(first), Some(second)] => [first, second],
            _ => [&of.first, &of.second],
        };
        draft.endpoints.push([of.name.clone(), endpoint]);
        let mut walk = Walk {
            draft: &mut draft,
            endpoint: of.name.clone(),
            seconds,
        };
        walk.document(first, second);
    }
    let has_metrics = draft.groups.iter().any(|group| !group.metrics.is_empty());
    has_metrics.then(|| draft.to_yaml(seconds))
}

/// The endpoint whose list of names and values becomes an object.
fn with_transform(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches(" }");
    format!("{endpoint}, transform: '{}' }}", pairs::TRANSFORM)
}
