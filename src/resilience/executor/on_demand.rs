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
            let mut ended = std::pin::pin!(self.poll_ended.notified());
            ended.as_mut().enable();
            let (shared, is_polled) = self.shared(endpoint, before);
            match shared {
                Some(SharedResult::Failed(failure)) => return self.serve_cached(endpoint, failure),
                Some(shared) => return self.follow(endpoint, &shared),
                None if !is_polled => {
                    return self.serve_cached(endpoint, unsent("the target is not polled"));
                }
                None => {}
            }
            if timeout_at(deadline, ended).await.is_err() {
                return self.serve_cached(endpoint, unsent("the poll in progress takes too long"));
            }
        }
    }

    /// Sets whether a task polls the target, so that readers can wait for a poll.
    pub fn set_polled(&self, is_polled: bool) {
        self.lock().is_polled = is_polled;
        self.poll_ended.notify_waiters();
    }

    /// Waits until a reader needs a poll.
    pub async fn wanted(&self) {
        while !self.wanted_endpoints().contains(&true) {
            self.wanted.notified().await;
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
        let mut state = self.lock();
        let flight = state.endpoints.get_mut(endpoint).map(|e| &mut e.flight);
        let (before, is_news) = flight.map(|flight| flight.want()).unwrap_or_default();
        if is_news {
            self.wanted.notify_one();
        }
        before
    }

    fn shared(&self, endpoint: usize, before: u64) -> (Option<SharedResult>, bool) {
        let state = self.lock();
        let flight = state.endpoints.get(endpoint).map(|e| &e.flight);
        let shared = flight.and_then(|flight| flight.finished_after(before));
        (shared.cloned(), state.is_polled)
    }

    /// Whether a poll would send nothing.
    fn is_refused(&self, endpoint: usize) -> bool {
        let now = Instant::now();
        self.retry_at(endpoint).is_some_and(|at| now < at)
    }

    fn hit(&self, endpoint: usize) -> Option<CachedAnswer> {
        let (now, mut state) = (Instant::now(), self.lock());
        let slot = &mut state.endpoints.get_mut(endpoint)?.slot;
        let body = slot.hit(now, Reader::Api)?.clone();
        Some(CachedAnswer::new(CacheStatus::Hit, body, slot.age(now)))
    }

    fn follow(&self, endpoint: usize, shared: &SharedResult) -> CachedAnswer {
        let (now, mut state) = (Instant::now(), self.lock());
        let revalidated = matches!(shared, SharedResult::NotModified);
        let served = match revalidated {
            true => CacheStatus::Revalidated,
            false => CacheStatus::Fresh,
        };
        let slot = state.endpoints.get_mut(endpoint).map(|e| &mut e.slot);
        let read = slot.and_then(|slot| {
            let body = slot.followed(Reader::Api, revalidated)?.clone();
            Some(CachedAnswer::new(served, body, slot.age(now)))
        });
        read.unwrap_or_else(|| CachedAnswer::missing(PollFailure::lost()))
    }

    /// The cached answer with its age, or none.
    fn serve_cached(&self, endpoint: usize, failure: PollFailure) -> CachedAnswer {
        let (now, mut state) = (Instant::now(), self.lock());
        let slot = state.endpoints.get_mut(endpoint).map(|e| &mut e.slot);
        let kept: Option<(Body, _)> = slot.and_then(|slot| match slot.fallback(now, Reader::Api) {
            Fallback::Stale { value, age } => Some((value.clone(), age)),
            Fallback::Expired | Fallback::Empty => None,
        });
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
        if let Some(state) = self.host.lock().endpoints.get_mut(self.endpoint) {
            state.flight.finish(self.shared.take());
        }
        self.host.poll_ended.notify_waiters();
    }
}

fn unsent(message: &'static str) -> PollFailure {
    PollFailure {
        error_type: ErrorType::CircuitOpen,
        message: message.into(),
    }
}
