//! The components as a graph, with what passes.

use maud::{Markup, html};

use super::{
    Page, Pages,
    layout::{self, Place},
    marks,
};
use crate::{
    http::Request,
    overview::{
        ComponentRow, Destination, GraphNode, PipelineGraph, PipelineShape,
        words::{decimal, number, span},
    },
};

pub(super) fn page(pages: &Pages, _: &Request) -> Page {
    let graph = pages.overview.pipelines();
    let main = html! {
        h1 { "Pipelines" }
        p.note { "On the arrows: points a second, as the mean of the last minute while somebody looks, and what does not pass. A component of several pipelines counts for all of them." }
        @for pipeline in &graph.pipelines { (flow(pipeline, &graph)) }
    };
    Page::ok(layout::page(Place::Pipelines, "Pipelines", &main))
}

/// One pipeline, from left to right.
fn flow(pipeline: &PipelineShape, graph: &PipelineGraph) -> Markup {
    let node =
        |nodes: &[GraphNode], id: &String| nodes.iter().find(|it| it.component.id == *id).cloned();
    html! {
        section.pipeline aria-label=(format!("Pipeline {}", pipeline.id)) {
            h2 { (pipeline.id) }
            ol.flow {
                li.stage {
                    @for id in &pipeline.receivers {
                        @if let Some(node) = node(&graph.receivers, id) { (receiver(&node)) }
                    }
                }
                @for id in &pipeline.processors {
                    @if let Some(node) = node(&graph.processors, id) { li.stage { (processor(&node)) } }
                }
                li.stage {
                    @for id in &pipeline.exporters {
                        @for it in graph.exporters.iter().filter(|it| it.component.id == *id) { (exporter(it)) }
                    }
                }
            }
        }
    }
}

fn head(component: &ComponentRow) -> Markup {
    html! {
        p.kind { (component.kind) }
        h3 { (component.id) }
        p { (marks::component(component)) }
        @if let Some(error) = &component.error { p.cause { (error) } }
    }
}

fn receiver(node: &GraphNode) -> Markup {
    html! {
        div.lane data-key=(node.component.id) {
            div.node.failing[node.component.is_failing] { (head(&node.component)) }
            (arrow(&Passing {
                points: node.points_out,
                per_second: node.out_per_second,
                lost: (node.points_left_out > 0)
                    .then(|| format!("{} unreadable", number(node.points_left_out))),
                is_bad: true,
            }))
        }
    }
}

/// What a processor does not pass on is what it is there for, so it is no alarm.
fn processor(node: &GraphNode) -> Markup {
    html! {
        div.lane data-key=(node.component.id) {
            div.node.failing[node.component.is_failing] { (head(&node.component)) }
            (arrow(&Passing {
                points: node.points_out,
                per_second: node.out_per_second,
                lost: (node.points_left_out > 0)
                    .then(|| format!("{} left out", number(node.points_left_out))),
                is_bad: false,
            }))
        }
    }
}

fn exporter(it: &Destination) -> Markup {
    html! {
        div.lane data-key=(it.component.id) {
            div.node.failing[it.component.is_failing] {
                (head(&it.component))
                @if let Some(series) = it.series { p { "shows " (number(series)) " series" } }
                @if it.received.is_some() {
                    p { "holds " (number(it.held)) " points"
                        @if let Some(oldest) = it.oldest_seconds.filter(|_| it.held > 0) { ", the oldest for " (span(oldest.round())) } }
                    @if let (Some(size), Some(capacity)) = (it.queue_size, it.queue_capacity) {
                        p { "queue " (marks::fill(size, capacity)) " " (number(size)) " of " (number(capacity)) }
                    }
                    @if let Some(breaker) = it.breaker.as_deref().filter(|state| *state != "closed") {
                        p.bad { "breaker " (breaker.replace('_', "-")) }
                    }
                }
            }
            @if it.received.is_some() {
                (arrow(&Passing {
                    points: it.sent,
                    per_second: it.sent_per_second,
                    lost: (it.lost() > 0).then(|| lost(it)),
                    is_bad: true,
                }))
            }
        }
    }
}

/// How many points are lost, and why.
fn lost(it: &Destination) -> String {
    let rejected = (it.rejected > 0).then(|| format!("rejected {}", number(it.rejected)));
    let dropped = it.dropped.iter();
    let dropped = dropped.map(|(reason, points)| format!("{reason} {}", number(*points)));
    let reasons: Vec<_> = rejected.into_iter().chain(dropped).collect();
    format!("{} lost: {}", number(it.lost()), reasons.join(", "))
}

/// What passes along an arrow.
struct Passing {
    points: Option<u64>,
    per_second: Option<f64>,
    /// What does not pass.
    lost: Option<String>,
    /// Whether that is an alarm.
    is_bad: bool,
}

/// An arrow to what comes next. The number of all points is said on hover.
fn arrow(passing: &Passing) -> Markup {
    let total = passing
        .points
        .map(|points| format!("{} points since the start", number(points)));
    html! {
        div.arrow title=[total] {
            @match (passing.per_second, passing.points) {
                (Some(rate), _) => b { (decimal(rate)) " / s" },
                (None, Some(points)) => { (number(points)) " points" },
                (None, None) => span.faint { "nothing yet" },
            }
            @if let Some(lost) = &passing.lost {
                span.lost.bad[passing.is_bad] { (lost) }
            }
        }
    }
}
