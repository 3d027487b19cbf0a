//! The places of the requests in flight, and of the polls.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// So many targets of a receiver are polled at a time, unless they are slow. The targets of a slot
/// wake together. If all of them were polled together, each answer would find the memory of its
/// target outside of the processor's cache again: with 10,000 targets, `cargo bench --bench fleet`
/// measured a fifth more processor time.
const POLLS_AT_ONCE: usize = 16;

/// The places for the requests of all targets of a receiver. Half of them are out of reach of hosts
/// that gave no answer to their last request: such a request takes a place until its timeout, and
/// when many hosts hang at once, the others still find one.
#[derive(Debug)]
pub(crate) struct Places {
    count: usize,
    all: Semaphore,
    /// Of these, the ones for hosts that may hang.
    doubtful: Semaphore,
    polls: Semaphore,
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    _of_all: SemaphorePermit<'p>,
    _doubtful: Option<SemaphorePermit<'p>>,
}

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            count,
            all: Semaphore::new(count),
            doubtful: Semaphore::new(count.div_ceil(2)),
            polls: Semaphore::new(POLLS_AT_ONCE),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Waits for a place, for `limit` at most.
    pub(crate) async fn take(&self, is_doubtful: bool, limit: Duration) -> Option<Place<'_>> {
        // Nearly always one is free, and needs no timer.
        if !is_doubtful && let Ok(permit) = self.all.try_acquire() {
            return Some(Place {
                _of_all: permit,
                _doubtful: None,
            });
        }
        let wait = async {
            let doubtful = match is_doubtful {
                true => Some(self.doubtful.acquire().await.ok()?),
                false => None,
            };
            Some(Place {
                _of_all: self.all.acquire().await.ok()?,
                _doubtful: doubtful,
            })
        };
        timeout(limit, wait).await.ok()?
    }

    /// Waits until few other targets are polled, for `limit` at most, because they may be slow or
    /// hang. The poll has its turn until the permit is dropped; without one it does not count.
    pub(crate) async fn poll_turn(&self, limit: Duration) -> Option<SemaphorePermit<'_>> {
        match self.polls.try_acquire() {
            Ok(turn) => Some(turn),
            Err(_) => timeout(limit, self.polls.acquire()).await.ok()?.ok(),
        }
    }

    /// How many places are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.all.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn few_polls_are_made_at_once_and_slow_ones_delay_the_others_by_a_moment() {
        let places = Places::new(1);
        let start = Instant::now();
        let mut slow = Vec::new();
        for _ in 0..POLLS_AT_ONCE {
            slow.push(places.poll_turn(LIMIT).await.unwrap());
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        let mut next = std::pin::pin!(places.poll_turn(LIMIT));
        assert!(timeout(LIMIT / 2, next.as_mut()).await.is_err());
        slow.pop();
        let turn = next.await;
        assert!(turn.is_some(), "it comes when another one has ended");
        assert_eq!(start.elapsed(), LIMIT / 2);
        let another = places.poll_turn(LIMIT);
        assert!(another.await.is_none());
        assert_eq!(start.elapsed(), LIMIT / 2 + LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_that_may_hang_get_half_of_the_places() {
        let places = Places::new(4);
        let hanging = [
            places.take(true, LIMIT).await,
            places.take(true, LIMIT).await,
        ];
        assert!(hanging.iter().all(Option::is_some));
        assert!(places.take(true, LIMIT).await.is_none());
        let others = [
            places.take(false, LIMIT).await,
            places.take(false, LIMIT).await,
        ];
        assert!(others.iter().all(Option::is_some));
        assert!(places.take(false, LIMIT).await.is_none(), "all are taken");
        drop(hanging);
        assert_eq!(places.free(), 2);
        assert!(places.take(true, LIMIT).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_back_goes_to_who_waits() {
        let places = Places::new(1);
        let first = places.take(true, LIMIT).await;
        let (second, ()) = tokio::join!(places.take(false, LIMIT), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert!(second.is_some());
        assert_eq!(places.free(), 0);
    }
}
