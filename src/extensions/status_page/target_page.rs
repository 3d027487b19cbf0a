//! The page of one target.

use http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    Page, Pages, TARGETS,
    fleet_page::cause,
    layout::{self, Place, ago, soon, time},
    marks, values,
};
use crate::{
    http::Request,
    overview::{
        DecisionRow, EndpointDetail, TargetDetail, TargetState, Tone, advice,
        words::{self, bytes, span},
    },
};

/// A body is shown so far, in bytes.
const BODY_SHOWN: usize = 4096;

pub(super) fn page(pages: &Pages, request: &Request) -> Page {
    let name = request.below(TARGETS);
    let Some(detail) = pages.overview.target(&name) else {
        return missing(&name);
    };
    let row = &detail.row;
    let main = html! {
        p.crumb { a href="/" { "Fleet" } " / " (row.receiver) }
        h1 { (row.name) " " (marks::state(row.state)) }
        (matter(&detail))
        (facts(&detail))
        (endpoints(&detail.endpoints, &detail.host))
        (decisions(&detail.decisions))
        (values::values(&detail, pages.overview.now()))
        (values::problems(&detail.problems))
        @if pages.exposes_bodies { (bodies(pages, &detail)) }
    };
    Page::ok(layout::page(Place::Fleet, &row.name, &main))
}

fn missing(name: &str) -> Page {
    let main = html! {
        h1 { "There is no target of this name" }
        p { "Nobody polls " b { (name) } ". It may have gone, or it is called otherwise." }
        p { a href="/" { "All targets" } }
    };
    Page {
        status: StatusCode::NOT_FOUND,
        html: layout::page(Place::Fleet, "No such target", &main),
    }
}

/// What is the matter, and what to do.
fn matter(detail: &TargetDetail) -> Markup {
    let row = &detail.row;
    let fails = row.state != TargetState::Fresh;
    html! {
        div.matter.bad[row.state <= TargetState::Failing] aria-live="polite" {
            p { (row.state.meaning()) }
            @if fails && row.cause.is_some() { p.said { (cause(row)) } }
            @if row.state == TargetState::Open {
                @if let Some(wait) = row.retry_in_seconds {
                    p { "Next trial request " b { (words::soon(wait)) } ". The breaker has been open for "
                        (span(row.breaker_for_seconds.unwrap_or(0.0))) "." }
                }
            }
            @if row.fault_may_be_local {
                p { "Most targets of this receiver fail at once, so the fault is more likely here "
                    "or on the network than in this target." }
            }
            @if let Some(advice) = row.cause.as_ref().filter(|_| fails).and_then(|c| advice(&c.error_type)) {
                p.advice { (advice) }
            }
        }
    }
}

/// How long a poll took. One whose requests were all refused takes no time that counts.
fn took(seconds: f64) -> String {
    match seconds > 0.0 {
        true => span(seconds),
        false => "< 1 ms".to_owned(),
    }
}

fn facts(detail: &TargetDetail) -> Markup {
    let row = &detail.row;
    html! {
        dl.facts {
            div { dt { "Address" } dd { (row.url) } }
            div { dt { "Receiver" } dd { (row.receiver) } }
            div { dt { "Definition" } dd { (row.definition) } }
            div { dt { "Last poll" } dd { (ago(row.last_poll_seconds_ago)) ", took " (took(row.last_poll_duration_seconds)) } }
            div { dt { "Next poll" } dd { (soon(row.next_poll_in_seconds)) } }
            @for (name, value) in &row.labels { div { dt { (name) } dd { (value) } } }
        }
    }
}

