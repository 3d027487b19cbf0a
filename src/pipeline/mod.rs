//! The contracts between the stages of a pipeline; no IO, no YAML.
//!
//! A receiver hands a [`Poll`] to a [`Consumer`]. The mapping turns it into [`Readings`]. Each
//! [`Processor`] changes them. The instruments collect them. Each [`Exporter`] gets the
//! [`Snapshot`].

mod allowance;
mod body;
mod component;
mod counts;
mod discovered_address;
mod document;
mod exemplar;
mod glance;
mod otlp_message;
mod part_readings;
mod poll;
mod probe;
mod processor;
mod cached_answer;
mod reading;
mod schema;
mod reload;
mod snapshot;
mod state_store;
mod status;
mod target;
mod target_names;
mod watched_totals;

pub use allowance::{Allowance, Share};
pub use body::{Body, BodyPart, BodyReader, Derived, LARGE_BYTES};
pub use cached_answer::{CacheStatus, CachedAnswer};
pub use component::{ComponentKind, ComponentState, ComponentStatus, Components, Reporter};
pub use counts::Counts;
pub use discovered_address::{AddressFilter, AddressList, DiscoveredAddress, Window};
pub use document::Document;
pub use exemplar::Exemplar;
pub use glance::{BreakerGlance, Glance};
pub use otlp_message::{OtlpMessage, points};
pub use part_readings::{PartReadings, RuleReadings};
pub use poll::{EndpointPoll, ErrorType, MadeRequest, Poll, PollFailure, PollOutcome};
pub use probe::{Probe, ProbeOrder, ProbeRefusal, ProbeRequest, Probed, ProbedEndpoint, Prober};
pub use processor::{
    Batch, BatchSink, Downstream, Part, Processor, ResourceAttributes, Shed, Stage, Stream,
};
pub use reading::{
    HistogramValue, Number, OwnReading, Problem, ProblemReason, ProcessStart, Reading, Readings,
};
pub use reload::{ReloadRequest, ReloadTrigger};
pub use schema::Schema;
pub use snapshot::{CountedHistogram, EndOfSeries, Exporter, OtlpForm, Snapshot, Starts};
pub use state_store::StateStore;
pub use status::{DiscoveryStatus, EndpointStatus, Inspect, StatusBoard, TargetStatus};
pub use target::{INSTANCE_ID, Target};
pub use target_names::{NameLease, TargetNames};
pub use watched_totals::{Total, TotalKey, TotalStart, Totals, WatchedTotals};

use std::sync::Arc;

use crate::definition::Definition;

/// Maps the bodies of a poll to readings, for code that must not import the processors.
pub type Mapping = fn(&Definition, &mut Poll) -> Readings;

/// Maps the documents of one endpoint, which is given by its index.
#[derive(Debug, Clone, Copy)]
pub struct DocumentMapping {
    /// Maps the only document of a body.
    pub whole: fn(&Definition, usize, &Document<'_>) -> Readings,
    /// Maps one of several documents.
    pub part: fn(&Definition, usize, &Document<'_>) -> PartReadings,
    /// Joins what several documents gave, in their order.
    pub join: fn(&Definition, usize, Vec<PartReadings>) -> Readings,
}

/// Takes the polls of a receiver.
pub trait Consumer: Send + Sync {
    /// Adds a target. Its polls go to the returned sink. Dropping the sink removes the target and
    /// all its series.
    fn open(&self, target: &Arc<Target>) -> Box<dyn Sink>;
}

/// Takes the polls of one target, one at a time and in order.
pub trait Sink: Send {
    /// Whether it can take another poll now. It is called before the target is polled. After
    /// `true`, that poll comes.
    fn admits(&mut self) -> bool {
        true
    }

    /// Replaces the target by one of the same name and with another description.
    fn follow(&mut self, target: &Arc<Target>);

    /// Takes a finished poll. Never waits for the network.
    fn accept(&mut self, poll: Poll);
}
