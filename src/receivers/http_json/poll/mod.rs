//! How one target is polled.
//!
//! In reading order: `grid` has the moments at which targets may be polled, `schedule` says when one
//! is, and `pace` which of its endpoints; `poll_loop` waits for the
//! tick (or for one of the `signals`) and reports; `poll_state` is what a target keeps between two
//! polls; `target_poller` makes one poll; `round` asks its endpoints at once or one by one;
//! `endpoint` makes the requests of one endpoint, whose values `asked` puts in; `authenticated` sends
//! authenticated ones; `in_time` waits for an answer; `exchanges` makes several in one
//! attempt: of which `pages` finds the next one, and for each element that `origin` has, as `derived`
//! says; `receive` reads a body and `body_mapper` maps it; `failure` says why there is none, and
//! `shown` how a request is shown. `sample` makes a poll of saved bodies, and `saved_pages` says where
//! they are asked for.

pub(super) mod asked;
mod authenticated;
pub(super) mod body_mapper;
mod derived;
pub(super) mod endpoint;
pub(super) mod exchanges;
mod failure;
pub(super) mod grid;
mod in_time;
pub(super) mod pages;
pub(super) mod pace;
pub(super) mod poll_loop;
pub(super) mod poll_state;
mod receive;
pub(super) mod origin;
pub(super) mod places;
mod round;
pub(super) mod sample;
pub(super) mod saved_pages;
pub(super) mod schedule;
mod shown;
pub(super) mod signals;
pub(super) mod target_poller;
