//! Why a configuration cannot run.

use crate::{
    http::{BindError, RouteError},
    settings::BuildError,
    telemetry::TelemetryError,
};

/// Why a service cannot start, or cannot switch to another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An exporter cannot be built.
    #[error("failed to build the exporter `{id}`")]
    Exporter {
        /// The id of the exporter.
        id: String,
        /// Why it cannot be built.
        #[source]
        source: BuildError,
    },
    /// A receiver cannot be built.
    #[error("failed to build the receiver `{id}`")]
    Receiver {
        /// The id of the receiver.
        id: String,
        /// Why it cannot be built.
        #[source]
        source: BuildError,
    },
    /// The collector's own telemetry cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Two components want the same path.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// An extension cannot be built or started.
    #[error("failed to start the extension `{id}`")]
    Extension {
        /// The id of the extension.
        id: String,
        /// Why it cannot start.
        #[source]
        source: BuildError,
    },
    /// A port cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Why the running configuration stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A changed key needs a restart.
    #[error("changes of {} need a restart", keys.join(", "))]
    NeedsRestart {
        /// The changed keys.
        keys: Vec<String>,
    },
    /// One of its components cannot be built.
    #[error(transparent)]
    Build(#[from] StartError),
}
