//! The configuration of user names, passwords and tokens: those that clients of our listeners must
//! send, and the parts of it that outgoing requests have in common with it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::Secret,
    yaml::{Cursor, Diagnostics},
};

/// What a client must send: `basic` or `bearer`, not both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ServerAuthConfig {
    /// User name and password.
    pub basic: Option<BasicConfig>,
    /// A token.
    pub bearer: Option<BearerConfig>,
}

/// User name and password.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct BasicConfig {
    /// The user name.
    pub username: String,
    /// The password.
    #[serde(default)]
    pub password: Secret,
    /// A file with the password. It is read again after a rotation.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// A token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct BearerConfig {
    /// The token text.
    pub token: Secret,
    /// A file with the token. It is read again after a rotation.
    pub token_file: Option<PathBuf>,
}

impl ServerAuthConfig {
    /// Whether no credentials are configured.
    pub fn is_none(&self) -> bool {
        self.basic.is_none() && self.bearer.is_none()
    }

    /// Checks the key `auth` of the component at `at`, as far as the types cannot check it.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.basic.is_some() && self.bearer.is_some() {
            let message = "has both `basic` and `bearer`; choose one";
            at.error(&["auth"], message, diagnostics);
        }
        if let Some(basic) = &self.basic {
            basic.check(at, diagnostics);
        }
        if let Some(bearer) = &self.bearer {
            bearer.check(at, diagnostics);
        }
    }
}

impl BasicConfig {
    /// Checks the key `auth.basic` of the component at `at`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.password_file.is_some() && !self.password.is_empty() {
            let message = "has both `password` and `password_file`; choose one";
            at.error(&["auth", "basic"], message, diagnostics);
        }
    }
}

impl BearerConfig {
    /// Checks the key `auth.bearer` of the component at `at`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.token_file.is_some() != self.token.is_empty() {
            let message = "needs either `token` or `token_file`";
            at.error(&["auth", "bearer"], message, diagnostics);
        }
    }
}
