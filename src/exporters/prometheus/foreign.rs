//! Keys of the Collector's `prometheus` exporter that we do not have.

use crate::{
    http,
    yaml::{Foreign, ForeignKey},
};

/// Of `prometheus`.
pub const FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &["sending_queue"],
        "what a scrape reads is there at once, nothing waits",
    )],
    also: &[&http::SERVER_FOREIGN],
    ..Foreign::NONE
};
