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
//! Above `limit − spike_limit` the processor clears the cached answers of all targets. It also
//! clears what is stale in the components after it: the values of failed endpoints on a scrape, and
//! the state of series that ended. It permits polls one by one; those with large answers come last.
//! Other polls are refused before a request is sent, and their targets are not up then. The data of
//! polls in progress is dropped. All of this is counted. It must be the first processor, so that no
//! work is wasted.
//!
//! It permits some polls, because a collector that needs more than its limit without any poll would
//! never poll again. Meanwhile the allocator returns freed memory to the system.

mod config;
#[cfg(test)]
mod tests;

pub use config::{Config, TYPE};

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use opentelemetry::{KeyValue, metrics::Counter};
use tokio::time::{Instant, sleep};

use crate::{
    instruments,
    pipeline::{Batch, Downstream, Processor, Reporter, Stage, StatusBoard, Stream},
    runtime::{Tasks, memory::give_back},
    telemetry::{Meter, names},
};

/// Reads the resident memory in bytes. `None` if it is not known.
type Resident = fn() -> Option<u64>;

/// A turn ends after this time, because its poll hangs.
const TURN_MAX: Duration = Duration::from_secs(10);

/// A target gives up at most this number of polls for others.
const GIVES_UP_MAX: u32 = 20;

/// Large polls wait this long after a small one was refused.
const SMALL_FIRST: Duration = Duration::from_secs(5);

/// How often the allocator returns freed memory while there is too little.
const GIVE_BACK_INTERVAL: Duration = Duration::from_secs(2);

/// How often cached answers and what is stale are cleared while there is too little memory.
const SHED_INTERVAL: Duration = Duration::from_secs(10);

/// The processor.
#[derive(Debug)]
struct MemoryLimiter(Arc<Limiter>);

/// The limits, and the current state.
struct Limiter {
    id: String,
    soft_bytes: u64,
    hard_bytes: u64,
    check_interval: Duration,
    resident: Resident,
    state: Mutex<LimiterState>,
    status: OnceLock<Reporter>,
    board: Arc<StatusBoard>,
    counters: LimiterCounters,
}

#[derive(Debug, Default)]
struct LimiterState {
    checked: Option<Instant>,
    level: LimiterLevel,
    /// The poll that is permitted.
    turn: Option<Turn>,
    /// The number of turns so far.
    turns: u64,
    /// The number of polls that were refused because of this turn.
    refused: u32,
    /// When a poll with small answers was last refused.
    small_refused: Option<Instant>,
    /// When cached answers and what is stale were last cleared.
    shed: Option<Instant>,
    /// When the allocator was last made to give back what was freed.
    given_back: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    number: u64,
    until: Instant,
}

/// Whether a poll is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Free,
    /// Only this poll is permitted, with this turn.
    Turn(u64),
    Refused,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum LimiterLevel {
    #[default]
    Fine,
    Soft,
    Hard,
}

struct LimiterCounters {
    accepted: Counter<u64>,
    refused: Counter<u64>,
    polls: Counter<u64>,
    shed: Counter<u64>,
    attributes: [KeyValue; 1],
}

impl LimiterCounters {
    fn new(id: &str, meter: &Meter) -> Self {
        let counters = Self {
            accepted: names::LIMITER_ACCEPTED.counter(meter),
            refused: names::LIMITER_REFUSED.counter(meter),
            polls: names::LIMITER_POLLS.counter(meter),
            shed: names::LIMITER_SHED.counter(meter),
            attributes: [KeyValue::new(names::PROCESSOR, id.to_owned())],
        };
        for counter in [&counters.accepted, &counters.refused, &counters.polls] {
            counter.add(0, &counters.attributes);
        }
        counters
    }
}

impl Limiter {
    /// Whether there is enough memory. It checks at most once per `check_interval`, and returns the
    /// last result in between.
    fn has_room(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let is_due = |checked: Instant| now - checked >= self.check_interval;
        if state.checked.is_none_or(is_due) {
            self.check(&mut state, now);
        }
        state.level == LimiterLevel::Fine
    }

