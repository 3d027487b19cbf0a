//! Where targets are found, and what became of each address.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    Page, Pages,
    layout::{self, Place, ago},
    marks::{self, target_url},
};
use crate::{
    discovery::DiscoveryResult,
    http::Request,
    overview::{
        AddressPage, AddressQuery, AddressRow,
        words::{count, number},
    },
};

/// Rows of one page, unless the address says otherwise.
const ROWS: usize = 50;

pub(super) fn page(pages: &Pages, request: &Request) -> Page {
    let origins = pages.board.origins();
    let first = AddressQuery {
        limit: ROWS,
        ..AddressQuery::default()
    };
    let asked = first.clone().read(&request.query);
    let mistake = asked.as_ref().err().map(ToString::to_string);
    let query = asked.unwrap_or(first);
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
                @if let Some(notice) = origins.notice() { p.warning { "No target: " (notice) "." } }
                (sources(receiver, &origins.sources()))
            }
        }
        @if !origins.is_empty() {
            h2 #addresses { "Addresses" }
            (legend(&query, &counts(origins.iter().map(|(_, origins)| origins.sources()))))
            (filter(&query, origins.iter().map(|(receiver, _)| receiver.as_str())))
            @if let Some(mistake) = mistake { p.warning role="alert" { (mistake) } }
            (addresses(&pages.overview.addresses(&query), &query))
        }
    };
    Page::ok(layout::page(Place::Discovery, "Discovery", &main))
}

fn sources(receiver: &str, sources: &Value) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Source" }
                    th.num scope="col" { "Last success" }
                    th scope="col" { "Addresses" }
                    th scope="col" { "Last error" }
                }
            }
            tbody {
                @for source in sources.as_array().into_iter().flatten() { (source_row(receiver, source)) }
            }
        }
    }
}

/// A source. The count of each result is a link that shows its addresses.
fn source_row(receiver: &str, source: &Value) -> Markup {
    let text = |key: &str| source.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = text("source");
    let to = |result: &str| {
        let mut query = AddressQuery {
            receiver: Some(receiver.to_owned()),
            limit: ROWS,
            ..AddressQuery::default()
        };
        query.filter.source = Some(name.to_owned());
        query.filter.results = vec![result.to_owned()];
        url(&query)
    };
    let results = source.get("targets").and_then(Value::as_object);
    html! {
        tr data-key=(name) {
            th scope="row" { code { (name) } }
            td.num data-name="last success" { (ago(source.get("last_success_seconds_ago").and_then(Value::as_f64))) }
            td {
                @for (result, found) in results.into_iter().flatten() {
                    a.label href=(to(result)) {
                        (result.replace('_', " ")) " " b { (number(found.as_u64().unwrap_or(0))) }
                    }
                    " "
                }
            }
            td.cause { (text("last_error")) }
        }
    }
}

/// How many addresses of all sources have which result.
fn counts(sources: impl Iterator<Item = Value>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for source in sources.flat_map(|sources| sources.as_array().cloned().unwrap_or_default()) {
        let results = source.get("targets").and_then(Value::as_object);
        for (result, found) in results.into_iter().flatten() {
            *counts.entry(result.clone()).or_insert(0) += found.as_u64().unwrap_or(0);
        }
    }
    counts
}

/// The results with their counts; each is a link that shows only its addresses.
fn legend(query: &AddressQuery, counts: &BTreeMap<String, u64>) -> Markup {
    let with = |results: Vec<String>| {
        let mut query = AddressQuery {
            offset: 0,
            ..query.clone()
        };
        query.filter.results = results;
        url(&query)
    };
    let chosen = &query.filter.results;
    html! {
        nav.legend aria-label="Results" {
            a href=(with(Vec::new())) aria-current=[chosen.is_empty().then_some("true")] { "all" }
            @for result in DiscoveryResult::ALL {
                @if let Some(found) = counts.get(result.name()) {
                a href=(with(vec![result.name().to_owned()]))
                    aria-current=[(chosen == &[result.name()]).then_some("true")] {
                    (marks::result(result.name())) " " b { (number(*found)) }
                }
                }
            }
        }
    }
}

