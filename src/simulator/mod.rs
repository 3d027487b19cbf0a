//! A built-in Betanet fleet with scripted faults, for the demo, the tests and the benchmarks.
//!
//! A [`Node`] is one Betanet server on a local port. It has one of the two APIs ([`Dialect`]). Its
//! numbers are a [`NodeState`] that callers can read and set, and each [`NodeFault`] is one way in
//! which real servers fail. A [`Fleet`] is several nodes with [`Script`]s.
//!
//! An [`Offline`] is a node without a port, for tests with virtual time.
//!
//! Responses are written as raw bytes, not with an HTTP library, because libraries take care never
//! to send what half of the faults need.
//!
//! The simulator uses nothing else of this crate, so a bug in the collector cannot hide in the
//! server that tests it. It owns its tasks: [`Node::stop`] waits for them, and dropping ends them.

mod fleet;
mod node;
mod offline;
mod script;
mod server;
mod listener;
mod connection;
mod behavior;
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
pub use listener::Listener;
pub use node::{Node, NodeOptions};
pub use offline::Offline;
pub use script::{NodeAction, Script, ScriptStep};
pub use state::{Mixnode, MixnodeStatus, NodeState};
