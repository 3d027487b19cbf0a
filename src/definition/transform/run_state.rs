//! Runs that take too long.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// How many runs go on that nobody waits for any more.
#[derive(Debug, Default)]
pub(super) struct Abandoned(Arc<AtomicUsize>);

/// What a run holds until it ends.
#[derive(Debug)]
pub struct Running(Arc<Shared>);

/// What waits for a run.
#[derive(Debug)]
pub struct Awaited(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    abandoned: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Ended,
    Abandoned,
}

impl Abandoned {
    pub(super) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    pub(super) fn begin(&self) -> (Running, Awaited) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Running),
            abandoned: Arc::clone(&self.0),
        });
        (Running(Arc::clone(&shared)), Awaited(shared))
    }
}

impl Shared {
    /// Goes over from running to another state; gives the one before.
    fn go_over(&self, to: State) -> State {
        // The state is whole at every moment, so a panic elsewhere does not spoil it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Running => std::mem::replace(&mut *state, to),
            other => other,
        }
    }
}

impl Awaited {
    /// Nobody waits for it any more.
    pub fn abandon(self) {
        if self.0.go_over(State::Abandoned) == State::Running {
            self.0.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.go_over(State::Ended) == State::Abandoned {
            self.0.abandoned.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
