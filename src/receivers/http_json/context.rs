//! What a receiver needs to be built, and why it cannot be.

use std::sync::Arc;

use super::http::network::Network;
use crate::{
    client::ConfigError,
    definition::LoadError,
    discovery,
    pipeline::{DocumentMapping, StatusBoard, TargetNames},
    runtime::Clock,
    telemetry::Meter,
};

/// What a receiver is built with beside its configuration.
#[derive(Debug, Clone)]
pub struct Context {
    /// The receiver's id, for example `betanet/eu`.
    pub id: String,
    /// The time of day.
    pub clock: Clock,
    /// For what the receiver says of itself.
    pub meter: Meter,
    /// Where it notes the state of its targets.
    pub board: Arc<StatusBoard>,
    /// Where its targets get their names.
    pub names: Arc<TargetNames>,
    /// How targets are reached.
    pub network: Network,
    /// The mapping of one document. A body is mapped where it is read, so that no document waits for
    /// a slow endpoint.
    pub mapping: DocumentMapping,
    /// Whether polls come with the text of their bodies, which a command shows or records.
    pub keeps_text: bool,
}

/// Why a receiver cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// TLS or a header cannot be set up.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// A definition is gone or broken since the configuration was checked.
    #[error(transparent)]
    Definition(#[from] LoadError),
    /// The settings of the HTTP client contradict each other or a file holds no PEM.
    #[error("failed to set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// A source of targets cannot work.
    #[error(transparent)]
    Discovery(#[from] discovery::BuildError),
    /// A target's URL ends in what no path can be put behind.
    #[error("{url} has a query or a fragment, behind which no path can be put")]
    NoBase {
        /// The URL.
        url: String,
    },
    /// A target has no URL.
    #[error("a target has no endpoint")]
    NoEndpoint,
    /// The URL of an endpoint is none.
    #[error("`{url}` is not a URL")]
    Url {
        /// Endpoint and path.
        url: String,
    },
}