    fn check(&self, state: &mut LimiterState, now: Instant) {
        state.checked = Some(now);
        let Some(resident_bytes) = (self.resident)() else {
            return;
        };
        let level = self.level(resident_bytes);
        if level != state.level {
            self.log(level, resident_bytes);
            self.report(level);
        }
        state.level = level;
        if level == LimiterLevel::Fine {
            (state.turn, state.small_refused) = (None, None);
        }
    }

    /// Checks the memory, and clears what is not needed if there is too little.
    fn look(&self, downstream: &dyn Downstream) {
        let (is_shed_due, is_return_due) = {
            let now = Instant::now();
            let mut state = self.lock();
            self.check(&mut state, now);
            let is_short = state.level != LimiterLevel::Fine;
            (
                is_short && is_due(&mut state.shed, now, SHED_INTERVAL),
                is_short && is_due(&mut state.given_back, now, GIVE_BACK_INTERVAL),
            )
        };
        if is_shed_due {
            self.shed(downstream);
        }
        if is_return_due && let Err(error) = give_back() {
            tracing::debug!(%error, "freed memory stays with the allocator for now");
        }
    }

    /// Has kept answers forgotten, and what is stale behind it. What targets remember they forget
    /// themselves, with their next poll.
    fn shed(&self, downstream: &dyn Downstream) {
        let kept_answers = self.board.shed();
        let shed = downstream.shed();
        for (reason, items) in [
            ("kept_answer", kept_answers),
            ("stale_series", shed.stale_series),
            ("gone_series", shed.gone_series),
        ] {
            let attributes = [KeyValue::new(names::REASON, reason)];
            self.counters.shed.add(items, &attributes);
        }
    }

    fn is_short(&self) -> bool {
        self.lock().level != LimiterLevel::Fine
    }

    /// Whether a poll is permitted. `is_large` says that the last answers of its target were large.
    fn admit(&self, is_large: bool) -> Admission {
        if self.has_room() {
            return Admission::Free;
        }
        let now = Instant::now();
        let mut state = self.lock();
        let is_taken = state.turn.is_some_and(|turn| now < turn.until);
        let is_recent = |refused: Instant| now - refused < SMALL_FIRST;
        let waits = is_large && state.small_refused.is_some_and(is_recent);
        if is_taken || waits {
            if !is_large {
                state.small_refused = Some(now);
            }
            state.refused = state.refused.saturating_add(u32::from(is_taken));
            return Admission::Refused;
        }
        state.turns += 1;
        state.refused = 0;
        let turn = Turn {
            number: state.turns,
            until: now + TURN_MAX,
        };
        state.turn = Some(turn);
        Admission::Turn(turn.number)
    }

    /// The poll of a turn has ended. Gives the number of polls that were refused meanwhile.
    fn end(&self, turn: u64) -> u32 {
        let mut state = self.lock();
        if state.turn.is_none_or(|current| current.number != turn) {
            return 0;
        }
        state.turn = None;
        state.refused
    }

    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        // The state is consistent at every moment, so a panic elsewhere does no damage.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, level: LimiterLevel) {
        let Some(status) = self.status.get() else {
            return;
        };
        match level {
            LimiterLevel::Fine => status.ok(),
            LimiterLevel::Soft => status.recoverable_error(
                "memory is above the soft limit: polls are permitted one by one",
            ),
            LimiterLevel::Hard => status.recoverable_error(
                "memory is above the hard limit: polls are permitted one by one",
            ),
        }
    }

    fn level(&self, resident_bytes: u64) -> LimiterLevel {
        match resident_bytes {
            bytes if bytes >= self.hard_bytes => LimiterLevel::Hard,
            bytes if bytes >= self.soft_bytes => LimiterLevel::Soft,
            _ => LimiterLevel::Fine,
        }
    }

    fn log(&self, level: LimiterLevel, resident_bytes: u64) {
        let (processor, soft_bytes, hard_bytes) = (&self.id, self.soft_bytes, self.hard_bytes);
        match level {
            LimiterLevel::Fine => tracing::info!(
                processor,
                resident_bytes,
                soft_bytes,
                "memory is below the soft limit again: polls continue normally"
            ),
            LimiterLevel::Soft => tracing::warn!(
                processor,
                resident_bytes,
                soft_bytes,
                "memory is above the soft limit: polls are permitted one by one"
            ),
            LimiterLevel::Hard => tracing::error!(
                processor,
                resident_bytes,
                hard_bytes,
                "memory is above the hard limit: polls are permitted one by one"
            ),
        }
    }
}

