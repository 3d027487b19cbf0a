//! The answers of a node: its state and its faults, which all its connections share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::dialect::Dialect;
use super::fault::{Armed, DEADLOCKED_PATHS, Faults, NodeFault};
use super::request::SimulatorRequest;
use super::response::SimulatorResponse;
use super::state::NodeState;

/// The most paths that are counted separately. A client that invents paths needs no more memory.
const MAX_COUNTED_PATHS: usize = 256;

/// The part of a node that survives the closing of its port.
#[derive(Debug)]
pub(super) struct Behavior {
    dialect: Dialect,
    /// Whether two paths take a lock twice, in addition to other faults.
    deadlocks: bool,
    inner: Mutex<Inner>,
    requests: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    state: NodeState,
    rng: Rng,
    faults: Faults,
    wedged: bool,
    restarted: CancellationToken,
    requests_by_path: HashMap<String, u64>,
}

/// A response, and what happens to it on its way.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) response: SimulatorResponse,
    pub(super) fault: Option<NodeFault>,
    /// Cancelled by the next restart, which ends requests that hang.
    pub(super) restarted: CancellationToken,
}

impl Behavior {
    pub(super) fn new(dialect: Dialect, seed: u64, deadlocks: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let inner = Inner {
            state: NodeState::random(&mut rng),
            rng,
            faults: Faults::default(),
            wedged: false,
            restarted: CancellationToken::new(),
            requests_by_path: HashMap::new(),
        };
        Self {
            dialect,
            deadlocks,
            inner: Mutex::new(inner),
            requests: watch::Sender::new(0),
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn state(&self) -> NodeState {
        self.lock().state.clone()
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut NodeState, &mut Rng) -> T) -> T {
        let inner = &mut *self.lock();
        change(&mut inner.state, &mut inner.rng)
    }

    pub(super) fn set_fault(&self, path: Option<&str>, fault: NodeFault) {
        let armed = Armed::new(fault); // before the lock, because a large body takes time
        self.lock().faults.set(path, armed);
    }

    pub(super) fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    pub(super) fn restart(&self) {
        let mut inner = self.lock();
        inner.state.restart();
        inner.faults.clear_grey();
        inner.wedged = false;
        std::mem::take(&mut inner.restarted).cancel();
    }

    pub(super) fn requests(&self) -> watch::Receiver<u64> {
        self.requests.subscribe()
    }

    pub(super) fn requests_to(&self, path: &str) -> u64 {
        self.lock().requests_by_path.get(path).copied().unwrap_or(0)
    }

    pub(super) fn reply(&self, request: &SimulatorRequest) -> Reply {
        let now = unix_seconds();
        let inner = &mut *self.lock();
        inner.count(&request.path);
        let honest = if request.is_get {
            self.dialect.content(&request.path, &inner.state, now)
        } else {
            None
        };
        let armed = inner.faults.meeting(&request.path);
        let response = match (armed, honest) {
            (Some(armed), honest) => armed.response(honest),
            (None, Some(content)) => content.into(),
            (None, None) => SimulatorResponse::error(404),
        };
        let met = armed.map(|armed| armed.fault.clone());
        let is_deadly = DEADLOCKED_PATHS.contains(&request.path.as_str());
        inner.wedged |= met == Some(NodeFault::Grey) || (self.deadlocks && is_deadly);
        let fault = if inner.wedged {
            Some(NodeFault::Grey)
        } else {
            met
        };
        // This is last, so that everything else is done when a test has waited for this number.
        self.requests.send_modify(|requests| *requests += 1);
        Reply {
            response,
            fault,
            restarted: inner.restarted.clone(),
        }
    }

    /// No code under this lock can leave the state half changed, so a panic in a test's `update`
    /// need not affect later callers.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn count(&mut self, path: &str) {
        if let Some(requests) = self.requests_by_path.get_mut(path) {
            *requests += 1;
        } else if self.requests_by_path.len() < MAX_COUNTED_PATHS {
            self.requests_by_path.insert(path.to_owned(), 1);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulated server has its own wall clock; tests set `timestamp`"
)]
fn unix_seconds() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.as_ref().map_or(0, Duration::as_secs)
}
