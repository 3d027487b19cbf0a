//! Keys of the Collector's processors that this collector does not have.

use crate::yaml::{Foreign, ForeignKey};

/// Keys of `batch` that only the Collector has.
pub(super) const BATCH: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["metadata_keys", "metadata_cardinality_limit"],
        "a poll has no request, so there is no metadata to partition batches by",
    )],
    ..Foreign::NONE
};

/// Keys of `memory_limiter` that only the Collector has.
pub(super) const MEMORY_LIMITER: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &[
            "min_gc_interval_when_soft_limited",
            "min_gc_interval_when_hard_limited",
        ],
        "there is no garbage collector",
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
            "metrics are selected by `metric_names` and `resource_attributes`; `filter` has conditions on points",
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

/// Keys of `filter` that only the Collector has.
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
        "this collector supports only metrics",
    )],
    below: &[("metrics", &METRICS)],
    ..Foreign::NONE
};

/// Keys of `attributes` that only the Collector has.
pub(super) const ATTRIBUTES: Foreign = CHOSEN;
