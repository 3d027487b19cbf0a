//! Keys of the Collector's sending exporters that we do not have.

use crate::yaml::{Foreign, ForeignKey};

const BATCH: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["partition"],
        "a poll has no request whose metadata could tell batches apart",
    )],
    ..Foreign::NONE
};

const QUEUE: Foreign = Foreign {
    below: &[("batch", &BATCH)],
    ..Foreign::NONE
};

/// Of what sends.
pub const FOREIGN: Foreign = Foreign {
    below: &[("sending_queue", &QUEUE)],
    ..Foreign::NONE
};
