//! The contracts between the stages; no IO, no YAML.
//!
//! A receiver hands a [`Poll`] to a [`Consumer`]; the processors turn it into [`Readings`]; the
//! instruments collect them; each [`Exporter`] is shown the [`Snapshot`].

mod poll;
mod reading;
mod snapshot;
mod status;
mod target;
mod target_names;

pub use poll::{Body, EndpointPoll, ErrorType, Failure, Outcome, Poll};
pub use reading::{Number, OwnReading, Problem, Reading, Readings, Reason};
pub use snapshot::{Exporter, Snapshot};
pub use status::{EndpointStatus, Inspect, StatusBoard, TargetStatus};
pub use target::Target;
pub use target_names::{TakenName, TargetNames};

use std::sync::Arc;

/// What takes the polls of a receiver.
pub trait Consumer: Send + Sync {
    /// Makes room for a target; its polls go to what is returned. Dropping that removes the
    /// target and all its series.
    fn open(&self, target: &Arc<Target>) -> Box<dyn Sink>;
}

/// What takes the polls of one target, one at a time and in order.
pub trait Sink: Send {
    /// Takes a poll that has ended. Never waits for the network.
    fn accept(&mut self, poll: &Poll);
}
