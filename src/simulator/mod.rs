//! An embedded Betanet fleet with scripted faults: the demo, the tests and the benches poll it.
//!
//! A [`Node`] is one Betanet server on a local port. It speaks one of the two [`Dialect`]s, its
//! numbers are a [`NodeState`] that anyone may read and set, and each [`NodeFault`] is one way in
//! which the real servers fail. A [`Fleet`] is several nodes that live by [`Script`]s.
//!
//! An [`Offline`] is a node without a port, for tests whose time is virtual.
//!
//! Responses are written as raw bytes rather than by an HTTP library: half of the faults are
//! things that a library takes care never to send.
//!
//! The simulator uses nothing else of this crate, so a mistake in the collector cannot hide in the
//! server that tests it. It owns its tasks: [`Node::stop`] waits for them, dropping ends them.

mod fleet;
mod node;
mod offline;
mod script;
mod server;
mod connection;
mod behaviour;
mod request;
mod fault;
mod response;
mod dialect;
mod state;

#[cfg(test)]
mod client;

pub use dialect::Dialect;
pub use fault::NodeFault;
pub use fleet::{Fleet, FleetOptions};
pub use node::{Node, NodeOptions};
pub use offline::Offline;
pub use script::{NodeAction, Script, ScriptStep};
pub use state::{Mixnode, MixnodeStatus, NodeState};
