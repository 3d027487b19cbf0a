//! Requests of one target in a line, so that those of a poll can share a connection.
//!
//! Where no connection is kept between polls, opening them is what a poll of a large fleet costs
//! most. Endpoints are asked at the same time all the same: who does not get its turn soon goes on
//! without, and a slow endpoint holds up no other.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::yield_now,
    time::timeout,
};

/// How long a request waits for its turn: as long as near nodes need for an answer, and little
/// beside any timeout.
const PATIENCE: Duration = Duration::from_millis(50);

/// Who waits for the connection.
#[derive(Debug)]
pub(crate) struct ConnectionQueue {
    turn: Semaphore,
    waiting: AtomicUsize,
}

/// Leave to use the connection; others wait until it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit<'l> {
    _permit: SemaphorePermit<'l>,
    /// Whether somebody waits for the connection.
    pub(crate) is_awaited: bool,
}

/// A place in the line.
struct QueuePlace<'l>(&'l AtomicUsize);

impl ConnectionQueue {
    pub(crate) fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits for the turn among all requests of a poll, so that the last one is known; none if it
    /// takes too long.
    pub(crate) async fn turn_of_poll(&self) -> Option<ConnectionPermit<'_>> {
        let waiting = QueuePlace::at(&self.waiting);
        // The other requests of the poll begin at the same moment: let them get in line.
        yield_now().await;
        let permit = self.turn().await?;
        drop(waiting);
        Some(ConnectionPermit {
            _permit: permit,
            is_awaited: self.waiting.load(Ordering::Relaxed) > 0,
        })
    }

    /// Waits for the turn; none if it takes too long.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        timeout(PATIENCE, self.turn.acquire()).await.ok()?.ok()
    }
}

impl<'l> QueuePlace<'l> {
    fn at(waiting: &'l AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Requests that take so long, begun together: when each had its turn, and whether somebody
    /// waited for it then.
    async fn requests(line: &ConnectionQueue, takes: &[Duration]) -> Vec<Option<(Duration, bool)>> {
        let begun = Instant::now();
        let request = async |takes: &Duration| {
            let turn = line.turn_of_poll().await;
            sleep(*takes).await;
            turn.map(|turn| (begun.elapsed() - *takes, turn.is_awaited))
        };
        join_all(takes.iter().map(request)).await
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_begin_together_go_one_by_one_and_the_last_closes_the_door() {
        let line = ConnectionQueue::new();
        let millis = Duration::from_millis;
        for _ in 0..2 {
            let turns = requests(&line, &[millis(3); 3]).await;
            let expected = [(millis(0), true), (millis(3), true), (millis(6), false)];
            assert_eq!(turns, expected.map(Some));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_holds_up_the_others_for_a_moment_only() {
        let line = ConnectionQueue::new();
        let begun = Instant::now();
        let slow = Duration::from_secs(5);
        let turns = requests(&line, &[slow, slow, slow]).await;
        assert_eq!(turns, [Some((Duration::ZERO, true)), None, None]);
        assert!(begun.elapsed() < slow + PATIENCE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_line_is_not_waited_for() {
        let line = ConnectionQueue::new();
        let first = line.turn_of_poll().await;
        assert!(timeout(PATIENCE / 2, line.turn_of_poll()).await.is_err());
        drop(first);
        let next = line.turn_of_poll().await.map(|turn| turn.is_awaited);
        assert_eq!(next, Some(false));
    }
}
