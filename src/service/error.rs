//! Why a configuration does not run.

use crate::{
    exporters,
    http::{BindError, RouteError},
    receivers::http_json,
    storage::InUse,
    telemetry::TelemetryError,
};

/// Why a service does not start, or does not go over to another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An exporter cannot be built.
    #[error("failed to build the exporter `{id}`")]
    Exporter {
        /// Which one.
        id: String,
        /// Why.
        #[source]
        source: exporters::BuildError,
    },
    /// A receiver cannot be built.
    #[error("failed to build the receiver `{id}`")]
    Receiver {
        /// Which one.
        id: String,
        /// Why.
        #[source]
        source: http_json::BuildError,
    },
    /// The collector cannot speak of itself.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Two components want the same path.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Another process works in the directory of a storage.
    #[error("failed to start the extension `{id}`")]
    Storage {
        /// Which one.
        id: String,
        /// Why.
        #[source]
        source: InUse,
    },
    /// A port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Why the running configuration stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It differs in what cannot change while the collector runs.
    #[error("changes of {} need a restart", keys.join(", "))]
    NeedsRestart {
        /// Which keys.
        keys: Vec<String>,
    },
    /// One of its components cannot be built.
    #[error(transparent)]
    Build(#[from] StartError),
}