fn filter<'r>(query: &AddressQuery, receivers: impl Iterator<Item = &'r str>) -> Markup {
    let receivers: Vec<_> = receivers.collect();
    html! {
        form.filter method="get" action="/discovery" role="search" data-live {
            label { "Find " input #find type="search" name="q" value=(query.filter.text) maxlength="200"
                placeholder="address or label" autocomplete="off"; }
            @if receivers.len() > 1 {
                label { "Receiver "
                    select name="receiver" {
                        option value="" { "all" }
                        @for receiver in receivers {
                            option value=(receiver)
                                selected[query.receiver.as_deref() == Some(receiver)] { (receiver) }
                        }
                    }
                }
            } @else if let Some(receiver) = &query.receiver {
                input type="hidden" name="receiver" value=(receiver);
            }
            @if let Some(source) = &query.filter.source {
                label { "Source "
                    select name="source" {
                        option value="" { "all" }
                        option value=(source) selected { (source) }
                    }
                }
            }
            @for result in &query.filter.results { input type="hidden" name="result" value=(result); }
            button type="submit" { "Show" }
        }
    }
}

fn addresses(page: &AddressPage, query: &AddressQuery) -> Markup {
    let total = match page.total {
        1 => "1 address".to_owned(),
        total => format!("{} addresses", number(total as u64)),
    };
    let shown = match page.matched == page.total {
        true => total,
        false => format!("{} of {total}", number(page.matched as u64)),
    };
    html! {
        table.addresses {
            caption { (shown) }
            thead {
                tr {
                    th scope="col" { "Result" }
                    th scope="col" { "Address" }
                    th scope="col" { "Labels before relabeling" }
                    th scope="col" { "Labels after relabeling" }
                }
            }
            tbody {
                @for (at, row) in page.addresses.iter().enumerate() { (address(row, query.offset + at)) }
            }
        }
        @if page.addresses.is_empty() { p.note { "No address is like that." } }
        (paging(page, query))
    }
}

/// The number of a row is its key: a source may name an address twice.
fn address(row: &AddressRow, number: usize) -> Markup {
    let found = &row.found;
    html! {
        tr data-key=(number) {
            td { (marks::result(&found.result)) }
            th scope="row" {
                code { (found.address) }
                span.labels.faint { (row.receiver) " · " (found.source) }
            }
            td.full data-name="before" { (labels(&found.before, None)) }
            td.full data-name="after" {
                @if let Some(why) = &found.why { p.cause { (why) } }
                @if let Some(target) = found.target.as_ref().filter(|_| found.result == "kept") {
                    a href=(target_url(target)) { (target) } " "
                }
                (labels(&found.after, Some(&found.before)))
            }
        }
    }
}

/// Labels, with an accent on those that `before` does not have in the same way.
fn labels(labels: &BTreeMap<String, String>, before: Option<&BTreeMap<String, String>>) -> Markup {
    html! {
        @for (name, value) in labels {
            @let is_new = before.is_some_and(|before| before.get(name) != Some(value));
            span.label.new[is_new] title=[is_new.then_some("set by a rule")] { (name) "=" (value) } " "
        }
    }
}

fn paging(page: &AddressPage, query: &AddressQuery) -> Markup {
    let to = |offset: usize| {
        url(&AddressQuery {
            offset,
            ..query.clone()
        })
    };
    html! {
        @if query.offset > 0 || page.next.is_some() {
            nav.paging aria-label="Pages of addresses" {
                @if query.offset > 0 { a href=(to(0)) { "First page" } }
                @if query.offset > query.limit {
                    a href=(to(query.offset - query.limit)) rel="prev" { "Page before" }
                }
                @if let Some(next) = page.next { a href=(to(next)) rel="next" { "Next page" } }
                span.faint { (count(page.matched.div_ceil(query.limit.max(1)), "page")) }
            }
        }
    }
}

/// The address of this page with another query.
fn url(query: &AddressQuery) -> String {
    let mut pairs = Serializer::new(String::new());
    for result in &query.filter.results {
        pairs.append_pair("result", result);
    }
    let texts = [
        (
            "q",
            Some(&query.filter.text).filter(|text| !text.is_empty()),
        ),
        ("receiver", query.receiver.as_ref()),
        ("source", query.filter.source.as_ref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            pairs.append_pair(name, text);
        }
    }
    if query.limit != ROWS {
        pairs.append_pair("limit", &query.limit.to_string());
    }
    if query.offset > 0 {
        pairs.append_pair("offset", &query.offset.to_string());
    }
    match pairs.finish().as_str() {
        "" => "/discovery".to_owned(),
        query => format!("/discovery?{query}"),
    }
}
