//! Keys of the Collector's `prometheusremotewrite` exporter that this collector does not have.

use crate::{
    client, delivery,
    yaml::{Foreign, ForeignKey},
};

/// Keys of `prometheusremotewrite` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["remote_write_queue"],
            "`sending_queue` is the queue; batches are sent one after the other",
        ),
        ForeignKey::ignored(
            &["max_batch_size_bytes", "max_batch_request_parallelism"],
            "`sending_queue::batch` sets the size of batches; they are sent one after the other",
        ),
        ForeignKey::ignored(
            &["export_created_metric"],
            "remote write 1.0 has no start times",
        ),
        ForeignKey::only(&["compression"], &["snappy"], "remote write uses snappy"),
        ForeignKey::only(
            &["protobuf_message"],
            &["prometheus.WriteRequest"],
            "only remote write 1.0 is supported, with the message `prometheus.WriteRequest`",
        ),
        ForeignKey::refused(&["wal"], "use `sending_queue::storage` for a queue on disk"),
    ],
    also: &[&client::HTTP_CLIENT_FOREIGN, &delivery::FOREIGN],
    ..Foreign::NONE
};
