//! What the configuration says of the extension.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::Endpoint,
    yaml::{Cursor, Diagnostics},
};

/// Serves the state of the collector and of its targets.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The address to listen on; components that name the same one share the listener.
    pub endpoint: Endpoint,
    /// The path of the report; `/livez` and `/readyz` stand beside it.
    pub path: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::localhost(9200),
            path: "/health".to_owned(),
        }
    }
}

impl Config {
    /// Checks what a type cannot say; mistakes go to `diagnostics`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if !self.path.starts_with('/') {
            at.error(
                &["path"],
                "expected a path that begins with `/`",
                diagnostics,
            );
        }
    }
}
