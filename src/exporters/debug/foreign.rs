//! Keys of the Collector's `debug` exporter that we do not have.

use crate::yaml::{Foreign, ForeignKey};

/// Of `debug`.
pub const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(&["sending_queue"], "what is shown is logged at once"),
        ForeignKey::ignored(
            &["use_internal_logger", "output_paths"],
            "the log is where it is shown, on standard error",
        ),
    ],
    ..Foreign::NONE
};
