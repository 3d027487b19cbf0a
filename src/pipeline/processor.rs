//! The contract of processors, which work between the mapping and the instruments.
//!
//! The SDK's metrics cannot be constructed, so processors change their inputs: readings, their
//! instruments, and their Resource. A processor is built once for each pipeline. It opens a
//! [`Stage`] for each target, and declares there how the stage changes the [`Stream`]: names, units
//! and kinds change once at this time; attributes, values and dropped readings at each poll.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry::KeyValue;

use super::{Reading, Reporter, Schema, Target};
use crate::runtime::Tasks;

/// One processor of one pipeline.
pub trait Processor: Send + Sync {
    /// Creates the stage for a target with the readings of `stream`, and changes `stream` to the
    /// output of the stage. Targets of one definition have the same schema, and should have the
    /// same one after the stage.
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage>;

    /// Gives the processor the reporter of its status, before it is started.
    fn report_to(&self, _status: Reporter) {}

    /// Starts background work, with the rest of the pipeline as `downstream`. That may change
    /// later.
    fn start(&self, _downstream: Arc<dyn Downstream>, _tasks: &Tasks) {}

    /// There is too little memory: forgets what it remembers of series that are gone. Says how many
    /// they were.
    fn shed(&self) -> u64 {
        0
    }

    /// Called before shutdown: a stage that is dropped after this is not a target that disappeared.
    fn closing(&self) {}
}

/// Changes the readings of one target.
pub trait Stage: Send {
    /// Whether the pipeline can take another poll of the target now. It is called before the target
    /// is polled. `is_large` says that the last answers were large.
    fn admits(&mut self, _is_large: bool) -> bool {
        true
    }

    /// Whether there is too little memory. What is remembered of series of the target that are gone
    /// is forgotten then.
    fn is_short_of_memory(&self) -> bool {
        false
    }

    /// Takes a batch and returns what passes on.
    fn process(&mut self, batch: Batch) -> Batch;
}

/// The description of the readings of a target.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The target.
    pub target: Arc<Target>,
    /// The instruments of the readings.
    pub schema: Arc<Schema>,
    /// The Resource of the target. A stage may split off parts with another Resource.
    pub resource: ResourceAttributes,
}

/// The attributes of a Resource, sorted by key. No key is there twice.
pub type ResourceAttributes = Arc<[KeyValue]>;

/// Readings of one moment.
#[derive(Debug)]
pub struct Batch {
    /// The time of all readings: when the answer with them arrived.
    pub time: SystemTime,
    /// The start time of the totals of each instrumentation scope, if it is known.
    pub starts: Vec<(Arc<str>, SystemTime)>,
    /// The instrumentation scopes that are complete: a series of such a scope that is missing has
    /// disappeared.
    pub scopes: Vec<Arc<str>>,
    /// The scopes that were polled and gave no data.
    pub lost: Vec<Arc<str>>,
    /// One part for each Resource.
    pub parts: Vec<Part>,
}

/// Readings with one Resource.
#[derive(Debug, Clone)]
pub struct Part {
    /// The Resource of the readings.
    pub resource: ResourceAttributes,
    /// The readings.
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

/// The rest of a pipeline, after one of its processors.
pub trait Downstream: Send + Sync {
    /// Adds a synthetic target, which a processor creates. Dropping the result removes the target
    /// and all its series.
    fn open(&self, stream: Stream) -> Box<dyn BatchSink>;

    /// There is too little memory: all that stands behind the processor forgets what is stale.
    fn shed(&self) -> Shed;
}

/// How much was forgotten because there was too little memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shed {
    /// Series that exporters went on to show although their endpoint had failed.
    pub stale_series: u64,
    /// Series that are gone, of which processors knew the last value.
    pub gone_series: u64,
}

/// Takes the readings of a synthetic target.
pub trait BatchSink: Send {
    /// Changes the description of the readings of the same target. Totals of instruments that
    /// existed before keep their start time.
    fn follow(&mut self, stream: Stream);

    /// Passes all readings of one moment to the exporters.
    fn accept(&mut self, batch: Batch);
}
