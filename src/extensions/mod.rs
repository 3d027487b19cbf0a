//! What serves the operator beside the data: the register of extensions.

pub mod health_check;

use schemars::SchemaGenerator;
use serde::Serialize;

use crate::{
    http::ServerConfig,
    settings::Kind,
    yaml::{self, Cursor, Diagnostics},
};

/// All kinds of extensions.
pub const KINDS: &[Kind] = &[Kind {
    name: "health_check",
    aliases: &[],
    about: "Serves `/health`, `/livez` and `/readyz`.",
    schema: SchemaGenerator::subschema_for::<health_check::Config>,
}];

/// What the configuration says of one extension.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Config {
    /// Serves the state of the collector and its targets.
    HealthCheck(health_check::Config),
}

impl Config {
    /// Reads and checks the configuration of an extension of kind `kind`.
    pub fn decode(_kind: &Kind, at: &Cursor<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let config: health_check::Config = yaml::decode(at.node, &at.path, diagnostics)?;
        config.check(at, diagnostics);
        Some(Self::HealthCheck(config))
    }

    /// Where and how it listens.
    pub fn server(&self) -> ServerConfig {
        match self {
            Self::HealthCheck(config) => config.server(),
        }
    }
}
