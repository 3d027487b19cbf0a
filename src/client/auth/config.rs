//! The key `auth` of everything that sends requests.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Authenticator, Authenticators, HeaderAuth};
use crate::{
    client::ConfigError,
    http::{BasicConfig, BearerConfig, SecretHeader},
    settings::{Capability, ComponentId, ExtensionUse},
    yaml::{Cursor, Diagnostics},
};

/// How requests authenticate: `basic`, `bearer` or `authenticator`, one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ClientAuthConfig {
    /// User name and password.
    pub basic: Option<BasicConfig>,
    /// A token.
    pub bearer: Option<BearerConfig>,
    /// The extension that authenticates, such as `oauth2client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<ComponentId>,
}

impl ClientAuthConfig {
    /// Checks the key `auth` of the component at `at`, as far as the types cannot check it.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let given = [
            ("`basic`", self.basic.is_some()),
            ("`bearer`", self.bearer.is_some()),
            ("`authenticator`", self.authenticator.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        let given: Vec<_> = given.map(|(name, _)| name).collect();
        if let [one, other, ..] = given.as_slice() {
            let message = format!("has both {one} and {other}; choose one");
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
    ///
    /// # Errors
    /// If no extension with this id authenticates requests.
    pub fn build(
        &self,
        extensions: &Authenticators,
    ) -> Result<Option<Arc<dyn Authenticator>>, ConfigError> {
        if let Some(id) = &self.authenticator {
            let missing = || {
                let why = format!("no extension `{id}` in use authenticates requests");
                ConfigError::new("auth.authenticator", why)
            };
            return extensions.get(id).cloned().map(Some).ok_or_else(missing);
        }
        let secret = match (&self.basic, &self.bearer) {
            (Some(basic), _) => SecretHeader::from(basic),
            (None, Some(bearer)) => SecretHeader::from(bearer),
            (None, None) => return Ok(None),
        };
        Ok(Some(Arc::new(HeaderAuth::authorization(secret))))
    }

    /// The extension that it names.
    pub fn uses(&self) -> Option<ExtensionUse<'_>> {
        let id = self.authenticator.as_ref()?;
        let key = ["auth", "authenticator"];
        Some(ExtensionUse::new(id, Capability::Authenticator, &key))
    }
}
