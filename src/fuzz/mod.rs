//! An entry point for each parser of foreign input, for fuzzing. Whatever the bytes, it returns
//! soon, and accepted input has the same meaning when it is written and parsed again.
//!
//! `cargo fuzz` runs these entries for hours (`fuzz/`). `tests/it/fuzz.rs` runs each some hundred
//! or thousand times in every `cargo test`. Nothing else uses them.
#![expect(
    clippy::expect_used,
    reason = "fuzzing must stop at an impossible state"
)]

mod documents;
mod network;

pub use documents::{PrometheusSample, prometheus_samples};

use std::{fmt, str::FromStr, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    config::{Config, ConfigSource},
    definition, discovery,
    http::retry_after,
    receivers,
    settings::{Allowed, ByteSize, ComponentId, Endpoint, HttpUrl, SignedDuration},
    storage, yaml,
};

/// One parser.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name. Its seeds are in `fuzz/seeds/NAME`.
    pub name: &'static str,
    /// Parses foreign input.
    pub run: fn(&[u8]),
    /// More seeds: the files in these directories of the repository.
    pub folders: &'static [&'static str],
    /// The number of runs in `cargo test`, which take some seconds.
    pub executions: u32,
}

/// All parsers.
pub const TARGETS: &[Target] = &[
    target("yaml", yaml, &["tests/fixtures/config"], 30_000),
    target("config", config, &["tests/fixtures/config"], 2_500),
    target(
        "definition",
        definition,
        &["tests/fixtures/definitions", "pipelines"],
        2_000,
    ),
    target("jsonpath", documents::jsonpath, &[], 15_000),
    target("json", documents::json, BODIES, 5_000),
    target(
        "prometheus",
        documents::prometheus,
        &["tests/fixtures/bodies/betanet-mixnode"],
        7_500,
    ),
    target("ndjson", documents::ndjson, &[], 5_000),
    target("csv", documents::csv, &[], 7_500),
    target("xml", documents::xml, &[], 5_000),
    target("text", documents::text_lines, &[], 7_500),
    target("transform", documents::transform, &[], 1_500),
    target("timestamp", documents::timestamp, &[], 15_000),
    target("targets", targets, &[], 30_000),
    target("relabel", relabel, &[], 5_000),
    target("link", link, &[], 50_000),
    target("request", network::request, &[], 30_000),
    target("otlp_answer", network::otlp_answer, &[], 2_500),
    target(
        "remote_write_answer",
        network::remote_write_answer,
        &[],
        2_500,
    ),
    target("queue", storage::fuzz, &[], 50_000),
    target("retry_after", retry, &[], 50_000),
    target("settings", settings, &[], 50_000),
];

const BODIES: &[&str] = &[
    "tests/fixtures/bodies/betanet",
    "tests/fixtures/bodies/couchdb",
    "tests/fixtures/bodies/elasticsearch",
    "tests/fixtures/bodies/nats",
    "tests/fixtures/bodies/rabbitmq",
];

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    folders: &'static [&'static str],
    executions: u32,
) -> Target {
    Target {
        name,
        run,
        folders,
        executions,
    }
}

/// Runs the parser with this name, as `fuzz/fuzz_targets` does.
///
/// # Panics
/// If the parser has a bug, or the name is unknown.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("there is no such target").run)(data);
}

fn yaml(data: &[u8]) {
    let mut diagnostics = yaml::Diagnostics::new();
    let node = yaml::parse("fuzz.yaml", &text(data), &mut diagnostics);
    assert!(node.is_some() || !diagnostics.is_empty(), "it says why");
    drop(diagnostics.to_string());
}

fn config(data: &[u8]) {
    let source = ConfigSource::Yaml {
        name: "fuzz.yaml".to_owned(),
        text: text(data).into_owned(),
    };
    let environment = |name: &str| (name.len() % 2 == 1).then(|| name.to_lowercase());
    let mut diagnostics = yaml::Diagnostics::new();
    let config = Config::load(&[source], &environment, &mut diagnostics);
    assert!(config.is_some() || !diagnostics.is_empty(), "it says why");
    drop(diagnostics.to_string());
}

fn definition(data: &[u8]) {
    if let Err(error) = definition::from_text("fuzz", "fuzz.yaml", &text(data)) {
        assert!(!error.to_string().is_empty(), "it says why");
    }
}

fn targets(data: &[u8]) {
    discovery::fuzz_list(data);
}

/// The value of a header `Link`.
fn link(data: &[u8]) {
    receivers::fuzz_link(data);
}

/// Rules, a line of three minus signs, and target groups.
fn relabel(data: &[u8]) {
    let text = text(data);
    let (rules, groups) = text.split_once("\n---\n").unwrap_or((&text, ""));
    discovery::fuzz_relabel(rules, groups);
}

/// `Retry-After` and, on the next line, `Date`; or the details of gRPC.
fn retry(data: &[u8]) {
    let (after, date) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => data.split_at(end),
        None => (data, &b"\n"[..]),
    };
    let mut headers = HeaderMap::new();
    let pairs = [
        (header::RETRY_AFTER, after),
        (header::DATE, date.get(1..).unwrap_or_default()),
    ];
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let _ = retry_after(status, &headers, Duration::from_secs(1_700_000_000));
    crate::delivery::grpc::fuzz_retry_info(data);
}

fn settings(data: &[u8]) {
    let text = text(data);
    as_printed::<crate::settings::Duration>(&text);
    as_printed::<SignedDuration>(&text);
    as_printed::<ByteSize>(&text);
    as_printed::<ComponentId>(&text);
    as_printed::<Endpoint>(&text);
    // The printed URL hides possible secrets.
    drop(text.parse::<HttpUrl>());
    as_printed::<Allowed>(&text);
}

/// A value equals the value of its printed form.
fn as_printed<T: FromStr + fmt::Display + fmt::Debug + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let printed = value.to_string();
        let read = printed.parse::<T>().ok();
        assert_eq!(
            read.as_ref(),
            Some(&value),
            "{text:?} is printed as {printed:?}"
        );
    }
}

fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}
