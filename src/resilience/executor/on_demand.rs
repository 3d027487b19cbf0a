//! On-demand reads: from the cache while it is fresh, otherwise one immediate poll that all waiting
//! readers share (single-flight).

use tokio::time::{Instant, timeout_at};

use super::PollResult;
use crate::{
    pipeline::{Body, CacheStatus, CachedAnswer, ErrorType, PollFailure, PollOutcome},
    resilience::{
        cache::{Fallback, Reader},
        single_flight::SharedResult,
        target_resilience::TargetResilience,
    },
};

/// A poll in progress. Its followers are notified at its end, even if it is dropped.
pub(super) struct InFlightPoll<'h> {
    host: &'h TargetResilience,
    endpoint: usize,
    shared: Option<SharedResult>,
}

impl TargetResilience {
    /// The answer of an endpoint for an on-demand read.
    pub(in crate::resilience) async fn read_on_demand(&self, endpoint: usize) -> CachedAnswer {
        if let Some(body) = self.hit(endpoint) {
            return body;
        }
        if let Some(failure) = self.left_out(endpoint) {
            return self.serve_cached(endpoint, failure);
        }
        if self.is_refused(endpoint) {
            return self.serve_cached(endpoint, unsent("the breaker is open"));
        }
        let before = self.want(endpoint);
        let deadline = Instant::now() + self.settings.deadline;
        loop {
            // From here on no end is missed: `notify_waiters` reaches those that do not wait yet.
            let ended = self.state.poll_ended.notified();
            match self.shared(endpoint, before) {
                Ok(Some(SharedResult::Failed(failure))) | Err(failure) => {
                    return self.serve_cached(endpoint, failure);
                }
                Ok(Some(shared)) => return self.follow(endpoint, &shared),
                Ok(None) => {}
            }
            if timeout_at(deadline, ended).await.is_err() {
                return self.serve_cached(endpoint, unsent("the poll in progress takes too long"));
            }
        }
    }

    /// Waits until a reader needs a poll.
    pub async fn wanted(&self) {
        while !self.wanted_endpoints().contains(&true) {
            self.state.wanted.notified().await;
        }
    }

    /// The endpoints that a reader waits for.
    pub fn wanted_endpoints(&self) -> Vec<bool> {
        let state = self.lock();
        let flights = state.endpoints.iter().map(|endpoint| &endpoint.flight);
        flights.map(|flight| flight.is_wanted()).collect()
    }

    pub(super) fn start_poll(&self, endpoint: usize) -> InFlightPoll<'_> {
        if let Some(state) = self.lock().endpoints.get_mut(endpoint) {
            state.flight.start();
        }
        InFlightPoll {
            host: self,
            endpoint,
            shared: None,
        }
    }

    fn want(&self, endpoint: usize) -> u64 {
        let mut state = self.lock_same();
        let endpoint = state
            .as_mut()
            .and_then(|state| state.endpoints.get_mut(endpoint));
        let wanted = endpoint.map(|endpoint| endpoint.flight.want());
        let (before, is_news) = wanted.unwrap_or_default();
        if is_news {
            self.state.wanted.notify_one();
        }
        before
    }

    /// The result of a poll that ended after the one with this number, if there is one yet.
    fn shared(&self, endpoint: usize, before: u64) -> Result<Option<SharedResult>, PollFailure> {
        let no_poll = || unsent("the target is not polled");
        let state = self.lock_same().ok_or_else(no_poll)?;
        let flight = state.endpoints.get(endpoint).map(|e| &e.flight);
        let shared = flight.and_then(|flight| flight.finished_after(before));
        match shared {
            None if state.polling == 0 => Err(no_poll()),
            shared => Ok(shared.cloned()),
        }
    }

    /// Whether a poll would send nothing.
    fn is_refused(&self, endpoint: usize) -> bool {
        let now = Instant::now();
        self.retry_at(endpoint).is_some_and(|at| now < at)
    }

    fn hit(&self, endpoint: usize) -> Option<CachedAnswer> {
        let (now, mut state) = (Instant::now(), self.lock_same()?);
        let slot = &mut state.endpoints.get_mut(endpoint)?.slot;
        let body = slot.hit(&self.settings.cache, now, Reader::Api)?.clone();
        Some(CachedAnswer::new(CacheStatus::Hit, body, slot.age(now)))
    }

    fn follow(&self, endpoint: usize, shared: &SharedResult) -> CachedAnswer {
        let (now, mut state) = (Instant::now(), self.lock_same());
        let revalidated = matches!(shared, SharedResult::NotModified);
        let served = match revalidated {
            true => CacheStatus::Revalidated,
            false => CacheStatus::Fresh,
        };
        let endpoint = state
            .as_mut()
            .and_then(|state| state.endpoints.get_mut(endpoint));
        let read = endpoint.and_then(|endpoint| {
            let body = endpoint.slot.followed(Reader::Api, revalidated)?.clone();
            Some(CachedAnswer::new(served, body, endpoint.slot.age(now)))
        });
        read.unwrap_or_else(|| CachedAnswer::missing(PollFailure::lost()))
    }

    /// The cached answer with its age, or none.
    fn serve_cached(&self, endpoint: usize, failure: PollFailure) -> CachedAnswer {
        let (policy, now, mut state) = (&self.settings.cache, Instant::now(), self.lock_same());
        let endpoint = state
            .as_mut()
            .and_then(|state| state.endpoints.get_mut(endpoint));
        let kept: Option<(Body, _)> =
            endpoint.and_then(
                |endpoint| match endpoint.slot.fallback(policy, now, Reader::Api) {
                    Fallback::Stale { value, age } => Some((value.clone(), age)),
                    Fallback::Expired | Fallback::Empty => None,
                },
            );
        match kept {
            Some((body, age)) => CachedAnswer {
                failure: Some(failure),
                ..CachedAnswer::new(CacheStatus::Stale, body, Some(age))
            },
            None => CachedAnswer::missing(failure),
        }
    }
}

impl InFlightPoll<'_> {
    pub(super) fn finish(mut self, polled: &PollResult) {
        self.shared = Some(match &polled.outcome {
            PollOutcome::Fresh(_) => SharedResult::Fresh,
            PollOutcome::NotModified(_) => SharedResult::NotModified,
            PollOutcome::Failed(failure) => SharedResult::Failed(failure.clone()),
            PollOutcome::Skipped => return,
        });
    }
}

impl Drop for InFlightPoll<'_> {
    fn drop(&mut self) {
        let mut state = self.host.lock();
        let endpoint = state.endpoints.get_mut(self.endpoint);
        let is_awaited = endpoint.is_none_or(|of| of.flight.finish(self.shared.take()));
        drop(state);
        if is_awaited {
            self.host.state.poll_ended.notify_waiters();
        }
    }
}

fn unsent(message: &'static str) -> PollFailure {
    PollFailure {
        error_type: ErrorType::CircuitOpen,
        message: message.into(),
    }
}
