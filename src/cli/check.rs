//! `check`: polls each target once and shows the result, value by value.

use std::{path::Path, process::ExitCode, sync::Arc};

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::{
    CommandError, Output,
    args::{CheckArgs, SourceArgs},
    load::load,
    progress, table,
};
use crate::{
    client::auth::Authenticators,
    config::{Config, Registers},
    definition::{self, Definition, Endpoint},
    extensions::AuthenticatorContext,
    pipeline::{
        Body, EndpointPoll, Number, Poll, Problem, Reading, Readings, Reporter, StatusBoard, Target,
    },
    processors::mapping,
    receivers::{self, Network, ReceiverConfig, ReceiverContext},
    runtime::{Clock, Tasks, read_input},
    telemetry::{self, Meter, config::LogsConfig},
};

/// The largest saved body.
const SAMPLE_BYTES_MAX: u64 = 64 << 20;

/// The longest file name that every file system accepts is 255 bytes; a suffix follows.
const NAME_BYTES_MAX: usize = 240;

/// Succeeds if every target gave all metrics that are not optional.
pub(super) async fn check(
    registers: &Registers,
    sources: &SourceArgs,
    options: CheckArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    telemetry::init_logs(&LogsConfig {
        level: telemetry::config::LogLevel::Error,
        ..LogsConfig::default()
    });
    let mut polls = match (&options.sample, &options.endpoint) {
        (Some(sample), _) => vec![read_sample(sample, options.definition.as_deref())?],
        (None, Some(url)) => {
            let polls = poll_url(url, options.definition.as_deref());
            progress::waiting("asking the target", polls).await?
        }
        (None, None) => {
            let config = load(registers, sources).await?;
            progress::waiting("asking the targets", poll_configured(&config)).await?
        }
    };
    let mut all_gave = !polls.is_empty();
    for (target, poll) in &mut polls {
        if let Some(folder) = &options.record {
            record(folder, target, poll)?;
        }
        all_gave &= show(target, poll, options.show_document, out);
    }
    Ok(if all_gave {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

type CheckedTarget = Vec<(Arc<Target>, Poll)>;

async fn poll_configured(config: &Config) -> Result<CheckedTarget, CommandError> {
    let mut polls = Vec::new();
    let used = |id| {
        config
            .service
            .pipelines
            .values()
            .any(|pipeline| pipeline.receivers.contains(id))
    };
    let authenticators = authenticators(config)?;
    for (id, receiver) in &config.receivers {
        if used(id) {
            polls.extend(poll(&**receiver, &id.to_string(), &authenticators).await?);
        }
    }
    Ok(polls)
}

async fn poll_url(url: &str, definition: Option<&str>) -> Result<CheckedTarget, CommandError> {
    let receiver = receivers::for_url(url.parse()?, definition);
    poll(&*receiver, "check", &Authenticators::default()).await
}

/// What authenticates requests where no service runs.
fn authenticators(config: &Config) -> Result<Authenticators, CommandError> {
    let (tasks, _failures) = Tasks::new();
    let context = AuthenticatorContext {
        status: &Reporter::unheard(),
        tasks: &tasks,
        clock: &Clock::System,
    };
    let mut found = Vec::new();
    for id in &config.service.extensions {
        if let Some(extension) = config.extensions.get(id) {
            let authenticator = extension.authenticator(&context)?;
            found.extend(authenticator.map(|of| (id.clone(), of)));
        }
    }
    Ok(found.into_iter().collect())
}

async fn poll(
    receiver: &dyn ReceiverConfig,
    id: &str,
    authenticators: &Authenticators,
) -> Result<CheckedTarget, CommandError> {
    let context = ReceiverContext {
        id: id.to_owned(),
        clock: Clock::System,
        meter: Meter::of(&SdkMeterProvider::default()),
        board: Arc::new(StatusBoard::default()),
        names: Arc::default(),
        network: Network::default(),
        mapping: mapping::map_document,
        authenticators: authenticators.clone(),
        keeps_text: true,
    };
    receiver.poll_once(&context).await
}

/// Creates a poll from saved bodies: one file, or a directory with one file for each endpoint.
fn read_sample(path: &Path, definition: Option<&str>) -> Result<(Arc<Target>, Poll), CommandError> {
    let definition = definition::load(definition.unwrap_or_default())?;
    let target = Arc::new(Target::named(&path.display().to_string(), &definition));
    let bodies = definition.endpoints.iter().map(|endpoint| {
        let file = match path.is_dir() {
            true => path.join(file_name(endpoint)),
            false if definition.endpoints.len() == 1 => path.to_owned(),
            false
                if path
                    .file_stem()
                    .is_some_and(|stem| stem == endpoint.id.as_str()) =>
            {
                path.to_owned()
            }
            false => return Ok(None),
        };
        match read_input(&file, SAMPLE_BYTES_MAX) {
            Ok(body) => Ok(Some(body)),
            Err(error) if path.is_dir() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SampleError::Read { path: file, source }),
        }
    });
    let bodies = bodies.collect::<Result<Vec<_>, _>>()?;
    if bodies.iter().all(Option::is_none) {
        let known: Vec<_> = definition.endpoints.iter().map(file_name).collect();
        return Err(SampleError::NoEndpoint {
            path: path.to_owned(),
            known: known.join(", "),
        }
        .into());
    }
    let poll = receivers::sample(&definition, bodies, &Clock::System);
    Ok((target, poll))
}

#[derive(Debug, thiserror::Error)]
enum SampleError {
    #[error("failed to read the sample `{}`", path.display())]
    Read {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` belongs to no endpoint of the definition: name it as one of {known}", path.display())]
    NoEndpoint {
        path: std::path::PathBuf,
        known: String,
    },
}

fn file_name(endpoint: &Endpoint) -> String {
    let extension = endpoint.format.extension();
    safe_name(&format!("{}.{extension}", endpoint.id))
}

/// The name of a file or directory for a target or an endpoint, whose name may be anything, even
/// `..`.
fn safe_name(of: &str) -> String {
    let is_unsafe = |c: char| c.is_control() || ['/', '\\'].contains(&c);
    let mut name = of.replace(is_unsafe, "_");
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    match name.trim_start_matches('.') {
        "" => "_".repeat(name.len().max(1)),
        _ => name,
    }
}

fn record(folder: &Path, target: &Target, poll: &Poll) -> Result<(), CommandError> {
    let folder = folder.join(safe_name(&target.name));
    std::fs::create_dir_all(&folder)?;
    for (endpoint, polled) in target.definition.endpoints.iter().zip(&poll.endpoints) {
        if let Some(body) = polled.body() {
            std::fs::write(folder.join(file_name(endpoint)), &body.raw)?;
        }
    }
    Ok(())
}

/// Shows a poll. Returns false if it gave no data.
fn show(target: &Target, poll: &mut Poll, with_documents: bool, out: &mut Output) -> bool {
    let readings = mapping::map(&target.definition, poll);
    out.line(format_args!("{} ({})", target.name, target.definition.name));
    let endpoints = target.definition.endpoints.iter().zip(&poll.endpoints);
    let rows: Vec<_> = endpoints
        .map(|(endpoint, polled)| endpoint_row(endpoint, polled))
        .collect();
    table::write(["ENDPOINT", "PATH", "RESULT", "TIME", "BYTES"], &rows, out);
    out.line(format_args!(""));
    if with_documents {
        show_documents(&target.definition, poll, out);
    }
    if readings.values.is_empty() {
        out.line(format_args!("  no values\n"));
    } else {
        let rows: Vec<_> = readings
            .values
            .iter()
            .map(|r| reading_row(&target.definition, r))
            .collect();
        table::write(["METRIC", "ATTRIBUTES", "VALUE", "UNIT"], &rows, out);
        out.line(format_args!(""));
    }
    if !readings.problems.is_empty() {
        let rows: Vec<_> = readings
            .problems
            .iter()
            .map(|problem| problem_row(target, poll, problem))
            .collect();
        table::write(["NOT READ", "WHY", "WHAT WAS FOUND"], &rows, out);
        out.line(format_args!(""));
    }
    let lacking = lacking(&target.definition, poll, &readings);
    if !lacking.is_empty() && !readings.values.is_empty() {
        out.line(format_args!("  no value of {}\n", lacking.join(", ")));
    }
    lacking.is_empty() && !readings.values.is_empty()
}

/// The metrics that gave nothing and should have: a value could not be read, or the endpoint
/// failed. That a list is empty is a fact, and a sample need not have all endpoints.
fn lacking<'d>(definition: &'d Definition, poll: &Poll, readings: &Readings) -> Vec<&'d str> {
    let has_failed = |endpoint: usize| {
        let failure = poll.endpoints.get(endpoint).and_then(EndpointPoll::failure);
        failure.is_some_and(|failure| failure.message != receivers::NO_SAVED_BODY)
    };
    let lacks = |index: usize| {
        let gave = readings.values.iter().any(|it| it.instrument == index);
        let is_problem = readings.problems.iter().any(|it| it.instrument == index);
        let mut rules = definition.rules.iter().filter(|it| it.instrument == index);
        !gave && (is_problem || rules.any(|rule| !rule.optional && has_failed(rule.endpoint)))
    };
    let instruments = definition.instruments.iter().enumerate();
    let lacking = instruments.filter(|(index, _)| lacks(*index));
    lacking.map(|(_, it)| it.name.as_str()).collect()
}

/// Shows what values are read from.
fn show_documents(definition: &Definition, poll: &Poll, out: &mut Output) {
    for (endpoint, polled) in definition.endpoints.iter().zip(&poll.endpoints) {
        let document = polled.body().and_then(Body::document);
        let Some(document) = document else { continue };
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        out.line(format_args!("  document of {}:", endpoint.id));
        for line in text.lines() {
            out.line(format_args!("    {line}"));
        }
        out.line(format_args!(""));
    }
}

fn endpoint_row(endpoint: &Endpoint, polled: &EndpointPoll) -> [String; 5] {
    let (id, path) = (endpoint.id.to_string(), endpoint.path.to_string());
    let time = format!("{:.1} ms", polled.duration.as_secs_f64() * 1000.0);
    match (polled.body(), polled.failure()) {
        (Some(body), _) => [
            id,
            path,
            match body.repaired {
                0 => "ok".to_owned(),
                count => {
                    format!("ok, except {count} characters or numbers that JSON does not allow")
                }
            },
            time,
            body.size.to_string(),
        ],
        (None, failure) => {
            let why = failure
                .map(|failure| failure.message.clone().into_owned())
                .unwrap_or_default();
            [id, path, why, time, String::new()]
        }
    }
}

fn reading_row(definition: &Definition, reading: &Reading) -> [String; 4] {
    let instrument = definition.instruments.get(reading.instrument);
    let (name, unit) = instrument
        .map(|i| (i.name.clone(), i.unit.clone()))
        .unwrap_or_default();
    let attribute = |pair: &KeyValue| format!("{}={}", pair.key, pair.value);
    let attributes: Vec<_> = reading.attributes.iter().map(attribute).collect();
    if let Some(histogram) = &reading.histogram {
        let sum = histogram
            .sum
            .map_or(String::new(), |sum| format!(", sum {sum}"));
        let value = format!(
            "{} observations in {} buckets{sum}",
            histogram.count(),
            histogram.counts.len()
        );
        return [name, attributes.join(" "), value, unit];
    }
    let value = match reading.value {
        Number::Unsigned(value) => value.to_string(),
        Number::Negative(value) => value.to_string(),
        Number::Double(value) => value.to_string(),
    };
    [name, attributes.join(" "), value, unit]
}

fn problem_row(target: &Target, poll: &Poll, problem: &Problem) -> [String; 3] {
    let definition = &target.definition;
    let name = definition.subject(problem.instrument).map(str::to_owned);
    let why = match problem.count {
        1 => problem.reason.name().to_owned(),
        count => format!("{} × {count}", problem.reason.name()),
    };
    let hint = mapping::explain(definition, poll, problem);
    let detail = match hint {
        Some(hint) => format!("{}: {hint}", problem.detail),
        None => problem.detail.clone(),
    };
    [name.unwrap_or_default(), why, detail]
}
