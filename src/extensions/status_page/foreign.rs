//! Keys of the listeners of the Collector's extensions that this one does not have.

use crate::{
    http,
    yaml::{Foreign, ForeignKey},
};

/// Of `status_page`.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &["read_header_timeout", "write_timeout"],
        "the limits of a listener are those of the `prometheus` exporter on it, or its defaults",
    )],
    also: &[&http::SERVER_FOREIGN],
    ..Foreign::NONE
};
