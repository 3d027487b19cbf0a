//! One request over HTTP: everything between a URL and the bytes of a body.
//!
//! In reading order: `transport` is the interface, behind which tests put a server in memory
//! (`network`); `clients` builds the HTTP clients of a receiver; `client` sends, in clear text over
//! a socket of the target's own (`socket`: of TCP or of this machine), and gets an `answer`. The usual
//! request is a `plain_exchange`; of any other hyper drives a `connection`, on a `resumed_socket` if
//! the answer turned out not to be a usual one. `connection_budget` says how many connections are
//! kept; `connection_queue` lets the requests of a poll share a connection; `redirect` follows
//! redirects; `cache_headers` reads what a response says of its age; `telltale` describes a
//! response that is no document.

mod answer;
pub(super) mod cache_headers;
mod client;
pub(super) mod clients;
mod connection;
mod connection_budget;
mod connection_queue;
pub(super) mod network;
mod plain_exchange;
pub(super) mod redirect;
mod resumed_socket;
mod socket;
pub(super) mod telltale;
pub(super) mod transport;