fn endpoints(all: &[EndpointDetail], host: &Value) -> Markup {
    html! {
        h2 { "Endpoints" }
        table.endpoints {
            thead {
                tr {
                    th scope="col" { "Endpoint" }
                    th scope="col" { "Breaker" }
                    th.num scope="col" { "Data from" }
                    th.num scope="col" { "Timeout" }
                    th.num scope="col" { "Answer" }
                    th.wide scope="col" { "Response times" }
                    th scope="col" { "Last error" }
                }
            }
            tbody {
                @for endpoint in all {
                    tr data-key=(endpoint.name) {
                        th scope="row" { code { (endpoint.path) } }
                        td data-name="breaker" { (breaker(endpoint, host)) }
                        td.num data-name="data from" { (ago(endpoint.age_seconds)) }
                        td.num data-name="timeout" { (time(endpoint.inner.get("effective_timeout_seconds").and_then(Value::as_f64))) }
                        td.num data-name="answer" {
                            @match endpoint.body_bytes {
                                Some(size) => (bytes(size as u64)),
                                None => span.faint { "none" },
                            }
                        }
                        td.wide { (marks::response_times(&endpoint.response_times_seconds)) }
                        td.cause {
                            @if let Some(error) = &endpoint.last_error {
                                code { (error.error_type) } " " (error.message)
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the breakers of an endpoint and of its host do together, for each instance.
fn breaker(endpoint: &EndpointDetail, host: &Value) -> Markup {
    let state = |value: &Value| {
        let state = value.get("state").and_then(Value::as_str);
        state.unwrap_or("closed").to_owned()
    };
    let known = |of_endpoint: &Value, of_host: &Value| {
        // The host refuses for all of its endpoints.
        let is_host = state(of_host) != "closed" && state(of_endpoint) != "open";
        let value = if is_host { of_host } else { of_endpoint };
        let state = state(value);
        let state = state.as_str();
        let (of, word) = match state {
            "open" => (TargetState::Open, "open"),
            "half_open" => (TargetState::Probing, "half-open"),
            _ => (TargetState::Fresh, "closed"),
        };
        let wait = value.get("retry_in_seconds").and_then(Value::as_f64);
        html! {
            span class=(format!("mark {}", of.name())) { span.sign aria-hidden="true" { (of.sign()) } " " (word) }
            @if is_host { " " span.faint { "host" } }
            @if let Some(wait) = wait.filter(|_| state == "open") { br; span.faint { "trial " (words::soon(wait)) } }
        }
    };
    let of = |value: Option<&'_ Value>| {
        let breaker = value.and_then(|value| value.get("breaker"));
        breaker.cloned().unwrap_or_default()
    };
    let suspect = endpoint.inner.get("suspect").is_some_and(Value::is_object);
    let instances = endpoint.inner.get("instances").and_then(Value::as_object);
    html! {
        @if suspect {
            span class="mark open" { span.sign aria-hidden="true" { "✕" } " suspect" }
        } @else if let Some(instances) = instances {
            @for (name, instance) in instances {
                @let of_host = host.get("instances").and_then(|all| all.get(name));
                div { (name) " " (known(&of(Some(instance)), &of(of_host))) }
            }
        } @else {
            (known(endpoint.inner.get("breaker").unwrap_or(&Value::Null), &of(Some(host))))
        }
    }
}

/// The latest decisions, in groups of a minute.
fn decisions(all: &[DecisionRow]) -> Markup {
    html! {
        h2 { "What was decided, and why" }
        @if all.is_empty() { p.note { "Nothing yet." } }
        div.lanes role="region" aria-label="Decisions" tabindex="0" { @for minute in all.chunk_by(|one, other| minute_of(one) == minute_of(other)) {
            @let first = minute.first().map_or("", minute_of);
            section.minute data-key=(first) {
                h3 { time datetime=(minute.first().map_or("", |row| &row.at)) { (clock(first)) } }
                ol.decisions {
                    @for row in minute { (decision(row)) }
                }
            }
        } }
    }
}

fn decision(row: &DecisionRow) -> Markup {
    let (class, sign) = match row.tone {
        Tone::Good => ("good", "✓"),
        Tone::Bad => ("bad", "!"),
        Tone::Plain => ("plain", "·"),
    };
    html! {
        li class=(class) data-key=(row.number) title=(row.at) {
            span.sign aria-hidden="true" { (sign) }
            span.at { (words::ago(row.seconds_ago as f64)) }
            @if let Some(endpoint) = &row.endpoint { " " code { (endpoint) } }
            @if let Some(instance) = &row.instance { " " code { (instance) } }
            " " span { (row.words) }
        }
    }
}

/// The minute of a time in RFC 3339.
fn minute_of(row: &DecisionRow) -> &str {
    row.at.get(..16).unwrap_or(&row.at)
}

/// The hour and the minute of it, which is in UTC.
fn clock(minute: &str) -> String {
    format!("{} UTC", minute.get(11..).unwrap_or(minute))
}

/// The kept answers as they came.
fn bodies(pages: &Pages, detail: &TargetDetail) -> Markup {
    let status = pages.board.target(&detail.row.name);
    let shown = detail
        .endpoints
        .iter()
        .enumerate()
        .filter_map(|(at, endpoint)| {
            let (body, _) = status.as_ref()?.inner.kept(at)?;
            let raw = body.raw.get(..BODY_SHOWN).unwrap_or(&body.raw);
            Some((
                endpoint,
                String::from_utf8_lossy(raw).into_owned(),
                body.raw.len(),
            ))
        });
    html! {
        h2 { "Last answers" }
        @for (endpoint, text, size) in shown {
            details data-key=(endpoint.name) {
                summary { code { (endpoint.path) } " " (bytes(size as u64)) }
                pre tabindex="0" { (text) @if size > BODY_SHOWN { "\n… cut here" } }
            }
        }
    }
}
