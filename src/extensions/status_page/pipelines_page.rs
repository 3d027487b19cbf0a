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
        words::{number, span},
    },
};

pub(super) fn page(pages: &Pages, _: &Request) -> Page {
    let graph = pages.overview.pipelines();
    let main = html! {
        h1 { "Pipelines" }
        p.note { "Points a second are the mean of the last minute that somebody looked at this." }
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
        div.node.failing[node.component.is_failing] data-key=(node.component.id) {
            (head(&node.component))
            (passing("gives", node.points_out, node.out_per_second))
            @if node.points_left_out > 0 {
                p.bad { (number(node.points_left_out)) " values could not be read" }
            }
        }
    }
}

fn processor(node: &GraphNode) -> Markup {
    html! {
        div.node.failing[node.component.is_failing] data-key=(node.component.id) {
            (head(&node.component))
            (passing("takes", node.points_in, node.in_per_second))
            (passing("passes on", node.points_out, node.out_per_second))
        }
    }
}

fn exporter(it: &Destination) -> Markup {
    html! {
        div.node.failing[it.component.is_failing] data-key=(it.component.id) {
            (head(&it.component))
            @if let Some(series) = it.series { p { "shows " (number(series)) " series" } }
            @if it.received.is_some() {
                (passing("sent", it.sent, it.sent_per_second))
                p { "holds " (number(it.held)) " points"
                    @if let Some(oldest) = it.oldest_seconds.filter(|_| it.held > 0) { ", the oldest for " (span(oldest.round())) } }
                @if let (Some(size), Some(capacity)) = (it.queue_size, it.queue_capacity) {
                    p { "queue " (marks::fill(size, capacity)) " " (number(size)) " of " (number(capacity)) }
                }
                @if it.lost() > 0 { p.bad { "lost " (number(it.lost())) " points" } }
                @if let Some(breaker) = it.breaker.as_deref().filter(|state| *state != "closed") {
                    p.bad { "breaker " (breaker.replace('_', "-")) }
                }
            }
        }
    }
}

fn passing(verb: &str, points: Option<u64>, rate: Option<f64>) -> Markup {
    html! {
        @if let Some(points) = points {
            p { (verb) " " b { (number(points)) } " points"
                @if let Some(rate) = rate { span.faint { " · " (rate) " / s" } } }
        }
    }
}
