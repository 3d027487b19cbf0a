//! The page of the fleet.

use form_urlencoded::Serializer;
use maud::{Markup, html};

use super::{
    Page, Pages,
    layout::{self, Place, ago, soon},
    marks::{self, target_url},
    strip::strip,
};
use crate::{
    http::Request,
    overview::{
        Destination, FleetSummary, Sort, TargetPage, TargetQuery, TargetRow, TargetState,
        words::{self, count, number, span},
    },
};

/// Rows of one page, unless the address says otherwise.
const ROWS: usize = 50;

/// Labels of a row; the page of the target has all of them.
const LABELS: usize = 4;

pub(super) fn page(pages: &Pages, request: &Request) -> Page {
    let first = TargetQuery {
        sort: Sort::Worst,
        limit: ROWS,
        ..TargetQuery::default()
    };
    let asked = first.clone().read(&request.query);
    let mistake = asked.as_ref().err().map(ToString::to_string);
    let query = asked.unwrap_or(first);
    let summary = pages.overview.summary();
    let snapshot = pages.overview.snapshot();
    let listed = pages.overview.targets(&query);
    let bad = summary.targets - snapshot.count(TargetState::Fresh);
    let title = match bad {
        0 => "Fleet".to_owned(),
        bad => format!("({bad}) Fleet"),
    };
    let main = html! {
        (headline(&summary))
        (strip(&snapshot))
        (legend(&summary, &query))
        (filter(&summary, &query))
        @if let Some(mistake) = mistake { p.warning role="alert" { (mistake) } }
        (table(&listed, &query))
        (destinations(&summary.destinations))
    };
    Page::ok(layout::page(Place::Fleet, &title, &main))
}

/// How all of it is, in sentences.
fn headline(summary: &FleetSummary) -> Markup {
    let mut sentences = summary.headline.iter();
    let bad = [
        TargetState::Open,
        TargetState::Failing,
        TargetState::Probing,
    ];
    let is_bad = bad.iter().any(|state| summary.states.contains_key(state));
    let has_more = summary.headline.len() > 1;
    let failing = summary
        .destinations
        .iter()
        .any(|it| it.component.is_failing || it.lost() > 0);
    html! {
        h1.headline.bad[is_bad] { (sentences.next().map_or("", String::as_str)) }
        @if has_more {
            ul.sentences.bad[failing || !summary.failing.is_empty()] {
                @for sentence in sentences { li { (sentence) } }
            }
        }
    }
}

/// The states with their counts; each is a link that shows only its targets.
fn legend(summary: &FleetSummary, query: &TargetQuery) -> Markup {
    let all = TargetQuery {
        states: Vec::new(),
        after: String::new(),
        ..query.clone()
    };
    html! {
        nav.legend aria-label="States" {
            a href=(url(&all)) aria-current=[query.states.is_empty().then_some("true")] {
                "all " b { (number(summary.targets as u64)) }
            }
            @for state in TargetState::ALL {
                @if let Some(targets) = summary.states.get(&state) {
                    a href=(url(&TargetQuery { states: vec![state], ..all.clone() }))
                        aria-current=[(query.states == [state]).then_some("true")]
                        title=(state.meaning()) {
                        (marks::state(state)) " " b { (number(*targets as u64)) }
                    }
                }
            }
        }
    }
}

fn filter(summary: &FleetSummary, query: &TargetQuery) -> Markup {
    html! {
        form.filter method="get" action="/" role="search" data-live {
            label { "Find " input #find type="search" name="q" value=(query.text) maxlength="200"
                placeholder="name, address, label or cause" autocomplete="off"; }
            @if summary.receivers.len() > 1 {
                label { "Receiver "
                    select name="receiver" {
                        option value="" { "all" }
                        @for receiver in &summary.receivers {
                            option value=(receiver.id)
                                selected[query.receiver.as_ref() == Some(&receiver.id)] { (receiver.id) }
                        }
                    }
                }
            }
            label { "Order "
                select name="sort" {
                    @for (name, sort) in Sort::ALL {
                        option value=(name) selected[sort == query.sort] { (order(sort)) }
                    }
                }
            }
            @for state in &query.states { input type="hidden" name="state" value=(state.name()); }
            @for label in &query.labels {
                input type="hidden" name="label" value=(format!("{}={}", label.name, label.value));
            }
            button type="submit" { "Show" }
        }
    }
}

fn order(sort: Sort) -> &'static str {
    match sort {
        Sort::Worst => "worst first",
        Sort::Name => "by name",
        Sort::Age => "oldest data first",
        Sort::Duration => "slowest first",
    }
}

fn table(page: &TargetPage, query: &TargetQuery) -> Markup {
    let shown = match page.matched == page.total {
        true => count(page.total, "target"),
        false => format!(
            "{} of {}",
            number(page.matched as u64),
            count(page.total, "target")
        ),
    };
    html! {
        table.targets {
            caption { (shown) }
            thead {
                tr {
                    th scope="col" { "State" }
                    th scope="col" { "Target" }
                    th scope="col" { "What is the matter" }
                    th.num scope="col" { "Data from" }
                    th.num scope="col" { "Next request" }
                    th.wide scope="col" { "Response times" }
                }
            }
            tbody { @for row in &page.targets { (target_row(row)) } }
        }
        @if page.targets.is_empty() { p.note { "No target is like that." } }
        (paging(page, query))
    }
}

