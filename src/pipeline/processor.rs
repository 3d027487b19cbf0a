//! The contract of processors: what stands between the mapping and the instruments.
//!
//! The SDK's metrics cannot be constructed, so processors change what goes in: readings, the
//! instruments they belong to, and the Resource they are of. A processor is built once a pipeline.
//! It opens a [`Stage`] for each target and says there what the stage makes of the [`Stream`]:
//! names, units and kinds change then, once; attributes, values and what is dropped, at each poll.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry::KeyValue;

use super::{Reading, Reporter, Schema, Target};
use crate::runtime::Tasks;

/// One processor of one pipeline.
pub trait Processor: Send + Sync {
    /// Makes the stage for a target whose readings come as `stream` says, and changes `stream` to
    /// how they leave it. Targets of one definition come with one schema and should leave with one.
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage>;

    /// Learns where it says how it is, before it is started.
    fn report_to(&self, _status: Reporter) {}

    /// Starts what it does by itself, with the rest of the pipeline behind it. That may change
    /// while this goes on.
    fn start(&self, _downstream: Arc<dyn Downstream>, _tasks: &Tasks) {}

    /// The collector is about to stop: targets whose stages are dropped from now on have not ended.
    fn closing(&self) {}
}

/// What a processor does to the readings of one target.
pub trait Stage: Send {
    /// Whether the pipeline can take another poll of the target now. Asked before the target is.
    /// `is_large` says that the last answers were.
    fn admits(&mut self, _is_large: bool) -> bool {
        true
    }

    /// Takes what came and gives what goes on.
    fn process(&mut self, batch: Batch) -> Batch;
}

/// The readings of a target, before any has come.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The target.
    pub target: Arc<Target>,
    /// The instruments that the readings belong to.
    pub schema: Arc<Schema>,
    /// Who the target is; a stage may split off parts that are of another Resource.
    pub resource: ResourceAttributes,
}

/// The attributes of a Resource, sorted by key; no key twice.
pub type ResourceAttributes = Arc<[KeyValue]>;

/// Readings that were made at one moment.
#[derive(Debug)]
pub struct Batch {
    /// When that was, for all of them: when the answer was there that gave them.
    pub time: SystemTime,
    /// When the totals of an instrumentation scope began, where that is known.
    pub starts: Vec<(Arc<str>, SystemTime)>,
    /// The instrumentation scopes that were read whole: what such a scope said before and does not
    /// say now is gone.
    pub scopes: Vec<Arc<str>>,
    /// The scopes that were asked and gave nothing.
    pub lost: Vec<Arc<str>>,
    /// One a Resource.
    pub parts: Vec<Part>,
}

/// Readings of one Resource.
#[derive(Debug, Clone)]
pub struct Part {
    /// Whose they are.
    pub resource: ResourceAttributes,
    /// What was read.
    pub values: Vec<Reading>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            time: UNIX_EPOCH,
            starts: Vec::new(),
            scopes: Vec::new(),
            lost: Vec::new(),
            parts: Vec::new(),
        }
    }
}

impl Batch {
    /// The number of readings.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.values.len()).sum()
    }

    /// Whether there are no readings.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The rest of a pipeline, behind one of its processors.
pub trait Downstream: Send + Sync {
    /// Makes room for a target that the processor makes up. Dropping what is returned removes the
    /// target and all its series.
    fn open(&self, stream: Stream) -> Box<dyn BatchSink>;
}

/// What takes the readings of a target that a processor makes up.
pub trait BatchSink: Send {
    /// From now on the readings come as `stream` says, of the same target. Totals of instruments
    /// that were there before keep their start time.
    fn follow(&mut self, stream: Stream);

    /// Takes all readings of one moment to the exporters.
    fn accept(&mut self, batch: Batch);
}
