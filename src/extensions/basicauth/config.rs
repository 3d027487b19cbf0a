//! The configuration of the extension, with the Collector's keys.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::Secret,
    yaml::{Cursor, Diagnostics, Foreign, ForeignKey},
};

/// Authenticates requests with a user name and a password.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// What requests send.
    pub client_auth: ClientAuth,
}

/// A user name and a password.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ClientAuth {
    /// The user name.
    pub username: String,
    /// A file with the user name, in place of `username`. It is read again after a rotation.
    pub username_file: Option<PathBuf>,
    /// The password.
    pub password: Secret,
    /// A file with the password, in place of `password`. It is read again after a rotation.
    pub password_file: Option<PathBuf>,
}

/// Keys of `basicauth` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["htpasswd"],
        "the extension authenticates outgoing requests; clients of a listener are admitted with \
         `auth: {basic: …}` of the listener",
    )],
    below: &[(
        "client_auth",
        &Foreign {
            keys: &[ForeignKey::refused(
                &["aws_secrets_manager"],
                "secrets come from the configuration or from files; use `password_file`",
            )],
            ..Foreign::NONE
        },
    )],
    ..Foreign::NONE
};

impl Config {
    pub(super) fn check_values(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let auth = &self.client_auth;
        if auth.username.is_empty() && auth.username_file.is_none() {
            let message = "needs `username` or `username_file`";
            at.error(&["client_auth"], message, diagnostics);
        }
    }
}
