//! An attempt in progress, and a finished one.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    AttemptError, AttemptRequest, AttemptResponse, EndedAttempt, PollProgress,
    admission::AttemptPermit,
};
use crate::resilience::{outcome::ResultClass, target_resilience::TargetResilience};

/// An attempt in progress.
pub(super) struct SentAttempt<'h> {
    held: AttemptPermit<'h>,
    at: Instant,
    limit: Duration,
}

/// A finished attempt with its permit, which must be settled.
pub(super) struct FinishedAttempt<'h> {
    pub(super) held: AttemptPermit<'h>,
    pub(super) ended: EndedAttempt,
    pub(super) result: Result<AttemptResponse, AttemptError>,
}

impl TargetResilience {
    /// An attempt begins, under a permit.
    pub(super) fn send<'h>(
        &'h self,
        poll: &PollProgress,
        held: AttemptPermit<'h>,
    ) -> (SentAttempt<'h>, AttemptRequest) {
        let at = held.at;
        let order = self.order(poll, &held);
        let limit = order.timeout;
        (SentAttempt { held, at, limit }, order)
    }
}

impl<'h> SentAttempt<'h> {
    /// The attempt has ended.
    pub(super) fn finish(
        self,
        poll: &mut PollProgress,
        result: Result<AttemptResponse, AttemptError>,
    ) -> FinishedAttempt<'h> {
        let instance = self.held.instance;
        let was_sent = !matches!(&result, Err(miss) if miss.class == ResultClass::NotSent);
        poll.made(instance, was_sent);
        let ended = EndedAttempt {
            poll: *poll,
            instance,
            sent: self.at,
            limit: self.limit,
            at: Instant::now(),
        };
        FinishedAttempt {
            held: self.held,
            ended,
            result,
        }
    }
}
