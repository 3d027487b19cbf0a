//! Reads between polls: served from the cache while it is fresh, else by the next poll, which is
//! made at once and once for all who wait.

use tokio::time::{Instant, timeout_at};

use super::Polled;
use crate::{
    pipeline::{Body, ErrorType, Failure, Outcome, Read, Served},
    resilience::{
        cache::{Fallback, Reader},
        flight::Landing,
        host::Host,
    },
};

/// A poll under way; followers are told when it ends, be it that it is dropped.
pub(super) struct Flying<'h> {
    host: &'h Host,
    endpoint: usize,
    landing: Option<Landing>,
}

impl Host {
    /// An endpoint's answer, for who reads between polls.
    pub(in crate::resilience) async fn read_on_demand(&self, endpoint: usize) -> Read {
        if let Some(body) = self.hit(endpoint) {
            return body;
        }
        if let Some(failure) = self.left_out(endpoint) {
            return self.make_do(endpoint, failure);
        }
        if self.is_refused(endpoint) {
            return self.make_do(endpoint, unsent("the breaker is open"));
        }
        let before = self.want(endpoint);
        let deadline = Instant::now() + self.settings.deadline;
        loop {
            let mut landed = std::pin::pin!(self.landed.notified());
            landed.as_mut().enable();
            let (landing, is_polled) = self.landing(endpoint, before);
            match landing {
                Some(Landing::Failed(failure)) => return self.make_do(endpoint, failure),
                Some(landing) => return self.follow(endpoint, &landing),
                None if !is_polled => {
                    return self.make_do(endpoint, unsent("the target is not polled"));
                }
                None => {}
            }
            if timeout_at(deadline, landed).await.is_err() {
                return self.make_do(endpoint, unsent("the poll under way takes too long"));
            }
        }
    }

    /// Readers are served from now on, or no longer.
    pub fn set_polled(&self, is_polled: bool) {
        self.lock().is_polled = is_polled;
        self.landed.notify_waiters();
    }

    /// Waits until a reader wants what only a poll can give.
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

    pub(super) fn take_off(&self, endpoint: usize) -> Flying<'_> {
        if let Some(state) = self.lock().endpoints.get_mut(endpoint) {
            state.flight.take_off();
        }
        Flying {
            host: self,
            endpoint,
            landing: None,
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

    fn landing(&self, endpoint: usize, before: u64) -> (Option<Landing>, bool) {
        let state = self.lock();
        let flight = state.endpoints.get(endpoint).map(|e| &e.flight);
        let landing = flight.and_then(|flight| flight.landed_after(before));
        (landing.cloned(), state.is_polled)
    }

    /// A poll would send nothing.
    fn is_refused(&self, endpoint: usize) -> bool {
        let now = Instant::now();
        self.retry_at(endpoint).is_some_and(|at| now < at)
    }

    fn hit(&self, endpoint: usize) -> Option<Read> {
        let (now, mut state) = (Instant::now(), self.lock());
        let slot = &mut state.endpoints.get_mut(endpoint)?.slot;
        let body = slot.hit(now, Reader::Api)?.clone();
        Some(Read::new(Served::Hit, body, slot.age(now)))
    }

    fn follow(&self, endpoint: usize, landing: &Landing) -> Read {
        let (now, mut state) = (Instant::now(), self.lock());
        let revalidated = matches!(landing, Landing::NotModified);
        let served = match revalidated {
            true => Served::Revalidated,
            false => Served::Fresh,
        };
        let slot = state.endpoints.get_mut(endpoint).map(|e| &mut e.slot);
        let read = slot.and_then(|slot| {
            let body = slot.followed(Reader::Api, revalidated)?.clone();
            Some(Read::new(served, body, slot.age(now)))
        });
        read.unwrap_or_else(|| Read::missing(Failure::lost()))
    }

    /// The kept answer, under its own age, or none.
    fn make_do(&self, endpoint: usize, failure: Failure) -> Read {
        let (now, mut state) = (Instant::now(), self.lock());
        let slot = state.endpoints.get_mut(endpoint).map(|e| &mut e.slot);
        let kept: Option<(Body, _)> = slot.and_then(|slot| match slot.fallback(now, Reader::Api) {
            Fallback::Stale { value, age } => Some((value.clone(), age)),
            Fallback::Expired | Fallback::Empty => None,
        });
        match kept {
            Some((body, age)) => Read {
                failure: Some(failure),
                ..Read::new(Served::Stale, body, Some(age))
            },
            None => Read::missing(failure),
        }
    }
}

impl Flying<'_> {
    pub(super) fn land(mut self, polled: &Polled) {
        self.landing = Some(match &polled.outcome {
            Outcome::Fresh(_) => Landing::Fresh,
            Outcome::NotModified(_) => Landing::NotModified,
            Outcome::Failed(failure) => Landing::Failed(failure.clone()),
            Outcome::Skipped => return,
        });
    }
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.host.lock().endpoints.get_mut(self.endpoint) {
            state.flight.land(self.landing.take());
        }
        self.host.landed.notify_waiters();
    }
}

fn unsent(message: &'static str) -> Failure {
    Failure {
        error_type: ErrorType::CircuitOpen,
        message: message.into(),
    }
}
