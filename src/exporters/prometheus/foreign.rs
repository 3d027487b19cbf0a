//! Keys of the Collector's `prometheus` exporter that this collector does not have.

use crate::{
    http,
    yaml::{Foreign, ForeignKey},
};

/// Keys of `prometheus` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &["sending_queue"],
        "values are available to scrapes at once, without a queue",
    )],
    also: &[&http::SERVER_FOREIGN],
    ..Foreign::NONE
};
