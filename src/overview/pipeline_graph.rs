//! The components as a graph, with what passes.

use serde::{Deserialize, Serialize};

use super::{ComponentRow, Destination, Flow, PipelineShape, destination::whole};
use crate::telemetry::{
    OwnFigures,
    names::{self, PROCESSOR, RECEIVER},
};

/// The components of all pipelines, and how they are connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineGraph {
    /// Which components each pipeline has.
    pub pipelines: Vec<PipelineShape>,
    /// The receivers.
    pub receivers: Vec<GraphNode>,
    /// The processors.
    pub processors: Vec<GraphNode>,
    /// The exporters.
    pub exporters: Vec<Destination>,
}

/// A receiver or a processor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    /// How it is.
    #[serde(flatten)]
    pub component: ComponentRow,
    /// Data points that came in; for a receiver those that polls gave.
    pub points_in: Option<u64>,
    /// The same each second, of late.
    pub in_per_second: Option<f64>,
    /// Data points that it passed on.
    pub points_out: Option<u64>,
    /// The same each second, of late.
    pub out_per_second: Option<f64>,
    /// For a receiver, data points that could not be read from a body; for a processor, those that
    /// it did not pass on.
    pub points_left_out: u64,
}

impl GraphNode {
    pub(super) fn receiver(component: ComponentRow, figures: &OwnFigures, flow: &Flow) -> Self {
        let id = component.id.clone();
        let points = figures
            .sum(&names::SCRAPED_POINTS, RECEIVER, &id)
            .map(whole);
        let rate = flow.per_second(&names::SCRAPED_POINTS, RECEIVER, &id);
        let errored = figures.sum(&names::ERRORED_POINTS, RECEIVER, &id);
        Self {
            component,
            points_in: points,
            in_per_second: rate,
            points_out: points,
            out_per_second: rate,
            points_left_out: errored.map_or(0, whole),
        }
    }

    pub(super) fn processor(component: ComponentRow, figures: &OwnFigures, flow: &Flow) -> Self {
        let id = component.id.clone();
        let points = |metric| figures.sum(metric, PROCESSOR, &id).map(whole);
        let rate = |metric| flow.per_second(metric, PROCESSOR, &id);
        let (came, went) = (
            points(&names::INCOMING_ITEMS),
            points(&names::OUTGOING_ITEMS),
        );
        Self {
            component,
            points_in: came,
            in_per_second: rate(&names::INCOMING_ITEMS),
            points_out: went,
            out_per_second: rate(&names::OUTGOING_ITEMS),
            points_left_out: came.unwrap_or(0).saturating_sub(went.unwrap_or(0)),
        }
    }
}
