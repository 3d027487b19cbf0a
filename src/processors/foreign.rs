//! Keys of the Collector's processors that we do not have.

use crate::yaml::{Foreign, ForeignKey};

/// Of `batch`.
pub(super) const BATCH: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["metadata_keys", "metadata_cardinality_limit"],
        "a poll has no request whose metadata could tell batches apart",
    )],
    ..Foreign::NONE
};

/// Of `memory_limiter`.
pub(super) const MEMORY_LIMITER: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &[
            "min_gc_interval_when_soft_limited",
            "min_gc_interval_when_hard_limited",
        ],
        "there is no garbage collector to run",
    )],
    ..Foreign::NONE
};

const MATCH: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["regexp", "regexp_config"],
            "expressions are compiled once and need no cache",
        ),
        ForeignKey::refused(
            &["expressions"],
            "there is no `expr` language; write `metric_conditions`",
        ),
        ForeignKey::refused(
            &[
                "services",
                "span_names",
                "libraries",
                "span_kinds",
                "attributes",
            ],
            "metrics are chosen by `metric_names` and `resource_attributes`; conditions on points are for `filter`",
        ),
    ],
    ..Foreign::NONE
};

const CHOSEN: Foreign = Foreign {
    below: &[("include", &MATCH), ("exclude", &MATCH)],
    ..Foreign::NONE
};

const METRICS: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &["regexp"],
        "expressions are compiled once and need no cache",
    )],
    also: &[&CHOSEN],
    ..Foreign::NONE
};

/// Of `filter`.
pub(super) const FILTER: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &[
            "traces",
            "logs",
            "spans",
            "profiles",
            "trace_conditions",
            "log_conditions",
            "profile_conditions",
        ],
        "this collector carries metrics only",
    )],
    below: &[("metrics", &METRICS)],
    ..Foreign::NONE
};

/// Of `attributes`.
pub(super) const ATTRIBUTES: Foreign = CHOSEN;
