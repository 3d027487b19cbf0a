//! Keys of the Collector's `service::telemetry` that this collector does not have.

use crate::yaml::{Foreign, ForeignKey};

const LOGS: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["sampling"],
            "the code that writes a repeated line limits it",
        ),
        ForeignKey::ignored(
            &["output_paths", "error_output_paths"],
            "log lines go to standard error",
        ),
        ForeignKey::ignored(
            &["initial_fields", "disable_zap_resource"],
            "a line has only the fields of its event",
        ),
        ForeignKey::ignored(
            &["development", "disable_caller", "disable_stacktrace"],
            "a line has no place in the source code",
        ),
        ForeignKey::ignored(&["processors"], "log lines go only to standard error"),
    ],
    ..Foreign::NONE
};

const OTLP: Foreign = Foreign {
    keys: &[
        ForeignKey::only(
            &["temporality_preference"],
            &["cumulative"],
            "the collector's own metrics are cumulative",
        ),
        ForeignKey::only(
            &["default_histogram_aggregation"],
            &["explicit_bucket_histogram"],
            "histograms have explicit buckets",
        ),
        ForeignKey::ignored(
            &["compression"],
            "the collector's own telemetry is small and is not compressed",
        ),
        ForeignKey::ignored(&["insecure"], "the scheme of `endpoint` decides"),
        ForeignKey::refused(
            &["certificate", "client_certificate", "client_key", "tls"],
            "the collector's own telemetry uses only the system's certificates",
        ),
        ForeignKey::refused(&["headers_list"], "use `headers`"),
    ],
    ..Foreign::NONE
};

const PROMETHEUS: Foreign = Foreign {
    keys: &[
        ForeignKey::only(
            &["without_scope_info", "without_type_suffix", "without_units"],
            &["true"],
            "names are the Collector's default names, without unit, `_total` and scope",
        ),
        ForeignKey::ignored(
            &["with_resource_constant_labels"],
            "the Resource is `target_info`",
        ),
        ForeignKey::ignored(
            &["translation_strategy"],
            "names are the Collector's default names",
        ),
    ],
    ..Foreign::NONE
};

const CONSOLE: &str = "use `otlp`, or read the metrics at `pull` with a browser";

const EXPORTER: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(&["console"], CONSOLE),
        ForeignKey::refused(
            &["otlp_grpc", "otlp_file/development"],
            "the collector's own telemetry is sent over HTTP: use `otlp`",
        ),
    ],
    below: &[("otlp", &OTLP), ("prometheus", &PROMETHEUS)],
    ..Foreign::NONE
};

const WAY: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["timeout", "export_timeout"],
            "`exporter::otlp::timeout` limits a request",
        ),
        ForeignKey::ignored(
            &["schedule_delay", "max_queue_size", "max_export_batch_size"],
            "the SDK's defaults apply",
        ),
        ForeignKey::ignored(&["producers"], "nothing else produces metrics here"),
        ForeignKey::ignored(
            &["cardinality_limits"],
            "the collector itself has few series",
        ),
    ],
    below: &[("exporter", &EXPORTER)],
    ..Foreign::NONE
};

/// A reader or a processor in a list: `{pull: …}`, `{periodic: …}`, `{batch: …}`.
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
            "all metrics are served and pushed unchanged; drop some in the database",
        ),
        ForeignKey::refused(
            &["address"],
            "the Collector has removed this key too; use `readers` with `pull`",
        ),
    ],
    below: &[("readers", &LIST)],
    ..Foreign::NONE
};

const SAMPLER: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(
            &["parent_based"],
            "a poll has no parent span; use the sampler of its `root`",
        ),
        ForeignKey::refused(
            &["always_on", "always_off"],
            "use `trace_id_ratio_based` with a `ratio` of 1 or 0",
        ),
    ],
    ..Foreign::NONE
};

const TRACES: Foreign = Foreign {
    keys: &[
        ForeignKey::only(
            &["level"],
            &["basic", "normal", "detailed"],
            "without `processors` no spans are sent",
        ),
        ForeignKey::ignored(&["propagators"], "targets do not continue traces"),
        ForeignKey::ignored(&["limits"], "spans are small"),
    ],
    below: &[("processors", &LIST), ("sampler", &SAMPLER)],
    ..Foreign::NONE
};

const TELEMETRY: Foreign = Foreign {
    below: &[("logs", &LOGS), ("metrics", &METRICS), ("traces", &TRACES)],
    ..Foreign::NONE
};

/// Keys of `service` that this collector does not have.
pub const SERVICE_FOREIGN: Foreign = Foreign {
    below: &[("telemetry", &TELEMETRY)],
    ..Foreign::NONE
};
