//! What keeps polling well-behaved while nodes hang, refuse, flap and restart.
//!
//! Everything here is a function of the events it is told, `fn(&mut self, now, event) ->
//! decision`: no clock, socket, lock, log or task inside, and chance is handed in. Every decision
//! is returned as data; what calls it sleeps, sends, counts and logs. So the same code polls, is
//! simulated, and is searched for counter-examples.
//!
//! One attempt passes, outermost first: the slot of the [`cache`], the deadline and the [`retry`]
//! loop with its fleet-wide [`budget`], the [`balancer`] where there are several instances, the
//! [`circuit`] of host and endpoint [`breaker`]s, and the [`timeout`] of the attempt. What it came
//! to is judged once, in [`outcome`].

pub mod balancer;
pub mod breaker;
pub mod budget;
pub mod cache;
pub mod caution;
pub mod circuit;
pub mod config;
pub mod feasibility;
pub mod single_flight;
pub mod freshness;
pub mod local_fault_detector;
pub mod inherited_state;
pub mod target_resilience;
pub mod instances;
pub mod outcome;
pub mod per_instance;
mod metrics;
pub mod recorder;
mod report;
pub mod retry;
pub mod executor;
pub mod simulation;
pub mod state;
pub mod timeout;

mod time;

#[cfg(test)]
mod tests;
