//! Keys of the Collector's clients that we do not have.

use crate::yaml::{Foreign, ForeignKey};

/// Of `tls`.
pub const TLS_FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["tpm"],
        "a key inside of a TPM cannot be used; give `key_file`",
    )],
    ..Foreign::NONE
};

/// Of what both clients have, over HTTP and gRPC.
pub const CLIENT_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["read_buffer_size", "write_buffer_size"],
            "buffers grow as they must",
        ),
        ForeignKey::refused(
            &["middlewares"],
            "there are no middleware extensions that requests could pass",
        ),
    ],
    below: &[("tls", &TLS_FOREIGN), ("auth", &crate::http::AUTH_FOREIGN)],
    ..Foreign::NONE
};

/// Of a client over HTTP.
pub const HTTP_CLIENT_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &[
                "max_idle_conns",
                "max_idle_conns_per_host",
                "max_conns_per_host",
                "idle_conn_timeout",
                "disable_keep_alives",
            ],
            "a destination has one connection for each batch that is being sent at the same time",
        ),
        ForeignKey::ignored(
            &[
                "http2_read_idle_timeout",
                "http2_ping_timeout",
                "force_attempt_http2",
            ],
            "`timeout` bounds each attempt",
        ),
        ForeignKey::ignored(&["compression_params"], "the level is the default one"),
        ForeignKey::ignored(&["cookies"], "cookies of a destination are not kept"),
    ],
    also: &[&CLIENT_FOREIGN],
    ..Foreign::NONE
};

/// Of a client over gRPC.
pub const GRPC_CLIENT_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["wait_for_ready"],
            "a batch waits in the queue until there is a connection",
        ),
        ForeignKey::refused(
            &["authority"],
            "requests name the endpoint; give the name of its certificate as `tls::server_name_override`",
        ),
        ForeignKey::ignored(&["user_agent"], "requests name this collector"),
    ],
    also: &[&CLIENT_FOREIGN],
    ..Foreign::NONE
};
