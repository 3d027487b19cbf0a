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
pub(super) struct Line {
    turn: Semaphore,
    waiting: AtomicUsize,
}

/// Leave to use the connection; others wait until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'l> {
    _permit: SemaphorePermit<'l>,
    /// Whether somebody waits for the connection.
    pub(super) is_awaited: bool,
}

/// A place in the line.
struct Waiting<'l>(&'l AtomicUsize);

impl Line {
    pub(super) fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits for the turn; none if it takes too long.
    pub(super) async fn turn(&self) -> Option<Turn<'_>> {
        let waiting = Waiting::at(&self.waiting);
        // The other requests of the poll begin at the same moment: let them get in line.
        yield_now().await;
        let permit = timeout(PATIENCE, self.turn.acquire()).await.ok()?.ok()?;
        drop(waiting);
        Some(Turn {
            _permit: permit,
            is_awaited: self.waiting.load(Ordering::Relaxed) > 0,
        })
    }
}

impl<'l> Waiting<'l> {
    fn at(waiting: &'l AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
