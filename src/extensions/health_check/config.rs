//! What the configuration says of the extension.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    http::{AuthConfig, ServerConfig, TlsConfig},
    settings::Endpoint,
    yaml::{Cursor, Diagnostics},
};

/// Serves the state of the collector and of its targets.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The address to listen on; components that name the same one share the listener.
    pub endpoint: Endpoint,
    /// How clients reach it over TLS; all components of a listener say the same.
    pub tls: Option<TlsConfig>,
    /// Whom to answer.
    pub auth: AuthConfig,
    /// The path of the report; `/livez` and `/readyz` stand beside it.
    pub path: String,
    /// Texts that stand at `path` in place of the report: one while `/readyz` says yes, with status
    /// 200, and one while it says no, with 503.
    pub response_body: Option<ResponseBody>,
    /// Whether `POST /-/reload` loads the configuration anew.
    pub lifecycle: bool,
    /// Names under which `POST /-/reload` may be asked, beside addresses, names without a dot and
    /// the host of `endpoint`. Any other name could be one that somebody lets point here, so that
    /// a page of his can ask. With `auth` any will do.
    pub allowed_hosts: Vec<String>,
}

/// What is answered in place of the report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ResponseBody {
    /// While every target was polled once.
    pub healthy: String,
    /// Before that.
    pub unhealthy: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::localhost(9200),
            tls: None,
            auth: AuthConfig::default(),
            path: "/health".to_owned(),
            response_body: None,
            lifecycle: false,
            allowed_hosts: Vec::new(),
        }
    }
}

impl Config {
    /// Where and how it listens.
    pub fn server(&self) -> ServerConfig {
        ServerConfig {
            endpoint: self.endpoint.to_string(),
            tls: self.tls.clone(),
            auth: self.auth.clone(),
            limits: None,
        }
    }

    /// Checks what a type cannot say; mistakes go to `diagnostics`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.server().check(at, diagnostics);
        if !self.path.starts_with('/') {
            at.error(
                &["path"],
                "expected a path that begins with `/`",
                diagnostics,
            );
        }
    }
}
