//! Extensions: services for the operator. This file is their register.

pub mod file_storage;
pub mod health_check;
pub mod status_page;

use schemars::SchemaGenerator;
use serde::Serialize;

use crate::{
    http::ServerConfig,
    settings::ComponentType,
    yaml::{Cursor, Diagnostics},
};

/// All types of extensions.
pub const KINDS: &[ComponentType] = &[
    ComponentType {
        name: "file_storage",
        aliases: &[],
        about: "Stores sending queues on disk.",
        schema: SchemaGenerator::subschema_for::<file_storage::Config>,
        foreign: &file_storage::FOREIGN,
    },
    ComponentType {
        name: "health_check",
        aliases: &[],
        about: "Serves `/health`, `/livez` and `/readyz`.",
        schema: SchemaGenerator::subschema_for::<health_check::Config>,
        foreign: &health_check::FOREIGN,
    },
    ComponentType {
        name: "status_page",
        aliases: &[],
        about: "Shows the fleet, its targets, the pipelines and the configuration to people.",
        schema: SchemaGenerator::subschema_for::<status_page::Config>,
        foreign: &status_page::FOREIGN,
    },
];

/// The configuration of one extension.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Config {
    /// Stores sending queues on disk.
    FileStorage(file_storage::Config),
    /// Serves the state of the collector and its targets.
    HealthCheck(Box<health_check::Config>),
    /// Shows the fleet to people.
    StatusPage(Box<status_page::Config>),
}

impl Config {
    /// Reads and checks the configuration of an extension of the type `kind`.
    pub fn decode(
        kind: &ComponentType,
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        match kind.name {
            "file_storage" => {
                let config: file_storage::Config = kind.decode(at, diagnostics)?;
                config.check(at, diagnostics);
                Some(Self::FileStorage(config))
            }
            "health_check" => {
                let config: health_check::Config = kind.decode(at, diagnostics)?;
                config.check(at, diagnostics);
                Some(Self::HealthCheck(Box::new(config)))
            }
            "status_page" => {
                let config: status_page::Config = kind.decode(at, diagnostics)?;
                config.check(at, diagnostics);
                Some(Self::StatusPage(Box::new(config)))
            }
            _ => kind.not_read(at, diagnostics),
        }
    }

    /// The listener of the extension, if it has one.
    pub fn server(&self) -> Option<ServerConfig> {
        match self {
            Self::FileStorage(_) => None,
            Self::HealthCheck(config) => Some(config.server()),
            Self::StatusPage(config) => Some(config.server()),
        }
    }
}
