//! Keys of the Collector's servers that this collector does not have.

use crate::yaml::{Foreign, ForeignKey};

/// Keys of a server's `auth` that only the Collector has.
const AUTH_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(
            &["authenticator"],
            "authenticator extensions are for outgoing requests; clients of a listener are \
             admitted with `basic` or `bearer`",
        ),
        ForeignKey::refused(
            &["request_params"],
            "a secret is never read from a query; use `basic` or `bearer`",
        ),
    ],
    ..Foreign::NONE
};

/// Keys of a server's `tls` that only the Collector has.
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
            "a server checks clients with `client_ca_file`",
        ),
        ForeignKey::refused(
            &["cert_pem", "key_pem", "ca_pem"],
            "a server reads its certificate from files; use `cert_file` and `key_file`",
        ),
        ForeignKey::refused(
            &["tpm"],
            "a key inside of a TPM cannot be used; use `key_file`",
        ),
    ],
    ..Foreign::NONE
};

/// Keys of a server that only the Collector has.
pub const SERVER_FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::ignored(&["cors"], "pages of other origins may not read the answers"),
        ForeignKey::ignored(
            &["max_request_body_size", "compression_algorithms"],
            "request bodies are not used",
        ),
        ForeignKey::ignored(&["include_metadata"], "request headers are not used"),
        ForeignKey::ignored(
            &["read_timeout", "idle_timeout"],
            "`read_header_timeout` limits both",
        ),
        ForeignKey::ignored(&["keep_alives_enabled"], "the client decides"),
        ForeignKey::ignored(&["response_headers"], "answers have the headers they need"),
        ForeignKey::only(&["transport"], &["tcp"], "listeners support only TCP"),
        ForeignKey::refused(&["middlewares"], "there are no middleware extensions"),
    ],
    below: &[("tls", &TLS_FOREIGN), ("auth", &AUTH_FOREIGN)],
    ..Foreign::NONE
};