fn target_row(row: &TargetRow) -> Markup {
    html! {
        tr data-key=(row.name) data-state=(row.state.name()) {
            td { (marks::state(row.state)) }
            th scope="row" {
                a href=(target_url(&row.name)) { (row.name) }
                span.labels {
                    @for (name, value) in row.labels.iter().take(LABELS) {
                        " " span.label { (name) "=" (value) }
                    }
                }
            }
            td.cause { (cause(row)) }
            td.num data-name="data from" { (ago(row.age_seconds)) }
            td.num data-name="next request" { (next(row)) }
            td.wide { (marks::response_times(&row.response_times_seconds)) }
        }
    }
}

/// Why a target is not fresh.
pub(super) fn cause(row: &TargetRow) -> Markup {
    html! {
        @match (&row.cause, row.state) {
            (_, TargetState::Fresh) => {},
            (Some(cause), _) => {
                @if row.state == TargetState::Partial { code { (cause.endpoint) } " " }
                (cause.message)
            },
            (None, state) => (state.meaning()),
        }
    }
}

/// When the target is asked next.
fn next(row: &TargetRow) -> Markup {
    html! {
        @match (row.state, row.retry_in_seconds) {
            (TargetState::Open, Some(wait)) => { "trial " (words::soon(wait)) },
            (TargetState::Probing, _) => "now",
            _ => (soon(row.next_poll_in_seconds)),
        }
    }
}

fn paging(page: &TargetPage, query: &TargetQuery) -> Markup {
    let to = |after: &str| {
        url(&TargetQuery {
            after: after.to_owned(),
            ..query.clone()
        })
    };
    html! {
        @if !query.after.is_empty() || page.next.is_some() {
            nav.paging aria-label="Pages of targets" {
                @if !query.after.is_empty() { a href=(to("")) { "First page" } }
                @if let Some(next) = &page.next { a href=(to(next)) rel="next" { "Next page" } }
            }
        }
    }
}

/// The address of this page with another query.
fn url(query: &TargetQuery) -> String {
    let mut pairs = Serializer::new(String::new());
    for state in &query.states {
        pairs.append_pair("state", state.name());
    }
    if !query.text.is_empty() {
        pairs.append_pair("q", &query.text);
    }
    for label in &query.labels {
        pairs.append_pair("label", &format!("{}={}", label.name, label.value));
    }
    if let Some(receiver) = &query.receiver {
        pairs.append_pair("receiver", receiver);
    }
    if query.sort != Sort::Worst {
        pairs.append_pair("sort", query.sort.name());
    }
    if query.limit != ROWS {
        pairs.append_pair("limit", &query.limit.to_string());
    }
    if !query.after.is_empty() {
        pairs.append_pair("after", &query.after);
    }
    match pairs.finish().as_str() {
        "" => "/".to_owned(),
        query => format!("/?{query}"),
    }
}

/// Where metrics go.
fn destinations(all: &[Destination]) -> Markup {
    html! {
        h2 { "Destinations" }
        table.destinations {
            thead {
                tr {
                    th scope="col" { "State" }
                    th scope="col" { "Exporter" }
                    th.num scope="col" { "Sent" }
                    th.num scope="col" { "Waiting" }
                    th.num scope="col" { "Lost" }
                    th scope="col" { "What is the matter" }
                }
            }
            tbody { @for it in all { (destination(it)) } }
        }
    }
}

fn destination(it: &Destination) -> Markup {
    html! {
        tr data-key=(it.component.id) data-state=(it.component.status) {
            td { (marks::component(&it.component)) }
            th scope="row" { a href="/pipelines" { (it.component.id) } }
            td.num data-name="sent" {
                @match (it.sent, it.series) {
                    (Some(sent), _) => {
                        (number(sent)) " points"
                        @if let Some(rate) = it.sent_per_second { br; span.faint { (rate) " / s" } }
                    },
                    (None, Some(series)) => { (number(series)) " series shown" },
                    (None, None) => span.faint { "–" },
                }
            }
            td.num data-name="waiting" {
                @if it.held > 0 {
                    (number(it.held)) " points"
                    @if let Some(oldest) = it.oldest_seconds { br; span.faint { "oldest " (span(oldest)) } }
                } @else { span.faint { "nothing" } }
                @if let (Some(size), Some(capacity)) = (it.queue_size, it.queue_capacity) {
                    " " (marks::fill(size, capacity))
                }
            }
            td.num data-name="lost" {
                @if it.lost() > 0 {
                    b { (number(it.lost())) }
                    @for (reason, points) in &it.dropped { br; span.faint { (reason) " " (number(*points)) } }
                } @else { span.faint { "nothing" } }
            }
            td.cause { (it.component.error.as_deref().unwrap_or_default()) }
        }
    }
}
