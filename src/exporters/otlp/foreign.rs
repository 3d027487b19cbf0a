//! Keys of the Collector's OTLP exporters that we do not have.

use crate::{
    client, delivery,
    yaml::{Foreign, ForeignKey},
};

/// Of `otlp_http`.
pub const HTTP_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["traces_endpoint", "logs_endpoint", "profiles_endpoint"],
            "this collector carries metrics only",
        ),
        ForeignKey::only(
            &["encoding"],
            &["proto"],
            "messages are protobuf, which every OTLP receiver takes",
        ),
    ],
    also: &[&client::HTTP_CLIENT_FOREIGN, &delivery::FOREIGN],
    ..Foreign::NONE
};

/// Of `otlp_grpc`.
pub const GRPC_FOREIGN: Foreign = Foreign {
    also: &[&client::GRPC_CLIENT_FOREIGN, &delivery::FOREIGN],
    ..Foreign::NONE
};
