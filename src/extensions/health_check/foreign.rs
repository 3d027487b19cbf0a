//! Keys of the Collector's `health_check` and `healthcheckv2` that we do not have.

use crate::{
    http,
    yaml::{Foreign, ForeignKey},
};

/// Of `health_check`.
pub const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["check_collector_pipeline"],
            "the report always says how each exporter is; it is no reason to restart",
        ),
        ForeignKey::ignored(
            &["read_header_timeout", "write_timeout"],
            "the limits of a listener are those of the `prometheus` exporter on it, or its defaults",
        ),
        ForeignKey::refused(
            &["use_v2", "http", "grpc", "component_health"],
            "these are keys of `healthcheckv2`; give `endpoint` and `path`",
        ),
    ],
    also: &[&http::SERVER_FOREIGN],
    ..Foreign::NONE
};
