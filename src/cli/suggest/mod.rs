//! `suggest`: polls an API twice, and writes a first definition of it.
//!
//! [`definition_of`] makes it from two documents of each endpoint and instance. `walk` goes through
//! them, `members` and `elements` find what gives several series and what is no measurement, `pairs`
//! objects that are written as lists. `numbers`, `texts` and `siblings` say what is measured, `words`,
//! `units` and `names` what names mean. `families` joins what is one metric, and `write` writes it.

mod draft;
mod elements;
mod families;
mod levels;
mod members;
mod names;
mod numbers;
mod pairs;
mod place;
mod scalars;
mod selection;
mod settings;
mod siblings;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;
mod texts;
mod units;
mod values;
mod walk;
mod words;
mod write;

use std::{borrow::Cow, collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use self::{
    draft::{Draft, Endpoint},
    scalars::scalar,
    selection::Selection,
    values::Pair,
    walk::Walk,
    words::{is_in, words},
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

/// The most instances that are polled.
const INSTANCES_MAX: usize = 10;

/// What two polls of one endpoint gave.
#[derive(Debug)]
struct Observation {
    endpoint: Endpoint,
    /// The first and the second document of each instance.
    documents: Vec<[Value; 2]>,
}

/// What is polled.
struct Polled {
    source: Source,
    id: String,
    authenticators: Authenticators,
}

/// Where the receivers come from.
enum Source {
    /// One for each URL.
    Urls(Vec<Arc<dyn ReceiverConfig>>),
    /// Those of a configuration that have the id.
    Config(Box<Config>),
}

impl Polled {
    fn receivers(&self) -> Vec<&dyn ReceiverConfig> {
        match &self.source {
            Source::Urls(receivers) => receivers.iter().map(|of| &**of).collect(),
            Source::Config(config) => {
                let all = config.receivers.iter();
                let own = all.filter(|(id, _)| id.to_string() == self.id);
                own.map(|(_, receiver)| &**receiver).collect()
            }
        }
    }
}

/// Why there is no suggestion.
#[derive(Debug, thiserror::Error)]
enum NoSuggestion {
    #[error("expected at most {PATHS_MAX} paths")]
    TooManyPaths,
    #[error("expected at most {INSTANCES_MAX} endpoints")]
    TooManyInstances,
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
    let polled = match &options.receiver {
        Some(id) => of_config(load(registers, sources).await?, id)?,
        None => at_urls(&options.endpoints, &mut paths)?,
    };
    if paths.is_empty() {
        paths.push("/".to_owned());
    }
    if paths.len() > PATHS_MAX {
        return Err(NoSuggestion::TooManyPaths.into());
    }
    let first = options.endpoints.first();
    let of_host = || name_of(first.map_or("", String::as_str));
    let name = options.name.clone().unwrap_or_else(of_host);
    let endpoints = endpoints(&paths, options.format.as_deref());
    let poller = poller(&endpoints)?;
    let wait = options.wait.get();
    let what = || format!("polling twice, {} apart", seconds(wait));
    let polls = progress::waiting(what, poll_twice(&polled, &poller, wait));
    let (polls, seconds) = polls.await?;
    let observed = observations(endpoints, &polls)?;
    let selection = Selection {
        only: options.only,
        without: options.without,
    };
    let text = definition_of(&name, &observed, seconds, &selection);
    let text = text.ok_or(NoSuggestion::Nothing)?;
    // What is printed can be used as it is.
    definition::from_text(&name, "the suggestion", &text)?;
    out.text(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Receivers with one target each. The paths of the URLs are those to poll if no other is given.
fn at_urls(urls: &[String], paths: &mut Vec<String>) -> Result<Polled, CommandError> {
    if urls.len() > INSTANCES_MAX {
        return Err(NoSuggestion::TooManyInstances.into());
    }
    let given = paths.clone();
    let mut receivers = Vec::new();
    for url in urls {
        let mut own = given.clone();
        receivers.push(at_url(url, &mut own)?);
        own.retain(|path| !paths.contains(path));
        paths.extend(own);
    }
    Ok(Polled {
        source: Source::Urls(receivers),
        id: "suggest".to_owned(),
        authenticators: Authenticators::default(),
    })
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
fn of_config(config: Config, id: &str) -> Result<Polled, CommandError> {
    Ok(Polled {
        id: id.to_owned(),
        authenticators: check::authenticators(&config)?,
        source: Source::Config(Box::new(config)),
    })
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

/// The endpoints of these paths.
fn endpoints(paths: &[String], format: Option<&str>) -> Vec<Endpoint> {
    let mut names = BTreeSet::new();
    let mut endpoints = Vec::new();
    for path in paths {
        let name = endpoint_name(path);
        let mut unique = name.clone();
        let mut number = 2;
        while !names.insert(unique.clone()) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        endpoints.push(Endpoint {
            name: unique,
            path: path.clone(),
            format: format.map(str::to_owned),
            transform: None,
        });
    }
    endpoints
}

/// The name of an endpoint: the last part of its path that says what it is about.
fn endpoint_name(path: &str) -> String {
    const GENERIC: &str = "all api info json list localhost rest xml";
    let bare = path.split(['?', ';']).next().unwrap_or_default();
    let parts = bare.rsplit('/').map(|part| words(part).join("_"));
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    let is_version = |part: &str| {
        let number = part.strip_prefix('v').unwrap_or_default();
        number.starts_with(|letter: char| letter.is_ascii_digit())
    };
    let mut said = parts
        .iter()
        .filter(|part| !is_in(part, GENERIC) && !is_version(part));
    let name = said.next().or(parts.first());
    name.cloned().unwrap_or_else(|| "root".to_owned())
}

/// A definition with these endpoints, to poll them.
fn poller(endpoints: &[Endpoint]) -> Result<Arc<Definition>, definition::LoadError> {
    let mut text = "endpoints:\n".to_owned();
    for endpoint in endpoints {
        text.push_str(&endpoint.to_yaml());
    }
    let first = endpoints.first().map_or("", |of| &of.name);
    let first = scalar(first);
    text.push_str(&format!(
        "metrics: [{{ name: polled, instrument: gauge, endpoint: {first}, value: 1 }}]\n"
    ));
    definition::from_text("suggest", "the paths", &text)
}

/// Polls, waits and polls again: all instances. Gives how many seconds were between the polls as
/// well.
async fn poll_twice(
    polled: &Polled,
    definition: &Arc<Definition>,
    wait: Duration,
) -> Result<([Vec<Poll>; 2], f64), CommandError> {
    let begun = Instant::now();
    let first = poll_all(polled, definition).await?;
    sleep(wait).await;
    let tenths = (begun.elapsed().as_secs_f64() * 10.0).round();
    Ok(([first, poll_all(polled, definition).await?], tenths / 10.0))
}

/// Polls each instance once.
async fn poll_all(
    polled: &Polled,
    definition: &Arc<Definition>,
) -> Result<Vec<Poll>, CommandError> {
    let mut all = Vec::new();
    for receiver in polled.receivers() {
        let (id, authenticators) = (&polled.id, &polled.authenticators);
        let most = INSTANCES_MAX;
        let polls = check::poll_as(receiver, id, authenticators, definition, most).await?;
        all.extend(polls.into_iter().map(|(_, poll)| poll));
    }
    match all.is_empty() {
        true => Err(NoSuggestion::NoReceiver {
            id: polled.id.clone(),
        }
        .into()),
        false => Ok(all),
    }
}

fn observations(
    endpoints: Vec<Endpoint>,
    [first, second]: &[Vec<Poll>; 2],
) -> Result<Vec<Observation>, NoSuggestion> {
    let all = endpoints.into_iter().enumerate();
    let observed = all.map(|(index, endpoint)| {
        let polls = first.iter().zip(second);
        let documents = polls.map(|(first, second)| {
            let path = &endpoint.path;
            Ok([
                document(first, index, path)?,
                document(second, index, path)?,
            ])
        });
        Ok(Observation {
            documents: documents.collect::<Result<_, _>>()?,
            endpoint,
        })
    });
    observed.collect()
}

/// The document that an endpoint gave.
fn document(poll: &Poll, index: usize, path: &str) -> Result<Value, NoSuggestion> {
    let polled = poll.endpoints.get(index);
    let document = polled.and_then(EndpointPoll::body).and_then(Body::document);
    document.ok_or_else(|| {
        let failure = polled.and_then(EndpointPoll::failure);
        NoSuggestion::NoDocument {
            path: path.to_owned(),
            why: failure.map_or_else(String::new, |of| of.message.to_string()),
        }
    })
}

/// The definition of an API whose endpoints gave these documents, with `seconds` between both; none
/// if there is nothing to measure.
fn definition_of(
    name: &str,
    observed: &[Observation],
    seconds: f64,
    selection: &Selection,
) -> Option<String> {
    let prefix = words(name).join("_");
    let is_name = prefix.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let mut draft = Draft::new(if is_name { prefix } else { "api".to_owned() });
    for of in observed {
        let mut endpoint = of.endpoint.clone();
        let documents = objects_of(of, &mut endpoint);
        let pairs = documents.iter().map(|[first, second]| Pair {
            first: Some(first),
            second,
        });
        draft.endpoints.push(endpoint);
        let mut walk = Walk {
            draft: &mut draft,
            selection,
            endpoint: of.endpoint.name.clone(),
            seconds,
        };
        walk.documents(pairs.collect());
    }
    for group in &mut draft.groups {
        group.metrics = families::joined(std::mem::take(&mut group.metrics));
    }
    let has_metrics = draft.groups.iter().any(|group| !group.metrics.is_empty());
    has_metrics.then(|| draft.to_yaml(seconds))
}

/// The documents of an endpoint. Lists of names and values are objects, which `endpoint` makes of
/// them.
fn objects_of<'o>(of: &'o Observation, endpoint: &mut Endpoint) -> Vec<[Cow<'o, Value>; 2]> {
    let objects = of.documents.iter().map(|[first, second]| {
        let objects = [pairs::object_of(first)?, pairs::object_of(second)?];
        Some(objects.map(Cow::Owned))
    });
    if let Some(objects) = objects.collect::<Option<Vec<_>>>()
        && let Some([first, _]) = of.documents.first()
    {
        endpoint.transform = Some(pairs::transform(first));
        return objects;
    }
    let documents = of.documents.iter();
    documents
        .map(|both| both.each_ref().map(Cow::Borrowed))
        .collect()
}