/// Whether something is to be done again, which is noted.
fn is_due(last: &mut Option<Instant>, now: Instant, pause: Duration) -> bool {
    let is_due = last.is_none_or(|last| now - last >= pause);
    if is_due {
        *last = Some(now);
    }
    is_due
}

impl Processor for MemoryLimiter {
    fn open(&self, _stream: &mut Stream) -> Box<dyn Stage> {
        Box::new(LimiterStage {
            limiter: Arc::clone(&self.0),
            turn: None,
            gives_up: 0,
        })
    }

    fn report_to(&self, status: Reporter) {
        // A processor is started once.
        drop(self.0.status.set(status));
    }

    fn start(&self, downstream: Arc<dyn Downstream>, tasks: &Tasks) {
        let (limiter, stop) = (Arc::clone(&self.0), tasks.stopping());
        tasks.spawn_supervised("memory_limiter", move || {
            let (limiter, stop) = (Arc::clone(&limiter), stop.clone());
            let downstream = Arc::clone(&downstream);
            async move {
                let pause = || stop.run_until_cancelled(sleep(limiter.check_interval));
                while pause().await.is_some() {
                    limiter.look(&*downstream);
                }
            }
        });
    }
}

/// Passes the readings of one target, or drops them.
struct LimiterStage {
    limiter: Arc<Limiter>,
    /// The turn of the current poll.
    turn: Option<u64>,
    /// The number of polls that it gives up for others: targets that are polled at the same moment
    /// always ask in the same order, and without this the first one would have every turn.
    gives_up: u32,
}

impl LimiterStage {
    fn end_turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.gives_up = self.limiter.end(turn).min(GIVES_UP_MAX);
        }
    }

    fn ask(&mut self, is_large: bool) -> Admission {
        match self.gives_up.checked_sub(1) {
            Some(others) if !self.limiter.has_room() => {
                self.gives_up = others;
                Admission::Refused
            }
            _ => {
                self.gives_up = 0;
                self.limiter.admit(is_large)
            }
        }
    }
}

impl Stage for LimiterStage {
    fn admits(&mut self, is_large: bool) -> bool {
        self.end_turn();
        match self.ask(is_large) {
            Admission::Free => true,
            Admission::Turn(turn) => {
                self.turn = Some(turn);
                true
            }
            Admission::Refused => {
                let counters = &self.limiter.counters;
                counters.polls.add(1, &counters.attributes);
                false
            }
        }
    }

    fn is_short_of_memory(&self) -> bool {
        self.limiter.is_short()
    }

    fn process(&mut self, batch: Batch) -> Batch {
        if batch
            .scopes
            .iter()
            .any(|scope| **scope == *instruments::SCOPE)
        {
            // Report metrics come last and always pass: one of them says that the target is not up.
            self.end_turn();
            return batch;
        }
        let counters = &self.limiter.counters;
        let (count, attributes) = (batch.len() as u64, &counters.attributes);
        if self.turn.is_some() || self.limiter.has_room() {
            counters.accepted.add(count, attributes);
            return batch;
        }
        counters.refused.add(count, attributes);
        let Batch { scopes, lost, .. } = batch;
        Batch {
            lost: scopes.into_iter().chain(lost).collect(),
            ..Batch::default()
        }
    }
}

impl Drop for LimiterStage {
    fn drop(&mut self) {
        self.end_turn();
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
