//! The targets of a receiver: they come and go while it runs, and apply new settings.
//!
//! In reading order: `manager` holds a `handle` for each target; `poll_threads` are what all receivers
//! share; `discovery` finds targets;
//! `reconcile` compares what is polled with what should be; `task` is what runs for each target;
//! `definition_selection` holds its pollers, one for each definition; `poller_builder` builds them;
//! `probe` polls a target once on demand, and `probed_hosts` remembers the endpoint that made a host
//! hang.

pub(super) mod definition_selection;
pub(super) mod discovery;
pub(super) mod handle;
pub(super) mod manager;
pub(super) mod poller_builder;
mod poll_threads;
mod probe;
mod probed_hosts;
mod reconcile;
mod task;
