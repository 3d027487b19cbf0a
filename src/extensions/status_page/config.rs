//! What the configuration says of the extension.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    http::{ServerAuthConfig, ServerConfig, TlsConfig},
    settings::Endpoint,
    yaml::{Cursor, Diagnostics},
};

/// Shows the fleet to people.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The address to listen on; components that name the same one share the listener.
    pub endpoint: Endpoint,
    /// How clients reach it over TLS; all components of a listener say the same.
    pub tls: Option<TlsConfig>,
    /// Whom to answer.
    pub auth: ServerAuthConfig,
    /// Whether the page of a target shows its last answers as they came, cut and escaped. They may
    /// hold what not everybody is to see.
    pub expose_bodies: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::localhost(9200),
            tls: None,
            auth: ServerAuthConfig::default(),
            expose_bodies: false,
        }
    }
}

impl Config {
    /// Where and how it listens.
    pub(super) fn server(&self) -> ServerConfig {
        ServerConfig {
            endpoint: self.endpoint.to_string(),
            tls: self.tls.clone(),
            auth: self.auth.clone(),
            limits: None,
        }
    }

    pub(super) fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.server().check(at, diagnostics);
    }
}
