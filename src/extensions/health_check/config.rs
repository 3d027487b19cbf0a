//! The configuration of the extension.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    http::{ServerAuthConfig, ServerConfig, TlsConfig},
    settings::Endpoint,
    yaml::{Cursor, Diagnostics},
};

/// Serves the state of the collector and of its targets.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The address to listen on. Components with the same address share the listener.
    pub endpoint: Endpoint,
    /// TLS for clients. All components of a listener must have the same settings.
    pub tls: Option<TlsConfig>,
    /// Credentials that clients must send.
    pub auth: ServerAuthConfig,
    /// The path of the report. `/livez` and `/readyz` are on the same listener.
    pub path: String,
    /// Texts at `path` in place of the report: one with status 200 while `/readyz` succeeds, and
    /// one with status 503 while it fails.
    pub response_body: Option<ResponseBody>,
    /// Whether `POST /-/reload` reloads the configuration.
    pub lifecycle: bool,
    /// Host names that requests to `POST /-/reload` may use, in addition to addresses, names
    /// without a dot and the host of `endpoint`. Somebody else could make any other name resolve to
    /// this machine, so that a page of another site could send the request. With `auth` any name is
    /// allowed.
    pub allowed_hosts: Vec<String>,
}

/// The answers in place of the report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ResponseBody {
    /// The text after every target was polled once.
    pub healthy: String,
    /// The text before that.
    pub unhealthy: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::localhost(9200),
            tls: None,
            auth: ServerAuthConfig::default(),
            path: "/health".to_owned(),
            response_body: None,
            lifecycle: false,
            allowed_hosts: Vec::new(),
        }
    }
}

impl Config {
    /// The listener of the extension.
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
        if !self.path.starts_with('/') {
            at.error(
                &["path"],
                "expected a path that begins with `/`",
                diagnostics,
            );
        }
    }
}
