//! `memory_limiter`: takes no more when the collector has too much memory, before the kernel
//! kills it.
//!
//! ```yaml
//! processors:
//!   memory_limiter:
//!     check_interval: 1s
//!     limit_mib: 600
//!     spike_limit_mib: 120
//! ```
//!
//! Over `limit − spike_limit` polls are refused before the target is asked, and what a poll under
//! way brings is dropped and counted. It stands first, so that nothing is worked on in vain.

mod config;
#[cfg(test)]
mod tests;

pub use config::Config;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::{KeyValue, metrics::Counter};
use tokio::time::Instant;

use crate::{
    pipeline::{Batch, Processor, Stage, Stream},
    telemetry::{Meter, names},
};

/// Reads the resident memory in bytes; none if it is not known.
type Resident = fn() -> Option<u64>;

/// The processor.
#[derive(Debug)]
struct MemoryLimiter(Arc<Limiter>);

/// Where the bounds are, and on which side of them we were last.
struct Limiter {
    id: String,
    soft_bytes: u64,
    hard_bytes: u64,
    check_interval: Duration,
    resident: Resident,
    state: Mutex<State>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct State {
    checked: Option<Instant>,
    level: Level,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Level {
    #[default]
    Fine,
    Soft,
    Hard,
}

struct Counters {
    accepted: Counter<u64>,
    refused: Counter<u64>,
    polls: Counter<u64>,
    attributes: [KeyValue; 1],
}

impl Counters {
    fn new(id: &str, meter: &Meter) -> Self {
        let counters = Self {
            accepted: names::LIMITER_ACCEPTED.counter(meter),
            refused: names::LIMITER_REFUSED.counter(meter),
            polls: names::LIMITER_POLLS.counter(meter),
            attributes: [KeyValue::new(names::PROCESSOR, id.to_owned())],
        };
        for counter in [&counters.accepted, &counters.refused, &counters.polls] {
            counter.add(0, &counters.attributes);
        }
        counters
    }
}

impl Limiter {
    /// Whether there is room. Looks at most once in `check_interval`; in between, what it saw last
    /// holds.
    fn has_room(&self) -> bool {
        let now = Instant::now();
        // The state is whole at every moment, so a panic elsewhere does not spoil it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |checked: Instant| now - checked >= self.check_interval;
        if state.checked.is_none_or(is_due) {
            state.checked = Some(now);
            if let Some(resident_bytes) = (self.resident)() {
                let level = self.level(resident_bytes);
                if level != state.level {
                    self.log(level, resident_bytes);
                }
                state.level = level;
            }
        }
        state.level == Level::Fine
    }

    fn level(&self, resident_bytes: u64) -> Level {
        match resident_bytes {
            bytes if bytes >= self.hard_bytes => Level::Hard,
            bytes if bytes >= self.soft_bytes => Level::Soft,
            _ => Level::Fine,
        }
    }

    fn log(&self, level: Level, resident_bytes: u64) {
        let (processor, soft_bytes, hard_bytes) = (&self.id, self.soft_bytes, self.hard_bytes);
        match level {
            Level::Fine => tracing::info!(
                processor,
                resident_bytes,
                soft_bytes,
                "memory is below the soft limit again: polling goes on"
            ),
            Level::Soft => tracing::warn!(
                processor,
                resident_bytes,
                soft_bytes,
                "memory is above the soft limit: polls are refused"
            ),
            Level::Hard => tracing::error!(
                processor,
                resident_bytes,
                hard_bytes,
                "memory is above the hard limit: polls are refused"
            ),
        }
    }
}

impl Processor for MemoryLimiter {
    fn open(&self, _stream: &mut Stream) -> Box<dyn Stage> {
        Box::new(Gate(Arc::clone(&self.0)))
    }

    fn admits(&self) -> bool {
        let has_room = self.0.has_room();
        if !has_room {
            let counters = &self.0.counters;
            counters.polls.add(1, &counters.attributes);
        }
        has_room
    }
}

/// Lets the readings of one target pass, or not.
struct Gate(Arc<Limiter>);

impl Stage for Gate {
    fn process(&mut self, batch: Batch) -> Batch {
        let counters = &self.0.counters;
        let (count, attributes) = (batch.len() as u64, &counters.attributes);
        if self.0.has_room() {
            counters.accepted.add(count, attributes);
            batch
        } else {
            counters.refused.add(count, attributes);
            Batch::default()
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
