//! The configuration of the extension, with the Collector's keys.

use std::path::PathBuf;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::Secret,
    yaml::{Cursor, Diagnostics, Foreign, ForeignKey},
};

/// Authenticates requests with a token.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The header of the token.
    pub header: String,
    /// The word before the token. If it is empty, the header has only the token.
    pub scheme: String,
    /// The token.
    pub token: Secret,
    /// A file with the token, in place of `token`. It is read again after a rotation.
    pub filename: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            header: "Authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            token: Secret::default(),
            filename: None,
        }
    }
}

/// Keys of `bearertokenauth` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::refused(
            &["tokens"],
            "several tokens are for clients of a listener; a request sends one `token`",
        ),
        ForeignKey::ignored(
            &["file_retry"],
            "a file that is missing is read again at the next request",
        ),
    ],
    ..Foreign::NONE
};

impl Config {
    pub(super) fn check_values(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.token.is_empty() && self.filename.is_none() {
            at.error(&[], "needs `token` or `filename`", diagnostics);
        }
        if self.header.parse::<HeaderName>().is_err() {
            let message = "is not a header name: letters, digits and `-`";
            at.error(&["header"], message, diagnostics);
        }
    }
}
