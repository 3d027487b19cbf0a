//! The places of the requests in flight.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// The places for the requests of all targets of a receiver. Half of them are out of reach of hosts
/// that gave no answer to their last request: such a request takes a place until its timeout, and
/// when many hosts hang at once, the others still find one.
#[derive(Debug)]
pub(crate) struct Places {
    count: usize,
    all: Semaphore,
    /// Of these, the ones for hosts that may hang.
    doubtful: Semaphore,
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

    /// How many places are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.all.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

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
