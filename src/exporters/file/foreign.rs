//! Keys of the Collector's `file` exporter that this collector does not have.

use crate::yaml::{Foreign, ForeignKey};

const ROTATION: Foreign = Foreign {
    keys: &[ForeignKey::ignored(
        &["localtime"],
        "times in the names of old files are in UTC",
    )],
    ..Foreign::NONE
};

/// Keys of `file` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(
            &["compression"],
            "lines are not compressed, so that other programs can read the file; compress old files with another program",
        ),
        ForeignKey::refused(
            &["encoding"],
            "there are no encoding extensions; lines are OTLP JSON",
        ),
        ForeignKey::refused(
            &["group_by"],
            "all targets are in one file; use a pipeline and a `file` exporter for each group",
        ),
        ForeignKey::ignored(
            &["sending_queue", "timeout", "retry_on_failure"],
            "up to 64 MiB of lines wait until the disk accepts them",
        ),
    ],
    below: &[("rotation", &ROTATION)],
    ..Foreign::NONE
};
