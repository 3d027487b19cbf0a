//! Hedging: a second attempt after a slow first one. If an instance takes longer than nearly all of
//! its answers did, another instance gets a request as well, and the first good answer counts.
//!
//! The slower attempt is cancelled and not reported to its breaker. Only the balancer and the
//! timeout learn that it took longer than this. Otherwise a slow instance would look as fast as its
//! answers that were waited for, and would be hedged sooner and sooner.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    AttemptError, AttemptRequest, AttemptResponse, EndedAttempt, PollProgress, PollRun,
    admission::AttemptPermit,
};
use crate::resilience::{
    balancer::{AttemptResult, Hedged, SelectionReason},
    instances::Instances,
    outcome::ResultClass,
    recorder::DecisionEvent,
    retry::least,
    target_resilience::TargetResilience,
};

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

/// One of two attempts in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Racer {
    /// The attempt that was slow.
    First,
    /// The one that was made beside it.
    Hedge,
}

impl PollRun<'_> {
    /// After which time without an answer another instance is asked as well; none if that is not to
    /// be done.
    pub fn hedge_after(&self) -> Option<Duration> {
        let settings = &self.host.settings;
        let quantile = settings.hedge?;
        let (poll, held) = (&self.progress, &self.sent.as_ref()?.held);
        if !self.host.is_pool() || held.is_probe() || !poll.tried.is_empty() {
            return None;
        }
        let state = self.host.lock();
        let endpoint = state.endpoints.get(poll.endpoint)?;
        let delay = endpoint.timeouts.at(held.instance).usual(quantile)?;
        let enough = delay + least(None, settings.deadline);
        (poll.remaining(Instant::now()) >= enough).then_some(delay)
    }

    /// The attempt to make beside the one in progress, which has taken so long; none if no instance
    /// is likely to be faster.
    pub fn hedge(&mut self, after: Duration) -> Option<AttemptRequest> {
        let slow = self.sent.as_ref()?.held.instance;
        let permit = self.host.hedge_permit(&self.progress, slow, after)?;
        let (sent, request) = self.host.send(&self.progress, permit);
        self.hedge = Some(sent);
        Some(request)
    }

    /// Takes the result of that one of two attempts that ended first. If it decides the race, the
    /// answer is true and the driver cancels the other one. If not, the result of the other one
    /// follows, with [`Self::record_last`].
    pub fn record_first(
        &mut self,
        racer: Racer,
        result: Result<AttemptResponse, AttemptError>,
    ) -> bool {
        let (first, hedge) = (self.sent.take(), self.hedge.take());
        let (Some(ahead), Some(behind)) = (match racer {
            Racer::First => (first, hedge),
            Racer::Hedge => (hedge, first),
        }) else {
            return true;
        };
        if self.host.decides(&result) {
            self.host.count_hedge(
                &self.progress,
                match racer {
                    Racer::First => Hedged::Lost,
                    Racer::Hedge => Hedged::Won,
                },
            );
            self.progress.made(behind.held.instance, true);
            self.host.cancelled_slower(&self.progress, &behind);
            drop(behind);
            let finished = ahead.finish(&mut self.progress, result);
            self.settle(finished);
            return true;
        }
        let failed = ahead.finish(&mut self.progress, result);
        self.host.settle_failed(failed);
        self.sent = Some(behind);
        false
    }

    /// Takes the result of the `last` one of two attempts; the other one has failed.
    pub fn record_last(&mut self, last: Racer, result: Result<AttemptResponse, AttemptError>) {
        let has_won = last == Racer::Hedge && self.host.decides(&result);
        let hedged = match has_won {
            true => Hedged::Won,
            false => Hedged::Failed,
        };
        self.host.count_hedge(&self.progress, hedged);
        self.record(result);
    }
}

impl TargetResilience {
    /// An attempt begins, under a permit.
    pub(super) fn send<'h>(
        &'h self,
        poll: &PollProgress,
        held: AttemptPermit<'h>,
    ) -> (SentAttempt<'h>, AttemptRequest) {
        let at = Instant::now();
        let order = self.order(poll, &held);
        let limit = order.timeout;
        (SentAttempt { held, at, limit }, order)
    }

    /// A permit for an attempt beside one at the instance that is `slow`, at an instance that is
    /// likely to be faster.
    fn hedge_permit(
        &self,
        poll: &PollProgress,
        slow: usize,
        after: Duration,
    ) -> Option<AttemptPermit<'_>> {
        let now = Instant::now();
        let mut state = self.lock();
        let state = &mut *state;
        let choice = state.choice(now, poll.endpoint, Instances::of(slow))?;
        if !matches!(
            choice.because,
            SelectionReason::Faster | SelectionReason::Only
        ) {
            return None;
        }
        let held = self.leave_for(state, now, poll.endpoint, &choice)?;
        let place = self.place(poll.endpoint, slow);
        let after = after.into();
        self.record(state, place, DecisionEvent::Hedge { after });
        Some(held)
    }

    /// Whether a result ends the race: an answer, or a failure that every instance would have.
    fn decides(&self, result: &Result<AttemptResponse, AttemptError>) -> bool {
        let statuses = &self.settings.statuses;
        match result {
            Ok(_) => true,
            Err(miss) if miss.class == ResultClass::NotSent => false,
            Err(miss) => !statuses.classify(miss.class).is_against_instance(),
        }
    }

    /// Notes that an attempt is cancelled, since another one brought an answer first.
    fn cancelled_slower(&self, poll: &PollProgress, sent: &SentAttempt<'_>) {
        let (now, instance) = (Instant::now(), sent.held.instance);
        let took = now.saturating_duration_since(sent.at);
        let mut state = self.lock();
        let place = self.place(poll.endpoint, instance);
        self.record(
            &mut state,
            place,
            DecisionEvent::Outrun { took: took.into() },
        );
        let Some(endpoint) = state.endpoints.get_mut(poll.endpoint) else {
            return;
        };
        if let Some(quantile) = self.settings.hedge {
            endpoint.timeouts.at_mut(instance).outrun(took, quantile);
        }
        if let Some(balancer) = &mut endpoint.balancer {
            balancer.ended(instance, now, AttemptResult::Outrun(took));
        }
    }

    fn count_hedge(&self, poll: &PollProgress, hedged: Hedged) {
        let mut state = self.lock();
        let endpoint = state.endpoints.get_mut(poll.endpoint);
        if let Some(balancer) = endpoint.and_then(|endpoint| endpoint.balancer.as_mut()) {
            balancer.hedged(hedged);
        }
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
        };
        FinishedAttempt {
            held: self.held,
            ended,
            result,
        }
    }
}
