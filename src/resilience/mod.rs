//! Keeps polling reliable while nodes hang, refuse, flap and restart.
//!
//! Everything here is a function of its inputs, `fn(&mut self, now, event) -> decision`: no clock,
//! socket, lock, log or task, and random numbers are arguments. Every decision is returned as data;
//! the caller sleeps, sends, counts and logs. So the same code runs in production, in simulations
//! and in the search for counter-examples.
//!
//! An attempt passes, from the outside in: the slot of the [`cache`], the deadline and the
//! [`retry`] loop with the [`budget`] of the receiver, the [`balancer`] if there are several
//! instances, the [`circuit`] of host and endpoint [`breaker`]s, and the [`timeout`] of the
//! attempt. Its result is classified once, in [`outcome`].

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
pub mod positions;
pub mod receiver_resilience;
pub mod target_keys;
pub mod target_resilience;
pub mod target_state;
pub mod instances;
pub mod outcome;
pub mod per_instance;
mod metrics;
mod receiver_counts;
pub mod recorder;
mod report;
pub mod retry;
pub mod executor;
pub mod simulation;
pub mod state;
pub mod timeout;

pub mod time;

#[cfg(test)]
mod tests;
