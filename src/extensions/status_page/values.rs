//! What a target says: its values, and what could not be read.

use std::time::SystemTime;

use maud::{Markup, html};
use serde_json::Value;

use crate::overview::{MetricDetail, Problem, TargetDetail, ValueDetail, words};

/// So many series of a metric are shown; the rest is counted.
const SERIES: usize = 50;

/// The values of the kept answers.
pub(super) fn values(detail: &TargetDetail, now: SystemTime) -> Markup {
    html! {
        h2 { "What it says now" }
        @if detail.metrics.is_empty() {
            p.note { "No answer is kept that could be shown." }
        } @else {
            table.values {
                thead {
                    tr {
                        th scope="col" { "Metric" }
                        th scope="col" { "Attributes" }
                        th.num scope="col" { "Value" }
                        th scope="col" { "Unit" }
                        th.num scope="col" { "Each second" }
                        th.num.wide scope="col" { "Counts since" }
                    }
                }
                tbody { @for metric in &detail.metrics { (rows(metric, now)) } }
            }
        }
    }
}

fn rows(metric: &MetricDetail, now: SystemTime) -> Markup {
    let more = metric.values.len().saturating_sub(SERIES);
    html! {
        @for value in metric.values.iter().take(SERIES) { (row(metric, value, now)) }
        @if more > 0 {
            tr data-key=(format!("{} more", metric.name)) {
                td colspan="6" class="faint" { (words::number(more as u64)) " more series of " (metric.name) }
            }
        }
    }
}

/// A running total has a rate and a start, which are known from the first poll on that follows the
/// first look.
fn row(metric: &MetricDetail, value: &ValueDetail, now: SystemTime) -> Markup {
    let attributes: Vec<_> = value
        .attributes
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let attributes = attributes.join(", ");
    html! {
        tr data-key=(format!("{} {attributes}", metric.name)) {
            th scope="row" { code { (metric.name) } }
            td { (attributes) }
            td.num data-name="value" title=(value.value) { (shown(&value.value)) }
            td { (metric.unit) }
            td.num data-name=[metric.is_total.then_some("each second")] {
                @match value.per_second {
                    Some(rate) => (words::decimal(rate)),
                    None => @if metric.is_total { span.faint { "–" } },
                }
            }
            td.num.wide { @if metric.is_total { (since(value, now)) } }
        }
    }
}

/// Since when a total counts.
fn since(value: &ValueDetail, now: SystemTime) -> Markup {
    let ago = |time: &str| {
        let time: Option<jiff::Timestamp> = time.parse().ok();
        let time = time.and_then(|time| SystemTime::try_from(time).ok());
        let passed = time.and_then(|time| now.duration_since(time).ok());
        words::span(passed.unwrap_or_default().as_secs_f64().round())
    };
    html! {
        @match (&value.start_time, &value.first_seen) {
            (Some(time), _) => time datetime=(time) title=(time) { (ago(time)) " ago" },
            (None, Some(time)) => time datetime=(time)
                title=(format!("the target began to count before {time}")) { "over " (ago(time)) " ago" },
            (None, None) => span.faint title="known after the next poll, unless a processor changes the series" { "–" },
        }
    }
}

fn shown(value: &Value) -> String {
    match (value.as_u64(), value.as_f64()) {
        (Some(whole), _) => words::number(whole),
        (None, Some(number)) => words::decimal(number),
        (None, None) => "no number".to_owned(),
    }
}

/// What could not be read, with the nearest key where there is one.
pub(super) fn problems(problems: &[Problem]) -> Markup {
    html! {
        @if !problems.is_empty() {
            h2 { "What could not be read" }
            table.problems {
                thead {
                    tr {
                        th scope="col" { "Metric" }
                        th scope="col" { "Reason" }
                        th.num scope="col" { "Values" }
                        th scope="col" { "What was found" }
                    }
                }
                tbody {
                    @for problem in problems {
                        tr {
                            th scope="row" { code { (problem.metric.as_deref().unwrap_or_default()) } }
                            td { (problem.reason) }
                            td.num { (words::number(problem.count)) }
                            td.cause { (problem.detail) }
                        }
                    }
                }
            }
        }
    }
}
