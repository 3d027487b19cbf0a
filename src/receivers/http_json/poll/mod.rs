//! How one target is polled.
//!
//! In reading order: `schedule` says when, and `pace` which endpoints; `poll_loop` waits for the
//! tick (or for one of the `signals`) and reports; `poll_state` is what a target keeps between two
//! polls; `target_poller` makes one poll; `round` asks its endpoints at once or one by one;
//! `endpoint` makes the requests of one endpoint, whose values `asked` puts in, and `authenticated`
//! those that say who we are; `in_time` waits for an answer; `receive` reads a body and `body_mapper`
//! maps it; `failure` says why there is none. `sample` makes a poll of saved bodies.

pub(super) mod asked;
mod authenticated;
pub(super) mod body_mapper;
pub(super) mod endpoint;
mod failure;
mod in_time;
pub(super) mod pace;
pub(super) mod poll_loop;
pub(super) mod poll_state;
mod receive;
mod round;
pub(super) mod sample;
pub(super) mod schedule;
pub(super) mod signals;
pub(super) mod target_poller;
