//! Keys of the Collector's clients that this collector does not have.

use crate::yaml::{Foreign, ForeignKey};

/// Keys of `tls` that only the Collector has.
pub const TLS_FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["tpm"],
        "a key inside of a TPM cannot be used; use `key_file`",
    )],
    ..Foreign::NONE
};

/// Keys of a client's `auth` that only the Collector has.
pub const AUTH_FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["request_params"],
        "it is for clients of a listener; use `basic`, `bearer` or `authenticator`",
    )],
    ..Foreign::NONE
};

/// Keys of both HTTP and gRPC clients that only the Collector has.
pub const CLIENT_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["read_buffer_size", "write_buffer_size"],
            "buffers grow as needed",
        ),
        ForeignKey::refused(&["middlewares"], "there are no middleware extensions"),
    ],
    below: &[("tls", &TLS_FOREIGN), ("auth", &AUTH_FOREIGN)],
    ..Foreign::NONE
};

/// Keys of HTTP clients that only the Collector has.
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
            "a destination has one connection for each batch that is currently being sent",
        ),
        ForeignKey::ignored(
            &[
                "http2_read_idle_timeout",
                "http2_ping_timeout",
                "force_attempt_http2",
            ],
            "`timeout` limits each attempt",
        ),
        ForeignKey::ignored(&["compression_params"], "the level is the default one"),
        ForeignKey::ignored(&["cookies"], "cookies of a destination are ignored"),
    ],
    also: &[&CLIENT_FOREIGN],
    ..Foreign::NONE
};

/// Keys of gRPC clients that only the Collector has.
pub const GRPC_CLIENT_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["wait_for_ready"],
            "a batch waits in the queue until there is a connection",
        ),
        ForeignKey::refused(
            &["authority"],
            "requests have the name of the endpoint; set the name of its certificate in `tls::server_name_override`",
        ),
        ForeignKey::ignored(&["user_agent"], "requests have the name of this collector"),
    ],
    also: &[&CLIENT_FOREIGN],
    ..Foreign::NONE
};
