//! How one target is polled.
//!
//! In reading order: `schedule` says when; `poll_loop` waits for the tick (or for one of the
//! `signals`) and reports; `poll_state` is what a target keeps between two polls; `target_poller`
//! makes one poll; `round` asks its endpoints at once or one by one; `endpoint` makes the requests
//! of one endpoint; `body_mapper` reads the body and maps it.

pub(super) mod body_mapper;
pub(super) mod endpoint;
pub(super) mod poll_loop;
pub(super) mod poll_state;
mod round;
pub(super) mod schedule;
pub(super) mod signals;
pub(super) mod target_poller;
