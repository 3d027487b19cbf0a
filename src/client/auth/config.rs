//! The key `auth` of everything that sends requests.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Authenticator, HeaderAuth};
use crate::{
    http::{BasicConfig, BearerConfig, SecretHeader},
    yaml::{Cursor, Diagnostics},
};

/// How requests authenticate: `basic` or `bearer`, not both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ClientAuthConfig {
    /// User name and password.
    pub basic: Option<BasicConfig>,
    /// A token.
    pub bearer: Option<BearerConfig>,
}

impl ClientAuthConfig {
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

    /// What authenticates requests. `None` if nothing is configured. Files are read when they are
    /// needed.
    pub fn build(&self) -> Option<Arc<dyn Authenticator>> {
        let secret = match (&self.basic, &self.bearer) {
            (Some(basic), _) => SecretHeader::from(basic),
            (None, Some(bearer)) => SecretHeader::from(bearer),
            (None, None) => return None,
        };
        Some(Arc::new(HeaderAuth::authorization(secret)))
    }
}
