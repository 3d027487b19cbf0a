//! Keys of the Collector's `file_storage` that we do not have.

use crate::yaml::{Foreign, ForeignKey};

/// Of `file_storage`.
pub const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["compaction"],
            "a file gives its room back by itself; `max_bytes` bounds it",
        ),
        ForeignKey::ignored(
            &["recreate"],
            "a damaged file is always set aside, and what can be read of it is kept",
        ),
    ],
    ..Foreign::NONE
};
