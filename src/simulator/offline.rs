//! A node without a port: requests are function calls, so that its time can be virtual.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::behavior::{Behavior, Reply};
use super::fault::NodeFault;
use super::node::NodeOptions;
use super::request::SimulatorRequest;
use super::state::NodeState;

/// One Betanet server without a port. It supports the faults that change the content, and those
/// that hang.
#[derive(Debug, Clone)]
pub struct Offline(Arc<Behavior>);

impl Offline {
    /// A node without any traffic yet.
    pub fn new(options: &NodeOptions) -> Self {
        let NodeOptions {
            dialect,
            seed,
            deadlocks,
            ..
        } = *options;
        Self(Arc::new(Behavior::new(dialect, seed, deadlocks)))
    }

    /// The result of a `GET` of a path: status and body. `None` if a restart closes the connection.
    /// Never returns if the node hangs.
    pub async fn get(&self, path: &str) -> Option<(u16, Bytes)> {
        let Reply {
            response,
            fault,
            restarted,
        } = self.0.reply(&SimulatorRequest::get(path));
        match fault {
            Some(NodeFault::Grey | NodeFault::HangBeforeHeaders | NodeFault::HangMidBody) => {
                restarted.run_until_cancelled(pending::<()>()).await;
                None
            }
            _ => Some((response.status, response.body)),
        }
    }

    /// A copy of its current state.
    pub fn state(&self) -> NodeState {
        self.0.state()
    }

    /// Advances its state by `elapsed`, with random changes from its seed.
    pub fn advance(&self, elapsed: Duration) {
        self.0.update(|state, rng| state.advance(elapsed, rng));
    }

    /// Simulates a restart; see [`Node::restart`](super::Node::restart).
    pub fn restart(&self) {
        self.0.restart();
    }

    /// Fails every later request to `path`, or to any path, in this way.
    pub fn set_fault(&self, path: Option<&str>, fault: NodeFault) {
        self.0.set_fault(path, fault);
    }

    /// Ends the faults for later requests.
    pub fn clear_faults(&self) {
        self.0.clear_faults();
    }

    /// The number of requests to this path, without the query.
    pub fn requests_to(&self, path: &str) -> u64 {
        self.0.requests_to(path)
    }
}
