//! Keys of the Collector's `prometheusremotewrite` exporter that we do not have.

use crate::{
    client, delivery,
    yaml::{Foreign, ForeignKey},
};

/// Of `prometheusremotewrite`.
pub const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["remote_write_queue"],
            "`sending_queue` is the queue; samples are sent one batch after the other",
        ),
        ForeignKey::ignored(
            &["max_batch_size_bytes", "max_batch_request_parallelism"],
            "`sending_queue::batch` says how large batches are; they are sent one after the other",
        ),
        ForeignKey::ignored(
            &["export_created_metric"],
            "remote write 1.0 has no time at which a total began",
        ),
        ForeignKey::only(
            &["compression"],
            &["snappy"],
            "remote write is compressed with snappy",
        ),
        ForeignKey::only(
            &["protobuf_message"],
            &["prometheus.WriteRequest"],
            "only remote write 1.0 is spoken, whose message is `prometheus.WriteRequest`",
        ),
        ForeignKey::refused(
            &["wal"],
            "give `sending_queue::storage` to keep on disk what waits",
        ),
    ],
    also: &[&client::HTTP_CLIENT_FOREIGN, &delivery::FOREIGN],
    ..Foreign::NONE
};
