//! Where targets are found.

use maud::{Markup, html};
use serde_json::Value;

use super::{
    Page, Pages,
    layout::{self, Place, ago},
};
use crate::{http::Request, overview::words::number};

pub(super) fn page(pages: &Pages, _: &Request) -> Page {
    let origins = pages.board.origins();
    let main = html! {
        h1 { "Discovery" }
        @if origins.is_empty() {
            p.note { "All targets are named in the configuration, so nothing is discovered." }
        }
        @for (receiver, origins) in &origins {
            section {
                h2 { (receiver) }
                @if !origins.is_complete() {
                    p.warning { "A source has not answered yet, so the receiver is not ready." }
                }
                (sources(&origins.sources()))
            }
        }
    };
    Page::ok(layout::page(Place::Discovery, "Discovery", &main))
}

fn sources(sources: &Value) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Source" }
                    th.num scope="col" { "Read" }
                    th scope="col" { "Targets" }
                    th scope="col" { "Last error" }
                }
            }
            tbody {
                @for source in sources.as_array().into_iter().flatten() { (row(source)) }
            }
        }
    }
}

fn row(source: &Value) -> Markup {
    let text = |key: &str| source.get(key).and_then(Value::as_str).unwrap_or_default();
    let fates = source.get("targets").and_then(Value::as_object);
    html! {
        tr data-key=(text("source")) {
            th scope="row" { code { (text("source")) } }
            td.num { (ago(source.get("last_success_seconds_ago").and_then(Value::as_f64))) }
            td {
                @for (fate, count) in fates.into_iter().flatten() {
                    span.label { (fate.replace('_', " ")) " " b { (number(count.as_u64().unwrap_or(0))) } } " "
                }
            }
            td.cause { (text("last_error")) }
        }
    }
}
