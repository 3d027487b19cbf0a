//! What a run may take.

use std::cell::Cell;

use serde_json::Value;

/// What every run may allocate, in bytes; also on a small document.
const BYTES_MIN: u64 = 16 * 1024 * 1024;

/// How many bytes more for each value of the document.
const BYTES_PER_VALUE: u64 = 2048;

/// What every run may allocate at most.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What a step counts for, in bytes: each may leave an item in an array. A run takes a step in some
/// tens of nanoseconds, so this bounds its time as well.
const STEP_BYTES: u64 = 16;

/// How deep arrays and objects may stand in one another.
pub(super) const DEPTH_MAX: usize = 256;

/// Why a run was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Runaway {
    /// It went on and on.
    #[error(
        "the program runs away: it takes more steps and memory than a document of this size is worth"
    )]
    Work,
    /// It called itself too often.
    #[error("the program runs away: it calls itself too deeply")]
    Stack,
    /// What it makes has no end in depth.
    #[error(
        "the program runs away: arrays and objects stand more than {DEPTH_MAX} deep in one another"
    )]
    Depth,
    /// A text or a number without end.
    #[error("the program runs away: a text or a number has no end")]
    Size,
    /// Its output has no end.
    #[error("the program runs away: its output would take more than {limit_bytes} bytes of memory")]
    Output {
        /// What it may take.
        limit_bytes: u64,
    },
    /// It took too long.
    #[error("the program runs away: it takes more than {seconds} s")]
    Time {
        /// What it may take.
        seconds: u64,
    },
    /// It took too long before.
    #[error("the program ran away before, and still runs")]
    StillRuns,
}

/// What is left of it.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: Cell<u64>,
    /// Where the stack of the run begins, and how far it may grow.
    stack: usize,
    stack_bytes: usize,
    stopped: Cell<Option<Runaway>>,
}

impl Budget {
    /// What a run on this document may allocate, in bytes.
    pub(super) fn bytes_for(document: &Value) -> u64 {
        let values = values(document).saturating_mul(BYTES_PER_VALUE);
        BYTES_MIN.saturating_add(values).min(BYTES_MAX)
    }

    /// For a run on this thread that may allocate so many bytes.
    pub(super) fn new(bytes: u64, stack_bytes: usize) -> Self {
        Self {
            bytes: Cell::new(bytes),
            stack: here(),
            stack_bytes,
            stopped: Cell::new(None),
        }
    }

    /// Takes a step.
    pub(super) fn step(&self) -> Result<(), Runaway> {
        if here().abs_diff(self.stack) > self.stack_bytes {
            return self.stop(Runaway::Stack);
        }
        self.take(STEP_BYTES)
    }

    /// Takes so many bytes.
    pub(super) fn take(&self, bytes: u64) -> Result<(), Runaway> {
        self.check()?;
        match self.bytes.get().checked_sub(bytes) {
            Some(left) => {
                self.bytes.set(left);
                Ok(())
            }
            None => self.stop(Runaway::Work),
        }
    }

    /// It was stopped, once and for all: what a program catches does not let it go on.
    pub(super) fn stop(&self, why: Runaway) -> Result<(), Runaway> {
        self.stopped.set(Some(self.stopped.get().unwrap_or(why)));
        self.check()
    }

    pub(super) fn check(&self) -> Result<(), Runaway> {
        self.stopped.get().map_or(Ok(()), Err)
    }
}

/// About where the stack is now.
fn here() -> usize {
    let marker = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&marker)).addr()
}

fn values(document: &Value) -> u64 {
    match document {
        Value::Array(items) => items.iter().map(values).sum::<u64>() + 1,
        Value::Object(members) => members.values().map(values).sum::<u64>() + 1,
        _ => 1,
    }
}
