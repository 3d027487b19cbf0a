//! The contracts between the stages; no IO, no YAML.
//!
//! A receiver hands a [`Poll`] to a [`Consumer`]; the mapping turns it into [`Readings`]; each
//! [`Processor`] changes them; the instruments collect them; each [`Exporter`] is shown the
//! [`Snapshot`].

mod allowance;
mod component;
mod exemplar;
mod poll;
mod probe;
mod processor;
mod cached_answer;
mod reading;
mod schema;
mod reload;
mod snapshot;
mod status;
mod target;
mod target_names;

pub use allowance::{Allowance, Share};
pub use cached_answer::{CacheStatus, CachedAnswer};
pub use component::{ComponentKind, ComponentState, ComponentStatus, Components, Reporter};
pub use exemplar::Exemplar;
pub use poll::{
    Body, Document, EndpointPoll, ErrorType, LARGE_BYTES, Poll, PollFailure, PollOutcome,
};
pub use probe::{Probe, ProbeOrder, ProbeRefusal, ProbeRequest, Probed, ProbedEndpoint, Prober};
pub use processor::{
    Batch, BatchSink, Downstream, Part, Processor, ResourceAttributes, Stage, Stream,
};
pub use reading::{Number, OwnReading, Problem, ProblemReason, Reading, Readings};
pub use reload::{ReloadRequest, ReloadTrigger};
pub use schema::Schema;
pub use snapshot::{Exporter, Farewell, OtlpForm, Snapshot, Starts};
pub use status::{DiscoveryStatus, EndpointStatus, Inspect, StatusBoard, TargetStatus};
pub use target::{INSTANCE_ID, Target};
pub use target_names::{NameLease, TargetNames};

use std::sync::Arc;

use crate::definition::Definition;

/// What reads the bodies of a poll: the mapping, for those that may not know the processors.
pub type Mapping = fn(&Definition, &Poll) -> Readings;

/// What takes the polls of a receiver.
pub trait Consumer: Send + Sync {
    /// Makes room for a target; its polls go to what is returned. Dropping that removes the
    /// target and all its series.
    fn open(&self, target: &Arc<Target>) -> Box<dyn Sink>;
}

/// What takes the polls of one target, one at a time and in order.
pub trait Sink: Send {
    /// Whether it can take another poll now. Asked before the target is; if it says yes, that poll
    /// comes.
    fn admits(&mut self) -> bool {
        true
    }

    /// From now on the polls are of `target`, which has the same name: it is described otherwise.
    fn follow(&mut self, target: &Arc<Target>);

    /// Takes a poll that has ended. Never waits for the network.
    fn accept(&mut self, poll: &Poll);
}
