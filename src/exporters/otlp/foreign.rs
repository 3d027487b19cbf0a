//! Keys of the Collector's OTLP exporters that this collector does not have.

use crate::{
    client, delivery,
    yaml::{Foreign, ForeignKey},
};

/// Keys of `otlp_http` that only the Collector has.
pub(super) const HTTP_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["traces_endpoint", "logs_endpoint", "profiles_endpoint"],
            "this collector supports only metrics",
        ),
        ForeignKey::only(
            &["encoding"],
            &["proto"],
            "messages are protobuf, which every OTLP receiver accepts",
        ),
    ],
    also: &[&client::HTTP_CLIENT_FOREIGN, &delivery::FOREIGN],
    ..Foreign::NONE
};

/// Keys of `otlp_grpc` that only the Collector has.
pub(super) const GRPC_FOREIGN: Foreign = Foreign {
    also: &[&client::GRPC_CLIENT_FOREIGN, &delivery::FOREIGN],
    ..Foreign::NONE
};
