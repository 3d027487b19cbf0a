//! What an operator wants to know of the fleet, as plain data: the API, the status page and `top`
//! show the same.
//!
//! Nothing here is kept for its own sake. A look at the fleet reads what the collector knows anyway
//! (the status board, breakers, response times, the accounts of exporters), and those who look at
//! about the same time share one look.

mod address_query;
mod advice;
mod component_row;
mod config_summary;
mod decision_row;
mod destination;
mod event;
mod fleet_snapshot;
mod fleet_summary;
mod flow;
mod headline;
mod look;
mod natural_order;
mod overview_context;
mod pipeline_graph;
mod target_detail;
mod target_query;
mod target_row;
mod target_state;
pub mod words;

pub use self::{
    address_query::{AddressPage, AddressQuery, AddressQueryError, AddressRow},
    advice::advice,
    component_row::ComponentRow,
    config_summary::{ConfigLine, ConfigNote, ConfigSummary, PipelineShape},
    decision_row::{DecisionRow, Tone},
    destination::Destination,
    event::{Change, ChangeEvent, changes},
    fleet_snapshot::{FleetSnapshot, TargetGlance},
    fleet_summary::{FleetSummary, ReceiverSummary},
    flow::Flow,
    look::Overview,
    overview_context::OverviewContext,
    pipeline_graph::{GraphNode, PipelineGraph},
    target_detail::{
        EndpointDetail, MetricDetail, Problem, TargetDetail, ValueDetail, metrics, poll_of,
        problems,
    },
    target_query::{Label, QueryError, Sort, TargetPage, TargetQuery},
    target_row::{Failure, TargetRow},
    target_state::TargetState,
};
