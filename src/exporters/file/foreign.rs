//! Keys of the Collector's `file` exporter that we do not have.

use crate::yaml::{Foreign, ForeignKey};

const ROTATION: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &["localtime"],
        "the times in the names of old files are in UTC",
    )],
    ..Foreign::NONE
};

/// Of `file`.
pub const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(
            &["compression"],
            "lines are written as they are, for whoever reads the file; compress old files outside",
        ),
        ForeignKey::refused(
            &["encoding"],
            "there are no encoding extensions; lines are OTLP JSON",
        ),
        ForeignKey::refused(
            &["group_by"],
            "all targets are in one file; make a pipeline and a `file` exporter for each group",
        ),
        ForeignKey::ignored(
            &["sending_queue", "timeout", "retry_on_failure"],
            "lines wait, 64 MiB at most, and are tried again until the disk takes them",
        ),
    ],
    below: &[("rotation", &ROTATION)],
    ..Foreign::NONE
};
