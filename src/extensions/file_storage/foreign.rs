//! Keys of the Collector's `file_storage` that this collector does not have.

use crate::yaml::{Foreign, ForeignKey};

/// Keys of `file_storage` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["compaction"],
            "a file frees unused space by itself; `max_bytes` limits it",
        ),
        ForeignKey::ignored(
            &["recreate"],
            "a damaged file is always renamed, and its intact records are kept",
        ),
    ],
    ..Foreign::NONE
};
