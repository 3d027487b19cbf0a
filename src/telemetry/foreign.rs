//! Keys of the Collector's `service::telemetry` that we do not have.

use crate::yaml::{Foreign, ForeignKey};

const LOGS: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["sampling"],
            "lines that repeat are held back where they are made",
        ),
        ForeignKey::ignored(
            &["output_paths", "error_output_paths"],
            "lines are written to standard error",
        ),
        ForeignKey::ignored(
            &["initial_fields", "disable_zap_resource"],
            "a line has the fields of its event only",
        ),
        ForeignKey::ignored(
            &["development", "disable_caller", "disable_stacktrace"],
            "a line names no place in the source",
        ),
        ForeignKey::ignored(
            &["processors"],
            "lines are written to standard error, and sent nowhere",
        ),
    ],
    ..Foreign::NONE
};

const OTLP: Foreign = Foreign {
    keys: &[
        ForeignKey::only(
            &["temporality_preference"],
            &["cumulative"],
            "the collector's own totals are cumulative",
        ),
        ForeignKey::only(
            &["default_histogram_aggregation"],
            &["explicit_bucket_histogram"],
            "histograms have explicit buckets",
        ),
        ForeignKey::ignored(
            &["compression"],
            "our own telemetry is small, and not compressed",
        ),
        ForeignKey::ignored(&["insecure"], "the scheme of `endpoint` says it"),
        ForeignKey::refused(
            &["certificate", "client_certificate", "client_key", "tls"],
            "our own telemetry is sent with the certificates of the system only",
        ),
        ForeignKey::refused(&["headers_list"], "give `headers`"),
    ],
    ..Foreign::NONE
};

const PROMETHEUS: Foreign = Foreign {
    keys: &[
        ForeignKey::only(
            &["without_scope_info", "without_type_suffix", "without_units"],
            &["true"],
            "names are those of the Collector's defaults, without unit, `_total` and scope",
        ),
        ForeignKey::ignored(
            &["with_resource_constant_labels"],
            "the Resource is `target_info`",
        ),
        ForeignKey::ignored(
            &["translation_strategy"],
            "names are those of the Collector's defaults",
        ),
    ],
    ..Foreign::NONE
};

const CONSOLE: &str = "give `otlp`, or read them at `pull` with a browser";

const EXPORTER: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(&["console"], CONSOLE),
        ForeignKey::refused(
            &["otlp_grpc", "otlp_file/development"],
            "our own telemetry is sent over HTTP: give `otlp`",
        ),
    ],
    below: &[("otlp", &OTLP), ("prometheus", &PROMETHEUS)],
    ..Foreign::NONE
};

const WAY: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["timeout", "export_timeout"],
            "`exporter::otlp::timeout` bounds a request",
        ),
        ForeignKey::ignored(
            &["schedule_delay", "max_queue_size", "max_export_batch_size"],
            "the SDK's defaults hold",
        ),
        ForeignKey::ignored(&["producers"], "nothing else produces metrics here"),
        ForeignKey::ignored(&["cardinality_limits"], "our own series are few"),
    ],
    below: &[("exporter", &EXPORTER)],
    ..Foreign::NONE
};

/// A reader or a processor of a list: `{pull: …}`, `{periodic: …}`, `{batch: …}`.
const LIST: Foreign = Foreign {
    below: &[("*", &ONE)],
    ..Foreign::NONE
};

const ONE: Foreign = Foreign {
    below: &[("*", &WAY)],
    ..Foreign::NONE
};

const METRICS: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(
            &["views"],
            "metrics are given as they are; drop some where they are stored",
        ),
        ForeignKey::refused(
            &["address"],
            "the Collector no longer has it either; give `readers` with `pull`",
        ),
    ],
    below: &[("readers", &LIST)],
    ..Foreign::NONE
};

const SAMPLER: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(
            &["parent_based"],
            "a poll has no parent; give the sampler of its `root`",
        ),
        ForeignKey::refused(
            &["always_on", "always_off"],
            "give `trace_id_ratio_based` with a `ratio` of 1 or 0",
        ),
    ],
    ..Foreign::NONE
};

const TRACES: Foreign = Foreign {
    keys: &[
        ForeignKey::only(
            &["level"],
            &["basic", "normal", "detailed"],
            "without `processors` no span is sent",
        ),
        ForeignKey::ignored(&["propagators"], "no trace is continued by a target"),
        ForeignKey::ignored(&["limits"], "spans are small"),
    ],
    below: &[("processors", &LIST), ("sampler", &SAMPLER)],
    ..Foreign::NONE
};

const TELEMETRY: Foreign = Foreign {
    below: &[("logs", &LOGS), ("metrics", &METRICS), ("traces", &TRACES)],
    ..Foreign::NONE
};

/// Of `service`.
pub const SERVICE_FOREIGN: Foreign = Foreign {
    below: &[("telemetry", &TELEMETRY)],
    ..Foreign::NONE
};
