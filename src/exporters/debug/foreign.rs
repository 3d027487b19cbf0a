//! Keys of the Collector's `debug` exporter that this collector does not have.

use crate::yaml::{Foreign, ForeignKey};

/// Keys of `debug` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(&["sending_queue"], "log lines are written at once"),
        ForeignKey::ignored(
            &["use_internal_logger", "output_paths"],
            "the output goes to the log, on standard error",
        ),
    ],
    ..Foreign::NONE
};
