//! Single-flight: at most one poll of an endpoint at a time, whose result all waiting readers
//! share.
//!
//! The task that polls the target makes the poll. Readers only request one and wait for its end. So
//! a reader that goes away cancels nothing, and each request belongs to a poll.

use crate::pipeline::PollFailure;

/// The result of the latest poll. Its body is in the cache slot.
#[derive(Debug, Clone)]
pub enum SharedResult {
    /// A new answer.
    Fresh,
    /// The cached answer is still valid.
    NotModified,
    /// There is no answer.
    Failed(PollFailure),
}

/// The polls of one endpoint.
#[derive(Debug, Default)]
pub struct SingleFlight {
    is_wanted: bool,
    is_under_way: bool,
    /// Whether a reader may wait for the end of a poll.
    is_awaited: bool,
    /// The number of finished polls.
    ended: u64,
    latest: Option<SharedResult>,
}

impl SingleFlight {
    /// Requests a poll if none is in progress. Returns the number after which the reader waits, and
    /// whether the polling task must be notified.
    pub fn want(&mut self) -> (u64, bool) {
        let is_news = !self.is_under_way && !self.is_wanted;
        self.is_awaited = true;
        self.is_wanted |= !self.is_under_way;
        (self.ended, is_news)
    }

    /// Whether a reader requested a poll that has not started.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Records the start of a poll, whatever the reason.
    pub fn start(&mut self) {
        (self.is_wanted, self.is_under_way) = (false, true);
    }

    /// Records the end of a poll. `None` if it was dropped: then readers wait for the next one.
    /// Returns whether readers must be notified.
    pub fn finish(&mut self, result: Option<SharedResult>) -> bool {
        self.is_under_way = false;
        let is_awaited = self.is_awaited;
        if result.is_some() {
            self.ended += 1;
            self.latest = result;
            self.is_awaited = false;
        }
        is_awaited
    }

    /// The result of a poll that ended after the one with this number.
    pub fn finished_after(&self, number: u64) -> Option<&SharedResult> {
        self.latest.as_ref().filter(|_| self.ended > number)
    }
}
