//! Keys of the Collector's `health_check` and `healthcheckv2` that this collector does not have.

use crate::{
    http,
    yaml::{Foreign, ForeignKey},
};

/// Keys of `health_check` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["check_collector_pipeline"],
            "the report always has the status of each exporter; it is no reason to restart",
        ),
        ForeignKey::ignored(
            &["read_header_timeout", "write_timeout"],
            "a listener has the limits of the `prometheus` exporter on it, or the default ones",
        ),
        ForeignKey::refused(
            &["use_v2", "http", "grpc", "component_health"],
            "these are keys of `healthcheckv2`; use `endpoint` and `path`",
        ),
    ],
    also: &[&http::SERVER_FOREIGN],
    ..Foreign::NONE
};
