//! Keys of the Collector's sending exporters that this collector does not have.

use crate::yaml::{Foreign, ForeignKey};

const BATCH: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["partition"],
        "a poll has no request, so there is no metadata to partition batches by",
    )],
    ..Foreign::NONE
};

const QUEUE: Foreign = Foreign {
    below: &[("batch", &BATCH)],
    ..Foreign::NONE
};

/// Keys of all sending exporters that only the Collector has.
pub const FOREIGN: Foreign = Foreign {
    below: &[("sending_queue", &QUEUE)],
    ..Foreign::NONE
};
