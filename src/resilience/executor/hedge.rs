//! Hedging: a second attempt after a slow first one. If an instance takes longer than nearly all of
//! its answers did, another instance gets a request as well, and the first good answer counts.
//!
//! The slower attempt is cancelled and not reported to its breaker. Only the balancer and the
//! timeout learn that it took longer than this. Otherwise a slow instance would look as fast as its
//! answers that were waited for, and would be hedged sooner and sooner.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::{Instant, timeout};

use super::{
    Attempt, AttemptError, AttemptRequest, AttemptResponse, EndedAttempt, PollProgress,
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

impl TargetResilience {
    /// Makes an attempt, and perhaps a second one.
    pub(super) async fn fly<'h>(
        &'h self,
        attempt: &impl Attempt,
        poll: &mut PollProgress,
        held: AttemptPermit<'h>,
    ) -> FinishedAttempt<'h> {
        match self.hedge_after(poll, &held) {
            None => {
                let (sent, order) = self.send(poll, held);
                let result = attempt.make(order).await;
                sent.landed(poll, result)
            }
            // The future is boxed, because few polls need it.
            Some(delay) => Box::pin(self.race(attempt, poll, held, delay)).await,
        }
    }

    /// The time without an answer after which another instance gets a request. `None` if it does
    /// not.
    fn hedge_after(&self, poll: &PollProgress, held: &AttemptPermit<'_>) -> Option<Duration> {
        let settings = &self.settings;
        let quantile = settings.hedge?;
        if !self.is_pool() || held.is_probe() || !poll.tried.is_empty() {
            return None;
        }
        let state = self.lock();
        let endpoint = state.endpoints.get(poll.endpoint)?;
        let delay = endpoint.timeouts.at(held.instance).usual(quantile)?;
        let enough = delay + least(None, settings.deadline);
        (poll.remaining(Instant::now()) >= enough).then_some(delay)
    }

    async fn race<'h>(
        &'h self,
        attempt: &impl Attempt,
        poll: &mut PollProgress,
        held: AttemptPermit<'h>,
        delay: Duration,
    ) -> FinishedAttempt<'h> {
        let (first, order) = self.send(poll, held);
        let mut answer = pin!(attempt.make(order));
        if let Ok(result) = timeout(delay, answer.as_mut()).await {
            return first.landed(poll, result);
        }
        let Some(held) = self.hedge(poll, &first, delay) else {
            return first.landed(poll, answer.await);
        };
        let (second, order) = self.send(poll, held);
        let beside = pin!(attempt.make(order));
        let (is_second, ahead, behind, (result, rest)) = match select(answer, beside).await {
            Either::Left(came) => (false, first, second, came),
            Either::Right(came) => (true, second, first, came),
        };
        if self.decides(&result) {
            self.count_hedge(poll, if is_second { Hedged::Won } else { Hedged::Lost });
            poll.made(behind.held.instance, true);
            self.outrun(poll, behind);
            return ahead.landed(poll, result);
        }
        self.set_aside(ahead.landed(poll, result));
        let result = rest.await;
        let is_made_up_for = !is_second && self.decides(&result);
        self.count_hedge(
            poll,
            if is_made_up_for {
                Hedged::Won
            } else {
                Hedged::Failed
            },
        );
        behind.landed(poll, result)
    }

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

    /// Permission for a second attempt, at a healthy instance.
    fn hedge(
        &self,
        poll: &PollProgress,
        first: &SentAttempt<'_>,
        delay: Duration,
    ) -> Option<AttemptPermit<'_>> {
        let (now, slow) = (Instant::now(), first.held.instance);
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
        self.record(
            state,
            place,
            DecisionEvent::Hedge {
                after: delay.into(),
            },
        );
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

    /// Cancels an attempt, because another one had an answer.
    fn outrun(&self, poll: &PollProgress, sent: SentAttempt<'_>) {
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
    pub(super) fn landed(
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
