//! How one target is polled.
//!
//! In reading order: `schedule` says when; `poller` waits for the tick and reports; `round` asks
//! the endpoints at once or one by one; `endpoint` makes one request; `body_mapper` reads its body and
//! maps it; `state` is what a target keeps between two polls.

pub(super) mod body_mapper;
pub(super) mod endpoint;
pub(super) mod poller;
pub(super) mod round;
pub(super) mod schedule;
pub(super) mod state;
