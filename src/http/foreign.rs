//! Keys of the Collector's servers and of its authentication that we do not have.

use crate::yaml::{Foreign, ForeignKey};

/// Of `auth`.
pub const AUTH_FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["authenticator", "request_params"],
        "there are no extensions that authenticate; give `basic` or `bearer`",
    )],
    ..Foreign::NONE
};

/// Of `tls` of a server.
const TLS_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(
            &["client_ca_file_reload"],
            "all files are read again, every `reload_interval`",
        ),
        ForeignKey::ignored(
            &[
                "ca_file",
                "include_system_ca_certs_pool",
                "insecure",
                "insecure_skip_verify",
            ],
            "a server checks clients, with `client_ca_file`",
        ),
        ForeignKey::refused(
            &["cert_pem", "key_pem", "ca_pem"],
            "the certificate of a server comes from files; give `cert_file` and `key_file`",
        ),
        ForeignKey::refused(
            &["tpm"],
            "a key inside of a TPM cannot be used; give `key_file`",
        ),
    ],
    ..Foreign::NONE
};

/// Of what listens.
pub const SERVER_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(&["cors"], "no page of another origin may read the answers"),
        ForeignKey::ignored(
            &["max_request_body_size", "compression_algorithms"],
            "no request has a body that is read",
        ),
        ForeignKey::ignored(
            &["include_metadata"],
            "nothing uses the headers of a request",
        ),
        ForeignKey::ignored(
            &["read_timeout", "idle_timeout"],
            "`read_header_timeout` bounds both",
        ),
        ForeignKey::ignored(&["keep_alives_enabled"], "the client decides"),
        ForeignKey::ignored(&["response_headers"], "answers have the headers they need"),
        ForeignKey::only(&["transport"], &["tcp"], "listeners speak TCP only"),
        ForeignKey::refused(
            &["middlewares"],
            "there are no middleware extensions that requests could pass",
        ),
    ],
    below: &[("tls", &TLS_FOREIGN), ("auth", &AUTH_FOREIGN)],
    ..Foreign::NONE
};
