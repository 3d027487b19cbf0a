//! Shows a poll.

use std::time::Duration;

use opentelemetry::KeyValue;
use serde_json::Value;

use crate::{
    cli::{
        Output,
        table::{self, Row},
    },
    definition::{Definition, Endpoint},
    pipeline::{
        EndpointPoll, ErrorType, MadeRequest, Number, Poll, Problem, Reading, Readings, Target,
    },
    processors::mapping,
    receivers,
};

/// Shows a poll. Returns false if it gave no data.
pub(super) fn show(
    target: &Target,
    poll: &mut Poll,
    with_documents: bool,
    out: &mut Output,
) -> bool {
    let readings = mapping::map(&target.definition, poll);
    out.line(format_args!("{} ({})", target.name, target.definition.name));
    let endpoints = target.definition.endpoints.iter().zip(&poll.endpoints);
    let rows: Vec<_> = endpoints
        .map(|(endpoint, polled)| endpoint_row(endpoint, polled))
        .collect();
    table::write_noted(["ENDPOINT", "PATH", "RESULT", "TIME", "BYTES"], &rows, out);
    out.line(format_args!(""));
    show_requests(&target.definition, poll, out);
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
        table::write_noted(["NOT READ", "WHY"], &rows, out);
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

/// Shows the requests that were made. A sample has none.
fn show_requests(definition: &Definition, poll: &Poll, out: &mut Output) {
    let endpoints = definition.endpoints.iter().zip(&poll.endpoints);
    let made = endpoints.flat_map(|(endpoint, polled)| {
        let made = polled.requests.iter();
        made.map(|made| request_row(endpoint, made))
    });
    let rows: Vec<_> = made.collect();
    if !rows.is_empty() {
        table::write(["ENDPOINT", "REQUEST", "STATUS", "TIME"], &rows, out);
        out.line(format_args!(""));
    }
}

fn request_row(endpoint: &Endpoint, made: &MadeRequest) -> [String; 4] {
    let status = made.status.map(|status| status.to_string());
    [
        endpoint.id.to_string(),
        format!("{} {}", made.method, made.url),
        status.unwrap_or_else(|| "no answer".to_owned()),
        milliseconds(made.took),
    ]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Shows what values are read from.
fn show_documents(definition: &Definition, poll: &Poll, out: &mut Output) {
    for (endpoint, polled) in definition.endpoints.iter().zip(&poll.endpoints) {
        let Some(body) = polled.body() else { continue };
        if body.has_parts() {
            let mut number = 0;
            body.for_each_part(|part| {
                number += 1;
                let of = match part.element {
                    Some(element) => format!("{}, {number} (for {})", endpoint.id, element.key),
                    None => format!("{}, {number}", endpoint.id),
                };
                show_document(&of, part.value, out);
            });
        } else if let Some(document) = body.document() {
            show_document(endpoint.id.as_str(), &document, out);
        }
    }
}

fn show_document(of: &str, document: &Value, out: &mut Output) {
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    out.line(format_args!("  document of {of}:"));
    for line in text.lines() {
        out.line(format_args!("    {line}"));
    }
    out.line(format_args!(""));
}

fn endpoint_row(endpoint: &Endpoint, polled: &EndpointPoll) -> Row<5> {
    let (id, path) = (endpoint.id.to_string(), endpoint.path.to_string());
    let time = milliseconds(polled.duration);
    let (result, note, bytes) = match (polled.body(), polled.failure()) {
        (Some(body), _) => {
            let result = match body.accepted_status {
                Some(status) => format!("ok ({status})"),
                None => "ok".to_owned(),
            };
            let repaired = (body.repaired > 0).then(|| {
                let count = body.repaired;
                format!("ok, except {count} characters or numbers that its format does not allow")
            });
            (result, repaired, body.size.to_string())
        }
        (None, Some(failure)) => {
            let result = match failure.error_type {
                ErrorType::Status(status) => format!("failed ({status})"),
                other => format!("failed ({})", other.name()),
            };
            (result, Some(failure.message.to_string()), String::new())
        }
        (None, None) => ("not polled".to_owned(), None, String::new()),
    };
    Row {
        cells: [id, path, result, time, bytes],
        note,
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

fn problem_row(target: &Target, poll: &Poll, problem: &Problem) -> Row<2> {
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
    Row {
        cells: [name.unwrap_or_default(), why],
        note: Some(detail),
    }
}
