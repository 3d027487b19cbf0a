//! The configuration of the extension.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::Secret,
    yaml::{Cursor, Diagnostics},
};

/// Authenticates requests by HTTP digest authentication.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// A file with the password, in place of `password`. It is read again after a rotation.
    pub password_file: Option<PathBuf>,
}

impl Config {
    pub(super) fn check_values(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.username.is_empty() {
            at.error(&[], "missing key `username`", diagnostics);
        }
        if self.password.is_empty() && self.password_file.is_none() {
            at.error(&[], "needs `password` or `password_file`", diagnostics);
        }
        if self.password_file.is_some() && !self.password.is_empty() {
            let message = "has both `password` and `password_file`; choose one";
            at.error(&[], message, diagnostics);
        }
    }
}
