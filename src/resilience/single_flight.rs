//! One poll of an endpoint at a time, which everybody follows who wants its answer.
//!
//! The task that polls the target flies; readers only ask for a flight and wait for its end. So a
//! reader that goes away cancels nothing, and each request belongs to a poll.

use crate::pipeline::PollFailure;

/// What the latest poll came to; its body is in the slot.
#[derive(Debug, Clone)]
pub enum SharedResult {
    /// A new answer.
    Fresh,
    /// The kept one still holds.
    NotModified,
    /// None.
    Failed(PollFailure),
}

/// The flights of one endpoint.
#[derive(Debug, Default)]
pub struct SingleFlight {
    is_wanted: bool,
    is_under_way: bool,
    /// How many have ended.
    landings: u64,
    latest: Option<SharedResult>,
}

impl SingleFlight {
    /// Asks for a flight if none is under way; gives the number to wait beyond, and whether the
    /// one who polls must be told.
    pub fn want(&mut self) -> (u64, bool) {
        let is_news = !self.is_under_way && !self.is_wanted;
        self.is_wanted |= !self.is_under_way;
        (self.landings, is_news)
    }

    /// Whether somebody asked for a flight that has not begun.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// A poll begins, for whatever reason.
    pub fn start(&mut self) {
        (self.is_wanted, self.is_under_way) = (false, true);
    }

    /// It ended; none if it was dropped.
    pub fn finish(&mut self, landing: Option<SharedResult>) {
        self.is_under_way = false;
        if landing.is_some() {
            self.landings += 1;
            self.latest = landing;
        }
    }

    /// What a flight came to that ended after the one with this number.
    pub fn finished_after(&self, number: u64) -> Option<&SharedResult> {
        self.latest.as_ref().filter(|_| self.landings > number)
    }
}
