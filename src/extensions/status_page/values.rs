//! What a target says: its values, and what could not be read.

use maud::{Markup, html};
use serde_json::Value;

use crate::overview::{MetricDetail, Problem, TargetDetail, ValueDetail, words};

/// So many series of a metric are shown; the rest is counted.
const SERIES: usize = 50;

/// The values of the kept answers.
pub(super) fn values(detail: &TargetDetail) -> Markup {
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
                    }
                }
                tbody { @for metric in &detail.metrics { (rows(metric, detail)) } }
            }
        }
    }
}

fn rows(metric: &MetricDetail, detail: &TargetDetail) -> Markup {
    let more = metric.values.len().saturating_sub(SERIES);
    html! {
        @for value in metric.values.iter().take(SERIES) { (row(metric, value, detail)) }
        @if more > 0 {
            tr data-key=(format!("{} more", metric.name)) {
                td colspan="5" class="faint" { (words::number(more as u64)) " more series of " (metric.name) }
            }
        }
    }
}

/// A running total has a rate, which the script makes of two polls: nothing is kept here for it.
fn row(metric: &MetricDetail, value: &ValueDetail, detail: &TargetDetail) -> Markup {
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
            td.num title=(value.value) { (shown(&value.value)) }
            td { (metric.unit) }
            td.num {
                @if metric.is_total {
                    span data-keep data-total=(value.value) data-age=[detail.row.age_seconds] {}
                }
            }
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
